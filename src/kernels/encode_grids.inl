// The types of code books.  For a group of values the products with every entry are computed once;
// a scale is then judged by one comparison per entry.  Offsets in a block are those of
// quants_iq.cpp.
#include "kernels/encode_fit.inl"

namespace hearth::kernels::HEARTH_ISA {
namespace {

#include "kernels/quants_grids.inc"

constexpr std::size_t block_values = 256;

// Coordinates of all entries, one row per coordinate.
template <int W, int count>
struct Book {
  static constexpr int width = W, entries = count;
  float rows[W][count];

  template <std::size_t levels>
  Book(const u16 (&codes)[count], const float (&values)[levels]) {
    constexpr u32 bits_each = W == 4 ? 3 : 2, mask = (1u << bits_each) - 1;
    for (std::size_t i = 0; i < W; ++i)
      for (std::size_t e = 0; e < count; ++e)
        rows[i][e] = values[codes[e] >> (bits_each * i) & mask];
  }
};

constexpr float iq2_values[] = {8, 25, 43};
constexpr float iq3_xxs_values[] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr float iq3_s_values[] = {1, 3, 5, 7, 9, 11, 13, 15};

// Of one group: sums over its coordinates of w x g and of w g g, for every entry.
template <typename Books>
struct Products {
  float xg[Books::entries], gg[Books::entries];

  void compute(const Books& book, const float* x, const float* w) {
    for (std::size_t e = 0; e < Books::entries; e += lanes) {
      Vec sum_xg = splat(0), sum_gg = splat(0);
      for (int i = 0; i < Books::width; ++i) {
        const Vec g = load(&book.rows[i][e]);
        sum_xg = multiply_add(splat(w[i] * x[i]), g, sum_xg);
        sum_gg = multiply_add(splat(w[i]) * g, g, sum_gg);
      }
      store(xg + e, sum_xg);
      store(gg + e, sum_gg);
    }
  }

  // The entry that errs least at this scale.
  u32 best(float scale) const {
    Vec least = splat(3e38f);
    Ints place = {}, at = {};
    for (std::size_t l = 0; l < lanes; ++l) at[l] = static_cast<std::int32_t>(l);
    for (std::size_t e = 0; e < Books::entries; e += lanes) {
      const Vec error = scale * (scale * load(gg + e) - 2.0f * load(xg + e));
      const auto better = error < least;
      least = better ? error : least;
      place = better ? at : place;
      at += static_cast<std::int32_t>(lanes);
    }
    std::size_t first = 0;
    for (std::size_t l = 1; l < lanes; ++l)
      if (least[l] < least[first]) first = l;
    return static_cast<u32>(place[first]);
  }
};

// Sizes and signs of 8 values.  With `even` the number of minuses must be even: the value that
// costs least takes the wrong sign.
inline u32 take_signs(const float* x, const float* w, float* sizes, bool even) {
  u32 signs = 0, cheapest = 0;
  for (u32 i = 0; i < 8; ++i) {
    signs |= (x[i] < 0 ? 1u : 0u) << i;
    sizes[i] = fabsf(x[i]);
    if (w[i] * x[i] * x[i] < w[cheapest] * x[cheapest] * x[cheapest]) cheapest = i;
  }
  if (!even || __builtin_popcount(signs) % 2 == 0) return signs;
  sizes[cheapest] = -sizes[cheapest];
  return signs ^ 1u << cheapest;
}

// Milder than the square: few levels must not all go to the largest values.
inline float by_spread(float x, float mean) { return sqrtf(mean + x * x); }

// A block as its encoder sees it.
struct Sizes {
  float x[block_values], w[block_values];
  u8 signs[32];

  void take(const float* from, const float* importance, bool even) {
    weigh(from, importance, w, block_values, block_values, by_spread);
    for (std::size_t i = 0; i < 32; ++i)
      signs[i] = static_cast<u8>(take_signs(from + 8 * i, w + 8 * i, x + 8 * i, even));
  }
};

// The scale of G values by least squares, best of several.
template <int G, typename Books>
float fit_scale(const Books& book, const float* x, const float* w, float top) {
  constexpr int groups = G / Books::width, tries = 9;
  Products<Books> products[groups];
  float most = 0;
  for (std::size_t i = 0; i < G; ++i) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
  if (!(most > 1e-30f)) return 0;
  for (int g = 0; g < groups; ++g)
    products[g].compute(book, x + g * Books::width, w + g * Books::width);
  float best = most / top, highest = 0;
  for (int k = 0; k < tries; ++k) {
    const float scale = most / (top * (0.8f + 0.08f * static_cast<float>(k)));
    float sum_xg = 0, sum_gg = 0;
    for (const auto& product : products) {
      const u32 entry = product.best(scale);
      sum_xg += product.xg[entry];
      sum_gg += product.gg[entry];
    }
    if (!(sum_gg > 0) || !(sum_xg > 0) || sum_xg * sum_xg <= highest * sum_gg) continue;
    highest = sum_xg * sum_xg / sum_gg;
    best = sum_xg / sum_gg;
  }
  return best;
}

template <typename Books>
u32 nearest_entry(const Books& book, const float* x, const float* w, float scale) {
  Products<Books> products;
  products.compute(book, x, w);
  return products.best(scale);
}

// Scales of d * step * (2 code + 1), codes from 0 to top; d is stored at `factor`.
template <std::size_t count>
float put_odd_codes(const float (&scales)[count], float step, float top, u8* factor, u8* codes) {
  float most = 0;
  for (const float scale : scales) most = scale > most ? scale : most;
  const float d = put_half(factor, most / (step * (2 * top + 1)));
  const float inverse = d > 0 ? 1 / (d * step) : 0;
  for (std::size_t i = 0; i < count; ++i)
    codes[i] = static_cast<u8>(clamped(nearest(0.5f * (scales[i] * inverse - 1)), 0, top));
  return d;
}
inline float odd_scale(float d, float step, u8 code) {
  return d * step * static_cast<float>(2 * code + 1);
}

inline void put_u16(u8* to, u32 value) {
  to[0] = static_cast<u8>(value);
  to[1] = static_cast<u8>(value >> 8);
}
inline void put_u32(u8* to, u32 value) { memcpy(to, &value, sizeof value); }
inline void put_bits(u8* to, u32 bits_of) { *to = static_cast<u8>(*to | bits_of); }

// Calls one(x, importance, block) for each block, which is cleared.
template <std::size_t block_bytes, typename One>
void each_block_of(const float* x, const float* importance, void* blocks, std::size_t n, One one) {
  for (u8* block = static_cast<u8*>(blocks); n >= block_values; n -= block_values) {
    memset(block, 0, block_bytes);
    one(x, importance, block);
    x += block_values;
    importance = importance ? importance + block_values : nullptr;
    block += block_bytes;
  }
}

void encode_iq2_xxs(const float* x, const float* importance, void* blocks, std::size_t n) {
  const Book<8, 256> book(iq2_xxs_codes, iq2_values);
  each_block_of<66>(x, importance, blocks, n, [&](const float* xb, const float* ib, u8* block) {
    Sizes sizes;
    float scales[8];
    u8 codes[8];
    sizes.take(xb, ib, true);
    for (std::size_t g = 0; g < 8; ++g)
      scales[g] = fit_scale<32>(book, sizes.x + 32 * g, sizes.w + 32 * g, 43);
    const float d = put_odd_codes(scales, 0.125f, 15, block, codes);
    for (std::size_t g = 0; g < 8; ++g) {
      u32 word = static_cast<u32>(codes[g]) << 28;
      for (std::size_t i = 0; i < 4; ++i) {
        const std::size_t at = 32 * g + 8 * i;
        block[2 + 8 * g + i] = static_cast<u8>(
            nearest_entry(book, sizes.x + at, sizes.w + at, odd_scale(d, 0.125f, codes[g])));
        word |= static_cast<u32>(sizes.signs[4 * g + i] & 127) << (7 * i);
      }
      put_u32(block + 6 + 8 * g, word);
    }
  });
}

void encode_iq2_xs(const float* x, const float* importance, void* blocks, std::size_t n) {
  const Book<8, 512> book(iq2_xs_codes, iq2_values);
  each_block_of<74>(x, importance, blocks, n, [&](const float* xb, const float* ib, u8* block) {
    Sizes sizes;
    float scales[16];
    u8 codes[16];
    sizes.take(xb, ib, true);
    for (std::size_t g = 0; g < 16; ++g)
      scales[g] = fit_scale<16>(book, sizes.x + 16 * g, sizes.w + 16 * g, 43);
    const float d = put_odd_codes(scales, 0.125f, 15, block, codes);
    for (std::size_t e = 0; e < 32; ++e) {
      const u32 entry =
          nearest_entry(book, sizes.x + 8 * e, sizes.w + 8 * e, odd_scale(d, 0.125f, codes[e / 2]));
      put_u16(block + 2 + 2 * e, entry | static_cast<u32>(sizes.signs[e] & 127) << 9);
    }
    for (std::size_t g = 0; g < 16; ++g)
      put_bits(block + 66 + g / 2, static_cast<u32>(codes[g]) << (4 * (g % 2)));
  });
}

void encode_iq2_s(const float* x, const float* importance, void* blocks, std::size_t n) {
  const Book<8, 1024> book(iq2_s_codes, iq2_values);
  each_block_of<82>(x, importance, blocks, n, [&](const float* xb, const float* ib, u8* block) {
    Sizes sizes;
    float scales[16];
    u8 codes[16];
    sizes.take(xb, ib, false);
    for (std::size_t g = 0; g < 16; ++g)
      scales[g] = fit_scale<16>(book, sizes.x + 16 * g, sizes.w + 16 * g, 43);
    const float d = put_odd_codes(scales, 0.125f, 15, block, codes);
    for (std::size_t e = 0; e < 32; ++e) {
      const u32 entry =
          nearest_entry(book, sizes.x + 8 * e, sizes.w + 8 * e, odd_scale(d, 0.125f, codes[e / 2]));
      block[2 + e] = static_cast<u8>(entry);
      block[34 + e] = sizes.signs[e];
      put_bits(block + 66 + e / 4, entry >> 8 << (2 * (e % 4)));
    }
    for (std::size_t g = 0; g < 16; ++g)
      put_bits(block + 74 + g / 2, static_cast<u32>(codes[g]) << (4 * (g % 2)));
  });
}

void encode_iq3_xxs(const float* x, const float* importance, void* blocks, std::size_t n) {
  const Book<4, 256> book(iq3_xxs_codes, iq3_xxs_values);
  each_block_of<98>(x, importance, blocks, n, [&](const float* xb, const float* ib, u8* block) {
    Sizes sizes;
    float scales[8];
    u8 codes[8];
    sizes.take(xb, ib, true);
    for (std::size_t g = 0; g < 8; ++g)
      scales[g] = fit_scale<32>(book, sizes.x + 32 * g, sizes.w + 32 * g, 62);
    const float d = put_odd_codes(scales, 0.25f, 15, block, codes);
    for (std::size_t e = 0; e < 64; ++e)
      block[2 + e] = static_cast<u8>(
          nearest_entry(book, sizes.x + 4 * e, sizes.w + 4 * e, odd_scale(d, 0.25f, codes[e / 8])));
    for (std::size_t g = 0; g < 8; ++g) {
      u32 word = static_cast<u32>(codes[g]) << 28;
      for (std::size_t i = 0; i < 4; ++i)
        word |= static_cast<u32>(sizes.signs[4 * g + i] & 127) << (7 * i);
      put_u32(block + 66 + 4 * g, word);
    }
  });
}

void encode_iq3_s(const float* x, const float* importance, void* blocks, std::size_t n) {
  const Book<4, 512> book(iq3_s_codes, iq3_s_values);
  each_block_of<110>(x, importance, blocks, n, [&](const float* xb, const float* ib, u8* block) {
    Sizes sizes;
    float scales[8];
    u8 codes[8];
    sizes.take(xb, ib, false);
    for (std::size_t g = 0; g < 8; ++g)
      scales[g] = fit_scale<32>(book, sizes.x + 32 * g, sizes.w + 32 * g, 15);
    const float d = put_odd_codes(scales, 1, 15, block, codes);
    for (std::size_t e = 0; e < 64; ++e) {
      const u32 entry =
          nearest_entry(book, sizes.x + 4 * e, sizes.w + 4 * e, odd_scale(d, 1, codes[e / 8]));
      block[2 + e] = static_cast<u8>(entry);
      put_bits(block + 66 + e / 8, entry >> 8 << (e % 8));
    }
    memcpy(block + 74, sizes.signs, 32);
    for (std::size_t g = 0; g < 8; ++g)
      put_bits(block + 106 + g / 2, static_cast<u32>(codes[g]) << (4 * (g % 2)));
  });
}

// Entries of eight values from -1, 0 and 1, in buckets of equal first halves: an error is the sum
// of those of two halves, of which there are 81 each, so most buckets need no look inside.
struct TernaryBook {
  static constexpr std::size_t entries = 2048, halves = 81;
  i8 digits[entries][8];
  u16 starts[halves + 1] = {}, order[entries];
  u8 second[entries];  // halves, in `order`

  explicit TernaryBook(const u16 (&codes)[entries]) {
    u8 first[entries], last[entries];
    for (std::size_t e = 0; e < entries; ++e) {
      u32 numbers[2] = {0, 0};
      for (std::size_t i = 8; i-- > 0;) {
        const u32 digit = codes[e] >> (2 * i) & 3;
        digits[e][i] = static_cast<i8>(static_cast<int>(digit) - 1);
        numbers[i / 4] = 3 * numbers[i / 4] + digit;
      }
      first[e] = static_cast<u8>(numbers[0]);
      last[e] = static_cast<u8>(numbers[1]);
      ++starts[first[e] + 1];
    }
    for (std::size_t h = 0; h < halves; ++h)
      starts[h + 1] = static_cast<u16>(starts[h + 1] + starts[h]);
    u16 next[halves];
    memcpy(next, starts, sizeof next);
    for (std::size_t e = 0; e < entries; ++e) {
      const u16 at = next[first[e]]++;
      order[at] = static_cast<u16>(e);
      second[at] = last[e];
    }
  }
};

// Errors of the 81 halves of four values, in the order of their numbers.
inline void half_errors(const float* x, const float* w, float scale, float delta, float* out) {
  out[0] = 0;
  std::size_t count = 1;
  for (std::size_t i = 0; i < 4; ++i, count *= 3) {
    float error[3];
    for (int d = 0; d < 3; ++d) {
      const float y = scale * (static_cast<float>(d - 1) + delta);
      error[d] = w[i] * y * (y - 2 * x[i]);
    }
    for (std::size_t d = 3; d-- > 0;)  // the lowest last: it is what the others are made from
      for (std::size_t j = 0; j < count; ++j) out[d * count + j] = out[j] + error[d];
  }
}

struct TernaryFit {
  u32 entry;
  float error;  // less the sum of w x x
};

// The entry that errs least at this scale and shift.
inline TernaryFit nearest_ternary(const TernaryBook& book, const float* x, const float* w,
                                  float scale, float delta) {
  float first[TernaryBook::halves], second[TernaryBook::halves];
  half_errors(x, w, scale, delta, first);
  half_errors(x + 4, w + 4, scale, delta, second);
  float lowest = second[0];
  std::size_t start = 0;
  for (std::size_t h = 1; h < TernaryBook::halves; ++h) {
    lowest = second[h] < lowest ? second[h] : lowest;
    start = first[h] < first[start] ? h : start;
  }
  TernaryFit best{0, 3e38f};
  for (std::size_t k = 0; k < TernaryBook::halves; ++k) {
    const std::size_t h = k == 0 ? start : k <= start ? k - 1 : k;  // the likeliest first
    if (!(first[h] + lowest < best.error)) continue;
    for (std::size_t i = book.starts[h]; i < book.starts[h + 1]; ++i) {
      const float error = first[h] + second[book.second[i]];
      if (error < best.error) best = {book.order[i], error};
    }
  }
  return best;
}

struct TernaryChoice {
  float scale = 0;
  u8 down[4] = {};  // of each group
};

constexpr float shift = 0.125f;
inline float shift_of(bool down) { return down ? -shift : shift; }

// The scale that fits best when every value takes its own nearest level: where to begin.
inline float free_scale(const float* x, const float* w, std::size_t n, float most) {
  constexpr int tries = 12;
  float best = most, highest = 0;
  for (int k = 0; k < tries; ++k) {
    const float inverse = 1 / (most * (0.3f + 0.06f * static_cast<float>(k)));
    float sum_xg = 0, sum_gg = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const float g = clamped(nearest(x[i] * inverse), -1, 1);
      sum_xg += w[i] * x[i] * g;
      sum_gg += w[i] * g * g;
    }
    if (!(sum_gg > 0) || sum_xg * sum_xg <= highest * sum_gg) continue;
    highest = sum_xg * sum_xg / sum_gg;
    best = sum_xg / sum_gg;
  }
  return best;
}

// `together`: all groups of eight share the shift.
template <int groups, bool together>
TernaryChoice fit_ternary(const TernaryBook& book, const float* x, const float* w) {
  constexpr int tries = 3;  // each from where the one before led
  TernaryChoice best;
  float highest = 0, most = 0;
  for (std::size_t i = 0; i < 8 * groups; ++i) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
  if (!(most > 1e-30f)) return best;
  float scale = free_scale(x, w, 8 * groups, most);
  for (int k = 0; k < tries; ++k) {
    TernaryFit fits[2][groups];
    float whole[2] = {};
    for (int side = 0; side < 2; ++side)
      for (int g = 0; g < groups; ++g) {
        fits[side][g] = nearest_ternary(book, x + 8 * g, w + 8 * g, scale, shift_of(side == 1));
        whole[side] += fits[side][g].error;
      }
    TernaryChoice now;
    float sum_xg = 0, sum_gg = 0;
    for (int g = 0; g < groups; ++g) {
      now.down[g] = together ? whole[1] < whole[0] : fits[1][g].error < fits[0][g].error;
      const i8* digits = book.digits[fits[now.down[g]][g].entry];
      for (int i = 0; i < 8; ++i) {
        const float y = static_cast<float>(digits[i]) + shift_of(now.down[g] == 1);
        sum_xg += w[8 * g + i] * x[8 * g + i] * y;
        sum_gg += w[8 * g + i] * y * y;
      }
    }
    if (!(sum_gg > 0) || !(sum_xg > 0) || sum_xg * sum_xg <= highest * sum_gg) break;
    highest = sum_xg * sum_xg / sum_gg;
    now.scale = scale = sum_xg / sum_gg;
    best = now;
  }
  return best;
}

void encode_iq1_s(const float* x, const float* importance, void* blocks, std::size_t n) {
  const TernaryBook book(iq1_s_codes);
  each_block_of<50>(x, importance, blocks, n, [&](const float* xb, const float* ib, u8* block) {
    float w[block_values], scales[8];
    u8 codes[8], down[8];
    weigh(xb, ib, w, block_values, block_values, by_spread);
    for (std::size_t g = 0; g < 8; ++g) {
      const TernaryChoice fit = fit_ternary<4, true>(book, xb + 32 * g, w + 32 * g);
      scales[g] = fit.scale;
      down[g] = fit.down[0];
    }
    const float d = put_odd_codes(scales, 1, 7, block, codes);
    for (std::size_t g = 0; g < 8; ++g) {
      const float scale = odd_scale(d, 1, codes[g]);
      u32 word = static_cast<u32>(codes[g]) << 12 | static_cast<u32>(down[g]) << 15;
      for (std::size_t i = 0; i < 4; ++i) {
        const std::size_t at = 32 * g + 8 * i;
        const u32 entry =
            nearest_ternary(book, xb + at, w + at, scale, shift_of(down[g] == 1)).entry;
        block[2 + 4 * g + i] = static_cast<u8>(entry);
        word |= entry >> 8 << (3 * i);
      }
      put_u16(block + 34 + 2 * g, word);
    }
  });
}

void encode_iq1_m(const float* x, const float* importance, void* blocks, std::size_t n) {
  const TernaryBook book(iq1_s_codes);
  each_block_of<56>(x, importance, blocks, n, [&](const float* xb, const float* ib, u8* block) {
    float w[block_values], scales[16];
    u8 codes[16], factor[2];
    weigh(xb, ib, w, block_values, block_values, by_spread);
    for (std::size_t g = 0; g < 16; ++g)
      scales[g] = fit_ternary<2, false>(book, xb + 16 * g, w + 16 * g).scale;
    const float d = put_odd_codes(scales, 1, 7, factor, codes);
    for (std::size_t e = 0; e < 32; ++e) {
      const float scale = odd_scale(d, 1, codes[e / 2]);
      const TernaryFit up = nearest_ternary(book, xb + 8 * e, w + 8 * e, scale, shift);
      const TernaryFit low = nearest_ternary(book, xb + 8 * e, w + 8 * e, scale, -shift);
      const bool down = low.error < up.error;
      const u32 entry = down ? low.entry : up.entry;
      block[e] = static_cast<u8>(entry);
      put_bits(block + 32 + e / 2, (entry >> 8 | (down ? 8u : 0u)) << (4 * (e % 2)));
    }
    for (std::size_t i = 0; i < 4; ++i) {
      u32 word = (static_cast<u32>(factor[i / 2]) >> (4 * (i % 2)) & 15) << 12;
      for (std::size_t j = 0; j < 4; ++j) word |= static_cast<u32>(codes[4 * i + j]) << (3 * j);
      put_u16(block + 48 + 2 * i, word);
    }
  });
}

constexpr GridEncoders grid_encoders_named(const char* name) {
  return {.name = name,
          .iq1_s = encode_iq1_s,
          .iq1_m = encode_iq1_m,
          .iq2_xxs = encode_iq2_xxs,
          .iq2_xs = encode_iq2_xs,
          .iq2_s = encode_iq2_s,
          .iq3_xxs = encode_iq3_xxs,
          .iq3_s = encode_iq3_s};
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
