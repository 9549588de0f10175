// hearth mcp list, call, read, prompt: servers of the Model Context Protocol, used by hand.
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "cli/interrupts.h"
#include "cli/mcp_servers.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "cli/table.h"

namespace hearth::cli {
namespace {

Result<std::unique_ptr<mcp::Toolbox>> open_box(const Arguments& arguments, const std::string& only,
                                               const std::stop_token& stop) {
  std::vector<mcp::ServerSettings> servers = TRY(mcp_settings(arguments));
  if (!only.empty()) {
    std::erase_if(servers, [&](const auto& server) { return server.name != only; });
    if (servers.empty())
      return Error(
          ErrorKind::not_found,
          fmt::format("no server '{}' is set; `hearth mcp list` shows them", printable(only)));
    servers.front().is_off = false;
  }
  return mcp::Toolbox::open(servers, environment_variables(), stop);
}

Json texts(const std::vector<std::string>& list) {
  Json json = Json::array();
  for (const std::string& text : list) json.push_back(text);
  return json;
}

Result<Json> what_it_offers(const mcp::Toolbox& box, const std::string& server,
                            const std::stop_token& stop) {
  const auto client = TRY(box.client(server));
  Json resources = Json::array(), prompts = Json::array();
  for (const mcp::Resource& one : TRY(client->resources(stop)))
    resources.push_back(Json::object({{"uri", one.uri},
                                      {"name", one.name},
                                      {"description", one.description},
                                      {"mimeType", one.type}}));
  for (const mcp::Prompt& one : TRY(client->prompts(stop))) {
    Json arguments = Json::array();
    for (const mcp::PromptArgument& argument : one.arguments)
      arguments.push_back(Json::object({{"name", argument.name},
                                        {"description", argument.description},
                                        {"required", argument.is_required}}));
    prompts.push_back(Json::object({{"name", one.name},
                                    {"description", one.description},
                                    {"arguments", std::move(arguments)}}));
  }
  return Json::object({{"resources", std::move(resources)}, {"prompts", std::move(prompts)}});
}

Json describe(const mcp::Toolbox& box, const std::stop_token& stop) {
  Json servers = Json::array();
  for (const mcp::ServerState& state : box.servers()) {
    Json tools = Json::array();
    for (const mcp::OfferedTool& tool : box.tools())
      if (tool.server == state.name)
        tools.push_back(Json::object({{"name", tool.name},
                                      {"own_name", tool.tool.name},
                                      {"description", tool.tool.description},
                                      {"only_reads", tool.tool.only_reads},
                                      {"schema", tool.tool.schema}}));
    Json server = Json::object({{"name", state.name},
                                {"title", state.title},
                                {"problem", state.problem},
                                {"tools", std::move(tools)},
                                {"left_out", texts(state.left_out)}});
    if (const auto more = what_it_offers(box, state.name, stop))
      for (const auto& [name, value] : more->as_object()) server.set(name, value);
    servers.push_back(std::move(server));
  }
  return Json::object({{"servers", std::move(servers)}});
}

void print_more(Output& out, const Json& servers) {
  std::vector<TableRow> rows;
  for (const Json& server : servers.as_array())
    for (const char* kind : {"resources", "prompts"})
      if (const Json* list = server.find(kind))
        for (const Json& item : list->as_array()) {
          const Json* uri = item.find("uri");
          rows.push_back({kind[0] == 'r' ? "resource" : "prompt", server.find("name")->as_string(),
                          printable((uri ? uri : item.find("name"))->as_string(), 200),
                          printable(item.find("description")->as_string(), 60)});
        }
  if (rows.empty()) return;
  out.line("");
  print_table(out, {"OFFERS", "SERVER", "", "WHAT IT SAYS"}, rows);
}

Status list(App& app, const Arguments& arguments) {
  const InterruptScope interrupts;
  const auto box = TRY(open_box(arguments, arguments[0], interrupts.token()));
  const Json described = describe(*box, interrupts.token());
  if (arguments.has("--json")) {
    app.out.json(described);
    return Done{};
  }
  print_servers(app.out, *box);
  print_more(app.out, *described.find("servers"));
  return Done{};
}

Status call(App& app, const Arguments& arguments) {
  const InterruptScope interrupts;
  const std::string& server = arguments[0];
  const auto box = TRY(open_box(arguments, server, interrupts.token()));
  const auto client = TRY(box->client(server));
  const std::string given = arguments.count() > 2 ? arguments[2] : "{}";
  const bool is_json = given.starts_with('{');
  const Json values =
      is_json ? TRY(parse_json(given)) : TRY(read_pairs(arguments.positional().subspan(2)));
  const mcp::ToolResult result = TRY(client->call(arguments[1], values, interrupts.token()));
  if (arguments.has("--json"))
    app.out.json(Json::object(
        {{"text", result.text}, {"is_error", result.is_error}, {"is_cut", result.is_cut}}));
  else
    app.out.line(app.out.is_terminal() ? mcp::cleaned(result.text, result.text.size())
                                       : result.text);
  if (result.is_error) return Error(ErrorKind::invalid, "the tool reports an error");
  return Done{};
}

Status read(App& app, const Arguments& arguments) {
  const InterruptScope interrupts;
  const auto box = TRY(open_box(arguments, arguments[0], interrupts.token()));
  const auto client = TRY(box->client(arguments[0]));
  const std::string text = TRY(client->read(arguments[1], interrupts.token()));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"uri", arguments[1]}, {"text", text}}));
  else
    app.out.line(app.out.is_terminal() ? mcp::cleaned(text, text.size()) : text);
  return Done{};
}

Status prompt(App& app, const Arguments& arguments) {
  const InterruptScope interrupts;
  const auto box = TRY(open_box(arguments, arguments[0], interrupts.token()));
  const auto client = TRY(box->client(arguments[0]));
  const Json values = TRY(read_pairs(arguments.positional().subspan(2)));
  const Json messages = TRY(client->prompt(arguments[1], values, interrupts.token()));
  if (arguments.has("--json")) {
    app.out.json(Json::object({{"messages", messages}}));
    return Done{};
  }
  for (const Json& message : messages.as_array())
    app.out.row(message.find("role")->as_string(),
                mcp::cleaned(message.find("content")->as_string(), mcp::max_message_bytes));
  return Done{};
}

std::span<const Option> options() {
  static const std::vector<Option> list = setting_options("mcp.");
  return list;
}

}  // namespace

const Command mcp_list_command{
    .name = "mcp list",
    .arguments = "[SERVER]",
    .summary = "List the servers of the Model Context Protocol that are set, and what they offer.",
    .details =
        "They are named in ~/.config/hearth/mcp.json as in other clients' files:\n\n"
        "  {\"mcpServers\": {\"files\": {\"command\": \"npx\", \"args\": [\"...\", "
        "\"/home/ada\"]},\n"
        "                  \"wiki\": {\"url\": \"https://...\", \"headers\": {\"Authorization\": "
        "\"Bearer ${KEY}\"}}}}",
    .options = options(),
    .run = list};

const Command mcp_call_command{.name = "mcp call",
                               .arguments = "SERVER TOOL [ARGUMENT...]",
                               .summary = "Call a tool of a server.",
                               .details =
                                   "Arguments are NAME=TEXT, or one JSON object.\n\n"
                                   "  hearth mcp call files read_file path=/home/ada/notes.txt",
                               .options = options(),
                               .run = call};

const Command mcp_read_command{.name = "mcp read",
                               .arguments = "SERVER URI",
                               .summary = "Print a resource of a server.",
                               .details = "",
                               .options = options(),
                               .run = read};

const Command mcp_prompt_command{.name = "mcp prompt",
                                 .arguments = "SERVER NAME [ARGUMENT...]",
                                 .summary = "Print a prompt of a server, filled in.",
                                 .details = "Arguments are NAME=TEXT.",
                                 .options = options(),
                                 .run = prompt};

}  // namespace hearth::cli
