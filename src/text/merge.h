// The merge loop shared by all byte-pair encodings: of all neighbouring pairs that may merge, the
// one of least rank does, the leftmost of equals, until none is left.
// Source: Sennrich et al. 2016, section 3.2.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "text/flat_vocab.h"
#include "text/model.h"

namespace hearth {

struct Merge {
  std::uint32_t rank;  // less is earlier
  Token id;            // of the whole
};
constexpr Merge no_merge{std::numeric_limits<std::uint32_t>::max(), no_token};

namespace detail {

// Up to here a scan for the least rank is faster than a heap.
constexpr std::size_t scan_symbols = 48;

// Rules: Merge operator()(const Symbol& left, const Symbol& right, std::uint32_t end) const, where
// `end` is the byte after `right`.
template <typename Rules>
void merge_by_scan(Scratch& scratch, std::uint32_t piece_end, const Rules& rules) {
  Symbol* const symbols = scratch.symbols.data();
  std::size_t n = scratch.symbols.size();
  scratch.ranks.resize(n);
  scratch.merged.resize(n);
  std::uint32_t* const ranks = scratch.ranks.data();
  Token* const merged = scratch.merged.data();
  const auto look = [&](std::size_t i) {  // at the pair (i, i + 1)
    const Merge m = rules(symbols[i], symbols[i + 1], i + 2 < n ? symbols[i + 2].begin : piece_end);
    ranks[i] = m.rank;
    merged[i] = m.id;
  };
  for (std::size_t i = 0; i + 1 < n; ++i) look(i);
  while (n > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < n; ++i)
      if (ranks[i] < ranks[best]) best = i;
    if (ranks[best] == no_merge.rank) break;
    symbols[best].id = merged[best];
    std::copy(symbols + best + 2, symbols + n, symbols + best + 1);
    std::copy(ranks + best + 1, ranks + n - 1, ranks + best);
    std::copy(merged + best + 1, merged + n - 1, merged + best);
    --n;
    if (best + 1 < n) look(best);
    if (best > 0) look(best - 1);
  }
  scratch.symbols.resize(n);
}

struct HeapEntry {
  std::uint64_t order;  // rank, then position
  std::uint32_t right;
  Token left_id, right_id, id;
  bool operator>(const HeapEntry& other) const { return order > other.order; }
};

template <typename Rules>
void merge_by_heap(Scratch& scratch, std::uint32_t piece_end, const Rules& rules) {
  constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  std::vector<Symbol>& symbols = scratch.symbols;
  const auto n = static_cast<std::uint32_t>(symbols.size());
  std::vector<std::uint32_t> next(n), previous(n);
  std::vector<bool> gone(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    next[i] = i + 1 < n ? i + 1 : none;
    previous[i] = i > 0 ? i - 1 : none;
  }
  std::vector<HeapEntry> heap;
  const auto look = [&](std::uint32_t left) {
    const std::uint32_t right = next[left];
    if (right == none) return;
    const std::uint32_t after = next[right];
    const Merge m =
        rules(symbols[left], symbols[right], after == none ? piece_end : symbols[after].begin);
    if (m.rank != no_merge.rank)
      heap.push_back(
          {std::uint64_t{m.rank} << 32 | left, right, symbols[left].id, symbols[right].id, m.id});
  };
  for (std::uint32_t i = 0; i < n; ++i) look(i);
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](std::uint32_t left) {
    const std::size_t before = heap.size();
    look(left);
    if (heap.size() != before) std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    const HeapEntry top = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    const auto left = static_cast<std::uint32_t>(top.order);
    const std::uint32_t right = top.right;
    if (gone[left] || gone[right] || next[left] != right || symbols[left].id != top.left_id ||
        symbols[right].id != top.right_id)
      continue;
    symbols[left].id = top.id;
    gone[right] = true;
    next[left] = next[right];
    if (next[left] != none) previous[next[left]] = left;
    push(left);
    if (previous[left] != none) push(previous[left]);
  }
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i < n; ++i)
    if (!gone[i]) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace detail

// Merges scratch.symbols in place.  The piece has less than 4 GiB.
template <typename Rules>
void merge_symbols(Scratch& scratch, std::uint32_t piece_end, const Rules& rules) {
  if (scratch.symbols.size() <= detail::scan_symbols)
    detail::merge_by_scan(scratch, piece_end, rules);
  else
    detail::merge_by_heap(scratch, piece_end, rules);
}

}  // namespace hearth
