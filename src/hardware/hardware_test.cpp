#include <doctest/doctest.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>

#include "hardware/condition.h"
#include "hardware/cpu.h"
#include "hardware/devices.h"
#include "hardware/fake_machine.h"
#include "hardware/memory.h"
#include "hardware/watts.h"

using namespace hearth;
using namespace hearth::hardware;

namespace {

using Machine = FakeMachine;

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

TEST_CASE("an Arm processor with cores of two kinds") {
  const Machine machine;
  std::string text;
  for (const char* part : {"0xd05", "0xd05", "0xd0b", "0xd0b"})
    text += fmt::format(
        "processor\t: 0\nFeatures\t: fp asimd crc32 asimdhp asimddp\n"
        "CPU implementer\t: 0x41\nCPU part\t: {}\n\n",
        part);
  machine.put("proc/cpuinfo", text);
  machine.put("sys/devices/system/cpu/online", "0-3\n");
  for (int core = 0; core < 4; ++core) {
    put_core(machine, core, fmt::format("{}\n", core));
    machine.put(fmt::format("sys/devices/system/cpu/cpu{}/cpu_capacity", core),
                core < 2 ? "530\n" : "1024\n");
  }
  const Cpu cpu = read_cpu(machine.root());
  CHECK(cpu.brand == "Cortex-A55 + Cortex-A76");
  CHECK(cpu.features == std::vector<std::string>{"asimd", "asimddp", "asimdhp"});
  CHECK(cpu.physical_cores == 4);
  CHECK(cpu.performance_cores == 2);
  CHECK(cpu.efficiency_cores == 2);
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

TEST_CASE("cores of two kinds, sockets and memory nodes") {
  const Machine machine;
  machine.put("sys/devices/system/cpu/online", "0-5\n");
  for (const int core : {0, 1}) put_core(machine, core, "0-1\n");
  for (const int core : {2, 3, 4, 5}) put_core(machine, core, fmt::format("{}\n", core));
  for (int core = 0; core < 6; ++core)
    machine.put(fmt::format("sys/devices/system/cpu/cpu{}/topology/physical_package_id", core),
                core < 3 ? "0\n" : "1\n");
  machine.put("sys/devices/cpu_core/cpus", "0-1\n");
  machine.put("sys/devices/cpu_atom/cpus", "2-5\n");
  machine.put("sys/devices/system/node/online", "0-1\n");
  const Cpu cpu = read_cpu(machine.root());
  CHECK(cpu.performance_cores == 1);
  CHECK(cpu.efficiency_cores == 4);
  CHECK(cpu.sockets == 2);
  CHECK(cpu.numa_nodes == 2);
}

TEST_CASE("a laptop that is hot, on battery and short of memory") {
  const Machine machine;
  machine.put("sys/class/thermal/thermal_zone0/temp", "45000\n");
  machine.put("sys/class/thermal/thermal_zone1/temp", "97500\n");
  machine.put("sys/class/thermal/thermal_zone2/temp", "-274000\n");
  machine.put("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7\n");
  machine.put("sys/class/power_supply/BAT0/type", "Battery\n");
  machine.put("sys/class/power_supply/BAT0/capacity", "23\n");
  machine.put("sys/class/power_supply/BAT0/status", "Discharging\n");
  machine.put("sys/class/power_supply/mouse/type", "Battery\n");
  machine.put("sys/class/power_supply/mouse/scope", "Device\n");
  machine.put("sys/class/power_supply/mouse/capacity", "100\n");
  machine.put("sys/class/powercap/intel-rapl:0/name", "package-0\n");
  machine.put("sys/class/powercap/intel-rapl:0/energy_uj", "2500000\n");
  machine.put("proc/loadavg", "3.25 2.00 1.00 1/100 7\n");
  machine.put("proc/pressure/memory", "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\n");
  const Condition now = read_condition(machine.root());
  CHECK(now.hottest_celsius == 97.5);
  CHECK(now.throttled == 7);
  CHECK(now.on_mains == false);
  CHECK(now.battery_percent == 23);
  CHECK(now.processor_joules == 2.5);
  CHECK(now.load == 3.25);
  CHECK(now.memory_pressure == 12.5);
  machine.put("sys/class/power_supply/AC/type", "Mains\n");
  machine.put("sys/class/power_supply/AC/online", "1\n");
  CHECK(read_condition(machine.root()).on_mains == true);
}

TEST_CASE("heat of a processor that has no thermal zone") {
  const FakeMachine machine;
  machine.put("sys/class/hwmon/hwmon0/name", "nvme\n");
  machine.put("sys/class/hwmon/hwmon0/temp1_input", "80000\n");
  machine.put("sys/class/hwmon/hwmon1/name", "k10temp\n");
  machine.put("sys/class/hwmon/hwmon1/temp1_input", "61500\n");
  machine.put("sys/class/hwmon/hwmon1/temp3_input", "64250\n");
  machine.put("sys/class/hwmon/hwmon1/temp3_label", "Tccd1\n");
  CHECK(read_condition(machine.root()).hottest_celsius == 64.25);
}

TEST_CASE("what the processor takes, by its counter of energy") {
  const FakeMachine machine;
  for (const char* zone : {"intel-rapl:0", "intel-rapl-mmio:0"}) {  // the same package twice
    machine.put(fmt::format("sys/class/powercap/{}/name", zone), "package-0\n");
    machine.put(fmt::format("sys/class/powercap/{}/energy_uj", zone), "7000000\n");
  }
  machine.put("sys/class/powercap/intel-rapl:1/name", "package-1\n");
  machine.put("sys/class/powercap/intel-rapl:1/energy_uj", "5000000\n");
  const Condition before = read_condition(machine.root());
  CHECK(before.processor_joules == 12);
  machine.put("sys/class/powercap/intel-rapl:1/energy_uj", "50000000\n");
  const Condition now = read_condition(machine.root());
  CHECK(processor_watts(before, now, 0.5) == 90);
  CHECK(!processor_watts(now, before, 0.5));  // it began anew
  CHECK(!processor_watts(now, now, 0));
  CHECK(!processor_watts({}, now, 1));
}

TEST_CASE("a machine that tells nothing") {
  const Machine machine;
  const Condition now = read_condition(machine.root());
  CHECK(!now.hottest_celsius);
  CHECK(!now.on_mains);
  CHECK(!now.battery_percent);
  CHECK(now.load == 0);
  CHECK(read_gpus(machine.root()).empty());
  CHECK(read_npus(machine.root()).empty());
  CHECK(read_enclosure(machine.root()).empty());
}

TEST_CASE("GPUs of the PCI bus") {
  const Machine machine;
  const auto put = [&](const std::string& device, std::string_view file, std::string_view text) {
    machine.put(fmt::format("sys/bus/pci/devices/{}/{}", device, file), text);
  };
  put("0000:00:02.0", "class", "0x030000\n");
  put("0000:00:02.0", "vendor", "0x8086\n");
  put("0000:00:02.0", "device", "0x46a6\n");
  put("0000:03:00.0", "class", "0x030000\n");
  put("0000:03:00.0", "vendor", "0x1002\n");
  put("0000:03:00.0", "device", "0x744c\n");
  put("0000:03:00.0", "product_name", "Radeon RX 7900 XTX\n");
  put("0000:03:00.0", "mem_info_vram_total", "25753026560\n");
  put("0000:03:00.0", "mem_info_vram_used", "753026560\n");
  put("0000:05:00.0", "class", "0x020000\n");  // a network card
  const std::vector<Gpu> gpus = read_gpus(machine.root());
  REQUIRE(gpus.size() == 2);
  CHECK(gpus[0].vendor == "Intel");
  CHECK(gpus[0].name == "PCI device 0x46a6");
  CHECK(gpus[1].vendor == "AMD");
  CHECK(gpus[1].name == "Radeon RX 7900 XTX");
  CHECK(gpus[1].memory_bytes == 25753026560);
  CHECK(gpus[1].free_bytes == 25000000000);
}

TEST_CASE("the inside of a container, the disk below a folder that is not there yet") {
  const Machine machine;
  machine.put("proc/cpuinfo", "flags\t\t: fpu hypervisor avx2\n");
  CHECK(read_enclosure(machine.root()) == "virtual machine");
  machine.put(".dockerenv", "");
  CHECK(read_enclosure(machine.root()) == "container in a virtual machine");

  machine.put("proc/self/mounts",
              fmt::format("/dev/sda1 / ext4 rw 0 0\ntmpfs {} tmpfs rw 0 0\n", machine.root()));
  const Disk disk = read_disk(machine.root() + "/not/there/yet", machine.root());
  CHECK(disk.kind == "memory");
  // What the host has behind a virtual disk is not what its queue says.
  machine.put("proc/self/mounts", "/dev/vda / ext4 rw 0 0\n");
  struct stat status{};
  REQUIRE(::stat(machine.root().c_str(), &status) == 0);
  const std::string block =
      fmt::format("sys/dev/block/{}:{}", major(status.st_dev), minor(status.st_dev));
  machine.put(block + "/queue/rotational", "1\n");
  CHECK(read_disk(machine.root(), machine.root()).kind == "rotating");
  machine.put(block + "/device/vendor", "0x554d4551\n");
  std::filesystem::create_symlink("../../../bus/virtio/drivers/virtio_blk",
                                  machine.root() + "/" + block + "/device/driver");
  CHECK(read_disk(machine.root(), machine.root()).kind == "virtual");
  machine.put(block + "/queue/rotational", "0\n");
  CHECK(read_disk(machine.root(), machine.root()).kind == "solid state");
  CHECK(disk.total_bytes > 0);
  CHECK(disk.free_bytes <= disk.total_bytes);
}
