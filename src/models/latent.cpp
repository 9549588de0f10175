#include "models/latent.h"

#include <algorithm>

namespace hearth::models {
namespace {

// y[row, head] = x[row, head] * w[head]^T, the heads of y `stride` apart.
void by_head(ops::Context& ctx, View x, const Weight& w, View y, std::size_t stride, Arena& arena) {
  const std::size_t heads = w.experts.size(), rows = x.rows / heads;
  const auto pairs = arena.take<ops::ExpertPair>(x.rows);
  for (std::size_t h = 0; h < heads; ++h)
    for (std::size_t i = 0; i < rows; ++i)
      pairs[h * rows + i] = {static_cast<std::uint32_t>(i * heads + h),
                             static_cast<std::uint32_t>(h)};
  const View by = arena.view(x.rows, w.experts.front().rows());
  ops::matmul_experts(ctx, by, x, w.experts, pairs);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t h = 0; h < heads; ++h)
      std::copy_n(by.row(h * rows + i), by.dim, y.row(i) + h * stride);
}

// The columns [first, first + count) of each of the heads, one after the other.
View columns_of_heads(View x, std::size_t heads, std::size_t first, std::size_t count,
                      Arena& arena) {
  const std::size_t each = x.dim / heads;
  const View out = arena.view(x.rows, heads * count);
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t h = 0; h < heads; ++h)
      std::copy_n(x.row(i) + h * each + first, count, out.row(i) + h * count);
  return out;
}

View queries(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View x, Arena& arena) {
  const View q = arena.view(x.rows, std::size_t{trunk.hyper.heads} * trunk.hyper.head_dim);
  if (trunk.hyper.latent.q_rank == 0) {
    ops::matmul(ctx, q, x, layer[Role::q].matrix, layer[Role::q].bias);
    return q;
  }
  const View narrow = arena.view(x.rows, trunk.hyper.latent.q_rank);
  ops::matmul(ctx, narrow, x, layer[Role::q_a].matrix, layer[Role::q_a].bias);
  ops::rms_norm(ctx, narrow, narrow, layer[Role::q_a_norm].values, trunk.hyper.norm_eps);
  ops::matmul(ctx, q, narrow, layer[Role::q_b].matrix, layer[Role::q_b].bias);
  return q;
}

}  // namespace

LatentParts read_latent_parts(ops::Context& ctx, const Trunk& trunk, std::size_t index, View x,
                              std::span<const std::uint32_t> positions, Arena& arena) {
  const Layer& layer = trunk.weights.layers[index];
  const std::size_t heads = trunk.hyper.heads, plain = trunk.hyper.latent.plain;
  const std::uint32_t turning = trunk.hyper.latent.turning;
  const std::size_t rank = trunk.hyper.latent.kv_rank, key = rank + turning;
  const ops::RopeTable rope = trunk.ropes.table(trunk.uses_local_rope(index));

  const View q = queries(ctx, trunk, layer, x, arena);
  const View turned = columns_of_heads(q, heads, plain, turning, arena);
  ops::rope(ctx, turned, turning, positions, rope);
  const View still = columns_of_heads(q, heads, 0, plain, arena);
  const LatentParts parts{arena.view(x.rows, heads * key), arena.view(x.rows, key),
                          arena.view(x.rows, rank)};
  by_head(ctx, View(still.data, still.rows * heads, plain), layer[Role::k_b], parts.q, key, arena);
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t h = 0; h < heads; ++h)
      std::copy_n(turned.row(i) + h * turning, turning, parts.q.row(i) + h * key + rank);

  const View both = arena.view(x.rows, key), turned_key = arena.view(x.rows, turning);
  ops::matmul(ctx, both, x, layer[Role::kv_a].matrix, layer[Role::kv_a].bias);
  for (std::size_t i = 0; i < x.rows; ++i) {
    std::copy_n(both.row(i), rank, parts.v.row(i));
    std::copy_n(both.row(i) + rank, turning, turned_key.row(i));
  }
  ops::rms_norm(ctx, parts.v, parts.v, layer[Role::kv_a_norm].values, trunk.hyper.norm_eps);
  ops::rope(ctx, turned_key, turning, positions, rope);
  for (std::size_t i = 0; i < x.rows; ++i) {
    std::copy_n(parts.v.row(i), rank, parts.k.row(i));
    std::copy_n(turned_key.row(i), turning, parts.k.row(i) + rank);
  }
  return parts;
}

View expand_latents(ops::Context& ctx, const Trunk& trunk, std::size_t index, View mixed,
                    Arena& arena) {
  const std::size_t heads = trunk.hyper.heads, value = trunk.hyper.value_dim;
  const View out = arena.view(mixed.rows, heads * value);
  const View by_rows(mixed.data, mixed.rows * heads, trunk.hyper.latent.kv_rank);
  by_head(ctx, by_rows, trunk.weights.layers[index][Role::v_b], out, value, arena);
  return out;
}

}  // namespace hearth::models
