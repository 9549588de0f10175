#include "hardware/devices.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "hardware/nvidia.h"
#include "hardware/system_files.h"

namespace hearth::hardware {
namespace {

// The last name of where a link points: "amdgpu".
std::string link_name(const std::string& root, const std::string& path) {
  char target[512];
  const ssize_t size = ::readlink(join_path(root, path).c_str(), target, sizeof target);
  return size <= 0 ? "" : file_name(std::string_view(target, static_cast<std::size_t>(size)));
}

Gpu read_pci_gpu(const std::string& root, const std::string& device) {
  Gpu gpu{.vendor = vendor_name(read_text(root, device + "/vendor")),
          .name = fmt::format("PCI device {}", read_text(root, device + "/device")),
          .driver = link_name(root, device + "/driver"),
          .compute = {},
          .kind = {},
          .vulkan = {}};
  // amdgpu's files.  Source: Linux, Documentation/gpu/amdgpu/driver-misc.rst.
  if (const std::string name = read_text(root, device + "/product_name"); !name.empty())
    gpu.name = name;
  gpu.memory_bytes = number_in(read_text(root, device + "/mem_info_vram_total")).value_or(0);
  const auto used = number_in(read_text(root, device + "/mem_info_vram_used")).value_or(0);
  gpu.free_bytes = gpu.memory_bytes - std::min(used, gpu.memory_bytes);
  return gpu;
}

constexpr std::string_view network_systems[] = {"nfs", "nfs4",       "cifs", "smb3",
                                                "9p",  "fuse.sshfs", "ceph"};

// The type of the file system whose mount point holds `path` most closely.
std::string system_type(const std::string& root, const std::string& path) {
  const std::string mounts = read_text(root, "proc/self/mounts");
  std::string_view best_point;
  std::string type;
  for (std::string_view line : lines_of(mounts)) {
    line.remove_prefix(std::min(line.find(' ') + 1, line.size()));
    const std::string_view point = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(point.size() + 1, line.size()));
    const bool holds =
        point == "/" || path == point || (path.starts_with(point) && path[point.size()] == '/');
    if (!holds || point.size() < best_point.size()) continue;
    best_point = point;
    type = line.substr(0, line.find(' '));
  }
  return type;
}

std::string kind_of(const std::string& root, const std::string& path, dev_t device) {
  const std::string type = system_type(root, path);
  if (type == "tmpfs" || type == "ramfs") return "memory";
  if (std::ranges::find(network_systems, type) != std::end(network_systems)) return "network";
  const std::string block = fmt::format("sys/dev/block/{}:{}", major(device), minor(device));
  // A partition's queue is that of its disk, one folder up.
  for (const std::string& disk : {block, block + "/.."}) {
    const std::string rotational = read_text(root, disk + "/queue/rotational");
    if (rotational.empty()) continue;
    if (rotational != "1") return "solid state";
    // Virtual disks say that they turn, whatever is behind them.
    const std::string driver = link_name(root, disk + "/device/driver");
    return driver == "virtio_blk" || driver == "vbd" ? "virtual" : "rotating";
  }
  return "unknown";
}

}  // namespace

std::string vendor_name(std::string_view id) {
  constexpr std::pair<std::string_view, std::string_view> vendors[] = {
      {"0x10de", "NVIDIA"}, {"0x1002", "AMD"}, {"0x8086", "Intel"}};
  for (const auto& [number, name] : vendors)
    if (number == id) return std::string(name);
  return std::string(id);
}

std::vector<Gpu> read_gpus(const std::string& root) {
  std::vector<Gpu> gpus;
  if (root == "/") gpus = read_nvidia_gpus();
  const bool knows_nvidia = !gpus.empty();
  for (const std::string& name : names_in(root, "sys/bus/pci/devices")) {
    const std::string device = "sys/bus/pci/devices/" + name;
    const std::string kind = read_text(root, device + "/class");
    // VGA, 3D and processing accelerators.  Source: PCI Code and ID Assignment Specification.
    if (!kind.starts_with("0x0300") && !kind.starts_with("0x0302") && !kind.starts_with("0x0380"))
      continue;
    Gpu gpu = read_pci_gpu(root, device);
    if (knows_nvidia && gpu.vendor == "NVIDIA") continue;
    gpus.push_back(std::move(gpu));
  }
  return gpus;
}

std::vector<Npu> read_npus(const std::string& root) {
  std::vector<Npu> npus;
  for (const std::string& name : names_in(root, "sys/class/accel"))
    npus.push_back({link_name(root, fmt::format("sys/class/accel/{}/device/driver", name))});
  return npus;
}

Disk read_disk(const std::string& path, const std::string& root) {
  std::string folder = path;
  struct stat status{};
  while (::stat(folder.c_str(), &status) != 0 && folder != "/" && folder != ".")
    folder = parent_folder(folder);
  Disk disk{.path = path, .kind = kind_of(root, folder, status.st_dev)};
  struct statvfs system{};
  if (::statvfs(folder.c_str(), &system) == 0) {
    disk.total_bytes = static_cast<std::uint64_t>(system.f_blocks) * system.f_frsize;
    disk.free_bytes = static_cast<std::uint64_t>(system.f_bavail) * system.f_frsize;
  }
  return disk;
}

}  // namespace hearth::hardware
