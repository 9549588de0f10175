// The plain path of a tower: loops over numbers, one row and one weight at a time.  The fast path
// is held to it, and it to Hugging Face.
#include <algorithm>
#include <cmath>

#include "models/values.h"
#include "models/vision/tower.h"

namespace hearth::models {
namespace {

using enum TowerPart;
using Floats = std::vector<float>;
using Rows = std::vector<Floats>;

void hold(Rows& rows, const Bounds& bounds) {
  for (Floats& row : rows)
    for (float& value : row) value = std::clamp(value, bounds.low, bounds.high);
}

Rows multiply(ops::Context& ctx, Rows x, const TowerWeight& w) {
  hold(x, w.reads);
  Rows y(x.size(), Floats(w.stored.rows));
  Floats weights(w.stored.columns);
  for (std::size_t n = 0; n < w.stored.rows; ++n) {
    read_row(ctx, w.stored, n, weights.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      double sum = w.bias.empty() ? 0 : w.bias[n];
      for (std::size_t c = 0; c < weights.size(); ++c)
        sum += static_cast<double>(x[i][c]) * weights[c];
      y[i][n] = static_cast<float>(sum);
    }
  }
  hold(y, w.gives);
  return y;
}

void norm(NormKind kind, Rows& rows, const Weight& w, float eps) {
  if (!w.present()) return;
  for (Floats& row : rows) {
    double mean = 0, squares = 0;
    if (kind == NormKind::layer)
      for (const float value : row) mean += value / static_cast<double>(row.size());
    for (const float value : row) squares += (value - mean) * (value - mean);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(row.size()) + eps);
    for (std::size_t d = 0; d < row.size(); ++d)
      row[d] = static_cast<float>((row[d] - mean) * scale * w.values[d]) +
               (w.bias.empty() ? 0.0f : w.bias[d]);
  }
}

float activated(ops::Activation f, float x) {
  switch (f) {
    case ops::Activation::gelu:
      return 0.5f * x * (1 + std::erf(x * 0.70710678f));
    case ops::Activation::gelu_tanh:
      return 0.5f * x * (1 + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
    case ops::Activation::quick_gelu:
      return x / (1 + std::exp(-1.702f * x));
    default:
      return x / (1 + std::exp(-x));
  }
}

void activate(Rows& rows, ops::Activation f) {
  for (Floats& row : rows)
    for (float& value : row) value = activated(f, value);
}

void turn(const Tower& tower, Rows& rows, std::span<const ops::RopePlace> places) {
  const ops::RopeTable table = rope_table_of(tower);
  const auto axes = rope_axes_of(tower);
  const std::size_t dim = tower.hyper.head_dim, half = dim / 2;
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t head = 0; head < rows[i].size(); head += dim)
      for (std::size_t d = 0; d < half; ++d) {
        const float angle = static_cast<float>(places[i][axes[d]]) * table.inverse_frequencies[d];
        float& a = rows[i][head + (table.interleaved ? 2 * d : d)];
        float& b = rows[i][head + (table.interleaved ? 2 * d + 1 : d + half)];
        const float turned = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = turned;
      }
}

// Of each head where the norm's weights are one head's, of whole rows where they are as many.
void norm_heads(Rows& rows, const Weight& w, float eps) {
  if (!w.present()) return;
  for (Floats& row : rows)
    for (std::size_t head = 0; head < row.size(); head += w.values.size()) {
      double squares = 0;
      for (std::size_t d = 0; d < w.values.size(); ++d)
        squares += static_cast<double>(row[head + d]) * row[head + d];
      const double mean = squares / static_cast<double>(w.values.size());
      for (std::size_t d = 0; d < w.values.size(); ++d)
        row[head + d] = static_cast<float>(row[head + d] / std::sqrt(mean + eps) * w.values[d]);
    }
}

// Every row of [begin, end) looks at all of them.
void attend(const Tower& tower, const Rows& q_rows, const Rows& k_rows, const Rows& v_rows,
            std::size_t begin, std::size_t end, Rows& out) {
  const std::size_t dim = tower.hyper.head_dim;
  for (std::size_t i = begin; i < end; ++i)
    for (std::size_t head = 0; head < q_rows[i].size(); head += dim) {
      std::vector<double> shares;
      double highest = -1e30, sum = 0;
      for (std::size_t t = begin; t < end; ++t) {
        double s = 0;
        for (std::size_t d = head; d < head + dim; ++d)
          s += static_cast<double>(q_rows[i][d]) * k_rows[t][d];
        shares.push_back(s * scale_of(tower));
        highest = std::max(highest, shares.back());
      }
      for (double& share : shares) sum += share = std::exp(share - highest);
      for (std::size_t d = head; d < head + dim; ++d) {
        double mix = 0;
        for (std::size_t t = begin; t < end; ++t) mix += shares[t - begin] * v_rows[t][d];
        out[i][d] = static_cast<float>(mix / sum);
      }
    }
}

void add(Rows& x, const Rows& y) {
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t d = 0; d < x[i].size(); ++d) x[i][d] += y[i][d];
}

// What a branch gives, before it is added.
Rows finished(const Tower& tower, Rows rows, const Weight& post_norm_of, const Weight& gain) {
  norm(tower.hyper.norm, rows, post_norm_of, tower.hyper.norm_eps);
  for (Floats& row : rows)
    for (std::size_t d = 0; d < gain.values.size(); ++d) row[d] *= gain.values[d];
  return rows;
}

void layer(ops::Context& ctx, const Tower& tower, std::size_t index, const PatchOrder& order,
           std::span<const ops::RopePlace> places, Rows& x) {
  const auto weight = [&](TowerPart part) -> const TowerWeight& {
    return tower.weights.at(index, part);
  };
  const float eps = tower.hyper.norm_eps;
  Rows normed = x;
  norm(tower.hyper.norm, normed, weight(norm1), eps);
  Rows queries = multiply(ctx, normed, weight(q)), keys = multiply(ctx, normed, weight(k));
  Rows values = multiply(ctx, normed, weight(v));
  norm_heads(queries, weight(q_norm), eps);
  norm_heads(keys, weight(k_norm), eps);
  norm_heads(values, weight(v_norm), eps);
  if (tower.spec->rope) turn(tower, queries, places);
  if (tower.spec->rope) turn(tower, keys, places);
  Rows mixed = queries;
  std::vector<std::size_t> starts = order.windows;
  if (starts.empty() || tower.hyper.sees_all[index]) starts = {0, x.size()};
  for (std::size_t s = 0; s + 1 < starts.size(); ++s)
    attend(tower, queries, keys, values, starts[s], starts[s + 1], mixed);
  add(x, finished(tower, multiply(ctx, mixed, weight(attention_out)), weight(attention_post_norm),
                  weight(attention_gain)));

  normed = x;
  norm(tower.hyper.norm, normed, weight(norm2), eps);
  Rows inner = multiply(ctx, normed, weight(up));
  if (weight(gate).present()) {
    Rows gates = multiply(ctx, normed, weight(gate));
    activate(gates, tower.hyper.activation);
    for (std::size_t i = 0; i < inner.size(); ++i)
      for (std::size_t d = 0; d < inner[i].size(); ++d) inner[i][d] *= gates[i][d];
  } else {
    activate(inner, tower.hyper.activation);
  }
  add(x,
      finished(tower, multiply(ctx, inner, weight(down)), weight(mlp_post_norm), weight(mlp_gain)));
}

Rows joined(const Tower& tower, const Rows& x) {
  const std::size_t block = std::size_t{tower.hyper.merge} * tower.hyper.merge;
  Rows y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % block == 0) y.emplace_back();
    if (tower.spec->joining == Joining::side_by_side) {
      y.back().insert(y.back().end(), x[i].begin(), x[i].end());
      continue;
    }
    y.back().resize(x[i].size());
    for (std::size_t d = 0; d < x[i].size(); ++d)
      y.back()[d] += x[i][d] / static_cast<float>(block);
  }
  return y;
}

Rows projected(ops::Context& ctx, const Tower& tower, Rows x) {
  const TowerWeights& weights = tower.weights;
  norm(tower.hyper.norm, x, weights[block_norm], tower.hyper.projector_eps);
  x = joined(tower, x);
  norm(NormKind::layer, x, weights[joined_norm], tower.hyper.projector_eps);
  if (weights[stretch].present())
    for (Floats& row : x)
      for (std::size_t d = 0; d < row.size(); ++d)
        row[d] = row[d] * weights[stretch].values[d] - weights[shift].values[d];
  norm(NormKind::rms, x, weights[pooled_norm], tower.hyper.projector_eps);
  if (weights[merge].present()) x = multiply(ctx, x, weights[merge]);
  x = multiply(ctx, x, weights[first]);
  if (!weights[second].present()) return x;
  activate(x, tower.hyper.between);
  x = multiply(ctx, x, weights[second]);
  if (!weights[third].present()) return x;
  activate(x, tower.hyper.between);
  return multiply(ctx, x, weights[third]);
}

// What a deep layer of the language model reads of this one.
Rows deep_rows(ops::Context& ctx, const Tower& tower, std::size_t index, const Rows& x) {
  const auto weight = [&](TowerPart part) -> const TowerWeight& {
    return tower.weights.at(index, part);
  };
  Rows y = joined(tower, x);
  norm(tower.hyper.norm, y, weight(deep_norm), tower.hyper.projector_eps);
  y = multiply(ctx, y, weight(deep_first));
  activate(y, tower.hyper.between);
  return multiply(ctx, y, weight(deep_second));
}

Rows embedded(ops::Context& ctx, const Tower& tower, const PreparedPicture::Tile& tile,
              const PatchOrder& order) {
  const std::size_t patch_edge = tower.hyper.patch;
  Rows pixels;
  for (const auto& [row, column] : order.places) {
    Floats& values = pixels.emplace_back();
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t y = row * patch_edge; y < (row + 1) * patch_edge; ++y)
        for (std::size_t x = column * patch_edge; x < (column + 1) * patch_edge; ++x)
          values.push_back(tile.pixels[(c * tile.height + y) * tile.width + x]);
  }
  Rows x = multiply(ctx, pixels, tower.weights[patch]);
  const Weight& lead = tower.weights[class_row];
  if (lead.present()) x.insert(x.begin(), lead.values);
  const std::size_t first_patch = lead.present() ? 1 : 0;
  if (const Weight& table = tower.weights[positions]; table.present()) {
    for (std::size_t d = 0; d < first_patch * tower.hyper.dim; ++d) x[0][d] += table.values[d];
    for (std::size_t i = 0; i < order.places.size(); ++i)
      add_position(tower, order.places[i], tile.height / tower.hyper.patch,
                   tile.width / tower.hyper.patch, x[first_patch + i].data());
  }
  norm(tower.hyper.norm, x, tower.weights[pre_norm], tower.hyper.norm_eps);
  return x;
}

}  // namespace

Status encode_plainly(ops::Context& ctx, const Tower& tower, const PreparedPicture::Tile& tile,
                      View out, std::stop_token stop) {
  const PatchOrder order = order_patches(tower.hyper, tile.width, tile.height);
  const std::size_t lead = tower.weights[class_row].present() ? 1 : 0;
  const auto places = rope_places_of(*tower.spec, order, lead);
  const auto put = [&](const Rows& rows, std::size_t which) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::copy_n(rows[i].data(), rows[i].size(),
                  out.row(order.block_of[i]) + which * tower.hyper.out_dim);
  };
  Rows x = embedded(ctx, tower, tile, order);
  for (std::size_t i = 0, deep = 0; i < tower.weights.layers.size(); ++i) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped between layers");
    layer(ctx, tower, i, order, places, x);
    if (tower.hyper.is_deep(i)) put(deep_rows(ctx, tower, i, x), ++deep);
  }
  x.erase(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(lead));
  norm(tower.hyper.norm, x, tower.weights[post_norm], tower.hyper.norm_eps);
  put(projected(ctx, tower, std::move(x)), 0);
  return Done{};
}

}  // namespace hearth::models
