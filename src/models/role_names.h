// The names of roles, for files that people write.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "models/arch_spec.h"

namespace hearth::models {

std::optional<Role> role_named(std::string_view name);
std::span<const std::string_view> role_names();

}  // namespace hearth::models
