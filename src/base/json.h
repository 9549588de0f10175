// Json: a small value type; reading and writing JSON text.
// Source: RFC 8259.  Objects keep their order.  Parsing refuses duplicate keys, invalid UTF-8 and
// lone surrogates, depth and size past the limits, and numbers outside the range of a double.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace hearth {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(std::int64_t{value}) {}
  Json(unsigned value) : value_(std::int64_t{value}) {}
  Json(long value) : value_(std::int64_t{value}) {}
  Json(long long value) : value_(std::int64_t{value}) {}
  Json(unsigned long value);  // above the range of int64: a double
  Json(unsigned long long value) : Json(static_cast<unsigned long>(value)) {}
  Json(float value) : value_(value) {}  // written with the shortest digits of a float
  Json(double value) : value_(value) {}
  Json(const char* value);
  Json(std::string_view value);
  Json(std::string value);
  Json(Array value);
  Json(Object value);
  // None is inline: the variant's code would be in every source that handles a Json.
  Json(const Json&);
  Json(Json&&) noexcept;
  Json& operator=(const Json&);
  Json& operator=(Json&&) noexcept;
  ~Json();

  static Json array();
  static Json object();
  // Json::object({{"a", 1}, {"b", "two"}})
  static Json object(std::initializer_list<Member> members);

  bool is_null() const { return value_.index() == 0; }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(value_); }
  bool is_number() const;
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  bool type_is_float() const { return std::holds_alternative<float>(value_); }
  std::string_view type_name() const;  // "null", "boolean", "integer", "number", "string", ...

  // Unchecked by type: the caller has asked is_...() before.
  bool as_bool() const { return std::get<bool>(value_); }
  std::int64_t as_integer() const { return std::get<std::int64_t>(value_); }
  double as_number() const;  // integers too
  const std::string& as_string() const { return std::get<std::string>(value_); }
  const Array& as_array() const { return std::get<Array>(value_); }
  Array& as_array() { return std::get<Array>(value_); }
  const Object& as_object() const { return std::get<Object>(value_); }
  Object& as_object() { return std::get<Object>(value_); }

  std::size_t size() const;  // elements or members; 0 for scalars
  // The member, or nullptr (also when this is no object).  Linear in the number of members.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key);
  void set(std::string key, Json value);  // replaces or appends; this must be an object
  void push_back(Json value);

  bool operator==(const Json& other) const;  // objects compare without order; 1 == 1.0

 private:
  std::variant<std::monostate, bool, std::int64_t, float, double, std::string, Array, Object>
      value_;
};

struct JsonLimits {
  std::size_t max_bytes = 256u << 20;
  int max_depth = 64;
  std::size_t max_members = 16u << 20;  // keys and elements, all together
};

// One JSON text and nothing after it but white space.  The error names the byte offset.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

struct JsonStyle {
  int indent = -1;  // spaces per level; -1: one line
  std::string_view item_separator = ",";
  std::string_view key_separator = ":";
  bool ascii_only = false;
};

// Invalid UTF-8 in strings becomes U+FFFD.  Infinities and NaN become null.
std::string write_json(const Json& value, const JsonStyle& style = {});
void append_json_string(std::string& out, std::string_view text, bool ascii_only = false);

// Typed access to members of a request or file, with errors that name the key, what it held and
// what it needed.  T: bool, std::int64_t, double, std::string, Json::Array (as Json).
template <typename T>
Result<T> required(const Json& object, std::string_view key);
// Absent or null: `fallback`.
template <typename T>
Result<T> optional(const Json& object, std::string_view key, T fallback);

}  // namespace hearth
