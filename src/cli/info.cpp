// hearth info: the machine as Hearth sees it.
#include <fmt/core.h>
#include <time.h>

#include <chrono>

#include "base/files.h"
#include "cli/interrupts.h"
#include "cli/measure.h"
#include "cli/rows.h"
#include "hardware/condition.h"
#include "hardware/cpu.h"
#include "hardware/devices.h"
#include "hardware/memory.h"
#include "hardware/vulkan.h"
#include "kernels/select.h"

namespace hearth::cli {
namespace {

struct Profile {
  hardware::Cpu cpu;
  hardware::Memory memory;
  std::vector<hardware::Gpu> gpus;
  hardware::VulkanReport vulkan;
  std::vector<hardware::Npu> npus;
  hardware::Disk disk;
  hardware::Condition condition;
  std::string enclosure, kernels;
};

Result<Profile> read_profile(const Arguments& arguments) {
  hardware::VulkanReport vulkan =
      hardware::read_vulkan(hardware::vulkan_question(standard_folders().cache));
  std::vector<hardware::Gpu> gpus = hardware::read_gpus();
  complete(gpus, vulkan);
  return Profile{.cpu = hardware::read_cpu(),
                 .memory = hardware::read_memory(),
                 .gpus = std::move(gpus),
                 .vulkan = std::move(vulkan),
                 .npus = hardware::read_npus(),
                 .disk = hardware::read_disk(parent_folder(standard_folders().models)),
                 .condition = hardware::read_condition(),
                 .enclosure = hardware::read_enclosure(),
                 .kernels = TRY(kernels::choose(arguments.text("--cpu")))->name};
}

// ---- For programs ----

Json to_json(const hardware::Cpu& cpu) {
  Json features = Json::array(), caches = Json::array();
  for (const std::string& feature : cpu.features) features.push_back(feature);
  for (const hardware::Cache& cache : cpu.caches)
    caches.push_back(
        Json::object({{"level", cache.level}, {"type", cache.type}, {"bytes", cache.bytes}}));
  return Json::object({{"brand", cpu.brand},
                       {"physical_cores", cpu.physical_cores},
                       {"logical_cores", cpu.logical_cores},
                       {"usable_cores", cpu.usable_cores},
                       {"performance_cores", cpu.performance_cores},
                       {"efficiency_cores", cpu.efficiency_cores},
                       {"sockets", cpu.sockets},
                       {"numa_nodes", cpu.numa_nodes},
                       {"caches", std::move(caches)},
                       {"features", std::move(features)}});
}

Json to_json(const Profile& profile) {
  Json gpus = Json::array(), npus = Json::array();
  for (const hardware::Gpu& gpu : profile.gpus)
    gpus.push_back(Json::object({{"vendor", gpu.vendor},
                                 {"name", gpu.name},
                                 {"driver", gpu.driver},
                                 {"memory_bytes", gpu.memory_bytes},
                                 {"free_bytes", gpu.free_bytes},
                                 {"compute", gpu.compute},
                                 {"kind", gpu.kind},
                                 {"vulkan", gpu.vulkan}}));
  for (const hardware::Npu& npu : profile.npus) npus.push_back(npu.name);
  return Json::object({{"cpu", to_json(profile.cpu)},
                       {"kernels", profile.kernels},
                       {"memory", Json::object({{"total_bytes", profile.memory.total_bytes},
                                                {"limit_bytes", profile.memory.limit_bytes},
                                                {"free_bytes", profile.memory.free_bytes()}})},
                       {"gpus", std::move(gpus)},
                       {"vulkan", to_json(profile.vulkan)},
                       {"npus", std::move(npus)},
                       {"disk", Json::object({{"path", profile.disk.path},
                                              {"kind", profile.disk.kind},
                                              {"total_bytes", profile.disk.total_bytes},
                                              {"free_bytes", profile.disk.free_bytes}})},
                       {"inside", profile.enclosure},
                       {"now", to_json(profile.condition)}});
}

// ---- For people ----

std::string bar(double share, std::string_view remark) {
  constexpr int width = 24;
  std::string text;
  for (int i = 0; i < width; ++i) text += i < share * width ? "█" : "░";
  return fmt::format("{}  {}", text, remark);
}

std::string used_bar(std::uint64_t free, std::uint64_t total) {
  const double used = total == 0 ? 0 : 1 - static_cast<double>(free) / static_cast<double>(total);
  return bar(used, fmt::format("{} of {} free", readable_bytes(free), readable_bytes(total)));
}

std::string cores_text(const hardware::Cpu& cpu) {
  std::string text = fmt::format("{} physical, {} logical; Hearth may use {}", cpu.physical_cores,
                                 cpu.logical_cores, cpu.usable_cores);
  if (cpu.efficiency_cores > 0)
    text += fmt::format("; {} for performance, {} for efficiency", cpu.performance_cores,
                        cpu.efficiency_cores);
  if (cpu.sockets > 1 || cpu.numa_nodes > 1)
    text += fmt::format("; {} sockets, {} memory nodes", cpu.sockets, cpu.numa_nodes);
  return text;
}

void print_condition(Output& out, const Profile& profile) {
  const hardware::Condition& now = profile.condition;
  const std::uint64_t total =
      profile.memory.limit_bytes ? profile.memory.limit_bytes : profile.memory.total_bytes;
  out.row("memory", used_bar(profile.memory.free_bytes(), total));
  out.row("load", bar(now.load / std::max(1, profile.cpu.logical_cores),
                      fmt::format("{:.2f} of {} cores", now.load, profile.cpu.logical_cores)));
  if (now.memory_pressure >= 1)
    out.row("memory pressure",
            bar(now.memory_pressure / 100, fmt::format("{:.0f} % of the time tasks "
                                                       "wait for memory",
                                                       now.memory_pressure)));
  if (now.hottest_celsius)
    out.row("heat", bar(*now.hottest_celsius / 100,
                        fmt::format("{:.0f} °C{}", *now.hottest_celsius,
                                    now.throttled ? ", was slowed by heat" : "")));
  if (now.battery_percent)
    out.row("battery", bar(*now.battery_percent / 100.0,
                           fmt::format("{} %{}", *now.battery_percent,
                                       now.on_mains.value_or(false) ? ", on mains" : "")));
}

void print(Output& out, const hardware::VulkanReport& report) {
  using enum hardware::VulkanReport::State;
  if (report.state == asking) out.row("Vulkan", "its drivers are being asked; again in a moment");
  if (report.state == no_answer)
    out.row("Vulkan", "a driver crashed or did not answer; asked again when its files change");
  for (const hardware::VulkanDevice& device : report.devices)
    out.row("Vulkan",
            fmt::format("{} ({}{}), {}, version {}", device.name, device.kind,
                        device.is_software() ? ": no GPU" : "", device.driver, device.api));
}

void print(Output& out, const Profile& profile) {
  out.line(out.bold(profile.cpu.brand));
  out.row("cores", cores_text(profile.cpu));
  std::string caches;
  for (const hardware::Cache& cache : profile.cpu.caches)
    if (cache.type != "Instruction")
      caches +=
          fmt::format("{}L{} {} KiB", caches.empty() ? "" : ", ", cache.level, cache.bytes >> 10);
  out.row("caches", caches);
  out.row("kernels", profile.kernels);
  if (!profile.enclosure.empty()) out.row("inside", "a " + profile.enclosure);
  for (const hardware::Gpu& gpu : profile.gpus) {
    out.row("GPU", fmt::format("{} {}{}{}{}", gpu.vendor, gpu.name, gpu.driver.empty() ? "" : ", ",
                               gpu.driver, gpu.kind.empty() ? "" : ", " + gpu.kind));
    if (gpu.memory_bytes) out.row("  its memory", used_bar(gpu.free_bytes, gpu.memory_bytes));
  }
  print(out, profile.vulkan);
  for (const hardware::Npu& npu : profile.npus) out.row("NPU", npu.name);
  print_condition(out, profile);
  out.row("disk", used_bar(profile.disk.free_bytes, profile.disk.total_bytes));
  out.row("", fmt::format("{}, of {}", profile.disk.kind, profile.disk.path));
}

// Once a second until Ctrl-C: for people the picture is drawn anew, for programs one line each.
Status watch(App& app, const Arguments& arguments, Profile profile) {
  const InterruptScope interrupts;
  while (!interrupts.token().stop_requested()) {
    profile.memory = hardware::read_memory();
    profile.condition = hardware::read_condition();
    if (arguments.has("--json")) {
      app.out.text(write_json(to_json(profile)) + "\n");
    } else {
      if (app.out.is_terminal()) app.out.text("\033[H\033[2J");
      print(app.out, profile);
      app.out.text("");
    }
    for (int tenth = 0; tenth < 10 && !interrupts.token().stop_requested(); ++tenth) {
      const timespec pause{0, 100'000'000};
      ::nanosleep(&pause, nullptr);
    }
  }
  return Done{};
}

std::string per_second(double amount, std::string_view unit) {
  return fmt::format("{:.1f} {}/s", amount / 1e9, unit);
}

void print(Output& out, const MachineSpeeds& speeds) {
  for (const MachineSpeeds::Memory& one : speeds.memory)
    out.row(fmt::format("memory, {} thread{}", one.threads, one.threads == 1 ? "" : "s"),
            per_second(one.bytes_per_second, "GB"));
  for (const MachineSpeeds::Table& one : speeds.tables)
    out.row(fmt::format("kernels {}", one.name),
            fmt::format("one thread: {} of 8 bits, {} of 32 bits",
                        per_second(one.whole_per_second, "Gop"),
                        per_second(one.float_per_second, "GFLOP")));
  for (const MachineSpeeds::Weights& one : speeds.weights)
    out.row(fmt::format("weights, {}", one.dtype),
            fmt::format("{}, one token at a time", per_second(one.bytes_per_second, "GB")));
  if (speeds.disk_read_bytes_per_second > 0)
    out.row("disk",
            fmt::format("reads {}, writes {}", per_second(speeds.disk_read_bytes_per_second, "GB"),
                        per_second(speeds.disk_write_bytes_per_second, "GB")));
}

// Measures, keeps and shows.
Status benchmark(App& app, const Arguments& arguments) {
  const MachineSpeeds speeds = TRY(measure_machine(app, arguments));
  if (arguments.has("--json")) {
    app.out.json(to_json(speeds));
    return Done{};
  }
  print(app.out, speeds);
  app.out.line(
      fmt::format("Measured in {}, and kept: `hearth show MODEL` and `hearth list "
                  "--available` tell tokens per second by it.",
                  readable_seconds(speeds.seconds)));
  return Done{};
}

Status run(App& app, const Arguments& arguments) {
  if (arguments.has("--benchmark")) return benchmark(app, arguments);
  Profile profile = TRY(read_profile(arguments));
  if (arguments.has("--watch")) return watch(app, arguments, std::move(profile));
  const auto speeds = load_speeds(standard_folders());
  if (arguments.has("--json")) {
    Json json = to_json(profile);
    json.set("speeds", speeds ? to_json(*speeds) : Json());
    app.out.json(json);
    return Done{};
  }
  print(app.out, profile);
  if (speeds)
    print(app.out, *speeds);
  else
    app.out.row("speeds", "not measured yet: `hearth info --benchmark`, some seconds");
  return Done{};
}

constexpr Option options[] = {
    {"--watch", "", "Once a second, until Ctrl-C."},
    {"--benchmark", "",
     "Measure memory, kernels and disk (under 10 s), and keep the figures for predictions."}};

}  // namespace

const Command info_command{
    .name = "info",
    .arguments = "",
    .summary = "Show this machine: processor, memory, GPUs, disk, heat, power.",
    .details = "",
    .options = options,
    .run = run};

}  // namespace hearth::cli
