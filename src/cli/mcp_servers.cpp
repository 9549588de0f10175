#include "cli/mcp_servers.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "base/log.h"
#include "base/user_folders.h"
#include "base/utf8.h"
#include "cli/settings.h"
#include "cli/table.h"

namespace hearth::cli {
namespace {

constexpr std::size_t shown_arguments = 2000, shown_description = 60;

std::string remark_of(const mcp::ServerState& state) {
  if (!state.problem.empty()) return state.problem;
  if (state.left_out.empty()) return "";
  return fmt::format("{} tools left out: too large or too many", state.left_out.size());
}

}  // namespace

mcp::Variables environment_variables() {
  mcp::Variables variables;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != text.npos) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

server::ToolSettings served_tools(const Arguments& arguments) {
  server::ToolSettings tools;
  const auto read = [&]() -> Status {
    const Config config = TRY(read_config(arguments));
    const std::string path = mcp_config_path(config);
    if (config.mcp.config.empty() && !is_file(path)) return Done{};
    tools.variables = environment_variables();
    tools.served = TRY(mcp::read_served(path, tools.variables));
    for (mcp::ServerSettings& server : tools.served.servers) server.grants = grants_path();
    return Done{};
  };
  if (const Status status = read(); !status.ok()) {
    tools.problem = status.error().message();
    log_warning("no tools of servers: {}", printable(tools.problem, 400));
  }
  return tools;
}

Result<std::vector<mcp::ServerSettings>> mcp_settings(const Arguments& arguments) {
  const Config config = TRY(read_config(arguments));
  const std::string path = mcp_config_path(config);
  if (config.mcp.config.empty() && !is_file(path)) return std::vector<mcp::ServerSettings>();
  std::vector<mcp::ServerSettings> servers = TRY(mcp::read_servers(path, environment_variables()));
  for (mcp::ServerSettings& server : servers) server.grants = grants_path();
  return servers;
}

std::string consent_path() { return in_user_folder(UserFolder::data, "hearth/mcp_consents.json"); }
std::string grants_path() { return in_user_folder(UserFolder::data, "hearth/mcp_grants.json"); }

Result<Json> read_pairs(std::span<const std::string> words) {
  Json object = Json::object();
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == word.npos || equals == 0)
      return Error(ErrorKind::invalid, fmt::format("'{}': needs NAME=VALUE", printable(word)));
    object.set(word.substr(0, equals), word.substr(equals + 1));
  }
  return object;
}

Result<ToolPolicy> read_tool_policy(const Arguments& arguments) {
  const std::string text = arguments.text("--yes-tools", "ask");
  constexpr std::pair<std::string_view, ToolPolicy> names[] = {{"ask", ToolPolicy::ask},
                                                               {"reads", ToolPolicy::reads},
                                                               {"all", ToolPolicy::all},
                                                               {"none", ToolPolicy::none}};
  for (const auto& [name, policy] : names)
    if (name == text) return policy;
  return Error(ErrorKind::invalid,
               fmt::format("--yes-tools '{}': needs ask, reads, all or none", printable(text)));
}

std::string ToolUse::use(const std::string& name, const std::string& arguments,
                         const std::stop_token& stop) {
  const std::vector<mcp::OfferedTool> tools = box_->tools();
  const auto tool = std::ranges::find(tools, name, &mcp::OfferedTool::name);
  if (tool == tools.end()) return fmt::format("There is no tool '{}'.", printable(name));
  if (!may_run(*tool, arguments)) {
    app_.out.line(app_.out.dim(fmt::format("({} was not run)", name)));
    return "The user did not allow this call.";
  }
  app_.out.line(app_.out.dim(fmt::format("(calling {})", name)));
  const auto result = box_->call(name, arguments, stop);
  box_->refresh(stop);
  if (result) return result->is_error ? "Error: " + result->text : result->text;
  app_.out.line(app_.out.dim(fmt::format("({}: {})", name, result.error().message())));
  return "Error: " + result.error().message();
}

bool ToolUse::may_run(const mcp::OfferedTool& tool, const std::string& arguments) {
  const mcp::Decision decision = consents_.find(tool);
  if (decision == mcp::Decision::never || policy_ == ToolPolicy::none) return false;
  if (decision == mcp::Decision::always || policy_ == ToolPolicy::all || box_->is_allowed(tool))
    return true;
  if (policy_ == ToolPolicy::reads && tool.tool.only_reads) return true;
  return ask(tool, arguments);
}

bool ToolUse::ask(const mcp::OfferedTool& tool, const std::string& arguments) {
  if (!editor_.is_terminal()) {
    app_.out.remark(
        fmt::format("{}: nobody can be asked; --yes-tools reads or all lets tools run", tool.name));
    return false;
  }
  app_.out.line(fmt::format(
      "The model wants to call {} of the server '{}'{}:", app_.out.bold(printable(tool.tool.name)),
      tool.server, tool.tool.only_reads ? ", which says that it only reads" : ""));
  app_.out.line("  " + printable(arguments, shown_arguments));
  for (;;) {
    const LineEditor::Line line =
        editor_.read("  [o]nce, [a]lways, [n]o, ne[v]er, [?] what it says of itself: ");
    if (line.outcome != LineEditor::Outcome::line || line.text == "n") return false;
    if (line.text == "o") return true;
    if (line.text == "?") app_.out.line("  " + printable(tool.tool.description, shown_arguments));
    if (line.text != "a" && line.text != "v") continue;
    const auto decision = line.text == "a" ? mcp::Decision::always : mcp::Decision::never;
    const Status kept = consents_.remember(tool, decision);
    if (!kept.ok()) app_.out.remark(kept.error().message());
    return line.text == "a";
  }
}

void print_servers(Output& out, const mcp::Toolbox& box) {
  std::vector<TableRow> rows;
  for (const mcp::ServerState& state : box.servers()) {
    std::size_t tools = 0;
    for (const mcp::OfferedTool& tool : box.tools()) tools += tool.server == state.name;
    rows.push_back({state.name, state.title, fmt::format("{}", tools), remark_of(state)});
  }
  if (rows.empty()) {
    out.line("No servers are set: \"mcpServers\" in ~/.config/hearth/mcp.json names them.");
    return;
  }
  print_table(out, {"SERVER", "IS", "TOOLS", ""}, rows);
  if (box.tools().empty()) return;
  rows.clear();
  for (const mcp::OfferedTool& tool : box.tools())
    rows.push_back({tool.name, tool.tool.only_reads ? "reads" : "",
                    printable(tool.tool.description, shown_description)});
  out.line("");
  print_table(out, {"TOOL", "", "WHAT IT SAYS OF ITSELF"}, rows);
}

}  // namespace hearth::cli
