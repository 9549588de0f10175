// Devices that Vulkan drivers offer.  Drivers may hang or crash: a process of its own asks them,
// once, and what it hears is kept until the drivers' files change.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "hardware/devices.h"

namespace hearth::hardware {

struct VulkanDevice {
  std::string name;                // "AMD Radeon RX 7900 XTX (RADV NAVI31)"
  std::string kind;                // "discrete", "integrated", "virtual", "software", "other"
  std::string driver;              // "radv Mesa 22.3.6"
  std::string api;                 // "1.3.230"
  std::uint64_t memory_bytes = 0;  // the largest heap that is the device's own
  std::uint32_t vendor_id = 0, device_id = 0;  // of PCI

  bool is_software() const { return kind == "software"; }
};

struct VulkanReport {
  enum class State {
    absent,    // no driver is installed
    asking,    // not known yet
    known,     // `devices` is all there is
    no_answer  // a driver crashed or took too long; asked again when its files change
  } state = State::absent;
  std::vector<VulkanDevice> devices;
};

struct VulkanQuestion {
  std::string root = "/";  // as in cpu.h
  std::string cache_file;
  std::vector<std::string> command;      // of the process that calls answer_vulkan(cache_file)
  std::chrono::milliseconds patience{};  // for the answer, when nothing is kept
};
// By this program, where it is `hearth`: another one cannot be asked to call answer_vulkan().
VulkanQuestion vulkan_question(const std::string& cache_folder);
constexpr std::string_view ask_vulkan_flag = "--ask-vulkan";  // followed by the cache file

// Takes little more than `patience`, whatever drivers do.
VulkanReport read_vulkan(const VulkanQuestion& question);
Json to_json(const VulkanReport& report);

// The asked process: returns at once, while a process behind it asks and writes `cache_file`; that
// one is gone after some seconds, whatever happens.  Returns an exit status.
int answer_vulkan(const std::string& cache_file);

// Asks through a loader's functions.  Errors: unsupported, with what did not work.
Result<std::vector<VulkanDevice>> ask_vulkan(
    const std::function<void*(const char* name)>& loader_function);

// Names, memory and kinds that the PCI bus did not tell.  Software devices are no GPUs.
void complete(std::vector<Gpu>& gpus, const VulkanReport& report);

}  // namespace hearth::hardware
