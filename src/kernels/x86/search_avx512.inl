// Search kernels over bytes for AVX-512 with VNNI.  Included after search_plain.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

inline __m512i load_bytes(const void* p) { return _mm512_loadu_si512(p); }
inline __mmask64 first_bytes(std::size_t n) {
  return _cvtu64_mask64(n >= 64 ? ~0ull : (1ull << n) - 1);
}

inline __m512i add_row(__m512i s, const u8* row, const i8* query, std::size_t dim) {
  std::size_t j = 0;
  for (; dim - j >= 64; j += 64)
    s = _mm512_dpbusd_epi32(s, load_bytes(row + j), load_bytes(query + j));
  if (j < dim) {
    const __mmask64 rest = first_bytes(dim - j);
    s = _mm512_dpbusd_epi32(s, _mm512_maskz_loadu_epi8(rest, row + j),
                            _mm512_maskz_loadu_epi8(rest, query + j));
  }
  return s;
}

inline __m128i fold(__m512i v) {
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// `row(i)` is the start of row i; four rows share the last steps of their sums.
template <typename Row>
inline void each_dot(std::int32_t* out, const i8* query, std::size_t n, std::size_t dim, Row row) {
  std::size_t i = 0;
  for (; n - i >= 4; i += 4) {
    const __m512i zero = _mm512_setzero_si512();
    const __m128i a = fold(add_row(zero, row(i), query, dim));
    const __m128i b = fold(add_row(zero, row(i + 1), query, dim));
    const __m128i c = fold(add_row(zero, row(i + 2), query, dim));
    const __m128i d = fold(add_row(zero, row(i + 3), query, dim));
    const __m128i sums = _mm_hadd_epi32(_mm_hadd_epi32(a, b), _mm_hadd_epi32(c, d));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), sums);
  }
  for (; i < n; ++i)
    out[i] = _mm512_reduce_add_epi32(add_row(_mm512_setzero_si512(), row(i), query, dim));
}

void dots_u8(std::int32_t* out, const i8* query, const u8* rows, std::size_t stride, std::size_t n,
             std::size_t dim) {
  each_dot(out, query, n, dim, [=](std::size_t i) { return rows + i * stride; });
}

void dots_u8_at(std::int32_t* out, const i8* query, const u8* rows, std::size_t stride,
                const std::uint32_t* ids, std::size_t n, std::size_t dim) {
  constexpr std::size_t ahead = 8;
  for (std::size_t i = 0; i < n && i < ahead; ++i) ask_for(rows + ids[i] * stride, dim);
  each_dot(out, query, n, dim, [=](std::size_t i) {
    if (n - i > ahead) ask_for(rows + ids[i + ahead] * stride, dim);
    return rows + ids[i] * stride;
  });
}

// Set bits of each byte.
inline __m512i byte_counts(__m512i v) {
  const __m512i low = _mm512_set1_epi8(15);
  const __m512i counts =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  return _mm512_add_epi8(
      _mm512_shuffle_epi8(counts, _mm512_and_si512(v, low)),
      _mm512_shuffle_epi8(counts, _mm512_and_si512(_mm512_srli_epi16(v, 4), low)));
}

inline __m512i count_bits(__m512i s, __m512i different) {
  return _mm512_add_epi64(s, _mm512_sad_epu8(byte_counts(different), _mm512_setzero_si512()));
}

void wide_hamming(std::uint32_t* out, const u8* query, const u8* rows, std::size_t stride,
                  std::size_t n, std::size_t bytes) {
  for (std::size_t i = 0; i < n; ++i) {
    const u8* row = rows + i * stride;
    __m512i s = _mm512_setzero_si512();
    std::size_t j = 0;
    for (; bytes - j >= 64; j += 64)
      s = count_bits(s, _mm512_xor_si512(load_bytes(row + j), load_bytes(query + j)));
    if (j < bytes) {
      const __mmask64 rest = first_bytes(bytes - j);
      s = count_bits(s, _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, row + j),
                                         _mm512_maskz_loadu_epi8(rest, query + j)));
    }
    out[i] = static_cast<std::uint32_t>(_mm512_reduce_add_epi64(s));
  }
}

void hamming(std::uint32_t* out, const u8* query, const u8* rows, std::size_t stride, std::size_t n,
             std::size_t bytes) {
  if (bytes < 48) return plain_hamming(out, query, rows, stride, n, bytes);
  wide_hamming(out, query, rows, stride, n, bytes);
}

// Sums of `height` rows and `width` panels, held in registers.  Where they are few, each in several
// parts: an addition waits for the one before it.
template <std::size_t height, std::size_t width>
inline void tile_dots(std::int32_t* out, std::size_t ldo, const u8* rows, std::size_t stride,
                      const i8* panels, std::size_t dim) {
  constexpr std::size_t parts = height * width >= 8 ? 1 : 8 / (height * width);
  __m512i s[parts][height][width];
#pragma GCC unroll 16
  for (std::size_t part = 0; part < parts; ++part)
#pragma GCC unroll 16
    for (std::size_t i = 0; i < height; ++i)
#pragma GCC unroll 16
      for (std::size_t p = 0; p < width; ++p) s[part][i][p] = _mm512_setzero_si512();
  for (std::size_t j = 0; j < dim; j += 4 * parts) {
#pragma GCC unroll 16
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t at = j + 4 * part;
      __m512i columns[width];
#pragma GCC unroll 16
      for (std::size_t p = 0; p < width; ++p)
        columns[p] = load_bytes(panels + (p * dim + at) * byte_panel_rows);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < height; ++i) {
        int four;
        memcpy(&four, rows + i * stride + at, 4);
        const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 16
        for (std::size_t p = 0; p < width; ++p)
          s[part][i][p] = _mm512_dpbusd_epi32(s[part][i][p], x, columns[p]);
      }
    }
  }
#pragma GCC unroll 16
  for (std::size_t i = 0; i < height; ++i)
#pragma GCC unroll 16
    for (std::size_t p = 0; p < width; ++p) {
#pragma GCC unroll 16
      for (std::size_t part = 1; part < parts; ++part)
        s[0][i][p] = _mm512_add_epi32(s[0][i][p], s[part][i][p]);
      _mm512_storeu_si512(out + i * ldo + p * byte_panel_rows, s[0][i][p]);
    }
}

// All rows by `width` panels.
template <std::size_t width>
inline void strip_dots(std::int32_t* out, std::size_t ldo, const u8* rows, std::size_t stride,
                       std::size_t m, const i8* panels, std::size_t dim) {
  constexpr std::size_t height = width == 8 ? 1 : width == 4 ? 4 : 8;
  std::size_t i = 0;
  for (; m - i >= height; i += height)
    tile_dots<height, width>(out + i * ldo, ldo, rows + i * stride, stride, panels, dim);
  for (; i < m; ++i)
    tile_dots<1, width>(out + i * ldo, ldo, rows + i * stride, stride, panels, dim);
}

void wide_dots_panels(std::int32_t* out, std::size_t ldo, const u8* rows, std::size_t stride,
                      std::size_t m, const i8* panels, std::size_t count, std::size_t dim) {
  std::size_t p = 0;
  const auto panel = [=](std::size_t index) { return panels + index * byte_panel_rows * dim; };
  if (m < 4)
    for (; count - p >= 8; p += 8)
      strip_dots<8>(out + p * byte_panel_rows, ldo, rows, stride, m, panel(p), dim);
  for (; count - p >= 4; p += 4)
    strip_dots<4>(out + p * byte_panel_rows, ldo, rows, stride, m, panel(p), dim);
  for (; count - p >= 2; p += 2)
    strip_dots<2>(out + p * byte_panel_rows, ldo, rows, stride, m, panel(p), dim);
  for (; p < count; ++p)
    strip_dots<1>(out + p * byte_panel_rows, ldo, rows, stride, m, panel(p), dim);
}

inline void take_minima_wide(LaneMinima& minima, const std::int32_t* dots, const float* terms,
                             const std::int32_t* offsets, float factor, std::uint32_t column) {
  const __m512i dot = _mm512_sub_epi32(_mm512_loadu_si512(dots), _mm512_loadu_si512(offsets));
  const __m512 key =
      _mm512_fnmadd_ps(_mm512_set1_ps(factor), _mm512_cvtepi32_ps(dot), _mm512_loadu_ps(terms));
  const __m512 best = _mm512_loadu_ps(minima.key);
  const __mmask16 better = _mm512_cmp_ps_mask(key, best, _CMP_LT_OQ);
  _mm512_storeu_ps(minima.key, _mm512_mask_mov_ps(best, better, key));
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i columns = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(column)), lane);
  const __m512i before = _mm512_loadu_si512(minima.column);
  _mm512_storeu_si512(minima.column, _mm512_mask_mov_epi32(before, better, columns));
}

// Dots of some rows and panels at a time, then their minima, while both are near.
template <typename Dots>
inline void nearest_by(Dots dots_of, LaneMinima* minima, const u8* rows, std::size_t stride,
                       const float* factors, std::size_t m, const i8* panels, const float* terms,
                       const std::int32_t* offsets, std::uint32_t column, std::size_t count,
                       std::size_t dim) {
  constexpr std::size_t some_rows = 16, some_panels = 8;
  alignas(64) std::int32_t dots[some_rows * some_panels * byte_panel_rows];
  constexpr std::size_t ld = some_panels * byte_panel_rows;
  for (std::size_t p = 0; p < count; p += some_panels) {
    const std::size_t width = count - p < some_panels ? count - p : some_panels;
    for (std::size_t i = 0; i < m; i += some_rows) {
      const std::size_t height = m - i < some_rows ? m - i : some_rows;
      dots_of(dots, ld, rows + i * stride, stride, height, panels + p * byte_panel_rows * dim,
              width, dim);
      for (std::size_t r = 0; r < height; ++r)
        for (std::size_t q = 0; q < width; ++q)
          take_minima_wide(minima[i + r], dots + r * ld + q * byte_panel_rows,
                           terms + (p + q) * byte_panel_rows, offsets + (p + q) * byte_panel_rows,
                           factors[i + r],
                           column + static_cast<std::uint32_t>((p + q) * byte_panel_rows));
    }
  }
}

std::size_t at_most(float* values, std::uint32_t* places, const float* keys, std::size_t n,
                    float limit) {
  std::size_t kept = 0, i = 0;
  const __m512 most = _mm512_set1_ps(limit);
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (; n - i >= 16; i += 16) {
    const __m512 key = _mm512_loadu_ps(keys + i);
    const __mmask16 low = _mm512_cmp_ps_mask(key, most, _CMP_LE_OQ);
    if (low == 0) continue;
    _mm512_mask_compressstoreu_ps(values + kept, low, key);
    _mm512_mask_compressstoreu_epi32(
        places + kept, low, _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(i)), lane));
    kept += static_cast<std::size_t>(__builtin_popcount(low));
  }
  for (; i < n; ++i) {
    if (!(keys[i] <= limit)) continue;
    values[kept] = keys[i];
    places[kept++] = static_cast<std::uint32_t>(i);
  }
  return kept;
}

// The scale and the offset of tables, see SearchKernels::sign_tables.
inline void measure_signs_wide(const float* q, std::size_t n, float* scale, float* offset) {
  Vec widest = {}, all = {};
  for (std::size_t j = 0; j < n; j += lanes) {
    const __m512 size = _mm512_abs_ps(load(q + j));
    const __m512 two = size + _mm512_permute_ps(size, 0xB1);
    widest = vector_max(widest, two + _mm512_permute_ps(two, 0x4E));  // of the four of a group
    all += size;
  }
  const float top = largest(widest);
  *scale = top > 0 ? 2 * top / max_code_entry : 1;
  *offset = -sum(all);
}

// An entry is, over four numbers x, the sum of 2x where the bit is set beside that of -2x where x
// is negative.  Eight groups at a time, in 256ths of a step.
void sign_tables(u8* tables, const float* q, std::size_t groups, float* scale, float* offset) {
  measure_signs_wide(q, 4 * groups, scale, offset);
  const __m512 parts = _mm512_set1_ps(2 * 256 / *scale);
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const auto bit = [lane](unsigned b) {
    return _mm512_and_si512(_mm512_srli_epi32(lane, b), _mm512_set1_epi32(1));
  };
  const __m512i low = _mm512_or_si512(bit(0), _mm512_slli_epi32(bit(1), 16));
  const __m512i high = _mm512_or_si512(bit(2), _mm512_slli_epi32(bit(3), 16));
  const __m512i half = _mm512_set1_epi32(128), most = _mm512_set1_epi32(max_code_entry);
  const auto shorts = [&](const float* x) {
    return _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(load(x) * parts));
  };
  for (std::size_t g = 0; g < groups; g += 8) {
    const __m512i x =
        _mm512_inserti64x4(_mm512_castsi256_si512(shorts(q + 4 * g)), shorts(q + 4 * g + lanes), 1);
    const __m512i below =
        _mm512_max_epi16(_mm512_sub_epi16(_mm512_setzero_si512(), x), _mm512_setzero_si512());
    const __m512i two = _mm512_dpwssd_epi32(_mm512_setzero_si512(), below, _mm512_set1_epi16(1));
    const __m512i least =
        _mm512_add_epi32(half, _mm512_add_epi32(two, _mm512_shuffle_epi32(two, _MM_PERM_CDAB)));
    __m512i first = _mm512_setzero_si512();
    for (std::size_t i = 0; i < 8; ++i) {
      const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(1));
      __m512i entries = _mm512_permutexvar_epi32(first, least);
      entries = _mm512_dpwssd_epi32(entries, _mm512_permutexvar_epi32(first, x), low);
      entries = _mm512_dpwssd_epi32(entries, _mm512_permutexvar_epi32(second, x), high);
      entries = _mm512_min_epi32(_mm512_srai_epi32(entries, 8), most);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(table_of(tables, g + i)),
                          _mm256_broadcastsi128_si256(_mm512_cvtepi32_epi8(entries)));
      first = _mm512_add_epi32(second, _mm512_set1_epi32(1));
    }
  }
}

// What the tables say of 64 bytes of codes: at most 2 * max_code_entry for each byte.
inline __m512i look_up(const u8* codes, const u8* tables) {
  const __m512i low = _mm512_set1_epi8(15), c = load_bytes(codes);
  return _mm512_add_epi8(
      _mm512_shuffle_epi8(load_bytes(tables), _mm512_and_si512(c, low)),
      _mm512_shuffle_epi8(load_bytes(tables + 64), _mm512_and_si512(_mm512_srli_epi16(c, 4), low)));
}

inline __m256i halves_sum(__m512i v) {
  return _mm256_add_epi16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

inline __m512 code_values(__m256i sums, const u8* terms, std::size_t half, __m512 scale,
                          __m512 offset) {
  const auto halves = [terms](std::size_t first) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(terms + 2 * first)));
  };
  const __m512 s = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(sums));
  return _mm512_fmadd_ps(halves(block_vectors + half), _mm512_fmadd_ps(s, scale, offset),
                         halves(half));
}

inline std::size_t keep(float* values, std::uint32_t* places, __m512 value, __m512 limit,
                        std::uint32_t place) {
  const __mmask16 kept = _mm512_cmp_ps_mask(value, limit, _CMP_LT_OQ);
  if (kept == 0) return 0;
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  _mm512_mask_compressstoreu_ps(values, kept, value);
  _mm512_mask_compressstoreu_epi32(
      places, kept, _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(place)), lane));
  return static_cast<std::size_t>(__builtin_popcount(kept));
}

// Sums stay below 2^16: 1024 groups of at most 63.
std::size_t scan_codes(float* values, std::uint32_t* places, const CodeScan* scan) {
  const std::size_t groups = scan->groups, bytes = block_bytes(groups);
  const __m512 scale = _mm512_set1_ps(scan->scale), offset = _mm512_set1_ps(scan->offset),
               limit = _mm512_set1_ps(scan->limit);
  const u8* block = scan->blocks;
  std::uint32_t place = scan->place;
  std::size_t kept = 0;
  for (std::size_t b = 0; b < scan->count; ++b, block += bytes, place += block_vectors) {
    const u8* next = scan->next != nullptr ? scan->next + b * bytes : block;
    ask_for(next + groups * 16, bytes - groups * 16);
    // `all` adds odd bytes at 256 times their worth; they are taken off at the end.
    __m512i all = _mm512_setzero_si512(), odd = _mm512_setzero_si512();
    for (std::size_t t = 0; t < groups / 4; t += 2) {
      ask_for(next + 64 * t, 128);
      const __m512i four =
          _mm512_add_epi8(look_up(block + 64 * t, scan->tables + 128 * t),
                          look_up(block + 64 * t + 64, scan->tables + 128 * t + 128));
      all = _mm512_add_epi16(all, four);
      odd = _mm512_add_epi16(odd, _mm512_srli_epi16(four, 8));
    }
    const __m512i even = _mm512_sub_epi16(all, _mm512_slli_epi16(odd, 8));
    const u8* terms = block + groups * 16;
    const __m512 first = code_values(halves_sum(even), terms, 0, scale, offset);
    const __m512 second = code_values(halves_sum(odd), terms, 16, scale, offset);
    kept += keep(values + kept, places + kept, first, limit, place);
    kept += keep(values + kept, places + kept, second, limit, place + 16);
  }
  return kept;
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
