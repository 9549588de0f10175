// Search kernels over bytes in plain C.  Included after scalar.inl and search.h; an instruction set
// takes those it has nothing better for.

namespace hearth::kernels::HEARTH_ISA {
namespace {

inline std::int32_t byte_dot(const u8* row, const i8* query, std::size_t dim) {
  std::int32_t s = 0;
  for (std::size_t i = 0; i < dim; ++i) s += row[i] * query[i];
  return s;
}

[[maybe_unused]] void plain_dots_u8(std::int32_t* out, const i8* query, const u8* rows,
                                    std::size_t stride, std::size_t n, std::size_t dim) {
  for (std::size_t i = 0; i < n; ++i) out[i] = byte_dot(rows + i * stride, query, dim);
}

[[maybe_unused]] void plain_dots_u8_at(std::int32_t* out, const i8* query, const u8* rows,
                                       std::size_t stride, const std::uint32_t* ids, std::size_t n,
                                       std::size_t dim) {
  for (std::size_t i = 0; i < n; ++i) {
    if (n - i > 4) __builtin_prefetch(rows + ids[i + 4] * stride);
    out[i] = byte_dot(rows + ids[i] * stride, query, dim);
  }
}

[[maybe_unused]] void plain_hamming(std::uint32_t* out, const u8* query, const u8* rows,
                                    std::size_t stride, std::size_t n, std::size_t bytes) {
  for (std::size_t i = 0; i < n; ++i) {
    const u8* row = rows + i * stride;
    int different = 0;
    std::size_t j = 0;
    for (; bytes - j >= 8; j += 8) {
      unsigned long long a, b;
      memcpy(&a, query + j, 8);
      memcpy(&b, row + j, 8);
      different += __builtin_popcountll(a ^ b);
    }
    for (; j < bytes; ++j) different += __builtin_popcount(static_cast<u32>(query[j] ^ row[j]));
    out[i] = static_cast<std::uint32_t>(different);
  }
}

// Sums of one row and one panel.
inline void panel_dots(std::int32_t* out, const u8* row, const i8* panel, std::size_t dim) {
  std::int32_t s[byte_panel_rows] = {};
  for (std::size_t j = 0; j < dim; j += 4)
    for (std::size_t l = 0; l < byte_panel_rows; ++l) {
      const i8* p = panel + j * byte_panel_rows + 4 * l;
      s[l] += row[j] * p[0] + row[j + 1] * p[1] + row[j + 2] * p[2] + row[j + 3] * p[3];
    }
  memcpy(out, s, sizeof s);
}

[[maybe_unused]] void plain_dots_panels(std::int32_t* out, std::size_t ldo, const u8* rows,
                                        std::size_t stride, std::size_t m, const i8* panels,
                                        std::size_t count, std::size_t dim) {
  for (std::size_t p = 0; p < count; ++p)
    for (std::size_t i = 0; i < m; ++i)
      panel_dots(out + i * ldo + p * byte_panel_rows, rows + i * stride,
                 panels + p * byte_panel_rows * dim, dim);
}

inline void take_minima(LaneMinima& minima, const std::int32_t* dots, const float* terms,
                        float factor, std::uint32_t column) {
  for (std::uint32_t l = 0; l < byte_panel_rows; ++l) {
    const float key = terms[l] - factor * static_cast<float>(dots[l]);
    if (key < minima.key[l]) {
      minima.key[l] = key;
      minima.column[l] = column + l;
    }
  }
}

[[maybe_unused]] void plain_nearest(LaneMinima* minima, const u8* rows, std::size_t stride,
                                    const float* factors, std::size_t m, const i8* panels,
                                    const float* terms, std::uint32_t column, std::size_t count,
                                    std::size_t dim) {
  std::int32_t dots[byte_panel_rows];
  for (std::size_t p = 0; p < count; ++p)
    for (std::size_t i = 0; i < m; ++i) {
      panel_dots(dots, rows + i * stride, panels + p * byte_panel_rows * dim, dim);
      take_minima(minima[i], dots, terms + p * byte_panel_rows, factors[i],
                  column + static_cast<std::uint32_t>(p * byte_panel_rows));
    }
}

// The sums of one block's vectors.
inline void block_sums(u32* sums, const u8* block, const u8* tables, std::size_t groups) {
  for (std::size_t v = 0; v < block_vectors; ++v) {
    u32 s = 0;
    for (std::size_t t = 0; t < groups / 4; ++t) {
      const u8* codes = block + 64 * t + code_byte(v);
      const u8* low = tables + 128 * t;
      const u8* high = low + 64;
      s += low[codes[0] & 15] + high[codes[0] >> 4] + low[32 + (codes[32] & 15)] +
           high[32 + (codes[32] >> 4)];
    }
    sums[v] = s;
  }
}

[[maybe_unused]] std::size_t plain_scan_codes(float* values, std::uint32_t* places,
                                              const CodeScan* scan) {
  std::size_t kept = 0;
  u32 sums[block_vectors];
  for (std::size_t b = 0; b < scan->count; ++b) {
    const u8* block = scan->blocks + b * block_bytes(scan->groups);
    const u8* terms = block + scan->groups * 16;
    block_sums(sums, block, scan->tables, scan->groups);
    for (std::size_t v = 0; v < block_vectors; ++v) {
      const float value =
          load_half(terms, v) + load_half(terms, block_vectors + v) *
                                    (scan->scale * static_cast<float>(sums[v]) + scan->offset);
      if (!(value < scan->limit)) continue;
      values[kept] = value;
      places[kept++] = scan->place + static_cast<std::uint32_t>(b * block_vectors + v);
    }
  }
  return kept;
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
