#include "cli/machine_rows.h"

#include <fmt/core.h>

namespace hearth::cli {
namespace {

std::string size_text(std::uint64_t bytes) {
  const bool is_large = bytes >= 1 << 20 && bytes % (1 << 20) == 0;
  return is_large ? fmt::format("{} MiB", bytes >> 20) : fmt::format("{} KiB", bytes >> 10);
}

}  // namespace

std::string cores_text(const hardware::Cpu& cpu) {
  std::string text = fmt::format("{} physical, {} logical; Hearth may use {}", cpu.physical_cores,
                                 cpu.logical_cores, cpu.usable_cores);
  if (cpu.efficiency_cores > 0)
    text += fmt::format("; {} for performance, {} for efficiency", cpu.performance_cores,
                        cpu.efficiency_cores);
  if (cpu.sockets > 1 || cpu.numa_nodes > 1)
    text += fmt::format("; {} sockets, {} memory nodes", cpu.sockets, cpu.numa_nodes);
  return text;
}

std::string caches_text(const hardware::Cpu& cpu) {
  std::string text;
  for (const hardware::Cache& cache : cpu.caches)
    if (cache.type != "Instruction")
      text +=
          fmt::format("{}L{} {}", text.empty() ? "" : ", ", cache.level, size_text(cache.bytes));
  return text;
}

std::string features_text(const hardware::Cpu& cpu) {
  std::string text;
  for (const std::string& feature : cpu.features) text += (text.empty() ? "" : " ") + feature;
  return text;
}

}  // namespace hearth::cli
