// Members of JSON that others wrote: absent, and of another type, is the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace hearth {

// Empty: there is none.
inline std::string text_member(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  return member && member->is_string() ? member->as_string() : std::string();
}

// 0: there is none.
inline double number_member(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  return member && member->is_number() ? member->as_number() : 0;
}

// 0: there is none, or it is below.
inline std::uint64_t count_member(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  const bool is_count = member && member->is_integer() && member->as_integer() > 0;
  return is_count ? static_cast<std::uint64_t>(member->as_integer()) : 0;
}

}  // namespace hearth
