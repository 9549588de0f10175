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
                        const std::int32_t* offsets, float factor, std::uint32_t column) {
  for (std::uint32_t l = 0; l < byte_panel_rows; ++l) {
    const float key = terms[l] - factor * static_cast<float>(dots[l] - offsets[l]);
    if (key < minima.key[l]) {
      minima.key[l] = key;
      minima.column[l] = column + l;
    }
  }
}

[[maybe_unused]] void plain_nearest(LaneMinima* minima, const u8* rows, std::size_t stride,
                                    const float* factors, std::size_t m, const i8* panels,
                                    const float* terms, const std::int32_t* offsets,
                                    std::uint32_t column, std::size_t count, std::size_t dim) {
  std::int32_t dots[byte_panel_rows];
  for (std::size_t p = 0; p < count; ++p)
    for (std::size_t i = 0; i < m; ++i) {
      const std::size_t first = p * byte_panel_rows;
      panel_dots(dots, rows + i * stride, panels + first * dim, dim);
      take_minima(minima[i], dots, terms + first, offsets + first, factors[i],
                  column + static_cast<std::uint32_t>(first));
    }
}

inline bool any(Ints mask) {
#if HEARTH_LANES == 16
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask)) != 0;
#elif HEARTH_LANES == 8
  return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)) != 0;
#elif defined(__aarch64__)
  return vmaxvq_u32(reinterpret_cast<uint32x4_t>(mask)) != 0;
#else
  return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
#endif
}

// Keys by `dots_of`, some panels at a time.
template <typename Dots>
inline float panel_keys_by(Dots dots_of, float* keys, const u8* row, float factor, const i8* panels,
                           const float* terms, const std::int32_t* offsets, std::size_t count,
                           std::size_t dim) {
  constexpr std::size_t some_panels = 16, some = some_panels * byte_panel_rows;
  alignas(64) std::int32_t dots[some];
  Vec least = splat(INFINITY);
  for (std::size_t p = 0; p < count; p += some_panels) {
    const std::size_t width = count - p < some_panels ? count - p : some_panels;
    dots_of(dots, some, row, dim, 1, panels + p * byte_panel_rows * dim, width, dim);
    const std::size_t first = p * byte_panel_rows;
    for (std::size_t c = 0; c < width * byte_panel_rows; c += lanes) {
      Ints d, o;
      memcpy(&d, dots + c, sizeof d);
      memcpy(&o, offsets + first + c, sizeof o);
      const Vec key = load(terms + first + c) - splat(factor) * __builtin_convertvector(d - o, Vec);
      store(keys + first + c, key);
      least = vector_min(least, key);
    }
  }
  float best = least[0];
  for (std::size_t l = 1; l < lanes; ++l) best = least[l] < best ? least[l] : best;
  return best;
}

// Products by `dots_of`, a few panels at a time.
template <typename Dots>
inline std::size_t near_pairs_by(Dots dots_of, PairHit* hits, const PairScan* scan) {
  constexpr std::size_t some_panels = 4, ld = some_panels * byte_panel_rows;
  alignas(64) std::int32_t dots[pair_rows * ld];
  std::size_t kept = 0;
  for (std::size_t p = 0; p < scan->count; p += some_panels) {
    const std::size_t width = scan->count - p < some_panels ? scan->count - p : some_panels;
    const std::size_t first = p * byte_panel_rows;
    dots_of(dots, ld, scan->rows, scan->stride, scan->m, scan->panels + first * scan->dim, width,
            scan->dim);
    for (std::size_t i = 0; i < scan->m; ++i) {
      const Vec term = splat(scan->terms[i]), factor = splat(scan->factors[i]),
                slack = splat(scan->slacks[i]);
      for (std::size_t c = 0; c < width * byte_panel_rows; c += lanes) {
        Ints d, o;
        memcpy(&d, dots + i * ld + c, sizeof d);
        memcpy(&o, scan->offsets + first + c, sizeof o);
        const Vec product = load(scan->scales + first + c) * __builtin_convertvector(d - o, Vec);
        const Vec value = term - factor * product - slack * load(scan->norms + first + c);
        const Ints below = value < load(scan->limits + first + c);
        if (!any(below)) continue;
        for (std::size_t l = 0; l < lanes; ++l) {
          if (below[l] == 0) continue;
          hits[kept++] = {value[l], static_cast<u32>(i), static_cast<u32>(first + c + l)};
        }
      }
    }
  }
  return kept;
}

[[maybe_unused]] std::size_t plain_at_most(float* values, std::uint32_t* places, const float* keys,
                                           std::size_t n, float limit) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++i) {
    values[kept] = keys[i];
    places[kept] = static_cast<std::uint32_t>(i);
    kept += keys[i] <= limit;
  }
  return kept;
}

typedef u8 Bytes __attribute__((vector_size(lanes)));

float to_bytes(u8* bytes, const float* x, std::size_t n, int zero) {
  const std::size_t whole = n / lanes * lanes, rest = n - whole;
  const auto size = [](Vec v) { return vector_max(v, -v); };
  Vec top = rest > 0 ? size(load_some(x + whole, rest)) : Vec{};
  for (std::size_t i = 0; i < whole; i += lanes) top = vector_max(top, size(load(x + i)));
  const float step = largest(top) / 127;
  const Vec inverse = splat(step > 0 ? 1 / step : 0);
  // Above zero numbers are cut to the nearest whole one; 512 leaves the byte as it is.
  const Vec shift = splat(static_cast<float>(zero) + 512.5f);
  const auto rounded = [&](Vec v) {
    const Ints whole_numbers = __builtin_convertvector(multiply_add(v, inverse, shift), Ints);
    return __builtin_convertvector(whole_numbers & 255, Bytes);
  };
  for (std::size_t i = 0; i < whole; i += lanes) {
    const Bytes eight = rounded(load(x + i));
    memcpy(bytes + i, &eight, sizeof eight);
  }
  if (rest > 0) {
    const Bytes last = rounded(load_some(x + whole, rest));
    memcpy(bytes + whole, &last, rest);
  }
  return step;
}

float sum_of(const float* x, std::size_t n) {
  Vec even = {}, odd = {};
  std::size_t i = 0;
  for (; n - i >= 2 * lanes; i += 2 * lanes) {
    even += load(x + i);
    odd += load(x + i + lanes);
  }
  float rest = 0;
  for (; i < n; ++i) rest += x[i];
  return sum(even + odd) + rest;
}

inline float magnitude(float x) { return x < 0 ? -x : x; }

// The greatest spread of a group is cut into steps that an entry can count.
inline void measure_signs(const float* q, std::size_t groups, float* scale, float* offset) {
  float widest = 0, least = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    const float* x = q + 4 * g;
    const float sum = magnitude(x[0]) + magnitude(x[1]) + magnitude(x[2]) + magnitude(x[3]);
    widest = sum > widest ? sum : widest;
    least -= sum;
  }
  *scale = widest > 0 ? 2 * widest / max_code_entry : 1;
  *offset = least;
}

inline u8* table_of(u8* tables, std::size_t g) {
  return tables + g / 4 * 128 + g % 2 * 64 + g / 2 % 2 * 32;
}

[[maybe_unused]] void plain_sign_tables(u8* tables, const float* q, std::size_t groups,
                                        float* scale, float* offset) {
  measure_signs(q, groups, scale, offset);
  const float inverse = 1 / *scale;
  for (std::size_t g = 0; g < groups; ++g)
    for (u32 code = 0; code < 16; ++code) {
      float above = 0;  // the least
      for (u32 b = 0; b < 4; ++b) {
        const float x = q[4 * g + b];
        if ((code >> b & 1) != (x < 0 ? 1u : 0u)) above += 2 * magnitude(x);
      }
      const float steps = above * inverse + 0.5f;
      table_of(tables, g)[code] = static_cast<u8>(steps < max_code_entry ? steps : max_code_entry);
      table_of(tables, g)[16 + code] = table_of(tables, g)[code];
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
