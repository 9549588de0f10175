#include "config/file_values.h"

#include "base/files.h"

namespace hearth {
namespace {

bool is_yaml(std::string_view path) {
  return path.ends_with(".yaml") || path.ends_with(".yml") || path.ends_with(".json");
}

}  // namespace

Result<std::vector<FileValue>> parse_settings(const std::string& path, std::string_view text) {
  auto values = is_yaml(path) ? parse_yaml(text) : parse_toml(text);
  if (!values) return std::move(values).error().within(path);
  return values;
}

Result<std::vector<FileValue>> read_settings_file(const std::string& path) {
  return parse_settings(path, TRY(read_file(path, max_settings_bytes)));
}

}  // namespace hearth
