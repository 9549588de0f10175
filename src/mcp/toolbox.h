// Toolbox: the tools of several servers under names that a model can call, and who may call them.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "mcp/client.h"

namespace hearth::mcp {

struct OfferedTool {
  std::string name;  // "server__tool": letters, digits, '_' and '-', 64 at most, never twice
  std::string server;
  Tool tool;
};

struct ServerState {
  std::string name, title, problem;  // problem: why it is not in use
  std::vector<std::string> left_out;
};

constexpr std::size_t max_offered_tools = 512, max_offered_bytes = 512 << 10;

// Thread-safe.
class Toolbox {
 public:
  // Reaches all servers at once; one that cannot be used is a problem of its own.
  static std::unique_ptr<Toolbox> open(const std::vector<ServerSettings>& servers,
                                       const Variables& variables, const std::stop_token& stop);
  ~Toolbox();

  std::vector<ServerState> servers() const;
  std::vector<OfferedTool> tools() const;
  // Asks servers again that said that their tools have changed.
  void refresh(const std::stop_token& stop);

  // `arguments`: JSON as a model wrote it.  A server that has ended is started again, but what was
  // asked of it is never asked twice.  Errors: not_found, invalid (arguments), those of
  // Client::call.
  Result<ToolResult> call(const std::string& name, const std::string& arguments,
                          const std::stop_token& stop);
  // By the settings' name.  Errors: not_found.
  Result<std::shared_ptr<Client>> client(const std::string& server) const;
  // The settings allow it without asking.
  bool is_allowed(const OfferedTool& tool) const;

 private:
  struct Server;
  explicit Toolbox(Variables variables);
  void offer();

  const Variables variables_;
  std::vector<std::unique_ptr<Server>> servers_;
  Guarded<std::vector<OfferedTool>> tools_;
};

// In OpenAI's form.
Json openai_tools(const std::vector<OfferedTool>& tools);

// What a person decided about a tool.  A tool that has changed is another one.
enum class Decision { ask, always, never };

// Kept in a file.  Used by one thread.
class Consents {
 public:
  explicit Consents(std::string path);  // what cannot be read is asked anew
  Decision find(const OfferedTool& tool) const;
  Status remember(const OfferedTool& tool, Decision decision);

 private:
  std::string path_;
  Json decisions_ = Json::object();  // digest of server and tool -> {server, tool, decision}
};

}  // namespace hearth::mcp
