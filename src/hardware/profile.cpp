#include "hardware/profile.h"

#include "base/files.h"

namespace hearth::hardware {
namespace {

Json to_json(const Cpu& cpu) {
  Json features = Json::array(), caches = Json::array();
  for (const std::string& feature : cpu.features) features.push_back(feature);
  for (const Cache& cache : cpu.caches)
    caches.push_back(
        Json::object({{"level", cache.level}, {"type", cache.type}, {"bytes", cache.bytes}}));
  return Json::object({{"brand", cpu.brand},
                       {"physical_cores", cpu.physical_cores},
                       {"logical_cores", cpu.logical_cores},
                       {"usable_cores", cpu.usable_cores},
                       {"performance_cores", cpu.performance_cores},
                       {"efficiency_cores", cpu.efficiency_cores},
                       {"sockets", cpu.sockets},
                       {"numa_nodes", cpu.numa_nodes},
                       {"caches", std::move(caches)},
                       {"features", std::move(features)}});
}

}  // namespace

Profile read_profile(const std::string& models, const std::string& cache) {
  VulkanReport vulkan = read_vulkan(vulkan_question(cache));
  std::vector<Gpu> gpus = read_gpus();
  complete(gpus, vulkan);
  return Profile{.cpu = read_cpu(),
                 .memory = read_memory(),
                 .gpus = std::move(gpus),
                 .vulkan = std::move(vulkan),
                 .npus = read_npus(),
                 .disk = read_disk(parent_folder(models)),
                 .condition = read_condition(),
                 .enclosure = read_enclosure()};
}

Json to_json(const Memory& memory) {
  return Json::object({{"total_bytes", memory.total_bytes},
                       {"limit_bytes", memory.limit_bytes},
                       {"free_bytes", memory.free_bytes()}});
}

Json to_json(const Profile& profile) {
  Json gpus = Json::array(), npus = Json::array();
  for (const Gpu& gpu : profile.gpus)
    gpus.push_back(Json::object({{"vendor", gpu.vendor},
                                 {"name", gpu.name},
                                 {"driver", gpu.driver},
                                 {"memory_bytes", gpu.memory_bytes},
                                 {"free_bytes", gpu.free_bytes},
                                 {"compute", gpu.compute},
                                 {"kind", gpu.kind},
                                 {"vulkan", gpu.vulkan}}));
  for (const Npu& npu : profile.npus) npus.push_back(npu.name);
  return Json::object({{"cpu", to_json(profile.cpu)},
                       {"memory", to_json(profile.memory)},
                       {"gpus", std::move(gpus)},
                       {"vulkan", to_json(profile.vulkan)},
                       {"npus", std::move(npus)},
                       {"disk", Json::object({{"path", profile.disk.path},
                                              {"kind", profile.disk.kind},
                                              {"total_bytes", profile.disk.total_bytes},
                                              {"free_bytes", profile.disk.free_bytes}})},
                       {"inside", profile.enclosure},
                       {"now", to_json(profile.condition)}});
}

}  // namespace hearth::hardware
