// Small files of /proc and /sys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::hardware {

// "/", or the folder that HEARTH_FAKE_MACHINE names: a machine made of files, to see what another
// one would be given and what strain would do.
std::string machine_root();

// Empty where the file cannot be read.  Without the newline at its end.
std::string read_text(const std::string& root, std::string_view path);
// Names of a folder, sorted; none where it cannot be read.
std::vector<std::string> names_in(const std::string& root, std::string_view folder);
std::vector<std::string_view> lines_of(std::string_view text);
// The number at the start of `text`.
std::optional<std::uint64_t> number_in(std::string_view text);
// "0-3,8" -> {0, 1, 2, 3, 8}
std::vector<int> list_of(std::string_view text);

// Folders of our control group and its parents, innermost first, under sys/fs/cgroup.
// `controller`: of version 1 ("cpu", "memory").
struct ControlGroups {
  std::vector<std::string> unified, legacy;
};
ControlGroups control_groups(const std::string& root, std::string_view controller);

}  // namespace hearth::hardware
