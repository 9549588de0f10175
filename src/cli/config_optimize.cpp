#include "cli/config_optimize.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/files.h"
#include "cli/measure.h"
#include "cli/settings.h"
#include "config/file_edit.h"
#include "config/file_values.h"

namespace hearth::cli {
namespace {

// One setting that another value suits better.
struct Proposal {
  const Setting* setting = nullptr;
  Json now, better;
  std::string reason;
  std::string held_by;      // not empty: by this place, which the user's file does not reach
  bool is_written = false;  // into the user's file; otherwise it follows from what is
};

std::string workload_reason(std::string_view workload) {
  if (workload == "throughput") return "many answers at once: larger batches, all cores";
  if (workload == "latency") return "the first word soon: smaller batches, a faster model";
  if (workload == "efficient") return "little power: as many threads as reading memory takes";
  return "a bit of everything";
}

// The layers without --workload, which says what to propose and is nobody's setting.
ConfigSources sources_without_workload(const Arguments& arguments) {
  ConfigSources sources = tuned_sources_of(arguments);
  std::erase_if(sources.flags, [](const auto& flag) { return flag.first == "runtime.workload"; });
  return sources;
}

// `now`: as it was before anything was measured.
Result<std::vector<Proposal>> propose(const Arguments& arguments, const LoadedConfig& now) {
  const Setting* workload = TRY(find_setting("runtime.workload"));
  Config wanted = now.config;
  if (arguments.has("--workload"))
    TRY(workload->set(*workload, wanted, arguments.text("--workload")));
  std::vector<Proposal> proposals;
  const auto add = [&](const Setting& setting, const Json& better, std::string reason) {
    const GivenValue& given = now.given.find(setting.key)->second.back();
    if (given.value == better) return;
    Proposal proposal{&setting, given.value, better, std::move(reason), "", false};
    proposal.is_written = given.layer == Layer::user_file || given.layer == Layer::system_file ||
                          setting.key == "runtime.workload";
    if (given.layer > Layer::user_file) proposal.held_by = given.place;
    proposals.push_back(std::move(proposal));
  };
  add(*workload, wanted.runtime.workload, workload_reason(wanted.runtime.workload));
  for (const AutomaticValue& value : automatic_values(wanted)) {
    const Setting* setting = TRY(find_setting(value.key));
    Config scratch;
    TRY(setting->set(*setting, scratch, value.value));
    add(*setting, setting->show(scratch), value.reason);
  }
  return proposals;
}

Result<std::string> with_proposals(const std::string& path, const std::vector<Proposal>& all) {
  if (!path.ends_with(".toml"))
    return Error(ErrorKind::invalid,
                 fmt::format("{}: only TOML files are changed by command", path));
  std::string text;
  if (is_file(path)) text = TRY(read_file(path, max_settings_bytes));
  for (const Proposal& one : all) {
    if (!one.is_written || !one.held_by.empty()) continue;
    auto changed = with_setting(text, one.setting->key, one.better);
    if (!changed) return std::move(changed).error().within(path);
    text = *std::move(changed);
  }
  return text;
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

Json to_json(const std::vector<Proposal>& proposals) {
  Json list = Json::array();
  for (const Proposal& one : proposals)
    list.push_back(Json::object({{"key", one.setting->key},
                                 {"from", one.now},
                                 {"to", one.better},
                                 {"reason", one.reason},
                                 {"changes", name_of(one.setting->effect)},
                                 {"held_by", one.held_by}}));
  return list;
}

}  // namespace

Status optimize_settings(App& app, const Arguments& arguments) {
  const LoadedConfig now = TRY(load_config(sources_without_workload(arguments)));
  if (arguments.has("--benchmark")) TRY(measure_machine(app, arguments));
  const std::vector<Proposal> proposals = TRY(propose(arguments, now));
  const bool is_json = arguments.has("--json");
  if (!is_json) print(app.out, proposals);
  const std::string path = user_settings_file();
  const bool has_news = std::ranges::any_of(
      proposals, [](const Proposal& one) { return one.is_written && one.held_by.empty(); });
  bool is_written = false;
  if (has_news && agrees(app, arguments)) {
    const std::string text = TRY(with_proposals(path, proposals));
    TRY(write_settings({Layer::user_file, path}, text));
    is_written = true;
  }
  if (is_json) {
    app.out.json(
        Json::object({{"changes", to_json(proposals)}, {"file", path}, {"written", is_written}}));
    return Done{};
  }
  if (proposals.empty())
    app.out.line("Everything is as it suits this machine.");
  else if (is_written)
    app.out.line(fmt::format("Written to {}; a running server takes over what it can.", path));
  else if (has_news)
    app.out.line("Nothing was written; --yes does.");
  return Done{};
}

}  // namespace hearth::cli
