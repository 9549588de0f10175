// The fast path: the same data as the plain one, on ops.
#include <algorithm>
#include <cmath>

#include "models/experts.h"
#include "models/trunk.h"

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

  const Hyper& hyper() const { return trunk.hyper; }
};

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
void norm_heads(Step& step, View x, const Weight& w) {
  if (!w.present()) return;
  const std::size_t dim = step.hyper().head_dim;
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

// Behind the last keys and values only wanted rows matter.
void keep_wanted(Step& step, View& q, View& before) {
  const bool shared = before.data == step.x.data;
  const auto wanted = step.rows.wanted;
  q = pick(step.arena, q, wanted);
  step.x = pick(step.arena, step.x, wanted);
  before = shared ? step.x : pick(step.arena, before, wanted);
  step.places = pick(step.arena, step.places, wanted);
  step.positions = pick(step.arena, step.positions, wanted);
  if (!step.ahead.empty()) step.ahead = pick(step.arena, step.ahead, wanted);
}

void turn(Step& step, View x, const ops::RopeTable& table) {
  if (step.grid.empty())
    ops::rope(step.ctx, x, step.hyper().head_dim, step.positions, table);
  else
    ops::rope(step.ctx, x, step.hyper().head_dim, step.grid, step.trunk.rope_axes, table);
}

// The mix of values every head of every row sees.  `before` is the normed stream; on the last layer
// both it and the stream shrink to the wanted rows.
View mix(Step& step, std::size_t index, View& before) {
  const Layer& layer = step.trunk.weights.layers[index];
  const LayerHyper& at = step.hyper().layers[index];
  const std::size_t dim = step.hyper().head_dim;
  View q = step.arena.view(before.rows, step.hyper().heads * dim);
  const View k = step.arena.view(before.rows, at.kv_heads * dim);
  const View v = step.arena.view(before.rows, at.kv_heads * dim);
  const ops::MatmulJob jobs[] = {{q, &layer[Role::q].matrix, layer[Role::q].bias},
                                 {k, &layer[Role::k].matrix, layer[Role::k].bias},
                                 {v, &layer[Role::v].matrix, layer[Role::v].bias}};
  ops::matmul_many(step.ctx, jobs, before);
  norm_heads(step, q, layer[Role::q_norm]);
  norm_heads(step, k, layer[Role::k_norm]);
  if (at.rotates) {
    const ops::RopeTable rope = step.trunk.ropes.table(step.trunk.uses_local_rope(index));
    turn(step, q, rope);
    turn(step, k, rope);
  }
  ops::AttentionOptions options{.heads = step.hyper().heads,
                                .scale = step.hyper().attention_scale,
                                .softcap = step.hyper().attention_softcap,
                                .window = at.window,
                                .sinks = layer[Role::sinks].values,
                                .alibi = {}};
  if (step.trunk.spec->kind != Kind::generator) {
    const View out = step.arena.view(q.rows, q.dim);
    ops::attend_both_ways(step.ctx, out, q, k, v, step.rows.starts, at.kv_heads, options);
    return out;
  }
  const ops::KvLayer& kv = step.trunk.kv.layers[index];
  ops::kv_append(step.ctx, kv, step.rows.sequences, step.places, k, v);
  const bool is_last = index + 1 == step.hyper().layers.size();
  if (is_last && step.rows.wanted.size() < step.x.rows) keep_wanted(step, q, before);
  options.ahead = step.ahead;
  if (q.rows > 0) ops::attend(step.ctx, q, q, kv, step.rows.sequences, step.places, options);
  return q;
}

// x += scale * norm(input * w); straight into x where nothing stands between.
void add_branch(Step& step, View input, const Weight& w, const Weight& post_norm) {
  if (!post_norm.present() && step.hyper().residual_scale == 1) {
    ops::matmul_add(step.ctx, step.x, input, w.matrix, w.bias);
    return;
  }
  const View y = step.arena.view(step.x.rows, step.x.dim);
  ops::matmul(step.ctx, y, input, w.matrix, w.bias);
  if (post_norm.present()) norm(step, y, y, post_norm);
  if (step.hyper().residual_scale != 1) ops::scale(step.ctx, y, step.hyper().residual_scale);
  ops::add(step.ctx, step.x, y);
}

void dense_mlp(Step& step, const Layer& layer, View input) {
  const View up = step.arena.view(input.rows, layer[Role::up].matrix.rows());
  if (step.trunk.spec->mlp == MlpKind::plain) {
    ops::matmul(step.ctx, up, input, layer[Role::up].matrix, layer[Role::up].bias);
    ops::activate(step.ctx, up, step.hyper().activation);
    add_branch(step, up, layer[Role::down], layer[Role::mlp_post_norm]);
    return;
  }
  const View gate = step.arena.view(input.rows, up.dim);
  const ops::MatmulJob jobs[] = {{gate, &layer[Role::gate].matrix, layer[Role::gate].bias},
                                 {up, &layer[Role::up].matrix, layer[Role::up].bias}};
  ops::matmul_many(step.ctx, jobs, input);
  ops::activate_mul(step.ctx, gate, up, step.hyper().activation);
  add_branch(step, gate, layer[Role::down], layer[Role::mlp_post_norm]);
}

void sparse_mlp(Step& step, const Layer& layer, View input) {
  const View y = step.arena.view(input.rows, input.dim);
  mix_experts(step.ctx, step.trunk, layer, input, y, step.arena);
  if (layer[Role::mlp_post_norm].present()) norm(step, y, y, layer[Role::mlp_post_norm]);
  if (step.hyper().residual_scale != 1) ops::scale(step.ctx, y, step.hyper().residual_scale);
  ops::add(step.ctx, step.x, y);
}

void sum_norm(Step& step, const Weight& w) {
  if (w.present()) norm(step, step.x, step.x, w);
}

void block(Step& step, std::size_t index) {
  const Layer& layer = step.trunk.weights.layers[index];
  View before = normed(step, step.x, layer[Role::attention_norm]);
  const View mixed = mix(step, index, before);
  if (step.x.rows == 0) return;
  View second;
  if (step.hyper().parallel) {
    const Weight& own = layer[Role::mlp_norm];
    second = own.present() ? normed(step, step.x, own) : before;
  }
  add_branch(step, mixed, layer[Role::attention_out], layer[Role::attention_post_norm]);
  sum_norm(step, layer[Role::attention_sum_norm]);
  if (!step.hyper().parallel) second = normed(step, step.x, layer[Role::mlp_norm]);
  if (second.data == step.x.data) {  // the branch is added into what it reads
    second = step.arena.view(step.x.rows, step.x.dim);
    for (std::size_t i = 0; i < second.rows; ++i)
      std::copy_n(step.x.row(i), second.dim, second.row(i));
  }
  if (step.hyper().layers[index].sparse)
    sparse_mlp(step, layer, second);
  else
    dense_mlp(step, layer, second);
  sum_norm(step, layer[Role::mlp_sum_norm]);
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
  embed(step);
  const auto layers_begin = arena.mark();
  for (std::size_t i = 0; i < trunk.hyper.layers.size(); ++i) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped between layers");
    arena.release(layers_begin);
    block(step, i);
  }
  if (rows.wanted.empty()) return Done{};
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
