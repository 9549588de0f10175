// Value: what a template computes with, after Python's data model.
// Objects are counted by reference and belong to one rendering, which is one thread's.  Containers
// know how deep they are, and depth is bounded, so that no walk over a value can overflow the
// stack.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/marked.h"

namespace hearth::jinja {

struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;

  std::uint32_t references = 0;
  std::uint16_t depth = 0;  // levels of containers inside this one
  bool constant = false;    // belongs to the program, shared by threads: not counted
};

inline void retain(Object* object) {
  if (object && !object->constant) ++object->references;
}
inline void release(Object* object) {
  if (object && !object->constant && --object->references == 0) delete object;
}

template <typename T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) { retain(object_); }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { release(object_); }

  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

template <typename T, typename... Parts>
Ref<T> make(Parts&&... parts) {
  return Ref<T>(new T(std::forward<Parts>(parts)...));
}

enum class Kind : std::uint8_t {
  missing,  // a variable not set yet, an argument not given; never the result of an expression
  undefined,
  none,
  boolean,
  integer,
  real,
  string,
  list,
  tuple,
  dict,
  thing,  // everything else: see thing.h
};

struct Str;
struct Sequence;
struct Dict;
struct Absence;
class Thing;

class Value {
 public:
  Value() { as_.object = nullptr; }
  Value(const Value& other) : kind_(other.kind_), from_input_(other.from_input_), as_(other.as_) {
    if (counted()) retain(as_.object);
  }
  Value(Value&& other) noexcept
      : kind_(other.kind_), from_input_(other.from_input_), as_(other.as_) {
    other.kind_ = Kind::missing;
    other.as_.object = nullptr;
  }
  Value& operator=(Value other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(from_input_, other.from_input_);
    std::swap(as_, other.as_);
    return *this;
  }
  ~Value() {
    if (counted()) release(as_.object);
  }

  // A scalar with `from_input` prints as untrusted text.
  static Value none(bool from_input = false);
  static Value boolean(bool value, bool from_input = false);
  static Value integer(std::int64_t value, bool from_input = false);
  static Value real(double value, bool from_input = false);
  static Value undefined(Ref<Absence> absence);
  static Value text(Marked text, bool markup = false);
  static Value text(std::string_view text) { return Value::text(Marked(std::string(text), true)); }
  static Value of(Kind kind, Object* object);

  Kind kind() const { return kind_; }
  bool from_input() const { return from_input_; }
  bool is_missing() const { return kind_ == Kind::missing; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_integral() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_number() const { return is_integral() || kind_ == Kind::real; }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple; }

  // Unchecked: the caller has asked for the kind.
  bool as_boolean() const { return as_.integer != 0; }
  std::int64_t as_integer() const { return as_.integer; }  // booleans too
  double as_real() const {
    return kind_ == Kind::real ? as_.real : static_cast<double>(as_.integer);
  }
  Str& as_str() const;
  Sequence& as_sequence() const;
  Dict& as_dict() const;
  Thing& as_thing() const;
  const Absence* absence() const;
  std::string_view view() const;  // of a string
  Object* object() const { return counted() ? as_.object : nullptr; }
  std::uint16_t depth() const { return counted() && as_.object ? as_.object->depth : 0; }

 private:
  bool counted() const { return kind_ == Kind::undefined || kind_ >= Kind::string; }

  Kind kind_ = Kind::missing;
  bool from_input_ = false;
  union {
    std::int64_t integer;
    double real;
    Object* object;
  } as_;
};

struct Str final : Object {
  Marked text;
  bool markup = false;  // HTML already escaped, as the filter "safe" says
  // Number of code points, counted when first asked for.
  std::size_t points() const;
  bool ascii() const { return points() == text.size(); }
  void count_points();

 private:
  static constexpr std::size_t unknown = ~std::size_t{0};
  mutable std::size_t points_ = unknown;
};

struct Sequence final : Object {  // a list or a tuple
  std::vector<Value> items;
  bool from_input = false;
  bool group = false;  // a tuple of groupby: .grouper and .list
};

struct Dict final : Object {
  struct Entry {
    Value key, value;
    std::uint64_t hash;
  };
  std::vector<Entry> entries;  // in the order of insertion
  bool from_input = false;

  const Value* find(std::string_view key) const;
  const Value* find(const Value& key) const;  // null also for a key that cannot be hashed
  // False if the key cannot be hashed.
  bool set(Value key, Value value);
  bool remove(const Value& key);
  void clear();

 private:
  std::size_t slot_of(std::uint64_t hash, const Value& key) const;
  void reindex();
  std::vector<std::uint32_t> index_;  // open addressing, entry + 1; empty while the dict is small
};

// Why a value is undefined; told when it is used.
struct Absence final : Object {
  enum class Form { variable, attribute, element, hint, unsafe };
  Form form = Form::hint;
  std::string name;  // or the whole hint
  std::string of;    // what it is missing from
  std::string message() const;
};

// The name Python gives the type: "dict", "str", "NoneType".
std::string_view type_name(const Value& value);
// As Jinja names an object in its errors: "dict object", "None".
std::string object_name(const Value& value);

// None if the value cannot be a key (lists, dicts, tuples of more than 256 values).
std::optional<std::uint64_t> hash_of(const Value& value);
// Equality of two values that can be hashed.
bool same_key(const Value& a, const Value& b);

// Bytes of the code point that begins at `byte`; `byte` is inside valid UTF-8.
inline std::size_t point_size(std::string_view text, std::size_t byte) {
  const auto lead = static_cast<unsigned char>(text[byte]);
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}
std::size_t count_points(std::string_view text);

}  // namespace hearth::jinja
