#include <doctest/doctest.h>
#include <fmt/core.h>
#include <stdlib.h>

#include <filesystem>

#include "base/bytes.h"
#include "base/files.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"

using namespace hearth;
using namespace hearth::hardware;

namespace {

// A machine of files, gone at the end of the test.
class Machine {
 public:
  Machine() {
    char name[] = "/tmp/hearth-machine-XXXXXX";
    root_ = mkdtemp(name);
  }
  ~Machine() { std::filesystem::remove_all(root_); }
  void put(const std::string& path, std::string_view text) const {
    REQUIRE(replace_file(join_path(root_, path), bytes_of(text)).ok());
  }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

void put_core(const Machine& machine, int core, std::string_view siblings) {
  machine.put(fmt::format("sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", core),
              siblings);
}

}  // namespace

TEST_CASE("a laptop with two threads per core") {
  const Machine machine;
  machine.put(
      "proc/cpuinfo",
      "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu avx2 fma avx512f\n");
  machine.put("sys/devices/system/cpu/online", "0-3\n");
  for (const int core : {0, 1}) put_core(machine, core, "0-1\n");
  for (const int core : {2, 3}) put_core(machine, core, "2-3\n");
  machine.put("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n");
  machine.put("sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n");
  machine.put("sys/devices/system/cpu/cpu0/cache/index0/size", "48K\n");
  const Cpu cpu = read_cpu(machine.root());
  CHECK(cpu.brand == "Some CPU @ 2.00GHz");
  CHECK(cpu.features == std::vector<std::string>{"avx2", "fma", "avx512f"});
  CHECK(cpu.logical_cores == 4);
  CHECK(cpu.physical_cores == 2);
  CHECK(cpu.usable_cores == 2);
  REQUIRE(cpu.caches.size() == 1);
  CHECK(cpu.caches[0].bytes == 48 * 1024);
}

TEST_CASE("a container's quota and memory limit count, of either kind of control group") {
  const struct {
    std::string what, groups, cpu_path, cpu, period_path, period, limit_path, usage_path;
  } rows[] = {
      {"version 2", "0::/box\n", "sys/fs/cgroup/box/cpu.max", "250000 100000\n", "", "",
       "sys/fs/cgroup/box/memory.max", "sys/fs/cgroup/box/memory.current"},
      {"version 2, limit of the parent", "0::/box/inner\n", "sys/fs/cgroup/box/cpu.max",
       "250000 100000\n", "", "", "sys/fs/cgroup/box/memory.max",
       "sys/fs/cgroup/box/memory.current"},
      {"version 1", "3:cpu,cpuacct:/box\n4:memory:/box\n", "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us",
       "250000\n", "sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n",
       "sys/fs/cgroup/memory/box/memory.limit_in_bytes",
       "sys/fs/cgroup/memory/box/memory.usage_in_bytes"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const Machine machine;
    machine.put("proc/self/cgroup", row.groups);
    machine.put("sys/devices/system/cpu/online", "0-7\n");
    machine.put(row.cpu_path, row.cpu);
    if (!row.period_path.empty()) machine.put(row.period_path, row.period);
    machine.put("proc/meminfo", "MemTotal:  16000000 kB\nMemAvailable:  8000000 kB\n");
    machine.put(row.limit_path, "1000000000\n");
    machine.put(row.usage_path, "400000000\n");
    CHECK(read_cpu(machine.root()).usable_cores == 2);
    CHECK(read_memory(machine.root()).free_bytes() == 600'000'000);
  }
}

TEST_CASE("cached files do not count as used") {
  const Machine machine;
  machine.put("proc/self/cgroup", "0::/\n");
  machine.put("proc/meminfo", "MemTotal:  16000000 kB\nMemAvailable:  8000000 kB\n");
  machine.put("sys/fs/cgroup/memory.max", "1000000000\n");
  machine.put("sys/fs/cgroup/memory.current", "900000000\n");
  machine.put("sys/fs/cgroup/memory.stat", "anon 1\nfile 700000000\ninactive_file 600000000\n");
  CHECK(read_memory(machine.root()).free_bytes() == 700'000'000);
}

TEST_CASE("a machine that says nothing, and this one") {
  const Machine machine;
  CHECK(read_cpu(machine.root()).usable_cores == 0);
  CHECK(read_memory(machine.root()).free_bytes() == 0);
  CHECK(usable_cores() >= 1);
  CHECK(read_memory().free_bytes() > 0);
}
