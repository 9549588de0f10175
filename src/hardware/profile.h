// The whole machine, as `hearth info` and the server tell it.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "hardware/condition.h"
#include "hardware/cpu.h"
#include "hardware/devices.h"
#include "hardware/memory.h"
#include "hardware/vulkan.h"

namespace hearth::hardware {

struct Profile {
  Cpu cpu;
  Memory memory;
  std::vector<Gpu> gpus;
  VulkanReport vulkan;
  std::vector<Npu> npus;
  Disk disk;
  Condition condition;
  std::string enclosure;
};

// `models`: where models are kept; `cache`: where what Vulkan's drivers said is.  Neither need be
// there.
Profile read_profile(const std::string& models, const std::string& cache);
Json to_json(const Memory& memory);
Json to_json(const Profile& profile);

}  // namespace hearth::hardware
