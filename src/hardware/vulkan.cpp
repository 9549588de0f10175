#include "hardware/vulkan.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "base/bytes.h"
#include "base/child_process.h"
#include "base/detached.h"
#include "base/files.h"
#include "base/shared_library.h"
#include "base/store_files.h"
#include "hardware/system_files.h"

namespace hearth::hardware {
namespace {

using State = VulkanReport::State;

constexpr std::uint64_t max_cache_bytes = 1u << 20;
constexpr int limit_seconds = 5;
constexpr std::string_view state_names[] = {"absent", "asking", "known", "no_answer"};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

void add_parts(std::vector<std::string>& list, std::string_view text, std::string_view ending) {
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(':'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    if (!part.empty()) list.push_back(std::string(part) + std::string(ending));
  }
}

// Files that name drivers.  Source: Vulkan-Loader, LoaderDriverInterface.md, "Driver Discovery".
std::vector<std::string> driver_manifests(const std::string& root) {
  std::vector<std::string> files;
  for (const char* name : {"VK_DRIVER_FILES", "VK_ICD_FILENAMES"})
    if (root == "/" && files.empty()) add_parts(files, variable(name), "");
  if (!files.empty()) return files;
  constexpr std::string_view inside = "/vulkan/icd.d";
  std::vector<std::string> folders;
  const std::string home = variable("HOME");
  const auto or_else = [](const std::string& value, const std::string& other) {
    return value.empty() ? other : value;
  };
  if (root == "/") {
    add_parts(folders, or_else(variable("XDG_CONFIG_HOME"), home + "/.config"), inside);
    add_parts(folders, or_else(variable("XDG_DATA_HOME"), home + "/.local/share"), inside);
    add_parts(folders, or_else(variable("XDG_CONFIG_DIRS"), "/etc/xdg"), inside);
  }
  for (const std::string_view base : {"etc", "usr/local/etc", "usr/local/share", "usr/share"})
    folders.push_back(join_path(root, base) + std::string(inside));
  for (const std::string& folder : folders)
    for (const std::string& name : list_folder(folder).value_or({}))
      if (name.ends_with(".json")) files.push_back(join_path(folder, name));
  return files;
}

std::string identity_text(const std::string& path) {
  const auto identity = file_identity(path);
  return identity ? fmt::format("{} {} {}\n", path, identity->bytes, identity->modified_ns) : "";
}

// Another text for other drivers, another loader or other devices; empty: no driver is installed.
std::string drivers_text(const std::string& root) {
  std::string text;
  for (const std::string& file : driver_manifests(root)) {
    const std::string manifest = identity_text(file);
    if (manifest.empty()) continue;
    text += manifest;
    const auto content = read_file(file, max_cache_bytes);
    const auto json = content ? parse_json(*content) : Result<Json>(Json());
    const Json* driver = json && json->is_object() ? json->find("ICD") : nullptr;
    const Json* library = driver && driver->is_object() ? driver->find("library_path") : nullptr;
    if (library && library->is_string()) text += identity_text(library->as_string());
  }
  if (text.empty()) return text;
  for (const std::string_view folder :
       {"usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib"})
    text += identity_text(join_path(join_path(root, folder), "libvulkan.so.1"));
  for (const std::string& name : names_in(root, "sys/class/drm")) text += name + "\n";
  return text + variable("LD_LIBRARY_PATH");
}

Json to_json(const VulkanDevice& device) {
  return Json::object({{"name", device.name},
                       {"kind", device.kind},
                       {"driver", device.driver},
                       {"api", device.api},
                       {"memory_bytes", device.memory_bytes},
                       {"vendor_id", static_cast<std::uint64_t>(device.vendor_id)},
                       {"device_id", static_cast<std::uint64_t>(device.device_id)}});
}

std::string text_in(const Json& json, std::string_view name) {
  const Json* value = json.find(name);
  return value && value->is_string() ? value->as_string() : "";
}
double number_in(const Json& json, std::string_view name) {
  const Json* value = json.find(name);
  return value && value->is_number() ? value->as_number() : 0;
}

VulkanDevice device_from(const Json& json) {
  return {.name = text_in(json, "name"),
          .kind = text_in(json, "kind"),
          .driver = text_in(json, "driver"),
          .api = text_in(json, "api"),
          .memory_bytes = static_cast<std::uint64_t>(number_in(json, "memory_bytes")),
          .vendor_id = static_cast<std::uint32_t>(number_in(json, "vendor_id")),
          .device_id = static_cast<std::uint32_t>(number_in(json, "device_id"))};
}

void keep(const std::string& file, const std::string& drivers, const VulkanReport& report) {
  Json json = to_json(report);
  json.set("drivers", drivers);
  json.set("time", static_cast<std::int64_t>(std::time(nullptr)));
  const std::string text = write_json(json);
  (void)replace_file(file, bytes_of(text)).ok();  // otherwise asked again next time
}

// Nothing: nobody asked these drivers yet.
std::optional<VulkanReport> kept(const std::string& file, const std::string& drivers) {
  const auto text = read_file(file, max_cache_bytes);
  const auto json = text ? parse_json(*text) : Result<Json>(Json());
  if (!json || !json->is_object() || text_in(*json, "drivers") != drivers) return std::nullopt;
  const auto name = std::ranges::find(state_names, text_in(*json, "state"));
  if (name == std::end(state_names)) return std::nullopt;
  VulkanReport report{.state = static_cast<State>(name - std::begin(state_names)), .devices = {}};
  const double age = static_cast<double>(std::time(nullptr)) - number_in(*json, "time");
  if (report.state == State::asking && (age > limit_seconds + 1 || age < 0))
    report.state = State::no_answer;
  if (const Json* devices = json->find("devices"); devices && devices->is_array())
    for (const Json& device : devices->as_array())
      if (device.is_object()) report.devices.push_back(device_from(device));
  return report;
}

// What drivers look for their files and their settings by.
std::vector<std::pair<std::string, std::string>> environment() {
  std::vector<std::pair<std::string, std::string>> all{{"VK_LOADER_LAYERS_DISABLE", "~implicit~"}};
  for (const char* name :
       {"HOME", "PATH", "LD_LIBRARY_PATH", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CONFIG_DIRS",
        "XDG_CACHE_HOME", "VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"})
    if (const std::string value = variable(name); !value.empty()) all.emplace_back(name, value);
  return all;
}

}  // namespace

namespace {

// The file that this process runs; empty: not known.
std::string own_program() {
  char target[4096];
  const ssize_t size = ::readlink("/proc/self/exe", target, sizeof target);
  return size <= 0 ? "" : std::string(target, static_cast<std::size_t>(size));
}

}  // namespace

VulkanQuestion vulkan_question(const std::string& cache_folder) {
  constexpr auto patience = std::chrono::milliseconds(30);  // `hearth info` takes 100
  VulkanQuestion question{
      .cache_file = join_path(cache_folder, "vulkan.json"), .command = {}, .patience = patience};
  const std::string program = own_program();
  if (file_name(program) == "hearth")
    question.command = {program, std::string(ask_vulkan_flag), question.cache_file};
  return question;
}

VulkanReport read_vulkan(const VulkanQuestion& question) {
  const std::string drivers = drivers_text(question.root);
  if (drivers.empty()) return {};
  if (auto known = kept(question.cache_file, drivers)) return *std::move(known);
  if (question.command.empty()) return {.state = State::asking, .devices = {}};
  keep(question.cache_file, drivers, {.state = State::asking, .devices = {}});
  const auto child = ChildProcess::start(
      {.command = question.command, .environment = environment(), .folder = ""});
  if (!child) return {.state = State::no_answer, .devices = {}};
  const auto end = std::chrono::steady_clock::now() + question.patience;
  bool is_over = false;
  while (!is_over && std::chrono::steady_clock::now() < end)
    is_over = (*child)
                  ->read(std::chrono::duration_cast<std::chrono::milliseconds>(
                      end - std::chrono::steady_clock::now()))
                  .is_over;
  VulkanReport report =
      kept(question.cache_file, drivers).value_or(VulkanReport{State::asking, {}});
  if (is_over && report.state == State::asking) {  // it ended, and wrote nothing
    report.state = State::no_answer;
    keep(question.cache_file, drivers, report);
  }
  return report;
}

Json to_json(const VulkanReport& report) {
  Json devices = Json::array();
  for (const VulkanDevice& device : report.devices) devices.push_back(to_json(device));
  return Json::object({{"state", state_names[static_cast<std::size_t>(report.state)]},
                       {"devices", std::move(devices)}});
}

int answer_vulkan(const std::string& cache_file) {
  if (!detach(limit_seconds)) return 0;  // the one that was asked
  VulkanReport report{.state = State::known, .devices = {}};
  const auto loader = SharedLibrary::open({"libvulkan.so.1", "libvulkan.so"});
  if (loader) {
    auto devices = ask_vulkan([&](const char* name) -> void* {
      void (*function)() = nullptr;
      return loader->find(name, function) ? reinterpret_cast<void*>(function) : nullptr;
    });
    if (devices) report.devices = *std::move(devices);
  }
  keep(cache_file, drivers_text("/"), report);
  return 0;
}

void complete(std::vector<Gpu>& gpus, const VulkanReport& report) {
  for (const VulkanDevice& device : report.devices) {
    if (device.is_software()) continue;
    const std::string pci = fmt::format("PCI device 0x{:04x}", device.device_id);
    const std::string vendor = vendor_name(fmt::format("0x{:04x}", device.vendor_id));
    const auto same = std::ranges::find_if(gpus, [&](const Gpu& gpu) {
      return gpu.vendor == vendor && gpu.kind.empty() &&
             (gpu.name == pci || gpu.name == device.name || !gpu.name.starts_with("PCI device"));
    });
    if (same == gpus.end()) {
      gpus.push_back({.vendor = vendor,
                      .name = device.name,
                      .driver = device.driver,
                      .memory_bytes = device.memory_bytes,
                      .free_bytes = 0,
                      .compute = "",
                      .kind = device.kind,
                      .vulkan = device.api});
      continue;
    }
    same->kind = device.kind;
    same->vulkan = device.api;
    if (same->name == pci) same->name = device.name;
    // An integrated one shares the machine's memory.
    if (same->memory_bytes == 0 && device.kind == "discrete")
      same->memory_bytes = device.memory_bytes;
  }
}

}  // namespace hearth::hardware
