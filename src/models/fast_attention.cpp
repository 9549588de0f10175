// The fast path: what attention reads and what it mixes.
#include <algorithm>

#include "models/fast_parts.h"
#include "models/latent.h"

namespace hearth::models::fast {
namespace {

// Queries or keys: one vector over all heads, one for every head, or one for each.
void norm_heads(Step& step, View x, std::size_t dim, const Weight& w) {
  if (!w.present()) return;
  if (w.by_head) {
    for (std::size_t first = 0; first < x.dim; first += dim) {
      const View head = x.slice_columns(first, dim);
      const auto values = std::span(w.values).subspan(first, dim);
      if (step.trunk.spec->norm == NormKind::rms)
        ops::rms_norm(step.ctx, head, head, values, step.hyper().norm_eps);
      else
        ops::layer_norm(step.ctx, head, head, values, {}, step.hyper().norm_eps);
    }
    return;
  }
  const std::size_t heads = w.values.size() == dim ? x.dim / dim : 1;
  const View split(x.data, x.rows * heads, x.dim / heads);
  norm(step, split, split, w);
}

void turn(Step& step, View x, std::uint32_t dim, const ops::RopeTable& table) {
  if (step.grid.empty())
    ops::rope(step.ctx, x, dim, step.positions, table);
  else
    ops::rope(step.ctx, x, dim, step.grid, step.trunk.rope_axes, table);
}

// Queries and keys of one layer get their norms and positions.
void place_heads(Step& step, std::size_t index, View q, View k) {
  const Layer& layer = step.trunk.weights.layers[index];
  const LayerHyper& at = step.hyper().layers[index];
  const ArchSpec& spec = *step.trunk.spec;
  const std::uint32_t dim = at.head_dim;
  const auto norm_both = [&] {
    norm_heads(step, q, dim, layer[Role::q_norm]);
    norm_heads(step, k, dim, layer[Role::k_norm]);
  };
  if (!spec.norm_after_rope) norm_both();
  if (at.rotates) {
    const ops::RopeTable rope = step.trunk.ropes.table(step.trunk.uses_local_rope(index));
    turn(step, q, dim, rope);
    if (k.rows > 0) turn(step, k, dim, rope);
  }
  if (spec.norm_after_rope) norm_both();
  if (step.hyper().unit_after_rope && at.rotates) {
    unite(step, q, dim);
    unite(step, k, dim);
  }
  if (at.tempered)
    for (std::size_t i = 0; i < q.rows; ++i)
      ops::scale(step.ctx, q.slice_rows(i, 1), step.hyper().temperature(step.positions[i]));
}

ops::AttentionOptions options_of(const Step& step, std::size_t index) {
  const LayerHyper& at = step.hyper().layers[index];
  return {.heads = step.hyper().heads,
          .scale = step.hyper().attention_scale,
          .softcap = step.hyper().attention_softcap,
          .window = at.window,
          .chunk = at.chunk,
          .from = at.from,
          .sinks = step.trunk.weights.layers[index][Role::sinks].values,
          .alibi = {},
          .ahead = at.sees_ahead ? step.ahead : std::span<const std::uint32_t>()};
}

}  // namespace

// Queries of a layer that reads another's keys and values.
void read_queries(Step& step, std::size_t index, Readers& readers) {
  const Layer& layer = step.trunk.weights.layers[index];
  readers.q = step.arena.view(readers.before.rows, layer[Role::q].matrix.rows());
  ops::matmul(step.ctx, readers.q, readers.before, layer[Role::q].matrix, layer[Role::q].bias);
  adapt(step, index, Role::q, readers.q, readers.before);
  place_heads(step, index, readers.q, View(readers.q.data, 0, 0));
}

// Queries, keys and values of the stream; the latter two are kept for later rows.
View read_heads(Step& step, std::size_t index, Readers& readers) {
  const Layer& layer = step.trunk.weights.layers[index];
  const LayerHyper& at = step.hyper().layers[index];
  const std::size_t dim = at.head_dim, rows = readers.before.rows;
  readers.q = step.arena.view(rows, step.hyper().heads * dim);
  const View k = step.arena.view(rows, at.kv_heads * dim);
  const View v = step.arena.view(rows, at.kv_heads * dim);
  const bool has_values = layer[Role::v].present();
  const ops::MatmulJob jobs[] = {{readers.q, &layer[Role::q].matrix, layer[Role::q].bias},
                                 {k, &layer[Role::k].matrix, layer[Role::k].bias},
                                 {v, &layer[Role::v].matrix, layer[Role::v].bias}};
  ops::matmul_many(step.ctx, std::span(jobs).first(has_values ? 3 : 2), readers.before);
  adapt(step, index, Role::q, readers.q, readers.before);
  adapt(step, index, Role::k, k, readers.before);
  if (has_values) adapt(step, index, Role::v, v, readers.before);
  if (!has_values) std::copy_n(k.data, k.rows * k.dim, v.data);
  if (step.trunk.spec->unit_values) unite(step, v, dim);
  if (const Weight& gate = layer[Role::mix_gate]; gate.present()) {
    readers.gate = step.arena.view(rows, readers.q.dim);
    ops::matmul(step.ctx, readers.gate, readers.before, gate.matrix, gate.bias);
    adapt(step, index, Role::mix_gate, readers.gate, readers.before);
  }
  place_heads(step, index, readers.q, k);
  if (step.trunk.spec->kind != Kind::generator) {
    const View out = step.arena.view(rows, readers.q.dim);
    ops::attend_both_ways(step.ctx, out, readers.q, k, v, step.rows.starts, at.kv_heads,
                          options_of(step, index));
    return out;
  }
  ops::kv_append(step.ctx, step.trunk.kv.layers[index], step.rows.sequences, step.places, k, v);
  return {};
}

void read_latents(Step& step, std::size_t index, Readers& readers) {
  const LatentParts parts =
      read_latent_parts(step.ctx, step.trunk, index, readers.before, step.positions, step.arena);
  readers.q = parts.q;
  if (step.hyper().layers[index].tempered)
    for (std::size_t i = 0; i < parts.q.rows; ++i)
      ops::scale(step.ctx, parts.q.slice_rows(i, 1), step.hyper().temperature(step.positions[i]));
  ops::kv_append(step.ctx, step.trunk.kv.layers[index], step.rows.sequences, step.places, parts.k,
                 parts.v);
}

// The mix of values every head of every row sees.
View attend(Step& step, std::size_t index, const Readers& readers) {
  const ops::KvLayer& kv = step.trunk.kv.layers[step.hyper().layers[index].kv_layer];
  const View q = readers.q;
  const bool latent = step.hyper().latent.kv_rank > 0;
  const View out = latent ? step.arena.view(q.rows, step.hyper().heads * kv.value_dim) : q;
  ops::attend(step.ctx, out, q, kv, step.rows.sequences, step.places, options_of(step, index));
  if (latent) return expand_latents(step.ctx, step.trunk, index, out, step.arena);
  if (readers.gate.data == nullptr) return out;
  ops::activate_mul(step.ctx, readers.gate, out, ops::Activation::sigmoid);
  return readers.gate;
}

}  // namespace hearth::models::fast
