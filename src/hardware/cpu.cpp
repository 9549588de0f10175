#include "hardware/cpu.h"

#include <fmt/core.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "hardware/arm_cores.h"
#include "hardware/system_files.h"

namespace hearth::hardware {
namespace {

// As /proc/cpuinfo names them ("flags" on x86-64, "Features" on Arm).
constexpr std::string_view interesting[] = {
    "sse4_2",      "avx",      "avx2",     "fma",      "f16c",        "avx_vnni",
    "avx512f",     "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "asimd",       "asimddp",
    "asimdhp",     "i8mm",     "bf16",     "sve",      "sve2",        "sme"};

std::vector<std::string> features_of(std::string_view flags) {
  std::set<std::string_view> present;
  while (!flags.empty()) {
    const std::size_t end = std::min(flags.find(' '), flags.size());
    present.insert(flags.substr(0, end));
    flags.remove_prefix(std::min(end + 1, flags.size()));
  }
  std::vector<std::string> found;
  for (const std::string_view name : interesting)
    if (present.contains(name)) found.emplace_back(name);
  return found;
}

std::uint32_t hexadecimal(std::string_view text) {  // "0xd0b"
  std::uint32_t value = 0;
  if (text.starts_with("0x")) text.remove_prefix(2);
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

// Kinds of cores of an Arm processor, which has no name of its own: "Cortex-A55 + Cortex-A76".
void add_arm_core(std::string& brand, const std::string& name) {
  if (brand.find(name) == brand.npos) brand += (brand.empty() ? "" : " + ") + name;
}

void read_cpuinfo(Cpu& cpu, const std::string& root) {
  const std::string text = read_text(root, "proc/cpuinfo");
  std::uint32_t implementer = 0;
  std::string arm_cores;
  for (const std::string_view line : lines_of(text)) {
    const std::size_t colon = line.find(':');
    if (colon == line.npos || colon + 2 > line.size()) continue;
    const std::string_view name = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    const std::string_view value = line.substr(colon + 2);
    if (name == "model name" && cpu.brand.empty()) cpu.brand = value;
    if ((name == "flags" || name == "Features") && cpu.features.empty())
      cpu.features = features_of(value);
    if (name == "CPU implementer") implementer = hexadecimal(value);
    if (name == "CPU part") add_arm_core(arm_cores, arm_core_name(implementer, hexadecimal(value)));
  }
  if (cpu.brand.empty()) cpu.brand = std::move(arm_cores);
}

// One entry per physical core: the siblings of each, as the kernel lists them.
std::set<std::string> siblings(const std::string& root, const std::vector<int>& cores) {
  std::set<std::string> groups;
  for (const int core : cores) {
    std::string group = read_text(
        root, fmt::format("sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", core));
    groups.insert(group.empty() ? fmt::format("{}", core) : std::move(group));
  }
  return groups;
}

// Where this thread may run; other machines than this one: everywhere.
std::vector<int> allowed_cores(const std::string& root, const std::vector<int>& online) {
  if (root != "/") return online;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return online;
  std::vector<int> allowed;
  for (const int core : online)
    if (core < CPU_SETSIZE && CPU_ISSET(static_cast<std::size_t>(core), &set))
      allowed.push_back(core);
  return allowed.empty() ? online : allowed;
}

// Processors' worth of time that the control groups grant; 0: no limit.
double quota(const std::string& root) {
  const ControlGroups groups = control_groups(root, "cpu");
  double least = 0;
  const auto consider = [&](std::optional<std::uint64_t> share,
                            std::optional<std::uint64_t> period) {
    if (!share || !period || *share == 0 || *period == 0) return;
    const double cores = static_cast<double>(*share) / static_cast<double>(*period);
    least = least == 0 ? cores : std::min(least, cores);
  };
  for (const std::string& folder : groups.unified) {  // "max 100000" or "150000 100000"
    const std::string text = read_text(root, folder + "/cpu.max");
    const std::size_t space = text.find(' ');
    if (space != text.npos)
      consider(number_in(text), number_in(std::string_view(text).substr(space)));
  }
  for (const std::string& folder : groups.legacy)  // -1: no limit
    consider(number_in(read_text(root, folder + "/cpu.cfs_quota_us")),
             number_in(read_text(root, folder + "/cpu.cfs_period_us")));
  return least;
}

std::uint64_t size_of(std::string_view text) {  // "48K"
  const std::uint64_t number = number_in(text).value_or(0);
  if (text.ends_with('K')) return number << 10;
  if (text.ends_with('M')) return number << 20;
  return number;
}

std::vector<Cache> read_caches(const std::string& root) {
  std::vector<Cache> caches;
  constexpr int most = 8;
  for (int i = 0; i < most; ++i) {
    const std::string folder = fmt::format("sys/devices/system/cpu/cpu0/cache/index{}/", i);
    const auto level = number_in(read_text(root, folder + "level"));
    if (!level) break;
    caches.push_back({static_cast<int>(*level), read_text(root, folder + "type"),
                      size_of(read_text(root, folder + "size"))});
  }
  return caches;
}

// Of Arm processors the kernel tells how much each core does, 1024 being the most: those far below
// the best are made to save power.
void count_by_capacity(Cpu& cpu, const std::string& root, const std::vector<int>& cores) {
  std::vector<std::uint64_t> capacities;
  for (const int core : cores)
    if (const auto capacity = number_in(
            read_text(root, fmt::format("sys/devices/system/cpu/cpu{}/cpu_capacity", core))))
      capacities.push_back(*capacity);
  if (capacities.empty()) return;
  const std::uint64_t best = *std::max_element(capacities.begin(), capacities.end());
  const auto small =
      std::count_if(capacities.begin(), capacities.end(),
                    [best](std::uint64_t capacity) { return 10 * capacity < 6 * best; });
  if (small == 0) return;
  cpu.efficiency_cores = static_cast<int>(small);
  cpu.performance_cores = static_cast<int>(capacities.size()) - cpu.efficiency_cores;
}

// Different ones of a number that each core's topology tells.
int count_packages(const std::string& root, const std::vector<int>& cores) {
  std::set<std::string> packages;
  for (const int core : cores)
    packages.insert(read_text(
        root, fmt::format("sys/devices/system/cpu/cpu{}/topology/physical_package_id", core)));
  return std::max(1, static_cast<int>(packages.size()));
}

}  // namespace

Cpu read_cpu(const std::string& root) {
  Cpu cpu;
  read_cpuinfo(cpu, root);
  const std::vector<int> online = list_of(read_text(root, "sys/devices/system/cpu/online"));
  cpu.logical_cores = static_cast<int>(online.size());
  cpu.physical_cores = static_cast<int>(siblings(root, online).size());
  cpu.usable_cores = static_cast<int>(siblings(root, allowed_cores(root, online)).size());
  if (const double cores = quota(root); cores > 0)
    cpu.usable_cores = std::clamp(static_cast<int>(std::floor(cores)), 1, cpu.usable_cores);
  const auto count_kind = [&](const char* file) {
    return static_cast<int>(siblings(root, list_of(read_text(root, file))).size());
  };
  cpu.efficiency_cores = count_kind("sys/devices/cpu_atom/cpus");
  if (cpu.efficiency_cores > 0) cpu.performance_cores = count_kind("sys/devices/cpu_core/cpus");
  if (cpu.efficiency_cores == 0) count_by_capacity(cpu, root, online);
  cpu.sockets = count_packages(root, online);
  cpu.numa_nodes = std::max(
      1, static_cast<int>(list_of(read_text(root, "sys/devices/system/node/online")).size()));
  cpu.caches = read_caches(root);
  return cpu;
}

int usable_cores() { return std::max(1, read_cpu().usable_cores); }

}  // namespace hearth::hardware
