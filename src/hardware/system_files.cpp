#include "hardware/system_files.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/ascii.h"
#include "base/files.h"

namespace hearth::hardware {
namespace {

constexpr std::uint64_t max_bytes = 4u << 20;  // /proc/cpuinfo of a machine with 1,000 cores

// "/a/b" -> {"base/a/b", "base/a", "base"}
std::vector<std::string> with_parents(const std::string& base, std::string_view group) {
  std::vector<std::string> folders;
  while (group.size() > 1) {
    folders.push_back(fmt::format("{}{}", base, group));
    group = group.substr(0, group.find_last_of('/'));
  }
  folders.push_back(base);
  return folders;
}

}  // namespace

std::string machine_root() {
  const char* fake = std::getenv("HEARTH_FAKE_MACHINE");
  return fake && *fake ? fake : "/";
}

std::string read_text(const std::string& root, std::string_view path) {
  auto text = read_file(join_path(root, path), max_bytes);
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return std::move(*text);
}

std::vector<std::string> names_in(const std::string& root, std::string_view folder) {
  auto names = list_folder(join_path(root, folder));
  return names ? *std::move(names) : std::vector<std::string>();
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) lines.push_back(take_line(text));
  return lines;
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text.remove_prefix(1);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

std::vector<int> list_of(std::string_view text) {
  constexpr std::uint64_t max_core = 65'536;
  std::vector<int> list;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view range = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto first = number_in(range);
    const std::size_t dash = range.find('-');
    const auto last = dash == range.npos ? first : number_in(range.substr(dash + 1));
    if (!first || !last || *last > max_core) continue;
    for (std::uint64_t core = *first; core <= *last; ++core) list.push_back(static_cast<int>(core));
  }
  return list;
}

ControlGroups control_groups(const std::string& root, std::string_view controller) {
  ControlGroups groups;
  const std::string text = read_text(root, "proc/self/cgroup");
  for (const std::string_view line : lines_of(text)) {  // "4:memory:/group", "0::/group"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string names = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const std::string_view group = line.substr(second + 1);
    if (names == ",,")
      groups.unified = with_parents("sys/fs/cgroup", group);
    else if (names.find(fmt::format(",{},", controller)) != names.npos)
      groups.legacy = with_parents(fmt::format("sys/fs/cgroup/{}", controller), group);
  }
  return groups;
}

}  // namespace hearth::hardware
