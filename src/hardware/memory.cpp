#include "hardware/memory.h"

#include <algorithm>

#include "hardware/system_files.h"

namespace hearth::hardware {
namespace {

std::uint64_t kilobytes(std::string_view meminfo, std::string_view key) {
  for (const std::string_view line : lines_of(meminfo))
    if (line.starts_with(key)) return number_in(line.substr(key.size())).value_or(0) << 10;
  return 0;
}

// Pages of files that the group read and may lose at any time: mapped models, above all.
std::uint64_t cached_bytes(const std::string& root, const std::string& folder) {
  const std::string text = read_text(root, folder + "/memory.stat");
  for (const std::string_view line : lines_of(text))
    for (const std::string_view key : {"inactive_file ", "total_inactive_file "})
      if (line.starts_with(key)) return number_in(line.substr(key.size())).value_or(0);
  return 0;
}

}  // namespace

std::uint64_t Memory::free_bytes() const {
  if (limit_bytes == 0) return available_bytes;
  return std::min(available_bytes, limit_bytes - std::min(limit_bytes, used_in_limit_bytes));
}

Memory read_memory(const std::string& root) {
  Memory memory;
  const std::string meminfo = read_text(root, "proc/meminfo");
  memory.total_bytes = kilobytes(meminfo, "MemTotal:");
  memory.available_bytes = kilobytes(meminfo, "MemAvailable:");
  const ControlGroups groups = control_groups(root, "memory");
  // The tightest of our group and its parents counts.
  const auto consider = [&](const std::string& folder, const char* limit_file,
                            const char* usage_file) {
    const auto limit = number_in(read_text(root, folder + limit_file));  // "max": no number
    if (!limit || *limit >= memory.total_bytes) return;
    if (memory.limit_bytes != 0 && *limit >= memory.limit_bytes) return;
    memory.limit_bytes = *limit;
    const std::uint64_t used = number_in(read_text(root, folder + usage_file)).value_or(0);
    memory.used_in_limit_bytes = used - std::min(used, cached_bytes(root, folder));
  };
  for (const std::string& folder : groups.unified)
    consider(folder, "/memory.max", "/memory.current");
  for (const std::string& folder : groups.legacy)
    consider(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes");
  return memory;
}

}  // namespace hearth::hardware
