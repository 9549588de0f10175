#include "vectors/learned/code_tables.h"

#include <algorithm>

namespace hearth::vectors {
namespace {

// Two tables of 2^16 buckets serve many rows; four of 2^8 serve fewer.
constexpr std::size_t many_rows = 400'000;

}  // namespace

MarginTables::MarginTables(const CodeQuery& query) : code_(query.code) {
  for (std::size_t byte = 0; byte < 4; ++byte) {
    sums_[byte][0] = 0;
    for (std::size_t d = 1; d < 256; ++d) {
      const auto low = static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(d)));
      sums_[byte][d] = sums_[byte][d & (d - 1)] + query.margins[8 * byte + low];
    }
  }
}

CodeTables::CodeTables(std::span<const std::uint32_t> codes, std::size_t segments)
    : rows_(codes.size()),
      segments_(segments != 0               ? std::max<std::size_t>(segments, 2)
                : codes.size() >= many_rows ? 2
                                            : 4),
      bits_(32 / segments_) {
  const std::size_t buckets = std::size_t{1} << bits_;
  const std::uint32_t mask = static_cast<std::uint32_t>(buckets - 1);
  starts_.resize(segments_ * (buckets + 1));
  slots_.resize(segments_ * rows_);
  for (std::size_t t = 0; t < segments_; ++t) {
    std::uint32_t* starts = &starts_[t * (buckets + 1)];
    for (const std::uint32_t code : codes) ++starts[(code >> (t * bits_) & mask) + 1];
    for (std::size_t b = 0; b < buckets; ++b) starts[b + 1] += starts[b];
    std::vector<std::uint32_t> next(starts, starts + buckets);
    for (std::size_t i = 0; i < rows_; ++i)
      slots_[t * rows_ + next[codes[i] >> (t * bits_) & mask]++] = static_cast<std::uint32_t>(i);
  }
}

std::size_t CodeTables::memory_bytes() const {
  return (starts_.size() + slots_.size()) * sizeof(std::uint32_t);
}

std::span<const std::uint32_t> CodeTables::slots_of(std::size_t table, std::uint32_t value) const {
  const std::uint32_t* starts = &starts_[table * ((std::size_t{1} << bits_) + 1) + value];
  return std::span(slots_).subspan(table * rows_ + starts[0], starts[1] - starts[0]);
}

CodeTables::Walk::Walk(const CodeQuery& query, const CodeTables& tables, int radius)
    : bits_(tables.bits_), radius_(radius) {
  for (std::size_t t = 0; t < tables.segments_; ++t) {
    values_[t] = query.code >> (t * bits_) & static_cast<std::uint32_t>((1ull << bits_) - 1);
    for (std::size_t b = 0; b < bits_; ++b) order_[t][b] = static_cast<std::uint8_t>(b);
    const float* margins = &query.margins[t * bits_];
    std::sort(order_[t].begin(), order_[t].begin() + static_cast<std::ptrdiff_t>(bits_),
              [&](std::uint8_t a, std::uint8_t b) {
                return margins[a] != margins[b] ? margins[a] < margins[b] : a < b;
              });
    for (std::size_t b = 0; b < bits_; ++b) cost_[t][b] = margins[order_[t][b]];
    push({0, static_cast<std::uint8_t>(t), 0, 0, 0});
  }
}

void CodeTables::Walk::push(const State& state) {
  heap_.push_back(state);
  std::push_heap(heap_.begin(), heap_.end());
}

// Every set of bits has one parent: the set without its last bit, or with its last bit one lower.
bool CodeTables::Walk::next(Bucket& bucket) {
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end());
  const State at = heap_.back();
  heap_.pop_back();
  std::uint32_t value = values_[at.table];
  for (std::uint32_t set = at.set; set != 0; set &= set - 1)
    value ^= 1u << order_[at.table][static_cast<std::size_t>(__builtin_ctz(set))];
  bucket = {at.table, value};

  const auto& cost = cost_[at.table];
  const std::uint8_t after = static_cast<std::uint8_t>(at.flips == 0 ? 0 : at.last + 1);
  if (after < bits_ && at.flips < radius_)
    push({at.cost + cost[after], at.table, after, static_cast<std::uint8_t>(at.flips + 1),
          at.set | 1u << after});
  if (at.flips > 0 && after < bits_)
    push({at.cost - cost[at.last] + cost[after], at.table, after, at.flips,
          (at.set & ~(1u << at.last)) | 1u << after});
  return true;
}

}  // namespace hearth::vectors
