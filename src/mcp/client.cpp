#include "mcp/client.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>

#include "base/utf8.h"
#include "http/secrets.h"
#include "mcp/content.h"

namespace hearth::mcp {
namespace {

constexpr std::array<std::string_view, 4> versions = {"2025-11-25", "2025-06-18", "2025-03-26",
                                                      "2024-11-05"};
constexpr std::size_t max_items = 4096, max_pages = 64, max_name_bytes = 128;
constexpr auto short_wait = std::chrono::seconds(2);
// Requests of a server to us that are answered; it may send more than it should.
constexpr int max_foreign_requests = 1000;
constexpr int method_not_found = -32601, resource_not_found = -32002;

Deadline deadline_after(Milliseconds patience, const std::stop_token& stop) {
  return {std::chrono::steady_clock::now() + patience, stop};
}

Error error_of(const Json& error) {
  const Json* code = error.find("code");
  const std::string text = fmt::format("it says: {}", printable(text_in(error, "message"), 500));
  const bool is_absent =
      code && (*code == Json(method_not_found) || *code == Json(resource_not_found));
  return Error(is_absent ? ErrorKind::not_found : ErrorKind::invalid, text);
}

}  // namespace

struct Client::State {
  explicit State(ServerSettings server) : settings(std::move(server)) {}

  const ServerSettings settings;
  std::string title;
  Json capabilities = Json::object();

  std::mutex mutex;
  std::condition_variable_any changed;
  std::map<std::int64_t, std::optional<Json>> waiting;  // by id: the answer, once it is there
  std::optional<Error> ended;
  std::int64_t last_id = 0;
  std::atomic<bool> tools_changed{false};
  std::atomic<int> foreign_requests{0};
  // For the transport's own threads, which it outlives; null until it is there.
  std::atomic<Transport*> sender{nullptr};
  std::unique_ptr<Transport> transport;  // last: it calls the others until it is gone

  void hear(Json message);
  void answer(const Json& id, const std::string& method);
  void notify(const char* method, Json params);
  Result<Json> ask(const char* method, Json params, const std::stop_token& stop);
  Result<Json> take(std::int64_t id, const Deadline& deadline);
};

void Client::State::hear(Json message) {
  const Json* id = message.find("id");
  if (const Json* method = message.find("method"); method && method->is_string()) {
    if (id && (id->is_integer() || id->is_string())) return answer(*id, method->as_string());
    if (*method == Json("notifications/tools/list_changed")) tools_changed = true;
    return;
  }
  if (!id || !id->is_integer()) return;
  const std::lock_guard lock(mutex);
  const auto found = waiting.find(id->as_integer());
  if (found == waiting.end() || found->second) return;  // of what nobody waits for any more
  found->second = std::move(message);
  changed.notify_all();
}

// We answer signs of life, and nothing else: no server has our model run, or asks us things.
void Client::State::answer(const Json& id, const std::string& method) {
  if (++foreign_requests > max_foreign_requests) return;
  Json reply = Json::object({{"jsonrpc", "2.0"}, {"id", id}});
  if (method == "ping")
    reply.set("result", Json::object());
  else
    reply.set("error", Json::object({{"code", method_not_found}, {"message", "not offered here"}}));
  if (Transport* to = sender)
    (void)to->send(write_json(reply), false, deadline_after(short_wait, {})).ok();
}

void Client::State::notify(const char* method, Json params) {
  const Json message =
      Json::object({{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}});
  (void)transport->send(write_json(message), false, deadline_after(short_wait, {})).ok();
}

Result<Json> Client::State::take(std::int64_t id, const Deadline& deadline) {
  std::unique_lock lock(mutex);
  const auto is_there = [&] { return waiting[id].has_value() || ended.has_value(); };
  if (!transport->has_answered()) changed.wait_until(lock, deadline.stop, deadline.time, is_there);
  const std::optional<Json> message = std::move(waiting[id]);
  waiting.erase(id);
  if (!message) {
    if (deadline.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    if (ended) return *ended;
    return Error(ErrorKind::unavailable, transport->has_answered() ? "it answers without an answer"
                                                                   : "it does not answer in time");
  }
  if (const Json* error = message->find("error"); error && error->is_object())
    return error_of(*error);
  const Json* result = message->find("result");
  if (!result || !result->is_object()) return Error(ErrorKind::invalid, "its answer has no result");
  return *result;
}

Result<Json> Client::State::ask(const char* method, Json params, const std::stop_token& stop) {
  const Deadline deadline = deadline_after(settings.patience, stop);
  std::int64_t id;
  {
    const std::lock_guard lock(mutex);
    if (ended) return *ended;
    id = ++last_id;
    waiting[id];
  }
  const Json message = Json::object(
      {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}});
  const Status sent = transport->send(write_json(message), true, deadline);
  auto answer = [&]() -> Result<Json> {
    if (sent.ok()) return take(id, deadline);
    const std::lock_guard lock(mutex);
    waiting.erase(id);
    return sent.error();
  }();
  const bool gave_up = !answer && (answer.error().kind() == ErrorKind::cancelled ||
                                   std::chrono::steady_clock::now() >= deadline.time);
  if (gave_up && std::string_view(method) != "initialize")
    notify("notifications/cancelled", Json::object({{"requestId", id}, {"reason", "given up"}}));
  return answer;
}

Client::Client(std::shared_ptr<State> state) : state_(std::move(state)) {}
Client::~Client() { state_->transport.reset(); }

Result<std::unique_ptr<Client>> Client::connect(const ServerSettings& server,
                                                const Variables& variables,
                                                const std::stop_token& stop) {
  return connect(
      server,
      [&](Hearing hearing) -> Result<std::unique_ptr<Transport>> {
        if (server.command.empty()) return connect_http(server, std::move(hearing));
        return start_program(server, variables, std::move(hearing));
      },
      stop);
}

Result<std::unique_ptr<Client>> Client::connect(const ServerSettings& server,
                                                const MakeTransport& make,
                                                const std::stop_token& stop) {
  auto state = std::make_shared<State>(server);
  State* raw = state.get();  // the transport lives no longer
  state->transport = TRY(make({[raw](Json message) { raw->hear(std::move(message)); },
                               [raw](Error why) {
                                 const std::lock_guard lock(raw->mutex);
                                 if (!raw->ended) raw->ended = std::move(why);
                                 raw->changed.notify_all();
                               }}));
  state->sender = state->transport.get();
  std::unique_ptr<Client> client(new Client(state));
  const Json hello = Json::object(
      {{"protocolVersion", std::string(versions.front())},
       {"capabilities", Json::object()},
       {"clientInfo", Json::object({{"name", "hearth"}, {"version", HEARTH_VERSION}})}});
  const Json answer = TRY(state->ask("initialize", hello, stop));
  const std::string version = text_in(answer, "protocolVersion");
  if (std::ranges::find(versions, version) == versions.end())
    return Error(ErrorKind::unsupported,
                 fmt::format("it speaks version '{}' of the protocol", printable(version)));
  if (const Json* offered = answer.find("capabilities"); offered && offered->is_object())
    state->capabilities = *offered;
  if (const Json* info = answer.find("serverInfo"))
    state->title =
        cleaned(text_in(*info, "name") + " " + text_in(*info, "version"), max_name_bytes);
  state->transport->set_version(version);
  state->notify("notifications/initialized", Json::object());
  return client;
}

bool Client::is_alive() const {
  const std::lock_guard lock(state_->mutex);
  return !state_->ended;
}

bool Client::offers(std::string_view what) const {
  return state_->capabilities.find(what) != nullptr;
}
const std::string& Client::title() const { return state_->title; }
bool Client::tools_changed() { return state_->tools_changed.exchange(false); }

Result<Json> Client::list(const char* method, const char* field, const std::stop_token& stop) {
  Json all = Json::array();
  Json params = Json::object();
  for (std::size_t page = 0; page < max_pages; ++page) {
    const Json answer = TRY(state_->ask(method, params, stop));
    const Json* items = answer.find(field);
    if (!items || !items->is_array())
      return Error(ErrorKind::invalid, fmt::format("its answer has no list of {}", field));
    for (const Json& item : items->as_array())
      if (item.is_object() && all.size() < max_items) all.push_back(item);
    const Json* next = answer.find("nextCursor");
    if (!next || !next->is_string() || next->as_string().empty() || all.size() >= max_items)
      return all;
    params = Json::object({{"cursor", *next}});
  }
  return all;
}

Result<std::vector<Tool>> Client::tools(const std::stop_token& stop,
                                        std::vector<std::string>* left_out) {
  std::vector<Tool> tools;
  if (!offers("tools")) return tools;
  const Json items = TRY(list("tools/list", "tools", stop));
  for (const Json& item : items.as_array()) {
    Tool tool;
    tool.name = text_in(item, "name");
    tool.description = cleaned(text_in(item, "description"), max_description_bytes);
    const Json* schema = item.find("inputSchema");
    tool.schema = schema && schema->is_object()
                      ? *schema
                      : Json::object({{"type", "object"}, {"properties", Json::object()}});
    const Json* notes = item.find("annotations");
    const Json* reads = notes ? notes->find("readOnlyHint") : nullptr;
    tool.only_reads = reads && *reads == Json(true);
    const std::string text = write_json(tool.schema);
    const bool is_twice =
        std::ranges::any_of(tools, [&](const Tool& other) { return other.name == tool.name; });
    if (tool.name.empty() || tool.name.size() > max_name_bytes || is_twice ||
        text.size() > max_schema_bytes || tools.size() == max_tools) {
      if (left_out) left_out->push_back(printable(tool.name));
      continue;
    }
    tool.digest = http::hex_text(http::sha256(
        fmt::format("{}\n{}\n{}\n{}", tool.name, tool.description, text, tool.only_reads)));
    tools.push_back(std::move(tool));
  }
  return tools;
}

Result<ToolResult> Client::call(const std::string& tool, const Json& arguments,
                                const std::stop_token& stop) {
  const Json answer = TRY(
      state_->ask("tools/call", Json::object({{"name", tool}, {"arguments", arguments}}), stop));
  return tool_result(answer);
}

Result<std::vector<Resource>> Client::resources(const std::stop_token& stop) {
  std::vector<Resource> resources;
  if (!offers("resources")) return resources;
  const Json items = TRY(list("resources/list", "resources", stop));
  for (const Json& item : items.as_array())
    resources.push_back({text_in(item, "uri"), cleaned(text_in(item, "name"), max_name_bytes),
                         cleaned(text_in(item, "description"), max_description_bytes),
                         cleaned(text_in(item, "mimeType"), max_name_bytes)});
  return resources;
}

Result<std::string> Client::read(const std::string& uri, const std::stop_token& stop) {
  const Json answer = TRY(state_->ask("resources/read", Json::object({{"uri", uri}}), stop));
  const Json* contents = answer.find("contents");
  if (!contents || !contents->is_array())
    return Error(ErrorKind::invalid, "its answer has no contents");
  std::string text;
  for (const Json& item : contents->as_array()) text += resource_text(item);
  return text;
}

Result<std::vector<Prompt>> Client::prompts(const std::stop_token& stop) {
  std::vector<Prompt> prompts;
  if (!offers("prompts")) return prompts;
  const Json items = TRY(list("prompts/list", "prompts", stop));
  for (const Json& item : items.as_array()) {
    Prompt prompt{
        text_in(item, "name"), cleaned(text_in(item, "description"), max_description_bytes), {}};
    if (const Json* arguments = item.find("arguments"); arguments && arguments->is_array())
      for (const Json& one : arguments->as_array()) {
        const Json* required = one.find("required");
        prompt.arguments.push_back({text_in(one, "name"),
                                    cleaned(text_in(one, "description"), max_description_bytes),
                                    required && *required == Json(true)});
      }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

Result<Json> Client::prompt(const std::string& name, const Json& arguments,
                            const std::stop_token& stop) {
  const Json answer = TRY(
      state_->ask("prompts/get", Json::object({{"name", name}, {"arguments", arguments}}), stop));
  const Json* items = answer.find("messages");
  if (!items || !items->is_array()) return Error(ErrorKind::invalid, "its answer has no messages");
  Json messages = Json::array();
  for (const Json& item : items->as_array()) {
    const std::string role = text_in(item, "role");
    const Json* content = item.find("content");
    if ((role != "user" && role != "assistant") || !content) continue;
    messages.push_back(Json::object({{"role", role}, {"content", content_text(*content)}}));
  }
  return messages;
}

}  // namespace hearth::mcp
