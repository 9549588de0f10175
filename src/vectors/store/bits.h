// Bits: a set of rows, one bit each.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vectors/index.h"

namespace hearth::vectors {

class Bits {
 public:
  Bits() = default;
  explicit Bits(std::size_t rows, bool value = false)
      : words_((rows + 63) / 64, value ? ~0ull : 0ull) {
    if (value && rows % 64 != 0) words_.back() >>= 64 - rows % 64;
  }

  bool has(Row row) const {
    return row / 64 < words_.size() && (words_[row / 64] >> (row % 64) & 1) != 0;
  }
  void set(Row row) {
    if (row / 64 >= words_.size()) words_.resize(row / 64 + 1);
    words_[row / 64] |= 1ull << (row % 64);
  }
  void clear(Row row) {
    if (row / 64 < words_.size()) words_[row / 64] &= ~(1ull << (row % 64));
  }
  std::size_t count() const {
    std::size_t total = 0;
    for (const std::uint64_t word : words_) total += static_cast<std::size_t>(std::popcount(word));
    return total;
  }
  bool is_empty() const {
    return std::all_of(words_.begin(), words_.end(), [](std::uint64_t word) { return word == 0; });
  }
  // Of rows from `first` to `last`, both among them.
  std::size_t count_between(Row first, Row last) const {
    std::size_t total = 0;
    const std::size_t end = std::min<std::size_t>(last / 64 + 1, words_.size());
    for (std::size_t w = first / 64; w < end; ++w) {
      std::uint64_t word = words_[w];
      if (w == first / 64) word &= ~0ull << (first % 64);
      if (w == last / 64) word &= ~0ull >> (63 - last % 64);
      total += static_cast<std::size_t>(std::popcount(word));
    }
    return total;
  }
  // Rows past the shorter one's end are in neither.
  void keep(const Bits& other) {
    if (words_.size() > other.words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
  }
  void add(const Bits& other) {
    if (words_.size() < other.words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  }
  void drop(const Bits& other) {
    const std::size_t n = std::min(words_.size(), other.words_.size());
    for (std::size_t i = 0; i < n; ++i) words_[i] &= ~other.words_[i];
  }

  // Calls use(row) for each, ascending, until it returns false.
  template <typename Use>
  void each(Use&& use, Row from = 0) const {
    for (std::size_t w = from / 64; w < words_.size(); ++w) {
      std::uint64_t word = words_[w];
      if (w == from / 64) word &= ~0ull << (from % 64);
      for (; word != 0; word &= word - 1)
        if (!use(static_cast<Row>(w * 64 + static_cast<unsigned>(std::countr_zero(word))))) return;
    }
  }

  const std::vector<std::uint64_t>& words() const { return words_; }
  std::vector<std::uint64_t>& words() { return words_; }

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace hearth::vectors
