#include "text/jinja/value.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "text/jinja/printing.h"
#include "text/jinja/thing.h"

namespace hearth::jinja {
namespace {

constexpr std::size_t small_dict = 8;  // searched without an index
constexpr int max_key_values = 256;    // of a tuple used as a key, nested ones included
constexpr double int64_bound = 9223372036854775808.0;

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0x9E3779B97F4A7C15ull;
  return x ^ (x >> 29);
}

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Seeded with an address, which differs from run to run, so that nobody can prepare keys that
// collide.
std::uint64_t hash_text(std::string_view text) {
  constexpr std::uint64_t odd = 0xD6E8FEB86659FD93ull;
  std::uint64_t hash = reinterpret_cast<std::uintptr_t>(&hash_text) ^ fold(text.size() + 1, odd);
  for (; text.size() >= 8; text.remove_prefix(8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    hash = fold(hash ^ word, odd);
  }
  std::uint64_t word = 0;
  std::memcpy(&word, text.data(), text.size());
  return fold(hash ^ word, odd ^ hash);
}

std::uint64_t hash_real(double value) {
  if (value == std::floor(value) && std::abs(value) < int64_bound)
    return mix(static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
  return mix(std::hash<double>{}(value));
}

std::optional<std::uint64_t> hash_within(const Value& value, int& budget) {
  if (--budget < 0) return std::nullopt;
  switch (value.kind()) {
    case Kind::boolean:
    case Kind::integer:
      return mix(static_cast<std::uint64_t>(value.as_integer()));
    case Kind::real:
      return hash_real(value.as_real());
    case Kind::string:
      return hash_text(value.view());
    case Kind::list:
    case Kind::dict:
      return std::nullopt;
    case Kind::tuple: {
      std::uint64_t sum = 7;
      for (const Value& item : value.as_sequence().items) {
        const auto part = hash_within(item, budget);
        if (!part) return std::nullopt;
        sum = mix(sum * 31 + *part);
      }
      return sum;
    }
    case Kind::thing:
      return mix(reinterpret_cast<std::uintptr_t>(value.object()));
    default:
      return mix(static_cast<std::uint64_t>(value.kind()) + 1000);
  }
}

}  // namespace

Value Value::none(bool from_input) {
  Value v;
  v.kind_ = Kind::none;
  v.from_input_ = from_input;
  return v;
}

Value Value::boolean(bool value, bool from_input) {
  Value v;
  v.kind_ = Kind::boolean;
  v.from_input_ = from_input;
  v.as_.integer = value ? 1 : 0;
  return v;
}

Value Value::integer(std::int64_t value, bool from_input) {
  Value v;
  v.kind_ = Kind::integer;
  v.from_input_ = from_input;
  v.as_.integer = value;
  return v;
}

Value Value::real(double value, bool from_input) {
  Value v;
  v.kind_ = Kind::real;
  v.from_input_ = from_input;
  v.as_.real = value;
  return v;
}

Value Value::of(Kind kind, Object* object) {
  Value v;
  v.kind_ = kind;
  v.as_.object = object;
  retain(object);
  return v;
}

Value Value::undefined(Ref<Absence> absence) { return of(Kind::undefined, absence.get()); }

Value Value::text(Marked text, bool markup) {
  const auto made = make<Str>();
  made->text = std::move(text);
  made->markup = markup;
  return of(Kind::string, made.get());
}

Str& Value::as_str() const { return static_cast<Str&>(*as_.object); }
Sequence& Value::as_sequence() const { return static_cast<Sequence&>(*as_.object); }
Dict& Value::as_dict() const { return static_cast<Dict&>(*as_.object); }
Thing& Value::as_thing() const { return static_cast<Thing&>(*as_.object); }
const Absence* Value::absence() const { return static_cast<const Absence*>(as_.object); }
std::string_view Value::view() const { return as_str().text.view(); }

std::size_t count_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::size_t Str::points() const {
  // The constants of a program were counted when it was made: threads only read here.
  if (points_ == unknown) points_ = hearth::jinja::count_points(text.view());
  return points_;
}

void Str::count_points() { points(); }

const Value* Dict::find(std::string_view key) const {
  if (index_.empty()) {
    for (const Entry& entry : entries)
      if (entry.key.is_string() && entry.key.view() == key) return &entry.value;
    return nullptr;
  }
  const std::uint64_t hash = hash_text(key);
  for (std::size_t at = hash & (index_.size() - 1);; at = (at + 1) & (index_.size() - 1)) {
    if (index_[at] == 0) return nullptr;
    const Entry& entry = entries[index_[at] - 1];
    if (entry.hash == hash && entry.key.is_string() && entry.key.view() == key) return &entry.value;
  }
}

// Where the key is, or entries.size().
std::size_t Dict::slot_of(std::uint64_t hash, const Value& key) const {
  if (index_.empty()) {
    for (std::size_t i = 0; i < entries.size(); ++i)
      if (entries[i].hash == hash && same_key(entries[i].key, key)) return i;
    return entries.size();
  }
  for (std::size_t at = hash & (index_.size() - 1);; at = (at + 1) & (index_.size() - 1)) {
    if (index_[at] == 0) return entries.size();
    const Entry& entry = entries[index_[at] - 1];
    if (entry.hash == hash && same_key(entry.key, key)) return index_[at] - 1;
  }
}

const Value* Dict::find(const Value& key) const {
  const auto hash = hash_of(key);
  if (!hash) return nullptr;
  const std::size_t found = slot_of(*hash, key);
  return found < entries.size() ? &entries[found].value : nullptr;
}

bool Dict::set(Value key, Value value) {
  const auto hash = hash_of(key);
  if (!hash) return false;
  const std::size_t found = slot_of(*hash, key);
  if (found < entries.size()) {
    entries[found].value = std::move(value);
    return true;
  }
  entries.push_back({std::move(key), std::move(value), *hash});
  if (entries.size() <= small_dict) return true;
  if (entries.size() * 2 > index_.size()) {
    reindex();
    return true;
  }
  std::size_t at = *hash & (index_.size() - 1);
  while (index_[at] != 0) at = (at + 1) & (index_.size() - 1);
  index_[at] = static_cast<std::uint32_t>(entries.size());
  return true;
}

bool Dict::remove(const Value& key) {
  const auto hash = hash_of(key);
  if (!hash) return false;
  const std::size_t found = slot_of(*hash, key);
  if (found == entries.size()) return false;
  entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(found));
  reindex();
  return true;
}

void Dict::clear() {
  entries.clear();
  index_.clear();
}

void Dict::reindex() {
  index_.clear();
  if (entries.size() <= small_dict) return;
  std::size_t size = 32;
  while (size < entries.size() * 4) size *= 2;
  index_.assign(size, 0);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    std::size_t at = entries[i].hash & (size - 1);
    while (index_[at] != 0) at = (at + 1) & (size - 1);
    index_[at] = static_cast<std::uint32_t>(i + 1);
  }
}

std::string Absence::message() const {
  switch (form) {
    case Form::variable:
      return fmt::format("{} is undefined", quoted(name));
    case Form::attribute:
      return fmt::format("'{}' has no attribute {}", of, quoted(name));
    case Form::element:
      return fmt::format("{} has no element {}", of, name);
    case Form::unsafe:
      return fmt::format("access to attribute {} of '{}' object is unsafe.", quoted(name), of);
    case Form::hint:
      break;
  }
  return name;
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::missing:
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return value.as_str().markup ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::thing:
      return value.as_thing().type_name();
  }
  return "object";
}

std::string object_name(const Value& value) {
  if (value.is_none()) return "None";
  if (value.is_string() && value.as_str().markup) return "markupsafe.Markup object";
  return fmt::format("{} object", type_name(value));
}

std::optional<std::uint64_t> hash_of(const Value& value) {
  if (value.is_string()) return hash_text(value.view());
  int budget = max_key_values;
  return hash_within(value, budget);
}

bool same_key(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_integer() == b.as_integer();
    return a.as_real() == b.as_real();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::string:
      return a.view() == b.view();
    case Kind::tuple: {
      const auto &left = a.as_sequence().items, &right = b.as_sequence().items;
      return left.size() == right.size() &&
             std::equal(left.begin(), left.end(), right.begin(), same_key);
    }
    case Kind::thing:
      return a.object() == b.object();
    default:
      return true;  // None, Undefined
  }
}

}  // namespace hearth::jinja
