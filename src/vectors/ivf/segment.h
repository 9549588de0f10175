// The rows of an IVF index, list after list, as they are scanned.  Never changed once made.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/files.h"
#include "base/pages.h"
#include "vectors/flat/flat_rows.h"
#include "vectors/ivf/trained.h"
#include "vectors/row_places.h"

namespace hearth::vectors {

// r = offset + scale * byte, r a rotated residual.  The distance of a query q is that of q to the
// list's centroid, plus `first`, less twice (l2) or once (inner product) r.q.
struct ResidualTerms {
  float first, offset, scale;
};

// Where the arrays of a segment are: in memory, or in a file that is mapped.
struct SegmentArrays {
  std::span<const std::uint32_t> starts;  // [lists + 1]: the first row of each list
  std::span<const std::uint32_t> blocks;  // [lists + 1]: the first block of codes of each list
  std::span<const std::uint8_t> codes;    // blocks of kernels::block_bytes(groups)
  std::span<const std::uint8_t> rows;  // [n, row_bytes]: ResidualTerms and a byte for each number
  std::span<const Row> ids;            // [n]
  std::span<const float> floats;       // [n, dim], or empty
};

class Segment {
 public:
  Segment(std::size_t padded, std::size_t dim, std::size_t groups)
      : padded_(padded), dim_(dim), groups_(groups) {}

  std::size_t count() const { return arrays.ids.size(); }
  std::size_t row_bytes() const { return row_bytes_of(padded_); }
  static std::size_t row_bytes_of(std::size_t padded) { return sizeof(ResidualTerms) + padded; }
  const std::uint8_t* row(std::size_t place) const {
    return arrays.rows.data() + place * row_bytes();
  }
  const float* exact(std::size_t place) const {
    return arrays.floats.empty() ? nullptr : arrays.floats.data() + place * dim_;
  }
  std::size_t groups() const { return groups_; }
  std::size_t list_of(std::size_t place) const;
  std::size_t memory_bytes() const;  // of its own
  std::size_t mapped_bytes() const;

  std::size_t rows_of(std::size_t list) const {
    return arrays.starts[list + 1] - arrays.starts[list];
  }
  // A mapped list is checked when it is first touched.  False: it is damaged.
  bool touch(std::size_t list) const { return checker == nullptr || checker->check(*this, list); }

  struct Checker {
    virtual ~Checker() = default;
    virtual bool check(const Segment& segment, std::size_t list) = 0;
  };

  SegmentArrays arrays;
  std::vector<PageBuffer> buffers;         // what arrays point into, or
  std::shared_ptr<const MappedFile> file;  // this
  std::unique_ptr<Checker> checker;
  std::shared_ptr<const RowPlaces> places;

 private:
  std::size_t padded_, dim_, groups_;
};

// A segment of n rows.  id(i) and vector(i) give row i; vectors [dim] stay readable until the next
// call on the same thread.
struct SegmentSource {
  std::size_t count = 0;
  std::function<Row(std::size_t)> id;
  std::function<const float*(std::size_t, float* scratch)> vector;  // scratch: [dim]
};
Result<std::shared_ptr<Segment>> build_segment(const Trained& trained, const SegmentSource& source,
                                               bool keep_floats, ThreadPool* pool,
                                               std::stop_token stop);

// Several segments of one training as one, without the rows that are dead in them.
struct SegmentView {
  std::shared_ptr<const Segment> segment;
  std::shared_ptr<const DeadBits> dead;  // null: none
  std::size_t live = 0;

  bool is_dead(std::size_t place) const {
    return dead != nullptr && ((*dead)[place / 64] >> (place % 64) & 1) != 0;
  }
};
Result<std::shared_ptr<Segment>> merge_segments(const Trained& trained,
                                                std::span<const SegmentView> segments);

// Codes of one vector in its block.
void put_codes(std::uint8_t* block, std::size_t vector, const std::uint8_t* codes,
               std::size_t groups);
void take_codes(std::uint8_t* codes, const std::uint8_t* block, std::size_t vector,
                std::size_t groups);

// What a row's bytes say of r.q beside the first of its terms: nothing of the query is rounded.
// query: [padded], whose numbers add up to `sum`.
float exact_product(const Segment& segment, std::size_t place, const float* query, float sum);

// [dim]: as exactly as the segment has it.
void decode_row(const Trained& trained, const Segment& segment, std::size_t place, float* vector);

}  // namespace hearth::vectors
