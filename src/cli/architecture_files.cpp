#include "cli/architecture_files.h"

#include <algorithm>

#include "base/files.h"
#include "base/user_folders.h"
#include "config/file_values.h"
#include "models/user_spec.h"

namespace hearth::cli {
namespace {

bool is_settings(const std::string& name) {
  constexpr std::string_view endings[] = {".toml", ".json", ".yaml", ".yml"};
  return std::ranges::any_of(endings,
                             [&](std::string_view ending) { return name.ends_with(ending); });
}

Status read_one(const std::string& path) {
  std::vector<ArchitectureValue> values;
  for (FileValue& value : TRY(read_settings_file(path)))
    values.emplace_back(std::move(value.key), std::move(value.value));
  auto added = add_architecture(values);
  if (!added.ok()) return std::move(added).error().within(path);
  return Done{};
}

}  // namespace

std::string architectures_folder() {
  return in_user_folder(UserFolder::config, "hearth/architectures");
}

std::vector<Error> read_architectures(const std::string& folder) {
  std::vector<Error> errors;
  if (folder.empty() || !is_folder(folder)) return errors;
  auto names = list_folder(folder);
  if (!names) {
    errors.push_back(std::move(names).error());
    return errors;
  }
  std::ranges::sort(*names);
  for (const std::string& name : *names) {
    if (!is_settings(name)) continue;
    auto read = read_one(join_path(folder, name));
    if (!read.ok()) errors.push_back(std::move(read).error());
  }
  return errors;
}

}  // namespace hearth::cli
