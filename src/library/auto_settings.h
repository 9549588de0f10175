// What suits a machine: values for settings that nobody set, each with its reason.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"
#include "library/catalog.h"
#include "library/machine_speeds.h"

namespace hearth {

struct Machine {
  hardware::Cpu cpu;
  hardware::Memory memory;
  std::optional<MachineSpeeds> speeds;  // measured; nothing: assumed
};
// `root`: as in hardware/cpu.h.  Measures nothing.
Machine read_machine(const LibraryFolders& folders, const std::string& root = "/");

// Of a file, so that it fits beside the rest and its model answers as fast as people read.
std::uint64_t comfortable_bytes(const Machine& machine);

enum class Workload { balanced, throughput, latency, efficient };
std::optional<Workload> workload_named(std::string_view name);

struct AutoChoice {
  std::string key;  // of a setting: "runtime.threads"
  Json value;
  std::string reason;
};

// In the order of the settings' table.
std::vector<AutoChoice> choose_settings(const Machine& machine,
                                        const std::vector<CatalogEntry>& catalog,
                                        Workload workload);

}  // namespace hearth
