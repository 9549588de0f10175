// The search kernels as plainly as they can be written.
#define HEARTH_ISA search_reference_tables
#include "kernels/search.h"
//
#include "kernels/scalar.inl"

namespace hearth::kernels {
namespace search_reference_tables {
namespace {

template <RowType type>
double number(const u8* row, std::size_t j) {
  if constexpr (type == RowType::f16) return half_to_float(reinterpret_cast<const u16*>(row)[j]);
  if constexpr (type == RowType::bf16)
    return float_of_bits(static_cast<u32>(reinterpret_cast<const u16*>(row)[j]) << 16);
  if constexpr (type == RowType::f32) return reinterpret_cast<const float*>(row)[j];
}

template <RowType type, bool l2>
float distance(const float* query, const u8* row, std::size_t dim) {
  double s = 0;
  for (std::size_t j = 0; j < dim; ++j) {
    const double q = query[j], x = number<type>(row, j);
    s += l2 ? (q - x) * (q - x) : q * x;
  }
  return static_cast<float>(s);
}

template <RowType type, bool l2>
void distances(float* out, const float* query, const void* rows, std::size_t stride, std::size_t n,
               std::size_t dim) {
  for (std::size_t i = 0; i < n; ++i)
    out[i] = distance<type, l2>(query, static_cast<const u8*>(rows) + i * stride, dim);
}

template <RowType type, bool l2>
void distances_at(float* out, const float* query, const void* rows, std::size_t stride,
                  const std::uint32_t* ids, std::size_t n, std::size_t dim) {
  for (std::size_t i = 0; i < n; ++i)
    out[i] = distance<type, l2>(query, static_cast<const u8*>(rows) + ids[i] * stride, dim);
}

void dots_u8(std::int32_t* out, const i8* query, const u8* rows, std::size_t stride, std::size_t n,
             std::size_t dim) {
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = 0;
    for (std::size_t j = 0; j < dim; ++j) out[i] += query[j] * rows[i * stride + j];
  }
}

void dots_u8_at(std::int32_t* out, const i8* query, const u8* rows, std::size_t stride,
                const std::uint32_t* ids, std::size_t n, std::size_t dim) {
  for (std::size_t i = 0; i < n; ++i)
    dots_u8(out + i, query, rows + ids[i] * stride, stride, 1, dim);
}

void hamming(std::uint32_t* out, const u8* query, const u8* rows, std::size_t stride, std::size_t n,
             std::size_t bytes) {
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = 0;
    for (std::size_t bit = 0; bit < 8 * bytes; ++bit)
      out[i] += (query[bit / 8] ^ rows[i * stride + bit / 8]) >> (bit % 8) & 1u;
  }
}

void dots_panels(std::int32_t* out, std::size_t ldo, const u8* rows, std::size_t stride,
                 std::size_t m, const i8* panels, std::size_t count, std::size_t dim) {
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t c = 0; c < count * byte_panel_rows; ++c) {
      const i8* panel = panels + c / byte_panel_rows * byte_panel_rows * dim;
      out[i * ldo + c] = 0;
      for (std::size_t j = 0; j < dim; ++j)
        out[i * ldo + c] += rows[i * stride + j] *
                            panel[j / 4 * 4 * byte_panel_rows + c % byte_panel_rows * 4 + j % 4];
    }
}

void nearest(LaneMinima* minima, const u8* rows, std::size_t stride, const float* factors,
             std::size_t m, const i8* panels, const float* terms, const std::int32_t* offsets,
             std::uint32_t column, std::size_t count, std::size_t dim) {
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t p = 0; p < count; ++p) {
      std::int32_t dots[byte_panel_rows];
      dots_panels(dots, byte_panel_rows, rows + i * stride, stride, 1,
                  panels + p * byte_panel_rows * dim, 1, dim);
      for (std::size_t l = 0; l < byte_panel_rows; ++l) {
        const std::size_t c = p * byte_panel_rows + l;
        const float key = terms[c] - factors[i] * static_cast<float>(dots[l] - offsets[c]);
        if (!(key < minima[i].key[l])) continue;
        minima[i].key[l] = key;
        minima[i].column[l] = column + static_cast<std::uint32_t>(c);
      }
    }
}

float panel_keys(float* keys, const u8* row, float factor, const i8* panels, const float* terms,
                 const std::int32_t* offsets, std::size_t count, std::size_t dim) {
  float least = INFINITY;
  for (std::size_t p = 0; p < count; ++p) {
    std::int32_t dots[byte_panel_rows];
    dots_panels(dots, byte_panel_rows, row, dim, 1, panels + p * byte_panel_rows * dim, 1, dim);
    for (std::size_t l = 0; l < byte_panel_rows; ++l) {
      const std::size_t c = p * byte_panel_rows + l;
      keys[c] = terms[c] - factor * static_cast<float>(dots[l] - offsets[c]);
      least = keys[c] < least ? keys[c] : least;
    }
  }
  return least;
}

std::size_t near_pairs(PairHit* hits, const PairScan* scan) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < scan->m; ++i)
    for (std::size_t c = 0; c < scan->count * byte_panel_rows; ++c) {
      std::int32_t dots[byte_panel_rows];
      const std::size_t first = c / byte_panel_rows * byte_panel_rows;
      dots_panels(dots, byte_panel_rows, scan->rows + i * scan->stride, scan->stride, 1,
                  scan->panels + first * scan->dim, 1, scan->dim);
      const float d = static_cast<float>(dots[c - first] - scan->offsets[c]);
      const float value = scan->terms[i] - scan->factors[i] * (scan->scales[c] * d) -
                          scan->slacks[i] * scan->norms[c];
      if (value < scan->limits[c]) hits[kept++] = {value, static_cast<u32>(i), static_cast<u32>(c)};
    }
  return kept;
}

std::size_t at_most(float* values, std::uint32_t* places, const float* keys, std::size_t n,
                    float limit) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (keys[i] > limit) continue;
    values[kept] = keys[i];
    places[kept++] = static_cast<u32>(i);
  }
  return kept;
}

float signed_sum(const float* q, u32 code) {
  float s = 0;
  for (u32 b = 0; b < 4; ++b) s += (code >> b & 1) != 0 ? q[b] : -q[b];
  return s;
}

void sign_tables(u8* tables, const float* q, std::size_t groups, float* scale, float* offset) {
  float widest = 0;
  *offset = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    float top = 0;
    for (u32 code = 0; code < 16; ++code)
      top = signed_sum(q + 4 * g, code) > top ? signed_sum(q + 4 * g, code) : top;
    *offset -= top;
    widest = 2 * top > widest ? 2 * top : widest;
  }
  *scale = widest > 0 ? widest / max_code_entry : 1;
  for (std::size_t g = 0; g < groups; ++g) {
    u8* table = tables + g / 4 * 128 + g % 2 * 64 + g / 2 % 2 * 32;
    float least = 0;
    for (u32 code = 0; code < 16; ++code)
      least = signed_sum(q + 4 * g, code) < least ? signed_sum(q + 4 * g, code) : least;
    for (u32 code = 0; code < 16; ++code)
      table[code] = table[16 + code] =
          static_cast<u8>((signed_sum(q + 4 * g, code) - least) / *scale + 0.5f);
  }
}

// Group g of one vector of a block.
u32 code(const u8* block, std::size_t vector, std::size_t g) {
  const u8 byte = block[g / 4 * 64 + g / 2 % 2 * 32 + code_byte(vector)];
  return g % 2 == 0 ? byte & 15u : byte >> 4u;
}

std::size_t scan_codes(float* values, std::uint32_t* places, const CodeScan* scan) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < scan->count * block_vectors; ++i) {
    const u8* block = scan->blocks + i / block_vectors * block_bytes(scan->groups);
    const u8* terms = block + scan->groups * 16;
    const std::size_t v = i % block_vectors;
    u32 sum = 0;
    for (std::size_t g = 0; g < scan->groups; ++g)
      sum += scan->tables[g / 4 * 128 + g % 2 * 64 + g / 2 % 2 * 32 + code(block, v, g)];
    const float value =
        load_half(terms, v) + load_half(terms, block_vectors + v) *
                                  (scan->scale * static_cast<float>(sum) + scan->offset);
    if (!(value < scan->limit)) continue;
    values[kept] = value;
    places[kept++] = scan->place + static_cast<u32>(i);
  }
  return kept;
}

// H[i, j] is -1 when i and j have an odd number of bits in common.
void hadamard(float* x, const float* signs, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] *= signs[i];
  for (std::size_t width = 1; width < n; width *= 2)
    for (std::size_t i = 0; i < n; ++i) {
      if ((i & width) != 0) continue;
      const float a = x[i], b = x[i + width];
      x[i] = a + b;
      x[i + width] = a - b;
    }
}

float to_bytes(u8* bytes, const float* x, std::size_t n, int zero) {
  float top = 0;
  for (std::size_t j = 0; j < n; ++j) {
    const float size = x[j] < 0 ? -x[j] : x[j];
    top = size > top ? size : top;
  }
  const float step = top / 127;
  for (std::size_t j = 0; j < n; ++j)
    bytes[j] = static_cast<u8>(zero + (step > 0 ? __builtin_lroundf(x[j] / step) : 0));
  return step;
}

float sum(const float* x, std::size_t n) {
  double all = 0;
  for (std::size_t j = 0; j < n; ++j) all += x[j];
  return static_cast<float>(all);
}

constexpr SearchKernels table = {
    .name = "reference",
    .l2 = {distances<RowType::f32, true>, distances<RowType::f16, true>,
           distances<RowType::bf16, true>},
    .dot = {distances<RowType::f32, false>, distances<RowType::f16, false>,
            distances<RowType::bf16, false>},
    .l2_at = {distances_at<RowType::f32, true>, distances_at<RowType::f16, true>,
              distances_at<RowType::bf16, true>},
    .dot_at = {distances_at<RowType::f32, false>, distances_at<RowType::f16, false>,
               distances_at<RowType::bf16, false>},
    .dots_u8 = dots_u8,
    .dots_u8_at = dots_u8_at,
    .hamming = hamming,
    .dots_panels = dots_panels,
    .nearest = nearest,
    .panel_keys = panel_keys,
    .near_pairs = near_pairs,
    .at_most = at_most,
    .sign_tables = sign_tables,
    .scan_codes = scan_codes,
    .to_bytes = to_bytes,
    .sum = sum,
    .hadamard = hadamard,
};

}  // namespace
}  // namespace search_reference_tables

const SearchKernels& search_reference() { return search_reference_tables::table; }

}  // namespace hearth::kernels
