#include "ops/elementwise.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "kernels/kernels.h"
#include "ops/scratch.h"

namespace hearth::ops {
namespace {

constexpr std::size_t chunk_floats = 16384;  // of one parallel step: some microseconds of work

// Calls f(row) for every row.
template <typename F>
void each_row(Context& ctx, View x, F f) {
  const std::size_t chunk =
      std::max<std::size_t>(1, chunk_floats / std::max<std::size_t>(1, x.dim));
  ctx.pool->parallel_for(x.rows, chunk, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) f(i);
  });
}

// Calls f(row, first column, count) so that all elements are covered, long rows in parts.
template <typename F>
void each_part(Context& ctx, View x, F f) {
  if (x.rows == 0 || x.dim == 0) return;
  const std::size_t parts = (x.dim + chunk_floats - 1) / chunk_floats;
  const std::size_t chunk = std::max<std::size_t>(1, chunk_floats / x.dim);
  ctx.pool->parallel_for(x.rows * parts, chunk, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t first = i % parts * chunk_floats;
      f(i / parts, first, std::min(chunk_floats, x.dim - first));
    }
  });
}

const float* data_or_null(std::span<const float> values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

void rms_norm(Context& ctx, View y, View x, std::span<const float> w, float eps) {
  HEARTH_CHECK(w.empty() || w.size() == x.dim);
  each_row(ctx, x, [&](std::size_t i) {
    ctx.kernels->rms_norm(y.row(i), x.row(i), data_or_null(w), x.dim, eps);
  });
}

void layer_norm(Context& ctx, View y, View x, std::span<const float> w, std::span<const float> b,
                float eps) {
  HEARTH_CHECK((w.empty() || w.size() == x.dim) && (b.empty() || b.size() == x.dim));
  each_row(ctx, x, [&](std::size_t i) {
    ctx.kernels->layer_norm(y.row(i), x.row(i), data_or_null(w), data_or_null(b), x.dim, eps);
  });
}

void l2_norm(Context& ctx, View y, View x, float eps) {
  each_row(ctx, x, [&](std::size_t i) { ctx.kernels->l2_norm(y.row(i), x.row(i), x.dim, eps); });
}

namespace {

// place(row, pair): how far along.
template <typename F>
void turn_rows(Context& ctx, View x, std::uint32_t head_dim, const RopeTable& table, F place) {
  const std::size_t half = table.rotary_dims / 2;
  HEARTH_CHECK(x.dim % head_dim == 0);
  HEARTH_CHECK(table.rotary_dims <= head_dim && table.inverse_frequencies.size() == half);
  const auto turn = table.interleaved ? ctx.kernels->rope_pairs : ctx.kernels->rope_halves;
  each_row(ctx, x, [&](std::size_t i) {
    float* cosines = float_scratch(Scratch::worker, 2 * half);
    float* sines = cosines + half;
    for (std::size_t d = 0; d < half; ++d) {
      const float angle = static_cast<float>(place(i, d)) * table.inverse_frequencies[d];
      cosines[d] = std::cos(angle) * table.magnitude;
      sines[d] = std::sin(angle) * table.magnitude;
    }
    for (std::size_t d = 0; d < x.dim; d += head_dim) turn(x.row(i) + d, cosines, sines, half);
  });
}

}  // namespace

void rope(Context& ctx, View x, std::uint32_t head_dim, std::span<const std::uint32_t> positions,
          const RopeTable& table) {
  HEARTH_CHECK(positions.size() == x.rows);
  turn_rows(ctx, x, head_dim, table, [&](std::size_t row, std::size_t) { return positions[row]; });
}

void rope(Context& ctx, View x, std::uint32_t head_dim, std::span<const RopePlace> places,
          std::span<const std::uint8_t> axes, const RopeTable& table) {
  HEARTH_CHECK(places.size() == x.rows && axes.size() == table.rotary_dims / 2);
  turn_rows(ctx, x, head_dim, table,
            [&](std::size_t row, std::size_t pair) { return places[row][axes[pair]]; });
}

void activate(Context& ctx, View x, Activation f) {
  const auto kernel = ctx.kernels->activate[std::to_underlying(f)];
  each_part(ctx, x,
            [&](std::size_t i, std::size_t first, std::size_t n) { kernel(x.row(i) + first, n); });
}

void activate_mul(Context& ctx, View gate, View up, Activation f) {
  const auto kernel = ctx.kernels->activate_mul[std::to_underlying(f)];
  each_part(ctx, gate, [&](std::size_t i, std::size_t first, std::size_t n) {
    kernel(gate.row(i) + first, up.row(i) + first, n);
  });
}

void swiglu_clamped(Context& ctx, View gate, View up, float alpha, float limit) {
  each_part(ctx, gate, [&](std::size_t i, std::size_t first, std::size_t n) {
    ctx.kernels->swiglu_clamped(gate.row(i) + first, up.row(i) + first, n, alpha, limit);
  });
}

void add(Context& ctx, View x, View y) {
  each_part(ctx, x, [&](std::size_t i, std::size_t first, std::size_t n) {
    ctx.kernels->add(x.row(i) + first, y.row(i) + first, n);
  });
}

void add_bias(Context& ctx, View x, std::span<const float> b) {
  HEARTH_CHECK(b.size() == x.dim);
  each_part(ctx, x, [&](std::size_t i, std::size_t first, std::size_t n) {
    ctx.kernels->add(x.row(i) + first, b.data() + first, n);
  });
}

void scale(Context& ctx, View x, float factor) {
  each_part(ctx, x, [&](std::size_t i, std::size_t first, std::size_t n) {
    ctx.kernels->scale(x.row(i) + first, factor, n);
  });
}

void softcap(Context& ctx, View x, float cap) {
  each_part(ctx, x, [&](std::size_t i, std::size_t first, std::size_t n) {
    ctx.kernels->softcap(x.row(i) + first, cap, n);
  });
}

void softmax(Context& ctx, View x) {
  if (x.dim == 0) return;
  each_row(ctx, x, [&](std::size_t i) { ctx.kernels->softmax(x.row(i), x.dim); });
}

}  // namespace hearth::ops
