// What only the writers of a Hnsw touch; private to its sources.
#pragma once

#include <array>
#include <random>

#include "vectors/graph/hnsw.h"

namespace hearth::vectors {

constexpr Row no_row = ~0u;

struct Hnsw::Writer {
  std::unique_ptr<Arrays> arrays;
  std::vector<bool> dead;  // [capacity]: removed, but still linked
  std::vector<Slot> free;
  std::array<std::vector<std::uint32_t>, most_levels + 1> free_blocks;  // by number of levels
  std::size_t blocks = 1;                // of upper links in use or freed
  std::size_t linked = 0;                // slots that were linked, the dead among them
  std::size_t clipped = 0, encoded = 0;  // components since the codec was trained
  std::size_t dropped = 0;               // slots taken out since the breadths were measured
  std::vector<float> row;                // at hand
  std::mt19937_64 random{0x9E3779B97F4A7C15ull};
  std::unique_ptr<ThreadPool> team;
  std::vector<std::unique_ptr<Scratch>> scratch;
};

class Hnsw::Borrowed {
 public:
  explicit Borrowed(const Hnsw& index) : index_(index) {
    scratch_ = index.scratch_.with([](auto& spare) -> std::unique_ptr<Scratch> {
      if (spare.empty()) return nullptr;
      auto last = std::move(spare.back());
      spare.pop_back();
      return last;
    });
    if (scratch_ == nullptr) scratch_ = std::make_unique<Scratch>();
  }
  ~Borrowed() {
    index_.scratch_.with([&](auto& spare) { spare.push_back(std::move(scratch_)); });
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  Scratch& operator*() { return *scratch_; }

 private:
  const Hnsw& index_;
  std::unique_ptr<Scratch> scratch_;
};

// Of k answers: so many of the nearest by their codes are ranked by their vectors.
inline std::size_t ranked_for(std::size_t k) { return k + std::max<std::size_t>(k / 4, 4); }

struct Hnsw::SearchPlan {
  std::size_t k = 10;
  std::size_t breadth = 0;  // 0: look at every row that may be answered
  std::size_t keep = 0;     // candidates that are ranked by their vectors
  const RowFilter* filter = nullptr;
  std::optional<float> max_distance;
  Slot skip = no_slot;  // is not walked through, as if the graph did not hold it
};

}  // namespace hearth::vectors
