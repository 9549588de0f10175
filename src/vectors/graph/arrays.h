// The arrays of a graph: codes, vectors and links, by slot.  Readers use them without locks while
// one writer changes them; to grow, the writer copies them and publishes the copy.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/files.h"
#include "base/pages.h"
#include "base/result.h"
#include "vectors/graph/codec.h"
#include "vectors/graph/distances.h"
#include "vectors/graph/row_map.h"

namespace hearth::vectors {

// Whether halves hold all of these exactly.
bool fit_halves(std::span<const float> values);

// A list of links on one level: `degree` places, filled from the front, then no_slot.
class Links {
 public:
  Links(Slot* at, std::size_t degree) : at_(at), degree_(degree) {}

  std::size_t degree() const { return degree_; }
  // A slot read here was complete before it was stored here.
  Slot operator[](std::size_t i) const {
    return std::atomic_ref<Slot>(at_[i]).load(std::memory_order_acquire);
  }
  void set(std::size_t i, Slot slot) {
    std::atomic_ref<Slot>(at_[i]).store(slot, std::memory_order_release);
  }
  void assign(std::span<const Slot> slots);
  // Links into `slots`, [degree]; returns how many.
  std::size_t copy(Slot* slots) const {
    std::size_t n = 0;
    while (n < degree_ && (slots[n] = (*this)[n]) != no_slot) ++n;
    return n;
  }

 private:
  Slot* at_;
  std::size_t degree_;
};

constexpr int most_levels = 15;  // above level 0

struct GraphShape {
  std::size_t dim = 0;
  Metric metric = Metric::l2;
  std::size_t m = 16;  // links on upper levels; twice as many on level 0
};

struct Arrays {
  GraphShape shape;
  Codec codec;
  kernels::RowType row_type = kernels::RowType::f32;
  std::size_t capacity = 0;        // slots
  std::size_t upper_capacity = 1;  // blocks of upper links; block 0 is nobody's

  std::uint8_t* codes = nullptr;  // [capacity, codec.stride]
  // [capacity, dim] of `row_type`: halves while they hold every number exactly, else f32.  cosine:
  // of length one.
  std::byte* rows = nullptr;
  Slot* links = nullptr;  // [capacity, 2 * m]
  Row* row_of = nullptr;  // [capacity]
  // [capacity]: 16 times the block of level 1, plus the highest level.
  std::uint32_t* upper = nullptr;
  Slot* upper_links = nullptr;  // [upper_capacity, m]: level l is l - 1 blocks after level 1

  Distances distances{};
  std::shared_ptr<PageBuffer> buffers[6];  // what the pointers point into, or
  std::shared_ptr<const MappedFile> file;  // this, which is not written

  static Result<std::unique_ptr<Arrays>> allocate(const GraphShape& shape,
                                                  kernels::RowType row_type, std::size_t capacity,
                                                  std::size_t upper_capacity);
  // A copy in memory of its own with more room; the first `used` slots are copied.  Codes are left
  // to the caller when `codec` differs.
  Result<std::unique_ptr<Arrays>> grown(kernels::RowType new_type, std::size_t new_capacity,
                                        std::size_t new_upper_capacity, std::size_t used) const;

  std::size_t degree(int level) const { return level == 0 ? 2 * shape.m : shape.m; }
  Links at(Slot slot, int level) const {
    if (level == 0) return {links + slot * 2 * shape.m, 2 * shape.m};
    const std::size_t block = (upper[slot] >> 4) + static_cast<std::size_t>(level) - 1;
    return {upper_links + block * shape.m, shape.m};
  }
  // out[i]: distance in steps of the query, as the codec encodes it, to the code of ids[i].
  void code_distances(std::int32_t* out, const std::uint8_t* query, const Slot* ids,
                      std::size_t n) const {
    distances.codes(out, query, codes, codec.stride, ids, n, codec.stride);
  }
  int level_of(Slot slot) const { return static_cast<int>(upper[slot] & 15); }
  const std::uint8_t* code(Slot slot) const { return codes + slot * codec.stride; }
  std::size_t row_bytes() const {
    return shape.dim * (row_type == kernels::RowType::f32 ? sizeof(float) : 2);
  }
  void copy_row(float* out, Slot slot) const;  // [dim]
  void set_row(Slot slot, const float* row);   // which `row_type` holds exactly
  // Whose the slot is; only RowMap says whether it still is.
  Row owner(Slot slot) const {
    return std::atomic_ref<Row>(row_of[slot]).load(std::memory_order_acquire);
  }
  void ask_for_owner(Slot slot) const { __builtin_prefetch(row_of + slot); }
  void set_owner(Slot slot, Row row) {
    std::atomic_ref<Row>(row_of[slot]).store(row, std::memory_order_release);
  }

  std::size_t memory_bytes(std::size_t used, std::size_t upper_used) const;
};

}  // namespace hearth::vectors
