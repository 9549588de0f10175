// hearth info: the machine as Hearth sees it.
#include <fmt/core.h>
#include <time.h>

#include <chrono>
#include <utility>

#include "cli/interrupts.h"
#include "cli/machine_rows.h"
#include "cli/measure.h"
#include "cli/rows.h"
#include "hardware/profile.h"
#include "hardware/watts.h"
#include "kernels/select.h"

namespace hearth::cli {
namespace {

using hardware::Profile;

Profile read_profile() {
  const LibraryFolders folders = standard_folders();
  return hardware::read_profile(folders.models, folders.cache);
}

Json described(const Profile& profile, const std::string& kernels) {
  Json json = to_json(profile);
  json.set("kernels", kernels);
  return json;
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

void print(Output& out, const Profile& profile, const std::string& kernels) {
  out.line(out.bold(profile.cpu.brand));
  out.row("cores", cores_text(profile.cpu));
  out.row("caches", caches_text(profile.cpu));
  out.row("instruction sets", features_text(profile.cpu));
  out.row("kernels", kernels);
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
Status watch(App& app, const Arguments& arguments, Profile profile, const std::string& kernels) {
  using Clock = std::chrono::steady_clock;
  const InterruptScope interrupts;
  Clock::time_point looked = Clock::now();
  while (!interrupts.token().stop_requested()) {
    const hardware::Condition before = profile.condition;
    const std::chrono::duration<double> since = Clock::now() - std::exchange(looked, Clock::now());
    profile.memory = hardware::read_memory();
    profile.condition = hardware::read_condition();
    const auto watts = hardware::processor_watts(before, profile.condition, since.count());
    if (arguments.has("--json")) {
      Json json = described(profile, kernels);
      json.set("processor_watts", watts ? Json(*watts) : Json());
      app.out.text(write_json(json) + "\n");
    } else {
      if (app.out.is_terminal()) app.out.text("\033[H\033[2J");
      print(app.out, profile, kernels);
      if (watts) app.out.row("power", fmt::format("{:.1f} W, of the processor", *watts));
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
    out.row("disk", fmt::format("reads {}, writes {}; {:.0f} random reads of 4 KiB a second",
                                per_second(speeds.disk_read_bytes_per_second, "GB"),
                                per_second(speeds.disk_write_bytes_per_second, "GB"),
                                speeds.disk_random_reads_per_second));
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
  const std::string kernels = TRY(kernels::choose(arguments.text("--cpu")))->name;
  Profile profile = read_profile();
  if (arguments.has("--watch")) return watch(app, arguments, std::move(profile), kernels);
  const auto speeds = load_speeds(standard_folders());
  if (arguments.has("--json")) {
    Json json = described(profile, kernels);
    json.set("speeds", speeds ? to_json(*speeds) : Json());
    app.out.json(json);
    return Done{};
  }
  print(app.out, profile, kernels);
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
