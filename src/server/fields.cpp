#include "server/fields.h"

#include <fmt/core.h>

#include "base/utf8.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_members = 4u << 20;  // a batch of token arrays: 2048 of 2048

Problem needs(std::string_view name, const Json& value, std::string_view what) {
  const bool is_scalar = value.is_number() || value.is_bool();
  const std::string held = is_scalar ? fmt::format("{} ", write_json(value)) : std::string();
  return invalid_value(name, fmt::format("holds {}({}): needs {}", held, value.type_name(), what));
}

}  // namespace

const Json* given(const Json& body, std::string_view name) {
  const Json* value = body.find(name);
  return value && !value->is_null() ? value : nullptr;
}

std::string_view text_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value && value->is_string() ? std::string_view(value->as_string()) : "";
}

std::string describe(const Range& range, bool is_whole) {
  return fmt::format("{} {} {:.15g} {} {:.15g}", is_whole ? "a whole number" : "a number",
                     range.above_min ? "above" : "from", range.min,
                     range.above_min ? "and up to" : "to", range.max);
}

Checked<std::optional<double>> read_number(const Json& body, std::string_view name, Range range) {
  const Json* value = given(body, name);
  if (!value) return std::optional<double>();
  if (!value->is_number()) return needs(name, *value, describe(range, false));
  const double number = value->as_number();
  const bool is_low = range.above_min ? !(number > range.min) : !(number >= range.min);
  if (is_low || !(number <= range.max)) return needs(name, *value, describe(range, false));
  return std::optional(number);
}

Checked<std::optional<std::int64_t>> read_integer(const Json& body, std::string_view name,
                                                  std::int64_t min, std::int64_t max) {
  const Json* value = given(body, name);
  if (!value) return std::optional<std::int64_t>();
  const auto wanted = [&] { return fmt::format("a whole number from {} to {}", min, max); };
  if (!value->is_integer()) return needs(name, *value, wanted());
  const std::int64_t number = value->as_integer();
  if (number < min || number > max) return needs(name, *value, wanted());
  return std::optional(number);
}

Checked<std::optional<bool>> read_bool(const Json& body, std::string_view name) {
  const Json* value = given(body, name);
  if (!value) return std::optional<bool>();
  if (!value->is_bool()) return needs(name, *value, "true or false");
  return std::optional(value->as_bool());
}

Checked<std::optional<std::string>> read_text(const Json& body, std::string_view name,
                                              std::size_t max_bytes) {
  const Json* value = given(body, name);
  if (!value) return std::optional<std::string>();
  if (!value->is_string()) return needs(name, *value, "a text");
  if (value->as_string().size() > max_bytes)
    return invalid_value(
        name, fmt::format("has {} bytes: needs at most {}", value->as_string().size(), max_bytes));
  return std::optional(value->as_string());
}

Checked<std::optional<Milliseconds>> read_keep_alive(const Json& body) {
  const Json* value = given(body, "keep_alive");
  if (!value) return std::optional<Milliseconds>();
  if (value->is_number()) return std::optional(duration_of_seconds(value->as_number()));
  if (value->is_string())
    if (const auto duration = parse_duration(value->as_string())) return std::optional(*duration);
  return invalid_value("keep_alive", "needs a number of seconds or a duration such as 5m");
}

Checked<Json> parse_body(std::string_view text) {
  JsonLimits limits;
  limits.max_members = max_members;
  auto body = parse_json(text, limits);
  if (!body)
    return Problem{400, "invalid_json",
                   fmt::format("the body is not JSON: {}", printable(body.error().message(), 200)),
                   "", 0};
  if (!body->is_object())
    return Problem{400, "invalid_json", "the body needs to be a JSON object", "", 0};
  return std::move(*body);
}

}  // namespace hearth::server
