#include "models/roles.h"

#include <algorithm>

namespace hearth::models {

std::optional<Role> role_named(std::string_view name) {
  const auto found = std::ranges::find(role_table, name, &RoleInfo::name);
  if (found == std::end(role_table)) return std::nullopt;
  return static_cast<Role>(found - std::begin(role_table));
}

std::vector<std::string_view> role_names() {
  std::vector<std::string_view> names;
  for (const RoleInfo& role : role_table) names.push_back(role.name);
  return names;
}

}  // namespace hearth::models
