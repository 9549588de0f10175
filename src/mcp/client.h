// Client: one server of the Model Context Protocol, in use.  What it sends is data from a stranger:
// everything has a limit, and nothing of it is ever run, opened or believed.
// Source: Model Context Protocol, revision 2025-11-25.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "mcp/transport.h"

namespace hearth::mcp {

struct Tool {
  std::string name, description;  // the description is cleaned of what hides
  Json schema;                    // of the arguments
  bool only_reads = false;        // as the server says
  std::string digest;             // of all this: who agreed to one agreed to no other
};

struct ToolResult {
  std::string text;
  bool is_error = false;  // of the tool, which the model may mend
  bool is_cut = false;
};

struct Resource {
  std::string uri, name, description, type;
};
struct PromptArgument {
  std::string name, description;
  bool is_required = false;
};
struct Prompt {
  std::string name, description;
  std::vector<PromptArgument> arguments;
};

constexpr std::size_t max_tools = 256, max_schema_bytes = 32 << 10, max_description_bytes = 4 << 10;
constexpr std::size_t max_result_bytes = 64 << 10;  // of a result, for the model

// Text of a stranger without control, tag and direction characters; at most `max_bytes`.
std::string cleaned(std::string_view text, std::size_t max_bytes);

// A transport for tests; otherwise that of the settings.
using MakeTransport = std::function<Result<std::unique_ptr<Transport>>(Hearing hearing)>;

// Thread-safe.
class Client {
 public:
  // Starts or reaches the server and agrees on a version.  Errors: those of the transport,
  // unavailable (it does not answer), unsupported (its version), cancelled.
  static Result<std::unique_ptr<Client>> connect(const ServerSettings& server,
                                                 const Variables& variables,
                                                 const std::stop_token& stop);
  static Result<std::unique_ptr<Client>> connect(const ServerSettings& server,
                                                 const MakeTransport& make,
                                                 const std::stop_token& stop);
  ~Client();

  bool is_alive() const;
  bool offers(std::string_view what) const;  // "tools", "resources", "prompts"
  const std::string& title() const;          // "name version"

  // Errors of all: unavailable (it ended, or does not answer in time), invalid (its answer makes no
  // sense), exhausted (too much), cancelled, not_found and others that it tells.
  // `left_out`: tools over a limit, by name.
  Result<std::vector<Tool>> tools(const std::stop_token& stop,
                                  std::vector<std::string>* left_out = nullptr);
  Result<ToolResult> call(const std::string& tool, const Json& arguments,
                          const std::stop_token& stop);
  Result<std::vector<Resource>> resources(const std::stop_token& stop);
  Result<std::string> read(const std::string& uri, const std::stop_token& stop);
  Result<std::vector<Prompt>> prompts(const std::stop_token& stop);
  // Messages in OpenAI's form.
  Result<Json> prompt(const std::string& name, const Json& arguments, const std::stop_token& stop);
  // The server said that its tools are others now; asked once.
  bool tools_changed();

 private:
  struct State;
  explicit Client(std::shared_ptr<State> state);
  Result<Json> list(const char* method, const char* field, const std::stop_token& stop);

  std::shared_ptr<State> state_;
};

}  // namespace hearth::mcp
