#include "text/grammar/char_set.h"

#include <algorithm>

namespace hearth::grammar {
namespace {

constexpr std::uint32_t first_surrogate = 0xD800, last_surrogate = 0xDFFF;

int utf8_size(std::uint32_t point) {
  return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

void encode(std::uint32_t point, int size, std::uint8_t* bytes) {
  for (int i = size - 1; i > 0; --i, point >>= 6)
    bytes[i] = static_cast<std::uint8_t>(0x80 | (point & 0x3F));
  constexpr std::uint32_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  bytes[0] = static_cast<std::uint8_t>(lead[size] | point);
}

// first and last are spelled with `size` bytes.  Splits until every byte but the first that differ
// runs over its whole range.
void split(std::uint32_t first, std::uint32_t last, int size, std::vector<ByteSequence>& out) {
  for (int low_bytes = 1; low_bytes < size; ++low_bytes) {
    const std::uint32_t mask = (1u << (6 * low_bytes)) - 1;
    if ((first & ~mask) == (last & ~mask)) break;  // differ only further down
    if ((first & mask) != 0) {
      split(first, first | mask, size, out);
      split((first | mask) + 1, last, size, out);
      return;
    }
    if ((last & mask) != mask) {
      split(first, (last & ~mask) - 1, size, out);
      split(last & ~mask, last, size, out);
      return;
    }
  }
  ByteSequence sequence;
  sequence.size = size;
  std::uint8_t low[4], high[4];
  encode(first, size, low);
  encode(last, size, high);
  for (int i = 0; i < size; ++i) sequence.bytes[i] = {low[i], high[i]};
  out.push_back(sequence);
}

}  // namespace

void CharSet::add(std::uint32_t first, std::uint32_t last) {
  if (first < first_surrogate) insert(first, std::min(last, first_surrogate - 1));
  if (last > last_surrogate) insert(std::max(first, last_surrogate + 1), last);
}

void CharSet::insert(std::uint32_t first, std::uint32_t last) {
  auto at = std::ranges::lower_bound(ranges_, first, {}, &Range::last);
  if (at != ranges_.begin() && std::prev(at)->last + 1 >= first) --at;
  auto end = at;
  while (end != ranges_.end() && end->first <= last + 1) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
    ++end;
  }
  at = ranges_.erase(at, end);
  ranges_.insert(at, {first, last});
}

void CharSet::add(const CharSet& other) {
  for (const Range& range : other.ranges_) insert(range.first, range.last);
}

CharSet CharSet::negated() const {
  CharSet result;
  std::uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) result.add(next, range.first - 1);
    next = range.last + 1;
  }
  if (next <= last_point) result.add(next, last_point);
  return result;
}

CharSet CharSet::intersected(const CharSet& other) const {
  CharSet result;
  auto a = ranges_.begin(), b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    const std::uint32_t first = std::max(a->first, b->first), last = std::min(a->last, b->last);
    if (first <= last) result.ranges_.push_back({first, last});
    a->last < b->last ? ++a : ++b;
  }
  return result;
}

bool CharSet::contains(std::uint32_t point) const {
  const auto at = std::ranges::lower_bound(ranges_, point, {}, &Range::last);
  return at != ranges_.end() && at->first <= point;
}

std::vector<ByteSequence> utf8_sequences(const CharSet& set) {
  std::vector<ByteSequence> sequences;
  for (const CharSet::Range& range : set.ranges())
    for (std::uint32_t first = range.first; first <= range.last;) {
      const int size = utf8_size(first);
      constexpr std::uint32_t ends[] = {0, 0x7F, 0x7FF, 0xFFFF, last_point};
      const std::uint32_t last = std::min(range.last, ends[size]);
      split(first, last, size, sequences);
      first = last + 1;
    }
  return sequences;
}

}  // namespace hearth::grammar
