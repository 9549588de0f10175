// Multi-index hashing: codes of 32 bits found by parts of them that agree, or nearly.
// Source: Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with multi-index hashing";
// the order of probes: Lv et al. 2007, "Multi-probe LSH".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hearth::vectors {

// A query's code and what it costs to differ from it in each bit: how far the embedding lies from
// the threshold.
struct CodeQuery {
  std::uint32_t code = 0;
  std::array<float, 32> margins{};
};

// Sums of margins by the bytes of a difference.
class MarginTables {
 public:
  explicit MarginTables(const CodeQuery& query);
  float cost(std::uint32_t code) const {
    const std::uint32_t d = code ^ code_;
    return sums_[0][d & 255] + sums_[1][d >> 8 & 255] + sums_[2][d >> 16 & 255] + sums_[3][d >> 24];
  }

 private:
  std::uint32_t code_;
  std::array<std::array<float, 256>, 4> sums_;
};

// Immutable.
class CodeTables {
 public:
  // codes of slots 0, 1, ...; each table takes one of `segments` (1, 2 or 4; 0: by the number of
  // rows) parts of them.
  CodeTables(std::span<const std::uint32_t> codes, std::size_t segments);

  std::size_t rows() const { return rows_; }
  std::size_t segments() const { return segments_; }
  std::size_t memory_bytes() const;

  struct Probe {
    std::size_t budget;  // stop when so many slots were given out
    int radius;          // bits of a segment that may differ
  };
  // Calls take(slots) for buckets in the order of their cost until the budget is spent; a slot may
  // come once from each table.  take returns how many of them count.
  template <typename Take>
  void probe(const CodeQuery& query, const Probe& limits, Take&& take) const {
    std::size_t taken = 0;
    Walk walk(query, *this, limits.radius);
    for (Bucket bucket; taken < limits.budget && walk.next(bucket);)
      taken += take(slots_of(bucket.table, bucket.value));
  }

 private:
  struct Bucket {
    std::size_t table;
    std::uint32_t value;
  };
  // The buckets of all tables, cheapest first.
  class Walk {
   public:
    Walk(const CodeQuery& query, const CodeTables& tables, int radius);
    bool next(Bucket& bucket);

   private:
    struct State {
      float cost;
      std::uint8_t table, last, flips;
      std::uint32_t set;  // which of the sorted bits are flipped
      bool operator<(const State& other) const { return cost > other.cost; }
    };
    void push(const State& state);

    std::size_t bits_;
    int radius_;
    std::array<std::uint32_t, 4> values_{};
    std::array<std::array<std::uint8_t, 32>, 4> order_{};  // bits of a segment, cheapest first
    std::array<std::array<float, 32>, 4> cost_{};
    std::vector<State> heap_;
  };

  std::span<const std::uint32_t> slots_of(std::size_t table, std::uint32_t value) const;

  std::size_t rows_, segments_, bits_;
  std::vector<std::uint32_t> starts_;  // [segments, 2^bits + 1]
  std::vector<std::uint32_t> slots_;   // [segments, rows]
};

}  // namespace hearth::vectors
