// GET /api/system/info: the machine as it is.
#include "config/live.h"
#include "hardware/profile.h"
#include "library/machine_speeds.h"
#include "server/manage/manage.h"
#include "server/manage/regulator.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

Checked<Json> info(Service& service, const Call&) {
  const LibraryFolders folders =
      service.library ? service.library->installed.folders() : standard_folders();
  Json all = to_json(hardware::read_profile(folders.models, folders.cache));
  if (service.library) all.set("kernels", std::string(service.library->library->kernels()));
  const auto speeds = load_speeds(folders);
  all.set("speeds", speeds ? to_json(*speeds) : Json());
  all.set("version", HEARTH_VERSION);
  if (service.regulator) all.set("governor", to_json(service.regulator->view()));
  if (service.settings) all.set("settings_problem", service.settings->problem());
  return all;
}

constexpr auto worker = Endpoint::Place::worker;
constexpr Endpoint rows[] = {
    {"GET", "/api/system/info", "The machine: processor, memory, GPUs, heat, power.",
     Scope::metrics, "", "SystemInfo", worker, reply_json<info>},
};

}  // namespace

Json state_of_system() {
  return Json::object({{"event", "system"},
                       {"time", unix_seconds()},
                       {"memory", to_json(hardware::read_memory())},
                       {"now", to_json(hardware::read_condition())}});
}

std::span<const Endpoint> system_rows() { return rows; }

}  // namespace hearth::server
