#include "server/manage/optimize.h"

#include "hardware/system_files.h"
#include "library/auto_settings.h"
#include "server/manage/manage.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

std::string workload_reason(std::string_view workload) {
  if (workload == "throughput") return "many answers at once: larger batches, all cores";
  if (workload == "latency") return "the first word soon: smaller batches, a faster model";
  if (workload == "efficient") return "little power: as many threads as reading memory takes";
  return "a bit of everything";
}

}  // namespace

std::vector<AutomaticValue> automatic_values(const Config& config) {
  const LibraryFolders folders = standard_folders(config.library.folders);
  const auto catalog = load_catalog(folders);
  const Workload workload = workload_named(config.runtime.workload).value_or(Workload::balanced);
  std::vector<AutomaticValue> values;
  for (AutoChoice& choice :
       choose_settings(read_machine(folders, hardware::machine_root()),
                       catalog ? *catalog : std::vector<CatalogEntry>(), workload)) {
    // A context that somebody asked for is not held against what the machine would have.
    if (choice.key == "runtime.max_context" && config.runtime.context > 0) continue;
    values.push_back({std::move(choice.key), std::move(choice.value), std::move(choice.reason)});
  }
  return values;
}

Result<std::vector<Proposal>> propose(const LoadedConfig& now, std::string_view workload) {
  const Setting* setting_of_workload = TRY(find_setting("runtime.workload"));
  Config wanted = now.config;
  if (!workload.empty())
    TRY(setting_of_workload->set(*setting_of_workload, wanted, std::string(workload)));
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
  add(*setting_of_workload, wanted.runtime.workload, workload_reason(wanted.runtime.workload));
  for (const AutomaticValue& value : automatic_values(wanted)) {
    const Setting* setting = TRY(find_setting(value.key));
    Config scratch;
    TRY(setting->set(*setting, scratch, value.value));
    add(*setting, setting->show(scratch), value.reason);
  }
  return proposals;
}

LiveConfig::Wishes wishes_of(const std::vector<Proposal>& proposals) {
  LiveConfig::Wishes wishes;
  for (const Proposal& one : proposals)
    if (one.is_written && one.held_by.empty())
      wishes.emplace_back(std::string(one.setting->key), one.better);
  return wishes;
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

namespace {

struct Optimization {
  LiveConfig* settings = nullptr;
  std::vector<Proposal> proposals;
  Json told;  // what both answers say
};

Checked<Optimization> optimization(Service& service, const std::string& workload) {
  if (!service.settings)
    return Problem{501, "unsupported", "this server's settings do not change", "", 0};
  const auto now = service.settings->now();
  auto proposals = propose(*now, workload);
  if (!proposals) return invalid_value("workload", proposals.error().message());
  const auto speeds = load_speeds(standard_folders(now->config.library.folders));
  Json told =
      Json::object({{"workload", workload.empty() ? now->config.runtime.workload : workload},
                    {"changes", to_json(*proposals)},
                    {"measurement", speeds ? to_json(*speeds) : Json()},
                    {"file", user_settings_file()},
                    {"written", false}});
  return Optimization{service.settings, *std::move(proposals), std::move(told)};
}

Checked<Json> show(Service& service, const Call& call) {
  return TRY(optimization(service, query_value(call.request, "workload").value_or(""))).told;
}

Checked<Json> apply(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const std::string workload = TRY(read_text(body, "workload", 64)).value_or("");
  const bool consents = TRY(read_bool(body, "consent")).value_or(false);
  Optimization wanted = TRY(optimization(service, workload));
  if (!consents)
    return invalid_value("consent", "needs true: the changes are written to " +
                                        user_settings_file() + "; GET tells them first");
  const LiveConfig::Wishes wishes = wishes_of(wanted.proposals);
  if (wishes.empty()) return std::move(wanted.told);
  TRY(wanted.settings->change(wishes, true));
  wanted.told.set("written", true);
  return std::move(wanted.told);
}

constexpr auto worker = Endpoint::Place::worker;
constexpr Endpoint rows[] = {
    {"GET", "/api/system/optimization",
     "Settings that would suit this machine better, each with its reason; ?workload= says what "
     "for.",
     Scope::manage, "", "Optimization", worker, reply_json<show>},
    {"POST", "/api/system/optimization", "Write them to the user's file, with consent.",
     Scope::manage, "OptimizationRequest", "Optimization", worker, reply_json<apply>},
};

}  // namespace

std::span<const Endpoint> optimization_rows() { return rows; }

}  // namespace hearth::server
