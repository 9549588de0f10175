// GET /api/system/info: the machine as it is.
#include "config/live.h"
#include "hardware/condition.h"
#include "hardware/cpu.h"
#include "hardware/devices.h"
#include "hardware/memory.h"
#include "hardware/vulkan.h"
#include "library/folders.h"
#include "server/manage/manage.h"
#include "server/manage/regulator.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

Json to_json(const hardware::Memory& memory) {
  return Json::object({{"total_bytes", memory.total_bytes},
                       {"limit_bytes", memory.limit_bytes},
                       {"free_bytes", memory.free_bytes()}});
}

Checked<Json> info(Service& service, const Call&) {
  const hardware::Cpu cpu = hardware::read_cpu();
  Json features = Json::array(), gpus = Json::array(), npus = Json::array();
  for (const std::string& feature : cpu.features) features.push_back(feature);
  const hardware::VulkanReport vulkan = hardware::read_vulkan(hardware::vulkan_question(
      service.library ? service.library->installed.folders().cache : standard_folders().cache));
  std::vector<hardware::Gpu> all_gpus = hardware::read_gpus();
  complete(all_gpus, vulkan);
  for (const hardware::Gpu& gpu : all_gpus)
    gpus.push_back(Json::object({{"vendor", gpu.vendor},
                                 {"name", gpu.name},
                                 {"driver", gpu.driver},
                                 {"memory_bytes", gpu.memory_bytes},
                                 {"free_bytes", gpu.free_bytes},
                                 {"compute", gpu.compute},
                                 {"kind", gpu.kind},
                                 {"vulkan", gpu.vulkan}}));
  for (const hardware::Npu& npu : hardware::read_npus()) npus.push_back(npu.name);
  Json all = Json::object({{"cpu", Json::object({{"brand", cpu.brand},
                                                 {"physical_cores", cpu.physical_cores},
                                                 {"logical_cores", cpu.logical_cores},
                                                 {"usable_cores", cpu.usable_cores},
                                                 {"features", std::move(features)}})},
                           {"memory", to_json(hardware::read_memory())},
                           {"gpus", std::move(gpus)},
                           {"vulkan", to_json(vulkan)},
                           {"npus", std::move(npus)},
                           {"inside", hardware::read_enclosure()},
                           {"now", to_json(hardware::read_condition())},
                           {"version", HEARTH_VERSION}});
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
