#include "mcp/toolbox.h"

#include <fmt/core.h>

#include <algorithm>
#include <thread>

#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "http/secrets.h"

namespace hearth::mcp {
namespace {

constexpr std::size_t max_name_bytes = 64, digest_bytes = 8;
constexpr int max_restarts = 3;  // of a server that ends again and again
constexpr std::uint64_t max_consent_bytes = 4 << 20;

// What interfaces allow in the name of a function.
std::string plain_name(std::string_view server, std::string_view tool, const std::string& digest) {
  std::string name;
  for (const std::string_view part : {server, std::string_view("__"), tool})
    for (const char c : part) {
      const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '_' || c == '-';
      name += is_plain ? c : '_';
    }
  if (name.size() > max_name_bytes)
    name = name.substr(0, max_name_bytes - digest_bytes - 1) + "_" + digest.substr(0, digest_bytes);
  return name;
}

}  // namespace

struct Toolbox::Server {
  ServerSettings settings;
  struct Facts {
    std::shared_ptr<Client> client;
    std::vector<Tool> tools;
    ServerState state;
    int restarts = 0;
  };
  Guarded<Facts> facts;

  void connect(const Variables& variables, const std::stop_token& stop);
  void read_tools(const std::shared_ptr<Client>& client, const std::stop_token& stop);
};

void Toolbox::Server::connect(const Variables& variables, const std::stop_token& stop) {
  auto made = Client::connect(settings, variables, stop);
  if (!made) {
    facts.with([&](Facts& own) {
      own.client = nullptr;
      own.state.problem = made.error().message();
    });
    return;
  }
  const std::shared_ptr<Client> client = std::move(*made);
  facts.with([&](Facts& own) {
    own.client = client;
    own.state.title = client->title();
    own.state.problem.clear();
  });
  read_tools(client, stop);
}

void Toolbox::Server::read_tools(const std::shared_ptr<Client>& client,
                                 const std::stop_token& stop) {
  std::vector<std::string> left_out;
  auto tools = client->tools(stop, &left_out);
  facts.with([&](Facts& own) {
    own.state.left_out = std::move(left_out);
    if (tools)
      own.tools = std::move(*tools);
    else
      own.state.problem = tools.error().message();
  });
}

Toolbox::Toolbox(Variables variables) : variables_(std::move(variables)) {}
Toolbox::~Toolbox() = default;

std::unique_ptr<Toolbox> Toolbox::open(const std::vector<ServerSettings>& servers,
                                       const Variables& variables, const std::stop_token& stop) {
  std::unique_ptr<Toolbox> box(new Toolbox(variables));
  for (const ServerSettings& settings : servers) {
    if (settings.is_off) continue;
    auto server = std::make_unique<Server>();
    server->settings = settings;
    server->facts.with([&](Server::Facts& facts) { facts.state.name = settings.name; });
    box->servers_.push_back(std::move(server));
  }
  {
    std::vector<std::jthread> threads;
    for (const auto& server : box->servers_)
      threads.emplace_back([&] { server->connect(variables, stop); });
  }
  box->offer();
  return box;
}

// Names in the order of the servers, so that one server cannot take another's.
void Toolbox::offer() {
  std::vector<OfferedTool> offered;
  std::size_t bytes = 0;
  for (const auto& server : servers_) {
    server->facts.with([&](Server::Facts& facts) {
      if (!facts.client) return;
      for (const Tool& tool : facts.tools) {
        std::string name = plain_name(server->settings.name, tool.name, tool.digest);
        const auto has_name = [&](const OfferedTool& other) { return other.name == name; };
        if (std::ranges::any_of(offered, has_name))
          name = name.substr(0, max_name_bytes - digest_bytes - 1) + "_" +
                 tool.digest.substr(0, digest_bytes);
        bytes += tool.description.size() + write_json(tool.schema).size();
        if (offered.size() == max_offered_tools || bytes > max_offered_bytes ||
            std::ranges::any_of(offered, has_name)) {
          facts.state.left_out.push_back(printable(tool.name));
          continue;
        }
        offered.push_back({std::move(name), server->settings.name, tool});
      }
    });
  }
  tools_.with([&](auto& tools) { tools = std::move(offered); });
}

std::vector<ServerState> Toolbox::servers() const {
  std::vector<ServerState> states;
  for (const auto& server : servers_)
    states.push_back(server->facts.with([](const Server::Facts& facts) { return facts.state; }));
  return states;
}

std::vector<OfferedTool> Toolbox::tools() const {
  return tools_.with([](const auto& tools) { return tools; });
}

void Toolbox::refresh(const std::stop_token& stop) {
  bool is_new = false;
  for (const auto& server : servers_) {
    const auto client = server->facts.with([](Server::Facts& facts) { return facts.client; });
    if (!client || !client->is_alive() || !client->tools_changed()) continue;
    server->read_tools(client, stop);
    is_new = true;
  }
  if (is_new) offer();
}

Result<ToolResult> Toolbox::call(const std::string& name, const std::string& arguments,
                                 const std::stop_token& stop) {
  const std::vector<OfferedTool> offered = tools();
  const auto tool = std::ranges::find(offered, name, &OfferedTool::name);
  if (tool == offered.end())
    return Error(ErrorKind::not_found, fmt::format("there is no tool '{}'", printable(name)));
  const auto json = parse_json(arguments.empty() ? "{}" : arguments, message_limits);
  if (!json || !json->is_object())
    return Error(ErrorKind::invalid,
                 fmt::format("the arguments are no JSON object{}",
                             json ? std::string() : ": " + json.error().message()));
  const auto server = std::ranges::find_if(
      servers_, [&](const auto& one) { return one->settings.name == tool->server; });
  auto client = (*server)->facts.with([](Server::Facts& facts) { return facts.client; });
  if (!client || !client->is_alive()) {
    const int restarts =
        (*server)->facts.with([](Server::Facts& facts) { return ++facts.restarts; });
    if (restarts > max_restarts)
      return Error(ErrorKind::unavailable,
                   fmt::format("the server '{}' ended {} times", tool->server, restarts));
    (*server)->connect(variables_, stop);
    client = (*server)->facts.with([](Server::Facts& facts) { return facts.client; });
    if (!client)
      return Error(ErrorKind::unavailable,
                   fmt::format("the server '{}' cannot be started again", tool->server));
    // What it offers now may not be what was agreed to.
    const bool is_same = (*server)->facts.with([&](Server::Facts& facts) {
      return std::ranges::any_of(facts.tools,
                                 [&](const Tool& own) { return own.digest == tool->tool.digest; });
    });
    if (!is_same) {
      offer();
      return Error(ErrorKind::unavailable, "the tool has changed since");
    }
  }
  return client->call(tool->tool.name, *json, stop);
}

Result<std::shared_ptr<Client>> Toolbox::client(const std::string& name) const {
  for (const auto& server : servers_) {
    if (server->settings.name != name) continue;
    const auto [client, problem] = server->facts.with(
        [](const Server::Facts& facts) { return std::pair(facts.client, facts.state.problem); });
    if (client) return client;
    return Error(ErrorKind::unavailable, problem);
  }
  return Error(ErrorKind::not_found, fmt::format("no server '{}' is set", printable(name)));
}

bool Toolbox::is_allowed(const OfferedTool& tool) const {
  for (const auto& server : servers_)
    if (server->settings.name == tool.server)
      return std::ranges::any_of(server->settings.allowed, [&](const std::string& name) {
        return name == "*" || name == tool.tool.name;
      });
  return false;
}

Json openai_tools(const std::vector<OfferedTool>& tools) {
  Json list = Json::array();
  for (const OfferedTool& offered : tools)
    list.push_back(
        Json::object({{"type", "function"},
                      {"function", Json::object({{"name", offered.name},
                                                 {"description", offered.tool.description},
                                                 {"parameters", offered.tool.schema}})}}));
  return list;
}

namespace {

std::string consent_key(const OfferedTool& tool) {
  return http::hex_text(http::sha256(tool.server + "\n" + tool.tool.digest));
}

}  // namespace

Consents::Consents(std::string path) : path_(std::move(path)) {
  const auto text = read_file(path_, max_consent_bytes);
  auto json = text ? parse_json(*text) : Result<Json>(Json());
  if (json && json->is_object()) decisions_ = std::move(*json);
}

Decision Consents::find(const OfferedTool& tool) const {
  const Json* entry = decisions_.find(consent_key(tool));
  const Json* decision = entry ? entry->find("decision") : nullptr;
  if (!decision) return Decision::ask;
  return *decision == Json("always")  ? Decision::always
         : *decision == Json("never") ? Decision::never
                                      : Decision::ask;
}

Status Consents::remember(const OfferedTool& tool, Decision decision) {
  if (decision == Decision::ask) return Done{};
  decisions_.set(consent_key(tool),
                 Json::object({{"server", tool.server},
                               {"tool", tool.tool.name},
                               {"decision", decision == Decision::always ? "always" : "never"}}));
  return replace_file(path_, bytes_of(write_json(decisions_, {.indent = 1}) + "\n"));
}

}  // namespace hearth::mcp
