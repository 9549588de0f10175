// Metadata: the key/value part of a GGUF file, kept in place.  Arrays stay in the mapped file and
// are read element by element; nothing proportional to a claimed length is allocated.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

// The numbers are those of the GGUF specification.
enum class MetaType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};

std::string_view name_of(MetaType type);
std::size_t size_of(MetaType type);  // bytes of one value; 0 for strings and arrays

// One value, or an array of values of one type (never of arrays).  Views point into the file.
struct MetaValue {
  MetaType type;  // of the value, or of the elements of an array
  bool is_array = false;
  std::uint64_t count = 1;           // elements
  std::span<const std::byte> bytes;  // the elements as stored; strings: u64 length + bytes each
};

class Metadata {
 public:
  struct Entry {
    std::string key;
    MetaValue value;
  };

  const std::vector<Entry>& entries() const { return entries_; }
  const MetaValue* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // Typed access.  Absent: not_found.  Wrong type or out of range: corrupt, naming key and held
  // type. Any integer type serves where it holds the value; f32 and f64 serve for real().
  Result<std::uint64_t> unsigned_integer(std::string_view key) const;
  Result<std::int64_t> integer(std::string_view key) const;
  Result<double> real(std::string_view key) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string_view> string(std::string_view key) const;
  // Arrays as a whole; a scalar is an array of one.
  Result<std::vector<std::uint64_t>> unsigned_integers(std::string_view key) const;
  Result<std::vector<std::int64_t>> integers(std::string_view key) const;
  Result<std::vector<float>> reals(std::string_view key) const;
  Result<std::vector<bool>> booleans(std::string_view key) const;
  Result<std::vector<std::string_view>> strings(std::string_view key) const;

  // For people and `hearth show --json`; arrays longer than `max_elements` become a summary string.
  Json to_json(std::size_t max_elements = 16) const;

  bool add(std::string key, MetaValue value);  // false: the key is there already

 private:
  std::vector<Entry> entries_;
  std::map<std::string, std::size_t, std::less<>> places_;  // key -> index into entries_
};

}  // namespace hearth
