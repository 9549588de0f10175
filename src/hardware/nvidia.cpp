#include "hardware/nvidia.h"

#include <fmt/core.h>

#include "base/shared_library.h"

namespace hearth::hardware {
namespace {

// The few types of NVML that its calls below take.
using Device = void*;
struct MemoryInfo {
  unsigned long long total, free, used;
};

class Nvml {
 public:
  Nvml() : library_(SharedLibrary::open({"libnvidia-ml.so.1"})) {}

  template <typename... Arguments>
  bool call(const char* name, Arguments... arguments) const {
    if (!library_) return false;
    int (*function)(Arguments...) = nullptr;
    return library_->find(name, function) && function(arguments...) == 0;
  }

 private:
  Result<SharedLibrary> library_;
};

Gpu read_gpu(const Nvml& nvml, Device device, const char* driver) {
  Gpu gpu{.vendor = "NVIDIA",
          .name = {},
          .driver = fmt::format("nvidia {}", driver),
          .compute = {},
          .kind = {},
          .vulkan = {}};
  char name[96] = "";
  if (nvml.call("nvmlDeviceGetName", device, static_cast<char*>(name), 96u)) gpu.name = name;
  MemoryInfo memory{};
  if (nvml.call("nvmlDeviceGetMemoryInfo", device, &memory)) {
    gpu.memory_bytes = memory.total;
    gpu.free_bytes = memory.free;
  }
  int major = 0, minor = 0;
  if (nvml.call("nvmlDeviceGetCudaComputeCapability", device, &major, &minor))
    gpu.compute = fmt::format("{}.{}", major, minor);
  return gpu;
}

}  // namespace

std::vector<Gpu> read_nvidia_gpus() {
  std::vector<Gpu> gpus;
  const Nvml nvml;
  if (!nvml.call("nvmlInit_v2")) return gpus;
  char driver[80] = "";
  nvml.call("nvmlSystemGetDriverVersion", static_cast<char*>(driver), 80u);
  unsigned count = 0;
  nvml.call("nvmlDeviceGetCount_v2", &count);
  for (unsigned i = 0; i < count; ++i) {
    Device device = nullptr;
    if (nvml.call("nvmlDeviceGetHandleByIndex_v2", i, &device))
      gpus.push_back(read_gpu(nvml, device, driver));
  }
  nvml.call("nvmlShutdown");
  return gpus;
}

}  // namespace hearth::hardware
