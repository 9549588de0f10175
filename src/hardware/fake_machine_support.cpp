#include <fmt/core.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "hardware/fake_machine.h"

namespace hearth::hardware {

FakeMachine::FakeMachine() {
  char name[] = "/tmp/hearth-machine-XXXXXX";
  root_ = mkdtemp(name);
}

FakeMachine::~FakeMachine() { std::filesystem::remove_all(root_); }

void FakeMachine::put(const std::string& path, std::string_view text) const {
  const std::filesystem::path file = std::filesystem::path(root_) / path;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

void put_machine(const FakeMachine& machine, const MachineShape& shape) {
  const int fast = shape.sockets * shape.cores * shape.threads_per_core;
  const int all = fast + shape.efficiency_cores;
  machine.put("proc/cpuinfo",
              fmt::format("model name\t: {}\nflags\t\t: fpu avx2 fma\n", shape.brand));
  machine.put("sys/devices/system/cpu/online", fmt::format("0-{}\n", all - 1));
  for (int thread = 0; thread < all; ++thread) {
    const int first =
        thread < fast ? thread / shape.threads_per_core * shape.threads_per_core : thread;
    const int last = thread < fast ? first + shape.threads_per_core - 1 : thread;
    const std::string folder = fmt::format("sys/devices/system/cpu/cpu{}/topology/", thread);
    machine.put(folder + "thread_siblings_list",
                first == last ? fmt::format("{}\n", first) : fmt::format("{}-{}\n", first, last));
    const int of_one = shape.cores * shape.threads_per_core;
    machine.put(folder + "physical_package_id",
                fmt::format("{}\n", thread < fast ? thread / of_one : 0));
  }
  if (shape.efficiency_cores > 0) {
    machine.put("sys/devices/cpu_core/cpus", fmt::format("0-{}\n", fast - 1));
    machine.put("sys/devices/cpu_atom/cpus", fmt::format("{}-{}\n", fast, all - 1));
  }
  machine.put("sys/devices/system/node/online",
              shape.sockets == 1 ? "0\n" : fmt::format("0-{}\n", shape.sockets - 1));
  machine.put("proc/meminfo",
              fmt::format("MemTotal: {} kB\nMemAvailable: {} kB\n", shape.memory_bytes >> 10,
                          (shape.memory_bytes >> 10) / 10 * 8));
  machine.put("proc/self/cgroup", "0::/box\n");
  if (shape.limit_bytes > 0) {
    machine.put("sys/fs/cgroup/box/memory.max", fmt::format("{}\n", shape.limit_bytes));
    machine.put("sys/fs/cgroup/box/memory.current", "0\n");
  }
  if (shape.quota_cores > 0)
    machine.put("sys/fs/cgroup/box/cpu.max",
                fmt::format("{:.0f} 100000\n", shape.quota_cores * 100000));
}

}  // namespace hearth::hardware
