// Typed members of the parts of a tokenizer.json.
#include <fmt/core.h>

#include "text/hugging_face/parts.h"

namespace hearth::hugging_face {
namespace {

Error wrong(std::string_view key, const Json& value, std::string_view needed) {
  return Error(ErrorKind::corrupt,
               fmt::format("'{}': a {}, not {}", key, value.type_name(), needed));
}

bool is_absent(const Json* value) { return value == nullptr || value->is_null(); }

}  // namespace

Result<std::string_view> type_of(const Json& part, std::string_view where) {
  const Json* const type = part.find("type");
  if (type == nullptr || !type->is_string())
    return Error(ErrorKind::corrupt, fmt::format("{}: has no 'type'", where));
  return std::string_view(type->as_string());
}

Result<bool> flag(const Json& part, std::string_view key, bool fallback) {
  const Json* const value = part.find(key);
  if (is_absent(value)) return fallback;
  if (!value->is_bool()) return wrong(key, *value, "a boolean");
  return value->as_bool();
}

Result<std::string> text(const Json& part, std::string_view key, std::string_view fallback) {
  const Json* const value = part.find(key);
  if (is_absent(value)) return std::string(fallback);
  if (!value->is_string()) return wrong(key, *value, "a string");
  return value->as_string();
}

Result<std::string> needed_text(const Json& part, std::string_view key) {
  const Json* const value = part.find(key);
  if (is_absent(value)) return Error(ErrorKind::corrupt, fmt::format("'{}' is missing", key));
  return text(part, key, "");
}

Result<std::size_t> count(const Json& part, std::string_view key, std::size_t fallback) {
  const Json* const value = part.find(key);
  if (is_absent(value)) return fallback;
  if (!value->is_integer() || value->as_integer() < 0) return wrong(key, *value, "a count");
  return static_cast<std::size_t>(value->as_integer());
}

Result<Pattern> pattern(const Json& part, std::string_view key) {
  const Json* const value = part.find(key);
  if (value != nullptr && value->is_string()) return Pattern{value->as_string(), false};
  if (value != nullptr) {
    const Json* const string = value->find("String");
    if (string != nullptr && string->is_string()) return Pattern{string->as_string(), false};
    const Json* const regex = value->find("Regex");
    if (regex != nullptr && regex->is_string()) return Pattern{regex->as_string(), true};
  }
  return Error(ErrorKind::corrupt, fmt::format("'{}': needs a String or a Regex", key));
}

}  // namespace hearth::hugging_face
