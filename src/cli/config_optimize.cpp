#include "cli/config_optimize.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "cli/measure.h"
#include "cli/settings.h"
#include "config/live.h"
#include "server/manage/optimize.h"

namespace hearth::cli {
namespace {

using server::Proposal;

// The layers without --workload, which says what to propose and is nobody's setting.
ConfigSources sources_without_workload(const Arguments& arguments) {
  ConfigSources sources = tuned_sources_of(arguments);
  std::erase_if(sources.flags, [](const auto& flag) { return flag.first == "runtime.workload"; });
  return sources;
}

bool agrees(App& app, const Arguments& arguments) {
  if (arguments.has("--yes")) return true;
  if (arguments.has("--json") || ::isatty(STDIN_FILENO) != 1) return false;
  app.out.text("Write this to your settings? [y/N] ");
  char line[16] = "";
  return std::fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y');
}

void print(Output& out, const std::vector<Proposal>& proposals) {
  for (const Proposal& one : proposals) {
    out.line(fmt::format("{}: {} -> {}", out.bold(one.setting->key), setting_text(one.now),
                         setting_text(one.better)));
    out.line(fmt::format("    {}", one.reason));
    if (!one.held_by.empty()) out.line(fmt::format("    stays as it is: {} says so", one.held_by));
  }
}

}  // namespace

Status optimize_settings(App& app, const Arguments& arguments) {
  const std::unique_ptr<LiveConfig> settings = TRY(LiveConfig::create(
      [&] { return sources_without_workload(arguments); },
      [facts = machine_facts()](const Config& wanted) { return check_config(wanted, facts); }));
  const auto now = settings->now();  // as it was before anything was measured
  if (arguments.has("--benchmark")) TRY(measure_machine(app, arguments));
  const std::vector<Proposal> proposals = TRY(server::propose(*now, arguments.text("--workload")));
  const bool is_json = arguments.has("--json");
  if (!is_json) print(app.out, proposals);
  const LiveConfig::Wishes wishes = server::wishes_of(proposals);
  const bool is_written = !wishes.empty() && agrees(app, arguments);
  if (is_written) TRY(settings->change(wishes, true));
  const std::string path = user_settings_file();
  if (is_json) {
    app.out.json(Json::object(
        {{"changes", server::to_json(proposals)}, {"file", path}, {"written", is_written}}));
    return Done{};
  }
  if (proposals.empty())
    app.out.line("Everything is as it suits this machine.");
  else if (is_written)
    app.out.line(fmt::format("Written to {}; a running server takes over what it can.", path));
  else if (!wishes.empty())
    app.out.line("Nothing was written; --yes does.");
  return Done{};
}

}  // namespace hearth::cli
