#include "models/streams.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace hearth::models {
namespace {

constexpr float least_square = 1e-5f;  // of a projection that is given another magnitude

// Every row of y gets the root mean square of x's.
void match_magnitude(ops::Context& ctx, View y, View x) {
  const auto n = static_cast<float>(x.dim);
  for (std::size_t i = 0; i < x.rows; ++i) {
    const float wanted = ctx.kernels->dot(x.row(i), x.row(i), x.dim) / n;
    const float held = ctx.kernels->dot(y.row(i), y.row(i), y.dim) / n;
    ctx.kernels->scale(y.row(i), std::sqrt(wanted / std::max(held, least_square)), y.dim);
  }
}

void copy_rows(View to, View from) {
  for (std::size_t i = 0; i < to.rows; ++i) std::copy_n(from.row(i), to.dim, to.row(i));
}

// What a row tells of how streams mix: [rows, count].
View modes_of(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View x, Arena& arena) {
  const View normed = arena.view(x.rows, x.dim),
             modes = arena.view(x.rows, trunk.hyper.streams.count);
  ops::rms_norm(ctx, normed, x, layer[Role::stream_router_norm].values, trunk.hyper.norm_eps);
  const float* router = layer[Role::stream_router].values.data();
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t s = 0; s < modes.dim; ++s)
      modes.row(i)[s] = std::tanh(ctx.kernels->dot(normed.row(i), router + s * x.dim, x.dim) /
                                  static_cast<float>(x.dim));
  return modes;
}

void add_scaled(float* y, const float* x, float factor, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

}  // namespace

View spread_streams(ops::Context& ctx, const Trunk& trunk, View x, Arena& arena) {
  const std::size_t count = trunk.hyper.streams.count;
  const View streams = arena.view(x.rows, count * x.dim);
  copy_rows(streams.slice_columns(0, x.dim), x);
  const auto mark = arena.mark();
  const View y = arena.view(x.rows, x.dim);
  for (std::size_t s = 1; s < count; ++s) {
    ops::matmul(ctx, y, x, trunk.weights.whole[Role::stream_in].experts[s - 1]);
    match_magnitude(ctx, y, x);
    copy_rows(streams.slice_columns(s * x.dim, x.dim), y);
  }
  arena.release(mark);
  return streams;
}

void predict_streams(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View streams,
                     View active, Arena& arena) {
  const StreamsHyper& hyper = trunk.hyper.streams;
  const std::size_t count = hyper.count, dim = active.dim;
  const View read = streams.slice_columns(hyper.active * dim, dim);
  copy_rows(active, read);
  const View modes = modes_of(ctx, trunk, layer, active, arena);
  const View before = arena.view(streams.rows, streams.dim);
  const float* w = layer[Role::stream_predict].values.data();  // [to, from][modes]
  ctx.pool->parallel_for(streams.rows, 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      std::copy_n(streams.row(i), streams.dim, before.row(i));
      for (std::size_t to = 0; to < count; ++to)
        for (std::size_t from = 0; from < count; ++from) {
          const float* own = w + (to * count + from) * count;
          float factor = 0;
          for (std::size_t m = 0; m < count; ++m) factor += own[m] * modes.row(i)[m];
          add_scaled(streams.row(i) + to * dim, before.row(i) + from * dim, factor, dim);
        }
    }
  });
  copy_rows(active, read);
}

void correct_streams(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View streams,
                     View given, Arena& arena) {
  const StreamsHyper& hyper = trunk.hyper.streams;
  const std::size_t count = hyper.count, dim = given.dim;
  const View modes = modes_of(ctx, trunk, layer, given, arena);
  const View wrong = arena.view(given.rows, dim);
  const float* w = layer[Role::stream_correct].values.data();  // [streams][modes]
  ctx.pool->parallel_for(streams.rows, 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      std::copy_n(given.row(i), dim, wrong.row(i));
      add_scaled(wrong.row(i), streams.row(i) + hyper.active * dim, -1, dim);
      for (std::size_t s = 0; s < count; ++s) {
        float factor = 1;
        for (std::size_t m = 0; m < count; ++m) factor += w[s * count + m] * modes.row(i)[m];
        add_scaled(streams.row(i) + s * dim, wrong.row(i), factor, dim);
      }
    }
  });
}

void gather_streams(ops::Context& ctx, const Trunk& trunk, View streams, View x, Arena& arena) {
  const std::size_t count = trunk.hyper.streams.count, dim = x.dim;
  const View first = streams.slice_columns(0, dim);
  copy_rows(x, first);
  const View own = arena.view(x.rows, dim), y = arena.view(x.rows, dim);
  for (std::size_t s = 1; s < count; ++s) {
    copy_rows(own, streams.slice_columns(s * dim, dim));
    ops::matmul(ctx, y, own, trunk.weights.whole[Role::stream_out].experts[s - 1]);
    match_magnitude(ctx, y, first);
    ops::add(ctx, x, y);
  }
  ops::scale(ctx, x, 1 / static_cast<float>(count));
}

}  // namespace hearth::models
