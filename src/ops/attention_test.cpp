#include "ops/attention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "base/half.h"
#include "ops/test_support.h"

using namespace hearth;
using namespace hearth::ops;

namespace {

struct Case {
  std::string name;
  std::uint32_t heads, kv_heads, key_dim, value_dim, tokens;
  std::uint32_t window = 0;
  float softcap = 0;
  bool sinks = false, alibi = false, both_ways = false;
  Dtype dtype = Dtype::f32;
  std::uint32_t from = 0;
};

const Case cases[] = {
    {"one token", 1, 1, 8, 8, 1},
    {"several heads", 4, 4, 8, 8, 40},
    {"grouped", 8, 2, 64, 64, 70},
    {"one kv head, odd dims", 6, 1, 20, 12, 33},
    {"half", 4, 2, 64, 64, 70, 0, 0, false, false, false, Dtype::f16},
    {"bf16", 4, 2, 64, 64, 70, 0, 0, false, false, false, Dtype::bf16},
    {"8 bits", 8, 2, 64, 64, 1100, 0, 0, true, false, false, Dtype::q8_0},
    {"8 bits, odd dims", 6, 1, 70, 20, 70, 40, 5.0f, false, false, false, Dtype::q8_0},
    {"4 bits", 4, 2, 64, 128, 70, 0, 0, false, false, false, Dtype::q4_0},
    {"4 bits, odd dims", 6, 1, 70, 20, 70, 0, 0, false, true, false, Dtype::q4_0},
    {"window", 2, 1, 16, 16, 100, 7},
    {"window of a page", 2, 1, 16, 16, 100, 32},
    {"softcap", 2, 1, 16, 16, 40, 0, 5.0f},
    {"sinks", 4, 2, 16, 16, 40, 0, 0, true},
    {"alibi", 4, 2, 16, 16, 40, 0, 0, false, true},
    {"everything", 4, 2, 24, 16, 90, 50, 8.0f, true, true},
    {"from a position", 4, 2, 16, 16, 70, 0, 0, false, false, false, Dtype::f32, 1},
    {"from a page, window", 4, 2, 16, 16, 90, 40, 0, false, false, false, Dtype::f32, 32},
    {"several segments", 4, 2, 16, 16, 1100, 0, 0, true},
    {"several segments, window", 2, 2, 16, 16, 1100, 600},
    {"both ways", 4, 2, 16, 16, 70, 0, 0, false, false, true},
    {"both ways, window", 4, 4, 16, 16, 70, 9, 0, false, true, true},
};

struct Inputs {
  std::vector<float> q, k, v, sinks, alibi;
  AttentionOptions options;
};

Inputs inputs_of(const Case& c) {
  Inputs in{random_floats(c.tokens * c.heads * c.key_dim, 1),
            random_floats(c.tokens * c.kv_heads * c.key_dim, 2),
            random_floats(c.tokens * c.kv_heads * c.value_dim, 3),
            random_floats(c.heads, 4),
            {},
            {}};
  for (std::uint32_t h = 0; h < c.heads; ++h) in.alibi.push_back(0.05f * static_cast<float>(h + 1));
  in.options = {.heads = c.heads,
                .scale = 1 / std::sqrt(static_cast<float>(c.key_dim)),
                .softcap = c.softcap,
                .window = c.window,
                .from = c.from,
                .sinks = {},
                .alibi = {}};
  if (c.sinks) in.options.sinks = in.sinks;
  if (c.alibi) in.options.alibi = in.alibi;
  return in;
}

// A number of `block`, as it is kept.
float rounded(Dtype dtype, std::span<const float> block, float x) {
  if (dtype == Dtype::f16) return f16_to_f32(f32_to_f16(x));
  if (dtype == Dtype::bf16) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000);
  }
  const bool is_q8 = dtype == Dtype::q8_0;
  const float far = *std::ranges::max_element(block, {}, [](float y) { return std::abs(y); });
  const float scale = f16_to_f32(f32_to_f16(is_q8 ? std::abs(far) / 127 : far / -8));
  const float code = std::nearbyint(x * (scale != 0 ? 1 / scale : 0));
  return scale * std::clamp(code, is_q8 ? -127.0f : -8.0f, is_q8 ? 127.0f : 7.0f);
}

std::vector<float> kept(Dtype dtype, const std::vector<float>& rows, std::size_t dim) {
  std::vector<float> out = rows;
  for (std::size_t row = 0; row < rows.size() && dtype != Dtype::f32; row += dim)
    for (std::size_t d = 0; d < dim; ++d) {
      const std::size_t first = d / 32 * 32;
      const auto block =
          std::span(rows).subspan(row + first, std::min<std::size_t>(32, dim - first));
      out[row + d] = rounded(dtype, block, rows[row + d]);
    }
  return out;
}

// One head of one row, by the book.
void naive_head(const Case& c, const Inputs& in, std::size_t row, std::size_t head, float* out) {
  const std::size_t kv = head / (c.heads / c.kv_heads);
  const auto sees = [&](std::size_t t) {
    if (c.both_ways) return c.window == 0 || (t > row ? t - row : row - t) <= c.window / 2;
    return t >= c.from && t <= row && (c.window == 0 || row - t < c.window);
  };
  std::vector<double> p(c.tokens, 0);
  double max = c.sinks ? in.sinks[head] : -std::numeric_limits<double>::infinity(), sum = 0;
  for (std::size_t t = 0; t < c.tokens; ++t) {
    if (!sees(t)) continue;
    for (std::size_t d = 0; d < c.key_dim; ++d)
      p[t] += static_cast<double>(in.q[(row * c.heads + head) * c.key_dim + d]) *
              in.k[(t * c.kv_heads + kv) * c.key_dim + d];
    p[t] *= in.options.scale;
    if (c.softcap > 0) p[t] = c.softcap * std::tanh(p[t] / c.softcap);
    if (c.alibi)
      p[t] -= in.alibi[head] * std::abs(static_cast<double>(t) - static_cast<double>(row));
    max = std::max(max, p[t]);
  }
  if (c.sinks) sum = std::exp(in.sinks[head] - max);
  for (std::size_t t = 0; t < c.tokens; ++t) {
    p[t] = sees(t) ? std::exp(p[t] - max) : 0;
    sum += p[t];
  }
  for (std::size_t d = 0; d < c.value_dim; ++d) {
    double value = 0;
    for (std::size_t t = 0; t < c.tokens; ++t)
      value += p[t] * in.v[(t * c.kv_heads + kv) * c.value_dim + d];
    out[d] = sum > 0 ? static_cast<float>(value / sum) : 0;
  }
}

std::vector<float> naive(const Case& c, const Inputs& in) {
  std::vector<float> out(c.tokens * c.heads * c.value_dim);
  for (std::size_t row = 0; row < c.tokens; ++row)
    for (std::size_t head = 0; head < c.heads; ++head)
      naive_head(c, in, row, head, &out[(row * c.heads + head) * c.value_dim]);
  return out;
}

// Pages full of NaN, so that a look at what was never written shows.
struct Cache {
  KvLayer layer;
  std::vector<std::byte> memory;
  std::vector<std::byte*> pages;

  explicit Cache(const Case& c)
      : layer{c.kv_heads, c.key_dim, c.value_dim, c.dtype, 64},
        memory((c.tokens / kv_page_tokens + 1) * (layer.bytes() + 64) + 64, std::byte{0xFF}) {
    auto* start = memory.data();
    start += (64 - reinterpret_cast<std::uintptr_t>(start) % 64) % 64;
    for (std::size_t p = 0; p <= c.tokens / kv_page_tokens; ++p)
      pages.push_back(start + p * (layer.bytes() + 64));
    std::ranges::reverse(pages);
  }
};

// Rows [first, first + rows) through the cache.
void step(Context& ctx, const Case& c, Inputs& in, Cache& cache, std::size_t first,
          std::size_t rows, float* out) {
  const KvSequence sequences[] = {{}, {cache.pages}};
  std::vector<RowPlace> places;
  for (std::size_t i = 0; i < rows; ++i)
    places.push_back({1, static_cast<std::uint32_t>(first + i)});
  const std::size_t kd = c.kv_heads * c.key_dim, vd = c.kv_heads * c.value_dim;
  kv_append(ctx, cache.layer, sequences, places, View(&in.k[first * kd], rows, kd),
            View(&in.v[first * vd], rows, vd));
  const std::size_t qd = c.heads * c.key_dim;
  attend(ctx, View(out + first * c.heads * c.value_dim, rows, c.heads * c.value_dim),
         View(&in.q[first * qd], rows, qd), cache.layer, sequences, places, in.options);
}

}  // namespace

TEST_CASE("attention agrees with the definition, prefilled at once and in steps") {
  for (const Case& c : cases) {
    if (c.both_ways) continue;
    INFO(c.name);
    Inputs in = inputs_of(c), as_kept = in;
    as_kept.k = kept(c.dtype, in.k, c.key_dim);
    as_kept.v = kept(c.dtype, in.v, c.value_dim);
    const auto wanted = naive(c, as_kept);
    each_context([&](Context& ctx) {
      INFO(std::string(ctx.kernels->name));
      std::vector<float> whole(wanted.size()), steps(wanted.size());
      Cache cache(c);
      step(ctx, c, in, cache, 0, c.tokens, whole.data());
      CHECK(error_of(whole, wanted) < 3e-5);
      Cache stepped(c);
      for (std::size_t row = 0, rows; row < c.tokens; row += rows) {
        rows = std::min<std::size_t>(row < 3 ? 1 : row < 37 ? 5 : 200, c.tokens - row);
        if (row + 1 + rows == c.tokens) rows = 1;
        step(ctx, c, in, stepped, row, rows, steps.data());
      }
      CHECK(std::memcmp(steps.data(), whole.data(), whole.size() * sizeof(float)) == 0);
    });
  }
}

TEST_CASE("attention both ways agrees with the definition, several sequences side by side") {
  for (const Case& c : cases) {
    if (!c.both_ways) continue;
    INFO(c.name);
    Inputs in = inputs_of(c);
    const auto wanted = naive(c, in);
    Inputs twice = in;
    const auto doubled = [](std::vector<float>& v) {
      const auto copy = v;
      v.insert(v.end(), copy.begin(), copy.end());
    };
    doubled(twice.q);
    doubled(twice.k);
    doubled(twice.v);
    each_context([&](Context& ctx) {
      INFO(std::string(ctx.kernels->name));
      std::vector<float> out(2 * wanted.size());
      const std::size_t starts[] = {0, c.tokens, c.tokens, 2 * c.tokens};
      const std::size_t rows = 2 * c.tokens;
      attend_both_ways(ctx, View(out.data(), rows, c.heads * c.value_dim),
                       View(twice.q.data(), rows, c.heads * c.key_dim),
                       View(twice.k.data(), rows, c.kv_heads * c.key_dim),
                       View(twice.v.data(), rows, c.kv_heads * c.value_dim), starts, c.kv_heads,
                       in.options);
      const auto half = std::span(out).first(wanted.size());
      CHECK(error_of(half, wanted) < 2e-5);
      CHECK(error_of(std::span(out).subspan(wanted.size()), wanted) < 2e-5);
    });
  }
}

TEST_CASE("attention may write over its queries") {
  Case c{"in place", 4, 2, 16, 16, 1100};
  Inputs in = inputs_of(c);
  const auto wanted = naive(c, in);
  for (const int threads : {1, 7})
    each_context(
        [&](Context& ctx) {
          Inputs copy = in;
          Cache cache(c);
          step(ctx, c, copy, cache, 0, c.tokens, copy.q.data());
          CHECK(error_of(copy.q, wanted) < 2e-5);
        },
        threads);
}

TEST_CASE("keys and values in 8 bits take 17 of the 32 bytes that f16 takes, in 4 bits 9") {
  const auto bytes = [](Dtype dtype) { return KvLayer{8, 128, 128, dtype, 0}.bytes(); };
  CHECK(bytes(Dtype::f32) == 2 * bytes(Dtype::f16));
  CHECK(bytes(Dtype::bf16) == bytes(Dtype::f16));
  CHECK(32 * bytes(Dtype::q8_0) == 17 * bytes(Dtype::f16));
  CHECK(32 * bytes(Dtype::q4_0) == 9 * bytes(Dtype::f16));
}

TEST_CASE("what is not finite stays visible in 8 bits") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Dtype dtype : {Dtype::q8_0, Dtype::q4_0}) {
    Case c{"broken", 1, 1, 32, 32, 2, 0, 0, false, false, false, dtype};
    Inputs in = inputs_of(c);
    in.v[40] = infinity;
    each_context([&](Context& ctx) {
      Cache cache(c);
      std::vector<float> out(2 * 32);
      step(ctx, c, in, cache, 0, 2, out.data());
      CHECK(std::isnan(out[40]));
    });
  }
}

TEST_CASE("two sequences in one batch do not mix") {
  Case c{"two", 2, 1, 8, 8, 45};
  Inputs in = inputs_of(c);
  const auto wanted = naive(c, in);
  each_context([&](Context& ctx) {
    Cache one(c), two(c);
    const KvSequence sequences[] = {{one.pages}, {two.pages}};
    std::vector<RowPlace> places;
    for (std::uint32_t s = 0; s < 2; ++s)
      for (std::uint32_t i = 0; i < c.tokens; ++i) places.push_back({s, i});
    const auto twice = [](const std::vector<float>& v) {
      std::vector<float> both = v;
      both.insert(both.end(), v.begin(), v.end());
      return both;
    };
    auto q = twice(in.q), k = twice(in.k), v = twice(in.v);
    for (std::size_t i = in.v.size(); i < v.size(); ++i) v[i] *= 2;
    std::vector<float> out(q.size());
    kv_append(ctx, one.layer, sequences, places, View(k.data(), 90, 8), View(v.data(), 90, 8));
    attend(ctx, View(out.data(), 90, 16), View(q.data(), 90, 16), one.layer, sequences, places,
           in.options);
    CHECK(error_of(std::span(out).first(wanted.size()), wanted) < 2e-5);
    for (std::size_t i = wanted.size(); i < out.size(); ++i) out[i] /= 2;
    CHECK(error_of(std::span(out).subspan(wanted.size()), wanted) < 2e-5);
  });
}
