// Accelerators and disks: what could compute beside the processor, and where models lie.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::hardware {

struct Gpu {
  std::string vendor;              // "NVIDIA", "AMD", "Intel", or "0x1af4" where it is none of them
  std::string name;                // the driver's, or the PCI device's number
  std::string driver;              // "nvidia 535.54", "amdgpu"; empty: none is bound
  std::uint64_t memory_bytes = 0;  // of its own; 0: it has none, or it is not known
  std::uint64_t free_bytes = 0;
  std::string compute;  // NVIDIA's compute capability: "9.0"
  std::string kind;     // as Vulkan has it: "discrete", "integrated", "virtual"; empty: not known
  std::string vulkan;   // the version it speaks: "1.3.230"; empty: none, or it is not known
};

// "NVIDIA", "AMD", "Intel" for a PCI number like "0x10de"; otherwise the number.
std::string vendor_name(std::string_view id);

// By PCI class under sys/bus/pci; NVIDIA's own library, where it is installed, tells the rest.
// `root`: as in cpu.h; only "/" asks libraries.
std::vector<Gpu> read_gpus(const std::string& root = "/");

struct Npu {
  std::string name;  // the driver's: "intel_vpu"
};
std::vector<Npu> read_npus(const std::string& root = "/");

struct Disk {
  std::string path;  // the folder that was asked about
  std::string kind;  // "solid state", "rotating", "virtual", "memory", "network", "unknown"
  std::uint64_t total_bytes = 0, free_bytes = 0;
};
// Of the file system that holds `path`, or the nearest folder above it that exists.
Disk read_disk(const std::string& path, const std::string& root = "/");

}  // namespace hearth::hardware
