// The value itself; json.cpp reads and writes its text.
#include <algorithm>
#include <limits>

#include "base/json.h"

namespace hearth {

Json::Json(const char* value) : value_(std::string(value)) {}
Json::Json(std::string_view value) : value_(std::string(value)) {}
Json::Json(std::string value) : value_(std::move(value)) {}
Json::Json(Array value) : value_(std::move(value)) {}
Json::Json(Object value) : value_(std::move(value)) {}

Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

Json Json::array() { return Json(Array{}); }
Json Json::object() { return Json(Object{}); }
Json Json::object(std::initializer_list<Member> members) { return Json(Object(members)); }

Json::Json(unsigned long value) {
  if (value <= static_cast<unsigned long>(std::numeric_limits<std::int64_t>::max()))
    value_ = static_cast<std::int64_t>(value);
  else
    value_ = static_cast<double>(value);
}

bool Json::is_number() const {
  return is_integer() || std::holds_alternative<float>(value_) ||
         std::holds_alternative<double>(value_);
}

std::string_view Json::type_name() const {
  static constexpr std::string_view names[] = {"null",   "boolean", "integer", "number",
                                               "number", "string",  "array",   "object"};
  return names[value_.index()];
}

double Json::as_number() const {
  if (is_integer()) return static_cast<double>(as_integer());
  if (const float* f = std::get_if<float>(&value_)) return static_cast<double>(*f);
  return std::get<double>(value_);
}

std::size_t Json::size() const {
  if (is_array()) return as_array().size();
  if (is_object()) return as_object().size();
  return 0;
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const Member& member : as_object())
    if (member.first == key) return &member.second;
  return nullptr;
}

Json* Json::find(std::string_view key) {
  return const_cast<Json*>(static_cast<const Json*>(this)->find(key));
}

void Json::push_back(Json value) { as_array().push_back(std::move(value)); }

void Json::set(std::string key, Json value) {
  if (Json* found = find(key))
    *found = std::move(value);
  else
    as_object().emplace_back(std::move(key), std::move(value));
}

bool Json::operator==(const Json& other) const {
  if (is_number() && other.is_number()) {
    if (is_integer() && other.is_integer()) return as_integer() == other.as_integer();
    return as_number() == other.as_number();
  }
  if (is_object() && other.is_object()) {
    if (size() != other.size()) return false;
    return std::all_of(as_object().begin(), as_object().end(), [&](const Member& member) {
      const Json* twin = other.find(member.first);
      return twin && *twin == member.second;
    });
  }
  if (value_.index() != other.value_.index()) return false;
  if (is_array()) return as_array() == other.as_array();
  if (is_string()) return as_string() == other.as_string();
  if (is_bool()) return as_bool() == other.as_bool();
  return true;
}

}  // namespace hearth
