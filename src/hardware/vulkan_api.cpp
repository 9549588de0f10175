// The few calls and types of Vulkan that list devices.  Source: Vulkan 1.3 specification, "Devices
// and Queues"; the C header's values.
#include <fmt/core.h>

#include <algorithm>
#include <cstddef>

#include "hardware/vulkan.h"

namespace hearth::hardware {
namespace {

constexpr std::uint32_t most_devices = 64;

using Instance = void*;
using Physical = void*;

struct ApplicationInfo {
  std::int32_t type = 0;
  const void* next = nullptr;
  const char* name = "hearth";
  std::uint32_t version = 0;
  const char* engine = nullptr;
  std::uint32_t engine_version = 0;
  std::uint32_t api = 1u << 22 | 2u << 12;  // 1.2: drivers tell their names
};
struct InstanceInfo {
  std::int32_t type = 1;
  const void* next = nullptr;
  std::uint32_t flags = 0;
  const ApplicationInfo* application = nullptr;
  std::uint32_t layers = 0;
  const char* const* layer_names = nullptr;
  std::uint32_t extensions = 0;
  const char* const* extension_names = nullptr;
};
struct Properties {
  std::uint32_t api, driver_version, vendor_id, device_id, type;
  char name[256];
  alignas(8) std::byte limits[1024];  // more than there are
};
static_assert(offsetof(Properties, name) == 20);
struct DriverProperties {
  std::int32_t type = 1000196000;
  void* next = nullptr;
  std::uint32_t id = 0;
  char name[256] = "", details[256] = "";
  std::uint8_t conformance[4] = {};
};
struct Properties2 {
  std::int32_t type = 1000059001;
  void* next = nullptr;
  Properties properties{};
};
static_assert(offsetof(Properties2, properties) == 16);
struct MemoryProperties {
  std::uint32_t types;
  struct {
    std::uint32_t flags, heap;
  } type[32];
  std::uint32_t heaps;
  struct {
    std::uint64_t bytes;
    std::uint32_t flags;
  } heap[16];
};
static_assert(offsetof(MemoryProperties, heap) == 264);

using FindFunction = void* (*)(Instance, const char*);

// A function of the instance, called if it is there.
template <typename... Arguments>
bool call(FindFunction find, Instance instance, const char* name, Arguments... arguments) {
  const auto function = reinterpret_cast<void (*)(Arguments...)>(find(instance, name));
  if (function) function(arguments...);
  return function != nullptr;
}

std::string_view kind_of(std::uint32_t type) {
  constexpr std::string_view kinds[] = {"other", "integrated", "discrete", "virtual", "software"};
  return kinds[type < std::size(kinds) ? type : 0];
}

std::string text_of(const char* text, std::size_t most) {
  return std::string(text, std::find(text, text + most, '\0'));
}

VulkanDevice describe(FindFunction find, Instance instance, Physical physical) {
  Properties2 properties;
  DriverProperties driver;
  properties.next = &driver;
  if (!call(find, instance, "vkGetPhysicalDeviceProperties2", physical, &properties))
    call(find, instance, "vkGetPhysicalDeviceProperties", physical, &properties.properties);
  const Properties& told = properties.properties;
  MemoryProperties memory{};
  call(find, instance, "vkGetPhysicalDeviceMemoryProperties", physical, &memory);
  VulkanDevice device{
      .name = text_of(told.name, sizeof told.name),
      .kind = std::string(kind_of(told.type)),
      .driver = text_of(driver.name, sizeof driver.name),
      .api = fmt::format("{}.{}.{}", told.api >> 22, told.api >> 12 & 0x3FF, told.api & 0xFFF),
      .vendor_id = told.vendor_id,
      .device_id = told.device_id};
  if (driver.details[0] != 0)
    device.driver += (device.driver.empty() ? "" : " ") + text_of(driver.details, 256);
  constexpr std::uint32_t own_memory = 1;  // of heaps: VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
  for (std::uint32_t i = 0; i < std::min(memory.heaps, 16u); ++i)
    if (memory.heap[i].flags & own_memory)
      device.memory_bytes = std::max(device.memory_bytes, memory.heap[i].bytes);
  return device;
}

}  // namespace

Result<std::vector<VulkanDevice>> ask_vulkan(
    const std::function<void*(const char* name)>& loader_function) {
  const auto find = reinterpret_cast<FindFunction>(loader_function("vkGetInstanceProcAddr"));
  if (!find) return Error(ErrorKind::unsupported, "no vkGetInstanceProcAddr");
  const auto create =
      reinterpret_cast<std::int32_t (*)(const InstanceInfo*, const void*, Instance*)>(
          find(nullptr, "vkCreateInstance"));
  if (!create) return Error(ErrorKind::unsupported, "no vkCreateInstance");
  const ApplicationInfo application;
  InstanceInfo wanted;
  wanted.application = &application;
  Instance instance = nullptr;
  if (const std::int32_t failed = create(&wanted, nullptr, &instance); failed != 0)
    return Error(ErrorKind::unsupported, fmt::format("vkCreateInstance gives {}", failed));
  std::uint32_t count = most_devices;
  Physical physical[most_devices] = {};
  std::vector<VulkanDevice> devices;
  if (call(find, instance, "vkEnumeratePhysicalDevices", instance, &count,
           static_cast<Physical*>(physical)))
    for (std::uint32_t i = 0; i < std::min(count, most_devices); ++i)
      if (physical[i]) devices.push_back(describe(find, instance, physical[i]));
  call(find, instance, "vkDestroyInstance", instance, static_cast<const void*>(nullptr));
  return devices;
}

}  // namespace hearth::hardware
