// FlatBuffers, read without a schema.  Every offset is checked against the file.
// Source: FlatBuffers, "Internals".
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

class FlatTable {
 public:
  FlatTable() = default;
  // The table that the file begins with.  Errors: corrupt.
  static Result<FlatTable> root(std::span<const std::byte> file);

  bool exists() const { return at_ != 0; }
  bool has(unsigned slot) const { return field(slot) != 0; }
  // A number of this type, or `fallback` where the field is absent.
  template <typename T>
  T number(unsigned slot, T fallback) const {
    const std::size_t place = field(slot);
    if (place == 0 || place + sizeof(T) > file_.size()) return fallback;
    T value;
    std::memcpy(&value, file_.data() + place, sizeof value);
    return value;
  }
  // Errors of the others: corrupt (an offset outside the file).  What is absent is empty.
  Result<FlatTable> table(unsigned slot) const;
  Result<std::string_view> text(unsigned slot) const;
  Result<std::vector<FlatTable>> tables(unsigned slot) const;
  Result<std::vector<std::string_view>> texts(unsigned slot) const;
  template <typename T>
  Result<std::vector<T>> numbers(unsigned slot) const {
    const auto bytes = TRY(elements(slot, sizeof(T)));
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  Result<std::span<const std::byte>> bytes(unsigned slot) const { return elements(slot, 1); }

 private:
  static Result<FlatTable> at(std::span<const std::byte> file, std::size_t place);
  std::size_t field(unsigned slot) const;  // 0: absent
  Result<std::span<const std::byte>> elements(unsigned slot, std::size_t size) const;
  Result<std::size_t> follow(std::size_t place) const;

  std::span<const std::byte> file_;
  std::size_t at_ = 0, vtable_ = 0, vtable_bytes_ = 0;
};

}  // namespace hearth
