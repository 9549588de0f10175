// Vulkan devices through a loader made up here (what a real one gives is tried by hand), and
// drivers that do not answer.
#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "base/files.h"
#include "hardware/fake_machine.h"
#include "hardware/vulkan.h"

namespace hearth::hardware {
namespace {

// A loader of two devices.  The layouts are those of the C header, written by hand at their byte
// offsets, so that they are held to the specification and not to our own types.
struct MadeUp {
  static void put32(char* to, std::size_t offset, std::uint32_t value) {
    std::memcpy(to + offset, &value, 4);
  }
  static std::int32_t create(const void*, const void*, void** instance) {
    static int something;
    *instance = &something;
    return 0;
  }
  static std::int32_t enumerate(void*, std::uint32_t* count, void** devices) {
    static int first, second;
    devices[0] = &first;
    devices[1] = &second;
    *count = 2;
    is_first = &first;
    return 0;
  }
  static void properties(void* device, void* out) {
    auto* p = static_cast<char*>(out) + 16;  // behind type and next
    const bool first = device == is_first;
    put32(p, 0, 1u << 22 | 3u << 12 | 230);
    put32(p, 8, first ? 0x1002 : 0x10005);
    put32(p, 12, first ? 0x744c : 0);
    put32(p, 16, first ? 2 : 4);
    std::strcpy(p + 20, first ? "A card" : "llvmpipe");
    char* next;
    std::memcpy(&next, static_cast<char*>(out) + 8, sizeof next);
    std::strcpy(next + 20, "radv");
    std::strcpy(next + 276, "Mesa 1");
  }
  static void memory(void*, void* out) {
    auto* p = static_cast<char*>(out);
    put32(p, 260, 2);
    const std::uint64_t sizes[] = {8ull << 30, 24ull << 30};
    std::memcpy(p + 264, &sizes[0], 8);
    put32(p, 272, 1);  // the device's own
    std::memcpy(p + 280, &sizes[1], 8);
    put32(p, 288, 0);
  }
  static void destroy(void*, const void*) {}
  static void* find(void*, const char* name) {
    const std::string wanted = name;
    if (wanted == "vkCreateInstance") return reinterpret_cast<void*>(create);
    if (wanted == "vkEnumeratePhysicalDevices") return reinterpret_cast<void*>(enumerate);
    if (wanted == "vkGetPhysicalDeviceProperties2") return reinterpret_cast<void*>(properties);
    if (wanted == "vkGetPhysicalDeviceMemoryProperties") return reinterpret_cast<void*>(memory);
    if (wanted == "vkDestroyInstance") return reinterpret_cast<void*>(destroy);
    return nullptr;
  }
  static inline void* is_first = nullptr;
};

VulkanReport two_devices() {
  auto devices = ask_vulkan([](const char*) { return reinterpret_cast<void*>(MadeUp::find); });
  REQUIRE(devices);
  return {.state = VulkanReport::State::known, .devices = *std::move(devices)};
}

}  // namespace

TEST_CASE("devices are what the loader tells; software is no GPU") {
  const VulkanReport report = two_devices();
  REQUIRE(report.devices.size() == 2);
  const VulkanDevice& card = report.devices[0];
  CHECK(card.name == "A card");
  CHECK(card.kind == "discrete");
  CHECK(card.driver == "radv Mesa 1");
  CHECK(card.api == "1.3.230");
  CHECK(card.memory_bytes == 8ull << 30);
  CHECK(card.vendor_id == 0x1002);
  CHECK(report.devices[1].is_software());

  std::vector<Gpu> gpus;
  complete(gpus, report);
  REQUIRE(gpus.size() == 1);
  CHECK(gpus[0].vendor == "AMD");
  gpus = {{.vendor = "AMD",
           .name = "PCI device 0x744c",
           .driver = "amdgpu",
           .compute = {},
           .kind = {},
           .vulkan = {}}};
  complete(gpus, report);
  REQUIRE(gpus.size() == 1);
  CHECK(gpus[0].name == "A card");
  CHECK(gpus[0].driver == "amdgpu");
  CHECK(gpus[0].memory_bytes == 8ull << 30);
}

TEST_CASE("a loader without functions is an error") {
  CHECK_FALSE(ask_vulkan([](const char*) -> void* { return nullptr; }));
}

TEST_CASE("no driver, one that ends without a word, and one that is still asked") {
  using enum VulkanReport::State;
  const FakeMachine machine;
  const std::string cache = join_path(machine.root(), "cache/vulkan.json");
  VulkanQuestion question{.root = machine.root(),
                          .cache_file = cache,
                          .command = {"true"},
                          .patience = std::chrono::seconds(60)};
  CHECK(read_vulkan(question).state == absent);
  machine.put("usr/share/vulkan/icd.d/some.json", R"({"ICD": {"library_path": "/x.so"}})");
  CHECK(read_vulkan(question).state == no_answer);
  question.command = {"no such program"};
  CHECK(read_vulkan(question).state == no_answer);  // as kept: it is not asked again
  machine.put("usr/share/vulkan/icd.d/other.json", "not JSON");
  question.command = {"sleep", "60"};
  question.patience = std::chrono::milliseconds(0);
  CHECK(read_vulkan(question).state == asking);
  CHECK(read_vulkan(question).state == asking);
}

}  // namespace hearth::hardware
