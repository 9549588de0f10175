#include "config/file_values.h"

#include "base/files.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_file_bytes = 1 << 20;  // far above any real settings file

bool is_yaml(std::string_view path) {
  return path.ends_with(".yaml") || path.ends_with(".yml") || path.ends_with(".json");
}

}  // namespace

Result<std::vector<FileValue>> read_settings_file(const std::string& path) {
  const std::string text = TRY(read_file(path, max_file_bytes));
  auto values = is_yaml(path) ? parse_yaml(text) : parse_toml(text);
  if (!values) return std::move(values).error().within(path);
  return values;
}

}  // namespace hearth
