// POST /mcp: the Model Context Protocol over HTTP, without sessions and streams of the server's
// own. Source: Model Context Protocol, revision 2025-11-25, "Base protocol", "Transports", "Tools",
// "Resources"; JSON-RPC 2.0.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <functional>
#include <variant>

#include "base/utf8.h"
#include "server/mcp/tools.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

using mcp::Resource;
using mcp::Tool;

// The newest first.  What they differ in does not concern us.
constexpr std::array<std::string_view, 4> versions = {"2025-11-25", "2025-06-18", "2025-03-26",
                                                      "2024-11-05"};

// Source: JSON-RPC 2.0, section 5.1; Model Context Protocol, "Resources", error handling.
enum Code {
  parse_error = -32700,
  invalid_request = -32600,
  method_not_found = -32601,
  invalid_params = -32602,
  internal_error = -32603,
  resource_not_found = -32002
};

struct Failure {
  Code code;
  std::string message;
};

std::string error_message(const Json& id, const Failure& failure) {
  return write_json(Json::object({{"jsonrpc", "2.0"},
                                  {"id", id},
                                  {"error", Json::object({{"code", static_cast<int>(failure.code)},
                                                          {"message", failure.message}})}}));
}

std::string result_message(const Json& id, Json result) {
  return write_json(Json::object({{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}}));
}

const Json* at_path(const Json& value, std::string_view path) {
  const Json* at = &value;
  while (at && !path.empty()) {
    const std::string_view part = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (at->is_array())
      at = at->size() > 0 && part == "0" ? &at->as_array().front() : nullptr;
    else
      at = at->find(part);
  }
  return at;
}

Json texts(std::string_view text) {
  Json content = Json::array();
  content.push_back(Json::object({{"type", "text"}, {"text", text}}));
  return content;
}

// What an endpoint answered, as the result of a tool: what it refuses, the model may mend.
Json tool_result(const Tool& tool, const http::Response& response) {
  auto body = parse_json(response.body);
  const bool failed = response.status >= 400;
  const Json* text = body ? at_path(*body, failed ? "error.message" : tool.text) : nullptr;
  const bool is_text = text && text->is_string();
  Json result = Json::object({{"content", texts(is_text ? text->as_string()
                                                : text  ? write_json(*text)
                                                        : response.body)},
                              {"isError", failed}});
  if (!failed && body && body->is_object()) result.set("structuredContent", std::move(*body));
  return result;
}

// Has an endpoint answer, and makes of its answer the answer to a message.
class Relay final : public http::Responder {
 public:
  // `make`: the body of our answer, from the endpoint's.
  Relay(Service& service, Call outer, std::function<std::string(const http::Response&)> make)
      : service_(service), outer_(std::move(outer)), make_(std::move(make)) {}
  ~Relay() override {
    if (!is_sent_) send({500, {}, R"({"error":{"message":"the answer was cut short"}})"});
  }
  void send(http::Response response) override {
    if (std::exchange(is_sent_, true)) return;
    hearth::server::send(service_, outer_, http::json_response(make_(response)));
  }
  void start_stream(http::StreamStart) override {}
  void write(std::string_view) override {}
  void finish() override {}
  bool is_open() const override { return outer_.responder->is_open(); }
  std::size_t pending_bytes() const override { return outer_.responder->pending_bytes(); }
  std::stop_token stop() const override { return outer_.responder->stop(); }

 private:
  Service& service_;
  Call outer_;
  std::function<std::string(const http::Response&)> make_;
  bool is_sent_ = false;
};

// The request goes in by the door, with the key of the one that asked.
void ask_endpoint(Service& service, Call outer, http::Request request,
                  std::function<std::string(const http::Response&)> make) {
  const http::Request& own = outer.request;
  request.id = own.id;
  request.peer = own.peer;
  request.is_tls = own.is_tls;
  request.is_loopback = own.is_loopback;
  for (const char* name : {"Authorization", "x-api-key"})
    if (const std::string* value = own.header(name)) request.headers.push_back({name, *value});
  service.ask(std::move(request),
              std::make_shared<Relay>(service, std::move(outer), std::move(make)));
}

struct Message {
  Json id;
  const Json& params;
};

using Answer = std::variant<Json, Failure>;

Answer initialize(const Message& message) {
  const Json* asked = message.params.find("protocolVersion");
  if (!asked || !asked->is_string()) return Failure{invalid_params, "protocolVersion is missing"};
  const bool known = std::ranges::find(versions, asked->as_string()) != versions.end();
  return Json::object(
      {{"protocolVersion", known ? asked->as_string() : std::string(versions.front())},
       {"capabilities", Json::object({{"tools", Json::object()}, {"resources", Json::object()}})},
       {"serverInfo",
        Json::object({{"name", "hearth"}, {"title", "Hearth"}, {"version", HEARTH_VERSION}})},
       {"instructions",
        "Local models: list_models says which are here, run_model asks one, search_collection "
        "finds "
        "documents of this machine."}});
}

Answer ping(const Message&) { return Json::object(); }

// All of a list is on its first page.
std::optional<Failure> check_cursor(const Message& message) {
  if (const Json* cursor = message.params.find("cursor"); cursor && !cursor->is_null())
    return Failure{invalid_params, "cursor: there is one page only"};
  return std::nullopt;
}

Answer list_tools(const Message& message) {
  if (auto failure = check_cursor(message)) return *failure;
  Json list = Json::array();
  for (const Tool& tool : mcp::tools())
    list.push_back(
        Json::object({{"name", tool.name},
                      {"title", tool.title},
                      {"description", tool.description},
                      {"inputSchema", *parse_json(tool.schema)},
                      {"annotations", Json::object({{"readOnlyHint", tool.only_reads}})}}));
  return Json::object({{"tools", std::move(list)}});
}

Answer list_resources(const Message& message, bool are_templates) {
  if (auto failure = check_cursor(message)) return *failure;
  Json list = Json::array();
  for (const Resource& row : mcp::resources())
    if (row.uri.ends_with('}') == are_templates)
      list.push_back(Json::object({{are_templates ? "uriTemplate" : "uri", row.uri},
                                   {"name", row.name},
                                   {"description", row.description},
                                   {"mimeType", "application/json"}}));
  return Json::object({{are_templates ? "resourceTemplates" : "resources", std::move(list)}});
}

// Methods that answer at once.
struct Method {
  std::string_view name;
  Answer (*answer)(const Message& message);
};
constexpr Method methods[] = {
    {"initialize", initialize},
    {"ping", ping},
    {"tools/list", list_tools},
    {"resources/list", [](const Message& message) { return list_resources(message, false); }},
    {"resources/templates/list",
     [](const Message& message) { return list_resources(message, true); }},
};

// Methods that ask an endpoint.  What is wrong before that is returned.
std::optional<Failure> call_tool(Service& service, Call& call, const Message& message) {
  const Json* name = message.params.find("name");
  if (!name || !name->is_string()) return Failure{invalid_params, "name is missing"};
  const auto tools = mcp::tools();
  const auto tool = std::ranges::find(tools, name->as_string(), &Tool::name);
  if (tool == tools.end())
    return Failure{invalid_params,
                   fmt::format("there is no tool '{}'", printable(name->as_string()))};
  const Json* arguments = message.params.find("arguments");
  if (arguments && !arguments->is_null() && !arguments->is_object())
    return Failure{invalid_params, "arguments: needs an object"};
  const bool has_arguments = arguments && arguments->is_object();
  auto request = mcp::request_of(*tool, has_arguments ? *arguments : Json::object());
  if (!request.ok()) return Failure{invalid_params, request.error().message};
  ask_endpoint(service, std::move(call), std::move(request).value(),
               [id = message.id, &row = *tool](const http::Response& response) {
                 return result_message(id, tool_result(row, response));
               });
  return std::nullopt;
}

std::optional<Failure> read_resource(Service& service, Call& call, const Message& message) {
  const Json* uri = message.params.find("uri");
  if (!uri || !uri->is_string()) return Failure{invalid_params, "uri is missing"};
  auto request = mcp::request_of_resource(uri->as_string());
  if (!request)
    return Failure{resource_not_found,
                   fmt::format("there is no resource '{}'", printable(uri->as_string()))};
  ask_endpoint(service, std::move(call), std::move(*request),
               [id = message.id, name = *uri](const http::Response& response) {
                 if (response.status >= 400) {
                   const auto body = parse_json(response.body);
                   const Json* why = body ? at_path(*body, "error.message") : nullptr;
                   return error_message(
                       id, {response.status == 404 ? resource_not_found : internal_error,
                            why && why->is_string() ? why->as_string() : "the resource failed"});
                 }
                 Json content = Json::object(
                     {{"uri", name}, {"mimeType", "application/json"}, {"text", response.body}});
                 return result_message(
                     id, Json::object({{"contents", Json(Json::Array{std::move(content)})}}));
               });
  return std::nullopt;
}

// Answers, or says why it cannot.
std::optional<Failure> answer(Service& service, Call& call, const std::string& method,
                              const Message& message) {
  if (method == "tools/call") return call_tool(service, call, message);
  if (method == "resources/read") return read_resource(service, call, message);
  for (const Method& row : methods) {
    if (row.name != method) continue;
    Answer made = row.answer(message);
    if (auto* failure = std::get_if<Failure>(&made)) return std::move(*failure);
    send(service, call,
         http::json_response(result_message(message.id, std::get<Json>(std::move(made)))));
    return std::nullopt;
  }
  return Failure{method_not_found, fmt::format("there is no method '{}'", printable(method))};
}

bool is_id(const Json& id) { return id.is_string() || id.is_integer(); }

void handle(Service& service, Call call) {
  const auto refuse = [&](int status, const Json& id, const Failure& failure) {
    send(service, call, http::json_response(error_message(id, failure), status));
  };
  if (const std::string* version = call.request.header("mcp-protocol-version");
      version && std::ranges::find(versions, *version) == versions.end())
    return refuse(400, Json(),
                  {invalid_request, fmt::format("the protocol's version {} is not known here",
                                                printable(*version))});
  const auto body = parse_json(call.request.body);
  if (!body) return refuse(400, Json(), {parse_error, body.error().message()});
  if (body->is_array())
    return refuse(400, Json(), {invalid_request, "messages are taken one by one"});
  const Json* mark = body->find("jsonrpc");
  if (!mark || *mark != Json("2.0"))
    return refuse(400, Json(), {invalid_request, "needs an object with jsonrpc \"2.0\""});
  const Json* id = body->find("id");
  const Json* method = body->find("method");
  const bool is_answer = !method && (body->find("result") || body->find("error"));
  // What needs no answer: notifications, and answers to what we never asked.
  if (is_answer || (method && method->is_string() && !id))
    return send(service, call, http::Response{202, {}, ""});
  if (!id || !is_id(*id))
    return refuse(400, Json(), {invalid_request, "id needs to be a text or a whole number"});
  if (!method || !method->is_string())
    return refuse(400, *id, {invalid_request, "method is missing"});
  const Json nothing = Json::object();
  const Json* params = body->find("params");
  if (params && !params->is_null() && !params->is_object())
    return refuse(200, *id, {invalid_params, "params needs to be an object"});
  const bool has_params = params && params->is_object();
  const auto failure =
      answer(service, call, method->as_string(), {*id, has_params ? *params : nothing});
  if (failure) refuse(200, *id, *failure);
}

constexpr Endpoint rows[] = {
    {"POST", "/mcp", "The Model Context Protocol: tools and resources.", Scope::any, "McpMessage",
     "McpMessage", Endpoint::Place::worker, handle},
};

}  // namespace

std::span<const Endpoint> mcp_rows() { return rows; }

}  // namespace hearth::server
