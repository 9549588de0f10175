// CharSet: a set of code points, as ranges.
#pragma once

#include <cstdint>
#include <vector>

namespace hearth::grammar {

constexpr std::uint32_t last_point = 0x10FFFF;

// Surrogates are never members: they have no UTF-8.
class CharSet {
 public:
  struct Range {
    std::uint32_t first, last;
    bool operator==(const Range&) const = default;
  };

  CharSet() = default;
  CharSet(std::uint32_t first, std::uint32_t last) { add(first, last); }
  static CharSet all() { return CharSet(0, last_point); }

  void add(std::uint32_t first, std::uint32_t last);  // first <= last <= last_point
  void add(const CharSet& other);
  CharSet negated() const;
  CharSet intersected(const CharSet& other) const;
  bool contains(std::uint32_t point) const;
  bool covers(const CharSet& other) const { return other.intersected(negated()).empty(); }
  bool empty() const { return ranges_.empty(); }
  const std::vector<Range>& ranges() const { return ranges_; }  // sorted, apart from one another
  bool operator==(const CharSet&) const = default;

 private:
  void insert(std::uint32_t first, std::uint32_t last);
  std::vector<Range> ranges_;
};

// One way to spell some of a set's members: bytes that each lie in a range.
struct ByteSequence {
  struct Range {
    std::uint8_t low, high;
  } bytes[4];
  int size = 0;
};
// UTF-8 of the whole set.  Source: The Unicode Standard 15.0, table 3-6.
std::vector<ByteSequence> utf8_sequences(const CharSet& set);

}  // namespace hearth::grammar
