// Search kernels: distances and scans over rows of vectors, one table of them per instruction set.
//
// As in kernels.h a kernel neither allocates nor checks.  For every entry:
//   - pointers may be unaligned; outputs do not overlap inputs; n may be 0;
//   - a row starts at rows + i * stride, or at rows + ids[i] * stride in the entries that end in
//     `_at`, which also ask for the memory of rows that come next; stride is in bytes;
//   - what is computed for one row never depends on how many rows there are.
//
// For a graph: l2_at / dot_at give the distances of the query to some rows by number; dots_u8_at
// does the same over rows of bytes, which must be turned into distances by the caller's own terms.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::kernels {

// How the numbers of a row are kept.
enum class RowType : std::uint8_t { f32, f16, bf16 };
constexpr std::size_t row_types = 3;

// A panel is 16 rows of signed bytes together: [dim / 4][16][4], dim filled up with zeros to a
// multiple of `panel_step`.
constexpr std::size_t byte_panel_rows = 16;
constexpr std::size_t panel_step = 64;

// A block is 32 vectors' codes, each of `groups` numbers of four bits, [groups / 4][64] bytes: of
// step t, byte b < 32 holds groups 4t (low bits) and 4t + 1 of one vector, byte 32 + b groups 4t +
// 2 and 4t + 3.  The vector of byte b is b / 2, plus 16 if b is odd.  Then come two terms of each
// vector as halves: first[32], second[32].
constexpr std::size_t block_vectors = 32;
constexpr std::size_t block_bytes(std::size_t groups) { return groups * 16 + 4 * block_vectors; }
constexpr std::size_t code_byte(std::size_t vector) { return vector % 16 * 2 + vector / 16; }

// value = first + second * (scale * sum of tables[g][code g] + offset); below `limit` it is kept.
struct CodeScan {
  const std::uint8_t* blocks;  // block_bytes(groups) apart
  std::size_t count;           // of blocks
  // [groups / 4][2][64], each entry <= max_code_entry: the 16 of group 4t twice, those of 4t + 2
  // twice, then likewise of 4t + 1 and 4t + 3.
  const std::uint8_t* tables;
  std::size_t groups;  // a multiple of 8, at most 1024
  float scale, offset, limit;
  std::uint32_t place;       // of the first vector
  const std::uint8_t* next;  // blocks that come after these, asked for meanwhile; may be null
};
constexpr std::uint8_t max_code_entry = 63;

// Per-lane minima of one row over many panels: lane l has the least key of columns l, l + 16, ...
struct LaneMinima {
  float key[16];
  std::uint32_t column[16];
};

// Rows of bytes by columns of panels: which pairs may be near.  With d = dot - offsets[c]:
// value = terms[i] - factors[i] * scales[c] * d - slacks[i] * norms[c]; below limits[c] it is kept.
struct PairScan {
  const std::uint8_t* rows;  // [m, dim], stride bytes apart; dim as in dots_panels
  std::size_t stride, m;
  const float *terms, *factors, *slacks;  // [m]
  const std::int8_t* panels;
  std::size_t count, dim;                // of panels
  const float *scales, *norms, *limits;  // [16 * count]
  const std::int32_t* offsets;           // [16 * count]
};
constexpr std::size_t pair_rows = 16;  // at most, at once

struct PairHit {
  float value;
  std::uint32_t row, column;
};

struct SearchKernels {
  const char* name;  // "avx2"

  // out[i] = sum over j of (query[j] - row[j])^2, or of query[j] * row[j].  query: [dim] f32; rows
  // by RowType.  Tolerance 1e-5 of the sum of the terms' magnitudes.
  void (*l2[row_types])(float* out, const float* query, const void* rows, std::size_t stride,
                        std::size_t n, std::size_t dim);
  void (*dot[row_types])(float* out, const float* query, const void* rows, std::size_t stride,
                         std::size_t n, std::size_t dim);
  void (*l2_at[row_types])(float* out, const float* query, const void* rows, std::size_t stride,
                           const std::uint32_t* ids, std::size_t n, std::size_t dim);
  void (*dot_at[row_types])(float* out, const float* query, const void* rows, std::size_t stride,
                            const std::uint32_t* ids, std::size_t n, std::size_t dim);

  // out[i] = sum over j of row[j] * query[j], rows unsigned bytes, query signed ones.  Exact;
  // dim <= 65536.
  void (*dots_u8)(std::int32_t* out, const std::int8_t* query, const std::uint8_t* rows,
                  std::size_t stride, std::size_t n, std::size_t dim);
  void (*dots_u8_at)(std::int32_t* out, const std::int8_t* query, const std::uint8_t* rows,
                     std::size_t stride, const std::uint32_t* ids, std::size_t n, std::size_t dim);

  // out[i] = number of bits in which row i differs from the query; both of `bytes` bytes.
  void (*hamming)(std::uint32_t* out, const std::uint8_t* query, const std::uint8_t* rows,
                  std::size_t stride, std::size_t n, std::size_t bytes);

  // out[i, 16 p + l] = sum over j of row i [j] * panel p, lane l [j].  out: rows ldo apart; rows:
  // [m, dim] unsigned bytes.  dim is a multiple of panel_step.  Exact.
  void (*dots_panels)(std::int32_t* out, std::size_t ldo, const std::uint8_t* rows,
                      std::size_t stride, std::size_t m, const std::int8_t* panels,
                      std::size_t count, std::size_t dim);

  // For each row the least keys terms[c] - factor[i] * (dot(row i, column c) - offsets[c]), c < 16
  // * count, counted from `column`; better ones than those in `minima` replace them.  dim as above.
  void (*nearest)(LaneMinima* minima, const std::uint8_t* rows, std::size_t stride,
                  const float* factors, std::size_t m, const std::int8_t* panels,
                  const float* terms, const std::int32_t* offsets, std::uint32_t column,
                  std::size_t count, std::size_t dim);

  // The same keys of one row, keys[16 * count]; returns the least of them.  count > 0.
  float (*panel_keys)(float* keys, const std::uint8_t* row, float factor, const std::int8_t* panels,
                      const float* terms, const std::int32_t* offsets, std::size_t count,
                      std::size_t dim);

  // Pairs that are kept, in any order; returns how many.  m <= pair_rows; `hits` has room
  // for m * 16 * count.  Values to 1e-5 relative of their terms.
  std::size_t (*near_pairs)(PairHit* hits, const PairScan* scan);

  // Keys that are at most `limit`, in order, with their places; returns how many.  Both outputs
  // have room for n.
  std::size_t (*at_most)(float* values, std::uint32_t* places, const float* keys, std::size_t n,
                         float limit);

  // Tables of codes whose bits are signs: an entry is the sum over four numbers of q of +q where
  // the bit is set and -q where not, in steps of *scale from the least; *offset is the sum of the
  // least ones.  q: [4 * groups].  See CodeScan.
  void (*sign_tables)(std::uint8_t* tables, const float* q, std::size_t groups, float* scale,
                      float* offset);

  // Vectors whose value is below the limit, in order: values[i] and places[i]; returns how many.
  // Room for 32 * count is needed.  Values to 1e-3 relative of their terms.
  std::size_t (*scan_codes)(float* values, std::uint32_t* places, const CodeScan* scan);

  // bytes[j] = x[j] / step + zero, rounded, where step, which is returned, is a 127th of the
  // greatest magnitude; only zeros: 0.  zero: 128 for unsigned bytes, 0 for signed ones.
  float (*to_bytes)(std::uint8_t* bytes, const float* x, std::size_t n, int zero);

  // Of n numbers.  Tolerance as of l2.
  float (*sum)(const float* x, std::size_t n);

  // x = H * (x * signs), H the Hadamard matrix of order n, a power of two, n >= 1.  1e-5.
  void (*hadamard)(float* x, const float* signs, std::size_t n);
};

// Slow, obvious, right.  Every other table is tested against it.
const SearchKernels& search_reference();

}  // namespace hearth::kernels
