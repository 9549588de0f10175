#include "formats/metadata.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "base/utf8.h"

namespace hearth {
namespace {

struct TypeInfo {
  std::string_view name;
  std::size_t bytes;
};
// In the order of the enum.
constexpr std::array types = std::to_array<TypeInfo>({
    {"u8", 1},
    {"i8", 1},
    {"u16", 2},
    {"i16", 2},
    {"u32", 4},
    {"i32", 4},
    {"f32", 4},
    {"bool", 1},
    {"string", 0},
    {"array", 0},
    {"u64", 8},
    {"i64", 8},
    {"f64", 8},
});

template <typename T>
T load(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

bool is_integer(MetaType type) {
  switch (type) {
    case MetaType::u8:
    case MetaType::i8:
    case MetaType::u16:
    case MetaType::i16:
    case MetaType::u32:
    case MetaType::i32:
    case MetaType::u64:
    case MetaType::i64:
      return true;
    default:
      return false;
  }
}

// Any stored integer fits one of the two: sign and magnitude, two's complement.
struct Wide {
  std::uint64_t bits;
  bool negative;
};

Wide wide_integer(const MetaValue& value, std::size_t i) {
  const auto of_signed = [](std::int64_t v) { return Wide{static_cast<std::uint64_t>(v), v < 0}; };
  switch (value.type) {
    case MetaType::u8:
      return {load<std::uint8_t>(value.bytes, i), false};
    case MetaType::u16:
      return {load<std::uint16_t>(value.bytes, i), false};
    case MetaType::u32:
      return {load<std::uint32_t>(value.bytes, i), false};
    case MetaType::u64:
      return {load<std::uint64_t>(value.bytes, i), false};
    case MetaType::i8:
      return of_signed(load<std::int8_t>(value.bytes, i));
    case MetaType::i16:
      return of_signed(load<std::int16_t>(value.bytes, i));
    case MetaType::i32:
      return of_signed(load<std::int32_t>(value.bytes, i));
    default:
      return of_signed(load<std::int64_t>(value.bytes, i));
  }
}

double real_at(const MetaValue& value, std::size_t i) {
  return value.type == MetaType::f32 ? static_cast<double>(load<float>(value.bytes, i))
                                     : load<double>(value.bytes, i);
}

// The reader has checked that `value.bytes` holds `count` whole strings.
std::string_view next_string(ByteReader& in) {
  auto text = in.text(std::numeric_limits<std::uint64_t>::max());
  return text ? *text : std::string_view();
}

std::string held(const MetaValue& value) {
  return value.is_array ? fmt::format("an array of {} {}", value.count, name_of(value.type))
                        : fmt::format("a {}", name_of(value.type));
}

Error wrong_type(std::string_view key, const MetaValue& value, std::string_view needed) {
  return Error(ErrorKind::corrupt, fmt::format("metadata '{}': holds {}, needs {}", printable(key),
                                               held(value), needed));
}

enum class Arity { one, any };

Result<const MetaValue*> find_as(const Metadata& metadata, std::string_view key, Arity arity,
                                 bool (*fits)(MetaType), std::string_view needed) {
  const MetaValue* value = metadata.find(key);
  if (!value)
    return Error(ErrorKind::not_found, fmt::format("metadata '{}': missing", printable(key)));
  if ((arity == Arity::one && value->is_array) || !fits(value->type))
    return wrong_type(key, *value, needed);
  return value;
}

bool is_real(MetaType type) { return type == MetaType::f32 || type == MetaType::f64; }
bool is_boolean(MetaType type) { return type == MetaType::boolean; }
bool is_string(MetaType type) { return type == MetaType::string; }

template <typename T>
Result<T> fit_integer(std::string_view key, const MetaValue& value, std::size_t i) {
  const Wide wide = wide_integer(value, i);
  const bool fits = std::is_signed_v<T>
                        ? wide.negative || wide.bits <= std::numeric_limits<std::int64_t>::max()
                        : !wide.negative;
  if (fits) return static_cast<T>(wide.bits);
  const std::string number = wide.negative ? fmt::format("{}", static_cast<std::int64_t>(wide.bits))
                                           : fmt::format("{}", wide.bits);
  return Error(ErrorKind::corrupt,
               fmt::format("metadata '{}': {} is out of range, needs {}", printable(key), number,
                           std::is_signed_v<T> ? "an i64" : "no sign"));
}

template <typename T>
Result<std::vector<T>> all_integers(const Metadata& metadata, std::string_view key) {
  const MetaValue* value =
      TRY(find_as(metadata, key, Arity::any, is_integer, "an array of integers"));
  std::vector<T> all(value->count);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = TRY(fit_integer<T>(key, *value, i));
  return all;
}

Json element_to_json(const MetaValue& value, std::size_t i) {
  if (is_real(value.type))
    return value.type == MetaType::f32 ? Json(load<float>(value.bytes, i))
                                       : Json(load<double>(value.bytes, i));
  if (value.type == MetaType::boolean) return load<std::uint8_t>(value.bytes, i) != 0;
  const Wide wide = wide_integer(value, i);
  return wide.negative ? Json(static_cast<long>(wide.bits)) : Json(wide.bits);
}

Json value_to_json(const MetaValue& value, std::size_t max_elements) {
  ByteReader in(value.bytes);
  const auto element = [&](std::size_t i) {
    return value.type == MetaType::string ? Json(repair_utf8(next_string(in)))
                                          : element_to_json(value, i);
  };
  if (!value.is_array) return element(0);
  if (value.count > max_elements) return fmt::format("{} x {}", value.count, name_of(value.type));
  Json all = Json::array();
  for (std::size_t i = 0; i < value.count; ++i) all.push_back(element(i));
  return all;
}

}  // namespace

std::string_view name_of(MetaType type) { return types[std::to_underlying(type)].name; }
std::size_t size_of(MetaType type) { return types[std::to_underlying(type)].bytes; }

const MetaValue* Metadata::find(std::string_view key) const {
  const auto found = places_.find(key);
  return found == places_.end() ? nullptr : &entries_[found->second].value;
}

bool Metadata::add(std::string key, MetaValue value) {
  if (!places_.emplace(key, entries_.size()).second) return false;
  entries_.push_back({std::move(key), value});
  return true;
}

Result<std::uint64_t> Metadata::unsigned_integer(std::string_view key) const {
  const MetaValue* value = TRY(find_as(*this, key, Arity::one, is_integer, "an integer"));
  return fit_integer<std::uint64_t>(key, *value, 0);
}

Result<std::int64_t> Metadata::integer(std::string_view key) const {
  const MetaValue* value = TRY(find_as(*this, key, Arity::one, is_integer, "an integer"));
  return fit_integer<std::int64_t>(key, *value, 0);
}

Result<double> Metadata::real(std::string_view key) const {
  const MetaValue* value = TRY(find_as(*this, key, Arity::one, is_real, "a float"));
  return real_at(*value, 0);
}

Result<bool> Metadata::boolean(std::string_view key) const {
  const MetaValue* value = TRY(find_as(*this, key, Arity::one, is_boolean, "a bool"));
  return load<std::uint8_t>(value->bytes, 0) != 0;
}

Result<std::string_view> Metadata::string(std::string_view key) const {
  const MetaValue* value = TRY(find_as(*this, key, Arity::one, is_string, "a string"));
  ByteReader in(value->bytes);
  return next_string(in);
}

Result<std::vector<std::uint64_t>> Metadata::unsigned_integers(std::string_view key) const {
  return all_integers<std::uint64_t>(*this, key);
}

Result<std::vector<std::int64_t>> Metadata::integers(std::string_view key) const {
  return all_integers<std::int64_t>(*this, key);
}

Result<std::vector<float>> Metadata::reals(std::string_view key) const {
  const MetaValue* value = TRY(find_as(*this, key, Arity::any, is_real, "an array of floats"));
  std::vector<float> all(value->count);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(real_at(*value, i));
  return all;
}

Result<std::vector<bool>> Metadata::booleans(std::string_view key) const {
  const MetaValue* value = TRY(find_as(*this, key, Arity::any, is_boolean, "an array of bools"));
  std::vector<bool> all(value->count);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = load<std::uint8_t>(value->bytes, i) != 0;
  return all;
}

Result<std::vector<std::string_view>> Metadata::strings(std::string_view key) const {
  const MetaValue* value = TRY(find_as(*this, key, Arity::any, is_string, "an array of strings"));
  std::vector<std::string_view> all(value->count);
  ByteReader in(value->bytes);
  for (std::string_view& text : all) text = next_string(in);
  return all;
}

Json Metadata::to_json(std::size_t max_elements) const {
  Json::Object members;
  for (const Entry& entry : entries_)
    members.emplace_back(entry.key, value_to_json(entry.value, max_elements));
  return members;
}

}  // namespace hearth
