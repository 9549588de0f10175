// The fast path of a tower, on ops.
#include <algorithm>
#include <numeric>

#include "models/vision/tower.h"

namespace hearth::models {
namespace {

using enum TowerPart;

constexpr std::size_t mlp_rows = 512;  // at once: what lies between stays in the cache

struct Pass {
  ops::Context& ctx;
  const Tower& tower;
  Arena& arena;
  View x;  // the residual stream
  std::vector<std::size_t> whole, windows;
  std::span<const ops::RopePlace> places;

  const TowerHyper& hyper() const { return tower.hyper; }
};

void norm(Pass& pass, View y, View x, const Weight& w, float eps) {
  if (pass.hyper().norm == NormKind::rms)
    ops::rms_norm(pass.ctx, y, x, w.values, eps);
  else
    ops::layer_norm(pass.ctx, y, x, w.values, w.bias, eps);
}

// Pixels of one patch as the convolution's weights lie: [3, patch, patch].
void gather_patches(ops::Context& ctx, const TowerHyper& hyper, const PreparedPicture::Tile& tile,
                    const PatchOrder& order, View out) {
  const std::size_t patch = hyper.patch, plane = std::size_t{tile.width} * tile.height;
  ctx.pool->parallel_for(out.rows, 16, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      const auto [row, column] = order.places[i];
      float* to = out.row(i);
      for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t y = 0; y < patch; ++y, to += patch)
          std::copy_n(
              tile.pixels.data() + c * plane + (row * patch + y) * tile.width + column * patch,
              patch, to);
    }
  });
}

void hold(View x, const Bounds& bounds) {
  if (!bounds.hold()) return;
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t d = 0; d < x.dim; ++d)
      x.row(i)[d] = std::clamp(x.row(i)[d], bounds.low, bounds.high);
}

struct Product {
  View y;
  const TowerWeight* w;
};

// y = x w of each, together where none is held to bounds.
void multiply(Pass& pass, std::span<const Product> products, View x) {
  if (std::ranges::none_of(products, [](const Product& each) { return each.w->is_bounded(); })) {
    std::vector<ops::MatmulJob> jobs;
    for (const Product& each : products) jobs.push_back({each.y, &each.w->matrix, each.w->bias});
    return ops::matmul_many(pass.ctx, jobs, x);
  }
  const auto mark = pass.arena.mark();
  const View held = pass.arena.view(x.rows, x.dim);
  for (const Product& each : products) {
    std::copy_n(x.data, x.rows * x.dim, held.data);
    hold(held, each.w->reads);
    ops::matmul(pass.ctx, each.y, held, each.w->matrix, each.w->bias);
    hold(each.y, each.w->gives);
  }
  pass.arena.release(mark);
}

// Of each head where the norm's weights are one head's, of whole rows where they are as many.
void norm_heads(Pass& pass, View x, const Weight& w) {
  if (!w.present()) return;
  const std::size_t dim = w.values.size();
  const View heads(x.data, x.rows * x.dim / dim, dim);
  ops::rms_norm(pass.ctx, heads, heads, w.values, pass.hyper().norm_eps);
}

// What a branch's last matrix makes of its rows, added to x.
struct BranchEnd {
  TowerPart matrix, post_norm, gain;
};
void add_branch(Pass& pass, View x, View rows, std::size_t layer, const BranchEnd& end) {
  const TowerWeight& w = pass.tower.weights.at(layer, end.matrix);
  const Weight& after = pass.tower.weights.at(layer, end.post_norm);
  const Weight& gain = pass.tower.weights.at(layer, end.gain);
  if (!after.present() && !gain.present() && !w.is_bounded())
    return ops::matmul_add(pass.ctx, x, rows, w.matrix, w.bias);
  const auto mark = pass.arena.mark();
  const View y = pass.arena.view(x.rows, x.dim);
  const Product product{y, &w};
  multiply(pass, {&product, 1}, rows);
  if (after.present()) norm(pass, y, y, after, pass.hyper().norm_eps);
  for (std::size_t i = 0; gain.present() && i < y.rows; ++i)
    for (std::size_t d = 0; d < y.dim; ++d) y.row(i)[d] *= gain.values[d];
  ops::add(pass.ctx, x, y);
  pass.arena.release(mark);
}

void attention(Pass& pass, std::size_t layer) {
  const Tower& tower = pass.tower;
  const std::size_t width = std::size_t{pass.hyper().heads} * pass.hyper().head_dim;
  const auto mark = pass.arena.mark();
  const View before = pass.arena.view(pass.x.rows, pass.x.dim);
  norm(pass, before, pass.x, tower.weights.at(layer, norm1), pass.hyper().norm_eps);
  const View queries = pass.arena.view(pass.x.rows, width);
  const View keys = pass.arena.view(pass.x.rows, width);
  const View values = pass.arena.view(pass.x.rows, width);
  const Product products[] = {{queries, &tower.weights.at(layer, q)},
                              {keys, &tower.weights.at(layer, k)},
                              {values, &tower.weights.at(layer, v)}};
  multiply(pass, products, before);
  norm_heads(pass, queries, tower.weights.at(layer, q_norm));
  norm_heads(pass, keys, tower.weights.at(layer, k_norm));
  norm_heads(pass, values, tower.weights.at(layer, v_norm));
  if (tower.spec->rope) {
    const ops::RopeTable table = rope_table_of(tower);
    const auto axes = rope_axes_of(tower);
    ops::rope(pass.ctx, queries, pass.hyper().head_dim, pass.places, axes, table);
    ops::rope(pass.ctx, keys, pass.hyper().head_dim, pass.places, axes, table);
  }
  const ops::AttentionOptions options{
      .heads = pass.hyper().heads, .scale = scale_of(tower), .sinks = {}, .alibi = {}};
  const bool all = pass.windows.empty() || pass.hyper().sees_all[layer];
  ops::attend_both_ways(pass.ctx, queries, queries, keys, values, all ? pass.whole : pass.windows,
                        pass.hyper().heads, options);
  add_branch(pass, pass.x, queries, layer, {attention_out, attention_post_norm, attention_gain});
  pass.arena.release(mark);
}

void mlp(Pass& pass, std::size_t layer) {
  const Tower& tower = pass.tower;
  const TowerWeight &gate_w = tower.weights.at(layer, gate), &up_w = tower.weights.at(layer, up);
  constexpr BranchEnd end{down, mlp_post_norm, mlp_gain};
  for (std::size_t first_row = 0; first_row < pass.x.rows; first_row += mlp_rows) {
    const auto mark = pass.arena.mark();
    const View x = pass.x.slice_rows(first_row, std::min(mlp_rows, pass.x.rows - first_row));
    const View before = pass.arena.view(x.rows, x.dim);
    norm(pass, before, x, tower.weights.at(layer, norm2), pass.hyper().norm_eps);
    const View ups = pass.arena.view(x.rows, up_w.matrix.rows());
    if (gate_w.present()) {
      const View gates = pass.arena.view(x.rows, ups.dim);
      const Product products[] = {{gates, &gate_w}, {ups, &up_w}};
      multiply(pass, products, before);
      ops::activate_mul(pass.ctx, gates, ups, pass.hyper().activation);
      add_branch(pass, x, gates, layer, end);
    } else {
      const Product product{ups, &up_w};
      multiply(pass, {&product, 1}, before);
      ops::activate(pass.ctx, ups, pass.hyper().activation);
      add_branch(pass, x, ups, layer, end);
    }
    pass.arena.release(mark);
  }
}

// Each block of rows as one: side by side, or their mean.
View joined(Pass& pass, View x) {
  const std::size_t block = std::size_t{pass.hyper().merge} * pass.hyper().merge;
  if (pass.tower.spec->joining == Joining::side_by_side)
    return {x.data, x.rows / block, x.dim * block};
  const View y = pass.arena.view(x.rows / block, x.dim);
  const float share = 1 / static_cast<float>(block);
  for (std::size_t i = 0; i < y.rows; ++i) {
    std::fill_n(y.row(i), y.dim, 0.0f);
    for (std::size_t b = 0; b < block; ++b)
      for (std::size_t d = 0; d < y.dim; ++d) y.row(i)[d] += x.row(i * block + b)[d];
    for (std::size_t d = 0; d < y.dim; ++d) y.row(i)[d] *= share;
  }
  return y;
}

View multiplied(Pass& pass, View x, const Weight& w) {
  const View y = pass.arena.view(x.rows, w.matrix.rows());
  ops::matmul(pass.ctx, y, x, w.matrix, w.bias);
  return y;
}

View projected(Pass& pass, View x) {
  const TowerWeights& weights = pass.tower.weights;
  const float eps = pass.hyper().projector_eps;
  if (weights[block_norm].present()) norm(pass, x, x, weights[block_norm], eps);
  View y = joined(pass, x);
  if (weights[joined_norm].present())
    ops::layer_norm(pass.ctx, y, y, weights[joined_norm].values, weights[joined_norm].bias, eps);
  for (std::size_t i = 0; weights[stretch].present() && i < y.rows; ++i)
    for (std::size_t d = 0; d < y.dim; ++d)
      y.row(i)[d] = y.row(i)[d] * weights[stretch].values[d] - weights[shift].values[d];
  if (weights[pooled_norm].present())
    ops::rms_norm(pass.ctx, y, y, weights[pooled_norm].values, eps);
  if (weights[merge].present()) y = multiplied(pass, y, weights[merge]);
  y = multiplied(pass, y, weights[first]);
  if (!weights[second].present()) return y;
  ops::activate(pass.ctx, y, pass.hyper().between);
  y = multiplied(pass, y, weights[second]);
  if (!weights[third].present()) return y;
  ops::activate(pass.ctx, y, pass.hyper().between);
  return multiplied(pass, y, weights[third]);
}

// What a deep layer of the language model reads of this one.
View deep_rows(Pass& pass, std::size_t layer) {
  const Tower& tower = pass.tower;
  const View x = joined(pass, pass.x);
  View y = pass.arena.view(x.rows, x.dim);
  norm(pass, y, x, tower.weights.at(layer, deep_norm), pass.hyper().projector_eps);
  y = multiplied(pass, y, tower.weights.at(layer, deep_first));
  ops::activate(pass.ctx, y, pass.hyper().between);
  return multiplied(pass, y, tower.weights.at(layer, deep_second));
}

// The patches as the tower first sees them; behind the row of the class where there is one.
void embed(Pass& pass, const PreparedPicture::Tile& tile, const PatchOrder& order) {
  const TowerHyper& hyper = pass.hyper();
  const TowerWeights& weights = pass.tower.weights;
  const std::size_t lead = pass.x.rows - order.places.size();
  const View patches = pass.x.slice_rows(lead, order.places.size());
  const auto mark = pass.arena.mark();
  const View pixels = pass.arena.view(patches.rows, std::size_t{3} * hyper.patch * hyper.patch);
  gather_patches(pass.ctx, hyper, tile, order, pixels);
  ops::matmul(pass.ctx, patches, pixels, weights[patch].matrix, weights[patch].bias);
  pass.arena.release(mark);
  if (lead > 0) std::ranges::copy(weights[class_row].values, pass.x.row(0));
  if (const Weight& table = weights[positions]; table.present()) {
    for (std::size_t d = 0; d < lead * pass.x.dim; ++d) pass.x.row(0)[d] += table.values[d];
    for (std::size_t i = 0; i < patches.rows; ++i)
      add_position(pass.tower, order.places[i], tile.height / hyper.patch, tile.width / hyper.patch,
                   patches.row(i));
  }
  if (weights[pre_norm].present()) norm(pass, pass.x, pass.x, weights[pre_norm], hyper.norm_eps);
}

}  // namespace

Status encode_fast(ops::Context& ctx, const Tower& tower, const PreparedPicture::Tile& tile,
                   View out, Arena& arena, std::stop_token stop) {
  const PatchOrder order = order_patches(tower.hyper, tile.width, tile.height);
  const std::size_t lead = tower.weights[class_row].present() ? 1 : 0;
  const std::vector<ops::RopePlace> places = rope_places_of(*tower.spec, order, lead);
  Pass pass{ctx, tower,         arena, arena.view(lead + order.places.size(), tower.hyper.dim),
            {},  order.windows, places};
  pass.whole = {0, pass.x.rows};
  const auto put = [&](View made, std::size_t which) {
    for (std::size_t i = 0; i < made.rows; ++i)
      std::copy_n(made.row(i), made.dim, out.row(order.block_of[i]) + which * made.dim);
  };
  embed(pass, tile, order);
  for (std::size_t i = 0, deep = 0; i < tower.weights.layers.size(); ++i) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped between layers");
    attention(pass, i);
    mlp(pass, i);
    if (!tower.hyper.is_deep(i)) continue;
    const auto mark = arena.mark();
    put(deep_rows(pass, i), ++deep);
    arena.release(mark);
  }
  const View rows = pass.x.slice_rows(lead, order.places.size());
  if (tower.weights[post_norm].present())
    norm(pass, rows, rows, tower.weights[post_norm], tower.hyper.norm_eps);
  put(projected(pass, rows), 0);
  return Done{};
}

}  // namespace hearth::models
