// The fast path: the same data as the plain one, on ops.
#include <algorithm>
#include <cmath>

#include "models/adapter.h"
#include "models/experts.h"
#include "models/gates.h"
#include "models/latent.h"
#include "models/mixers.h"
#include "models/streams.h"

namespace hearth::models {
namespace {

// One step on its way through the layers.
struct Step {
  ops::Context& ctx;
  const Trunk& trunk;
  const Rows& rows;
  Arena& arena;
  View x;  // the residual stream
  std::span<const std::uint32_t> positions;
  std::span<const ops::RowPlace> places;
  std::span<const ops::RopePlace> grid = {};  // empty, or [rows]
  std::span<const std::uint32_t> ahead = {};  // empty, or [rows]
  View per_layer = {};  // the vectors of layers' own, one layer after the other
  View streams = {};    // where several run side by side; x is then the one that a layer reads
  std::span<const AdaptedRows> adapted = {};

  const Hyper& hyper() const { return trunk.hyper; }
};

// What adapters add to a product of the layer.
void adapt(Step& step, std::size_t layer, Role role, View y, View x) {
  if (!step.adapted.empty()) add_adapted(step.ctx, step.adapted, layer, role, y, x, step.arena);
}

void norm(Step& step, View y, View x, const Weight& w) {
  if (step.trunk.spec->norm == NormKind::rms)
    ops::rms_norm(step.ctx, y, x, w.values, step.hyper().norm_eps);
  else
    ops::layer_norm(step.ctx, y, x, w.values, w.bias, step.hyper().norm_eps);
}

// x normed into memory of its own; x itself where the model has no such norm.
View normed(Step& step, View x, const Weight& w) {
  if (!w.present()) return x;
  const View y = step.arena.view(x.rows, x.dim);
  norm(step, y, x, w);
  return y;
}

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

template <typename T>
std::span<const T> pick(Arena& arena, std::span<const T> from,
                        std::span<const std::uint32_t> order) {
  const auto to = arena.take<T>(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) to[i] = from[order[i]];
  return to;
}

View pick(Arena& arena, View from, std::span<const std::uint32_t> order) {
  const View to = arena.view(order.size(), from.dim);
  for (std::size_t i = 0; i < order.size(); ++i)
    std::copy_n(from.row(order[i]), from.dim, to.row(i));
  return to;
}

// What reads the stream in one layer.  Behind the last layer's states only wanted rows matter: its
// views, and the stream, shrink to them.
struct Readers {
  View before = {};        // the normed stream
  View q = {}, gate = {};  // of attention
  View recurrent = {};     // what the mixer made of it
};

void keep_wanted(Step& step, Readers& readers) {
  const bool shared = readers.before.data == step.x.data;
  const auto wanted = step.rows.wanted;
  step.x = pick(step.arena, step.x, wanted);
  readers.before = shared ? step.x : pick(step.arena, readers.before, wanted);
  for (View* view : {&readers.q, &readers.gate, &readers.recurrent})
    if (view->data != nullptr) *view = pick(step.arena, *view, wanted);
  for (View* view : {&step.per_layer, &step.streams})
    if (view->data != nullptr) *view = pick(step.arena, *view, wanted);
  step.places = pick(step.arena, step.places, wanted);
  step.positions = pick(step.arena, step.positions, wanted);
  if (!step.ahead.empty()) step.ahead = pick(step.arena, step.ahead, wanted);
  step.adapted = adapted_rows(step.rows.adapters, step.places, step.arena);
}

void turn(Step& step, View x, std::uint32_t dim, const ops::RopeTable& table) {
  if (step.grid.empty())
    ops::rope(step.ctx, x, dim, step.positions, table);
  else
    ops::rope(step.ctx, x, dim, step.grid, step.trunk.rope_axes, table);
}

// Every head's vector gets length one.
void unite(Step& step, View x, std::size_t dim) {
  const View split(x.data, x.rows * (x.dim / dim), dim);
  ops::rms_norm(step.ctx, split, split, {}, step.hyper().norm_eps);
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
          .sinks = step.trunk.weights.layers[index][Role::sinks].values,
          .alibi = {},
          .ahead = step.ahead};
}

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

// What attention, or the mixer, or both give to the stream.
struct Mixed {
  View attention, recurrent;
};

Mixed mix(Step& step, std::size_t index, Readers& readers) {
  const LayerHyper& at = step.hyper().layers[index];
  if (at.recurs)
    readers.recurrent =
        run_mixer(step.ctx, step.trunk, index, step.rows, readers.before, step.arena);
  View encoded;
  if (at.attends && step.hyper().latent.kv_rank > 0) {
    const LatentParts parts =
        read_latent_parts(step.ctx, step.trunk, index, readers.before, step.positions, step.arena);
    readers.q = parts.q;
    if (at.tempered)
      for (std::size_t i = 0; i < parts.q.rows; ++i)
        ops::scale(step.ctx, parts.q.slice_rows(i, 1), step.hyper().temperature(step.positions[i]));
    ops::kv_append(step.ctx, step.trunk.kv.layers[index], step.rows.sequences, step.places, parts.k,
                   parts.v);
  } else if (at.attends && at.borrows_kv) {
    read_queries(step, index, readers);
  } else if (at.attends) {
    encoded = read_heads(step, index, readers);
  }
  if (encoded.data != nullptr) return {encoded, {}};
  const bool is_last = index + 1 == step.hyper().layers.size();
  if (is_last && step.rows.wanted.size() < step.x.rows) keep_wanted(step, readers);
  if (step.x.rows == 0) return {};
  return {at.attends ? attend(step, index, readers) : View(), readers.recurrent};
}

// One branch's last step.
struct Branch {
  Role weight, post_norm;
  float factor;  // of what it gives
};

// x += factor * norm(input * w); straight into x where nothing stands between.
void add_branch(Step& step, std::size_t index, View input, const Branch& branch) {
  const Layer& layer = step.trunk.weights.layers[index];
  const Weight &w = layer[branch.weight], &post_norm = layer[branch.post_norm];
  const float factor = branch.factor * step.hyper().residual_scale;
  if (!post_norm.present() && factor == 1) {
    ops::matmul_add(step.ctx, step.x, input, w.matrix, w.bias);
    adapt(step, index, branch.weight, step.x, input);
    return;
  }
  const View y = step.arena.view(step.x.rows, step.x.dim);
  ops::matmul(step.ctx, y, input, w.matrix, w.bias);
  adapt(step, index, branch.weight, y, input);
  if (post_norm.present()) norm(step, y, y, post_norm);
  if (factor != 1) ops::scale(step.ctx, y, factor);
  ops::add(step.ctx, step.x, y);
}

// gate = f(gate) * up; most gates pass as zero where the layer says so.
// Source: the Gemma 3n model card.
void pass_gates(Step& step, const LayerHyper& at, View gate, View up) {
  if (step.hyper().gate_factor != 1) ops::scale(step.ctx, gate, step.hyper().gate_factor);
  if (std::isfinite(at.gate_cut)) cut_gates(step.ctx, gate, at.gate_cut);
  ops::activate_mul(step.ctx, gate, up, step.hyper().activation);
}

// What goes into an MLP's last matrix.
View mlp_inside(Step& step, std::size_t index, View input) {
  const Layer& layer = step.trunk.weights.layers[index];
  const View up = step.arena.view(input.rows, layer[Role::up].matrix.rows());
  if (step.trunk.spec->mlp == MlpKind::plain) {
    ops::matmul(step.ctx, up, input, layer[Role::up].matrix, layer[Role::up].bias);
    adapt(step, index, Role::up, up, input);
    ops::activate(step.ctx, up, step.hyper().activation);
    return up;
  }
  const View gate = step.arena.view(input.rows, up.dim);
  const ops::MatmulJob jobs[] = {{gate, &layer[Role::gate].matrix, layer[Role::gate].bias},
                                 {up, &layer[Role::up].matrix, layer[Role::up].bias}};
  ops::matmul_many(step.ctx, jobs, input);
  adapt(step, index, Role::gate, gate, input);
  adapt(step, index, Role::up, up, input);
  pass_gates(step, step.hyper().layers[index], gate, up);
  return gate;
}

void sparse_mlp(Step& step, const Layer& layer, View input) {
  const View y = step.arena.view(input.rows, input.dim);
  mix_experts(step.ctx, step.trunk, layer, input, input, y, step.arena);
  if (layer[Role::mlp_post_norm].present()) norm(step, y, y, layer[Role::mlp_post_norm]);
  if (step.hyper().residual_scale != 1) ops::scale(step.ctx, y, step.hyper().residual_scale);
  ops::add(step.ctx, step.x, y);
}

// An MLP and experts side by side: both read the stream, the latter without the MLP's norm.
// Source: the Gemma 4 model card.
void mlp_beside_experts(Step& step, std::size_t index, View input) {
  const Layer& layer = step.trunk.weights.layers[index];
  const View inside = mlp_inside(step, index, input);
  const View sum = step.arena.view(input.rows, input.dim);
  ops::matmul(step.ctx, sum, inside, layer[Role::down].matrix, layer[Role::down].bias);
  adapt(step, index, Role::down, sum, inside);
  norm(step, sum, sum, layer[Role::beside_post_norm]);

  const View routed = step.arena.view(input.rows, input.dim);
  ops::rms_norm(step.ctx, routed, step.x, layer[Role::router_scale].values, step.hyper().norm_eps);
  ops::scale(step.ctx, routed, 1 / std::sqrt(static_cast<float>(input.dim)));
  const View own = normed(step, step.x, layer[Role::experts_norm]);
  const View mixed = step.arena.view(input.rows, input.dim);
  mix_experts(step.ctx, step.trunk, layer, own, routed, mixed, step.arena);
  norm(step, mixed, mixed, layer[Role::experts_post_norm]);
  ops::add(step.ctx, sum, mixed);
  norm(step, sum, sum, layer[Role::mlp_post_norm]);
  ops::add(step.ctx, step.x, sum);
}

void sum_norm(Step& step, const Weight& w) {
  if (w.present()) norm(step, step.x, step.x, w);
}

void mlp_branch(Step& step, std::size_t index, View second) {
  const Layer& layer = step.trunk.weights.layers[index];
  if (second.data == step.x.data) {  // the branch is added into what it reads
    second = step.arena.view(step.x.rows, step.x.dim);
    for (std::size_t i = 0; i < second.rows; ++i)
      std::copy_n(step.x.row(i), second.dim, second.row(i));
  }
  const bool sparse = step.hyper().layers[index].sparse;
  if (sparse && step.trunk.spec->experts_beside_mlp)
    mlp_beside_experts(step, index, second);
  else if (sparse)
    sparse_mlp(step, layer, second);
  else
    add_branch(step, index, mlp_inside(step, index, second),
               {Role::down, Role::mlp_post_norm, step.hyper().mlp_factor});
  sum_norm(step, layer[Role::mlp_sum_norm]);
}

// The narrow way beside attention: x = (x + before + norm(up down before)) / sqrt(2).
// Source: Menghani et al. 2024 (LAuReL); the Gemma 3n model card.
void add_side(Step& step, const Layer& layer, View before) {
  const View narrow = step.arena.view(before.rows, layer[Role::side_down].matrix.rows());
  ops::matmul(step.ctx, narrow, before, layer[Role::side_down].matrix);
  const View side = step.arena.view(before.rows, before.dim);
  ops::matmul(step.ctx, side, narrow, layer[Role::side_up].matrix);
  norm(step, side, side, layer[Role::side_norm]);
  ops::add(step.ctx, side, before);
  ops::add(step.ctx, step.x, side);
  ops::scale(step.ctx, step.x, std::sqrt(0.5f));
}

// What a token's own vector of the layer makes of x.  Source: the Gemma 3n and Gemma 4 model cards.
View own_vector(Step& step, std::size_t index, View x) {
  const Layer& layer = step.trunk.weights.layers[index];
  const std::size_t dim = step.hyper().per_layer_dim;
  const View gate = step.arena.view(x.rows, dim);
  ops::matmul(step.ctx, gate, x, layer[Role::layer_gate].matrix);
  ops::activate_mul(step.ctx, gate, step.per_layer.slice_columns(index * dim, dim),
                    step.hyper().activation);
  const View y = step.arena.view(x.rows, x.dim);
  ops::matmul(step.ctx, y, gate, layer[Role::layer_projection].matrix);
  norm(step, y, y, layer[Role::layer_norm]);
  return y;
}

// The layer is done: streams follow it, the token's own vector is added; then the factor of it all.
void end_layer(Step& step, std::size_t index) {
  const Layer& layer = step.trunk.weights.layers[index];
  const StreamsHyper& streams = step.hyper().streams;
  const std::size_t dim = step.x.dim;
  if (streams.count > 1) {
    correct_streams(step.ctx, step.trunk, layer, step.streams, step.x, step.arena);
    const auto factors = std::span<const float>(layer[Role::stream_scale].values);
    for (std::size_t i = 0; i < step.x.rows; ++i) {
      const float* active = step.streams.row(i) + streams.active * dim;
      for (std::size_t d = 0; d < dim; ++d)
        step.x.row(i)[d] = active[d] * (streams.scaled ? factors[d] : 1.0f);
    }
  }
  if (step.per_layer.data != nullptr) {
    const View y = own_vector(step, index, step.x);
    if (streams.count == 1) ops::add(step.ctx, step.x, y);
    for (std::size_t s = 1; s < streams.count; ++s)
      ops::add(step.ctx, step.streams.slice_columns(s * dim, dim), y);
  }
  if (layer[Role::layer_scale].present())
    ops::scale(step.ctx, step.x, layer[Role::layer_scale].values.front());
}

void block(Step& step, std::size_t index) {
  const Layer& layer = step.trunk.weights.layers[index];
  const LayerHyper& at = step.hyper().layers[index];
  View second;
  if (step.streams.data != nullptr)
    predict_streams(step.ctx, step.trunk, layer, step.streams, step.x, step.arena);
  if (at.attends || at.recurs) {
    Readers readers{.before = normed(step, step.x, layer[Role::attention_norm])};
    const Mixed mixed = mix(step, index, readers);
    if (step.x.rows == 0) return;
    if (step.hyper().parallel) {
      const Weight& own = layer[Role::mlp_norm];
      second = own.present() ? normed(step, step.x, own) : readers.before;
    }
    if (at.attends)
      add_branch(step, index, mixed.attention,
                 {Role::attention_out, Role::attention_post_norm, step.hyper().attention_factor});
    if (at.recurs)
      add_branch(step, index, mixed.recurrent,
                 {Role::mixer_out, Role::attention_post_norm, step.hyper().mixer_factor});
    if (layer[Role::side_down].present()) add_side(step, layer, readers.before);
    sum_norm(step, layer[Role::attention_sum_norm]);
  }
  if (!at.has_mlp) return;
  if (!step.hyper().parallel) second = normed(step, step.x, layer[Role::mlp_norm]);
  mlp_branch(step, index, second);
  end_layer(step, index);
}

// The vectors that layers have of their own: from the token, and from its embedding.
void embed_for_layers(Step& step) {
  const Layer& whole = step.trunk.weights.whole;
  const Hyper& hyper = step.hyper();
  if (hyper.per_layer_dim == 0) return;
  const std::size_t width = std::size_t{hyper.per_layer_dim} * hyper.layers.size();
  step.per_layer = step.arena.view(step.x.rows, width);
  const View rows = step.arena.view(step.x.rows, width);
  ops::matmul(step.ctx, step.per_layer, step.x, whole[Role::per_layer_projection].matrix);
  ops::scale(step.ctx, step.per_layer, 1 / std::sqrt(static_cast<float>(hyper.dim)));
  const View split(step.per_layer.data, step.x.rows * hyper.layers.size(), hyper.per_layer_dim);
  norm(step, split, split, whole[Role::per_layer_norm]);
  const ops::StoredMatrix& table = whole[Role::per_layer_embedding].stored;
  const auto ids = step.arena.take<Token>(step.x.rows);
  for (std::size_t i = 0; i < ids.size(); ++i) {  // tokens past the table have the first one's
    const Token token = step.rows.tokens[i];
    ids[i] = static_cast<std::uint64_t>(token) < table.rows ? token : 0;
  }
  ops::gather_rows(step.ctx, rows, table, ids);
  ops::scale(step.ctx, rows, std::sqrt(static_cast<float>(hyper.per_layer_dim)));
  ops::add(step.ctx, step.per_layer, rows);
  ops::scale(step.ctx, step.per_layer, std::sqrt(0.5f));
}

void add_rows(Step& step, const Weight& table, std::span<const std::int32_t> ids) {
  const auto mark = step.arena.mark();
  const View rows = step.arena.view(step.x.rows, step.x.dim);
  ops::gather_rows(step.ctx, rows, table.stored, ids);
  ops::add(step.ctx, step.x, rows);
  step.arena.release(mark);
}

void embed(Step& step) {
  const Layer& whole = step.trunk.weights.whole;
  const Hyper& hyper = step.hyper();
  ops::gather_rows(step.ctx, step.x, whole[Role::token_embedding].stored, step.rows.tokens);
  if (hyper.embedding_scale != 1) ops::scale(step.ctx, step.x, hyper.embedding_scale);
  for (std::size_t i = 0; i < step.rows.inputs.size(); ++i)
    if (const float* given = step.rows.inputs[i].embedding)
      std::copy_n(given, step.x.dim, step.x.row(i));
  const auto ids = step.arena.take<std::int32_t>(step.x.rows);
  if (whole[Role::position_embedding].present()) {
    for (std::size_t i = 0; i < ids.size(); ++i)
      ids[i] = static_cast<std::int32_t>(step.positions[i] + hyper.position_offset);
    add_rows(step, whole[Role::position_embedding], ids);
  }
  if (whole[Role::type_embedding].present()) {
    for (std::size_t i = 0; i < ids.size(); ++i)
      ids[i] = step.rows.types.empty() ? 0 : step.rows.types[i];
    add_rows(step, whole[Role::type_embedding], ids);
  }
  sum_norm(step, whole[Role::embedding_norm]);
  embed_for_layers(step);
  if (hyper.streams.count > 1)
    step.streams = spread_streams(step.ctx, step.trunk, step.x, step.arena);
}

// Where rows stand and what they see, as far as that is no matter of their place in the sequence.
void read_inputs(Step& step) {
  const auto inputs = step.rows.inputs;
  if (inputs.empty()) return;
  const auto ahead = step.arena.take<std::uint32_t>(inputs.size());
  std::ranges::transform(inputs, ahead.begin(), &RowInput::ahead);
  step.ahead = ahead;
  if (step.trunk.rope_axes.empty()) return;
  const auto grid = step.arena.take<ops::RopePlace>(inputs.size());
  std::ranges::transform(inputs, grid.begin(), &RowInput::place);
  step.grid = grid;
}

}  // namespace

Status run_fast(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View hidden, Arena& arena,
                std::stop_token stop) {
  Step step{ctx,
            trunk,
            rows,
            arena,
            arena.view(rows.tokens.size(), trunk.hyper.dim),
            rows.positions,
            rows.places};
  read_inputs(step);
  step.adapted = adapted_rows(rows.adapters, rows.places, arena);
  embed(step);
  const auto layers_begin = arena.mark();
  for (std::size_t i = 0; i < trunk.hyper.layers.size(); ++i) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped between layers");
    arena.release(layers_begin);
    block(step, i);
  }
  if (rows.wanted.empty()) return Done{};
  if (step.streams.data != nullptr)
    gather_streams(step.ctx, step.trunk, step.streams, step.x, step.arena);
  const bool shrunk = step.x.rows == rows.wanted.size();
  for (std::size_t i = 0; i < rows.wanted.size(); ++i)
    std::copy_n(step.x.row(shrunk ? i : rows.wanted[i]), hidden.dim, hidden.row(i));
  const Weight& last = trunk.weights.whole[Role::output_norm];
  if (last.present()) norm(step, hidden, hidden, last);
  return Done{};
}

void logits_fast(ops::Context& ctx, const Trunk& trunk, View hidden, View logits) {
  ops::matmul(ctx, logits, hidden, trunk.weights.whole[Role::output].matrix);
  if (trunk.hyper.logit_scale != 1) ops::scale(ctx, logits, trunk.hyper.logit_scale);
  if (trunk.hyper.output_softcap > 0) ops::softcap(ctx, logits, trunk.hyper.output_softcap);
}

}  // namespace hearth::models
