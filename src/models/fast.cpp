// The fast path: the same data as the plain one, on ops.
#include <algorithm>
#include <cmath>

#include "models/fast_parts.h"
#include "models/mixers.h"
#include "models/mtp.h"
#include "models/streams.h"

namespace hearth::models {
namespace fast {

void adapt(Step& step, std::size_t layer, Role role, View y, View x) {
  if (!step.adapted.empty()) add_adapted(step.ctx, step.adapted, layer, role, y, x, step.arena);
}

void norm(Step& step, View y, View x, const Weight& w) {
  if (step.trunk.spec->norm == NormKind::rms)
    ops::rms_norm(step.ctx, y, x, w.values, step.hyper().norm_eps);
  else
    ops::layer_norm(step.ctx, y, x, w.values, w.bias, step.hyper().norm_eps);
}

View normed(Step& step, View x, const Weight& w) {
  if (!w.present()) return x;
  const View y = step.arena.view(x.rows, x.dim);
  norm(step, y, x, w);
  return y;
}

void unite(Step& step, View x, std::size_t dim) {
  const View split(x.data, x.rows * (x.dim / dim), dim);
  ops::rms_norm(step.ctx, split, split, {}, step.hyper().norm_eps);
}

void sum_norm(Step& step, const Weight& w) {
  if (w.present()) norm(step, step.x, step.x, w);
}

namespace {

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
  if (!step.inputs.empty()) step.inputs = pick(step.arena, step.inputs, wanted);
  step.adapted = adapted_rows(step.rows.adapters, step.places, step.arena);
}

// What attention, or the mixer, or both give to the stream.
struct Mixed {
  View attention, recurrent;
};

Mixed mix(Step& step, std::size_t index, Readers& readers) {
  const LayerHyper& at = step.hyper().layers[index];
  if (at.recurs)
    readers.recurrent = run_mixer(step.ctx, step.trunk, index, step.rows, readers.before,
                                  step.first_values, step.arena);
  View encoded;
  if (at.attends && step.hyper().latent.kv_rank > 0)
    read_latents(step, index, readers);
  else if (at.attends && at.borrows_kv)
    read_queries(step, index, readers);
  else if (at.attends)
    encoded = read_heads(step, index, readers);
  if (encoded.data != nullptr) return {encoded, {}};
  const bool is_last = index + 1 == step.hyper().layers.size();
  // An MLP that reads the row before needs them all.
  const bool all = step.hyper().mixer.mlp_tail() > 0;
  if (is_last && !all && step.rows.wanted.size() < step.x.rows) keep_wanted(step, readers);
  if (step.x.rows == 0) return {};
  return {at.attends ? attend(step, index, readers) : View(), readers.recurrent};
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

// What pictures have for this layer.  Source: Meng et al. 2024 (DeepStack).
void add_deep_rows(Step& step, std::size_t index) {
  for (std::size_t i = 0; i < step.inputs.size(); ++i)
    if (const RowInput& input = step.inputs[i]; index < input.deep_layers)
      for (std::size_t d = 0; d < step.x.dim; ++d)
        step.x.row(i)[d] += input.embedding[(1 + index) * step.x.dim + d];
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
  if (hyper.mixer.kind == MixerKind::rwkv7)
    step.first_values = step.arena.view(step.x.rows, hyper.mixer.inner());
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
  if (layer[Role::mlp_lerp].present())
    second = follow_rows(step.ctx, step.trunk, index, step.rows, second, step.arena);
  mlp_branch(step, index, second);
  end_layer(step, index);
}

Step begin(ops::Context& ctx, const Trunk& trunk, const Rows& rows, Arena& arena) {
  Step step{ctx,
            trunk,
            rows,
            arena,
            arena.view(rows.tokens.size(), trunk.hyper.dim),
            rows.positions,
            rows.places};
  step.inputs = rows.inputs;
  read_inputs(step);
  step.adapted = adapted_rows(rows.adapters, rows.places, arena);
  embed(step);
  return step;
}

void take_wanted(const Step& step, View hidden) {
  const auto wanted = step.rows.wanted;
  const bool shrunk = step.x.rows == wanted.size();
  for (std::size_t i = 0; i < wanted.size(); ++i)
    std::copy_n(step.x.row(shrunk ? i : wanted[i]), hidden.dim, hidden.row(i));
}

}  // namespace fast

Status run_fast(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View hidden, Arena& arena,
                std::stop_token stop) {
  clear_new_states(trunk, rows);
  fast::Step step = fast::begin(ctx, trunk, rows, arena);
  const auto layers_begin = arena.mark();
  for (std::size_t i = 0; i < trunk.hyper.trunk_layers(); ++i) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped between layers");
    arena.release(layers_begin);
    fast::block(step, i);
    fast::add_deep_rows(step, i);
  }
  const Weight& last = trunk.weights.whole[Role::output_norm];
  if (trunk.hyper.guesses()) {
    fast::norm(step, rows.states, step.x, last);
    for (std::size_t i = 0; i < rows.wanted.size(); ++i)
      std::copy_n(rows.states.row(rows.wanted[i]), hidden.dim, hidden.row(i));
    Rows kept = rows;  // for later guesses; nothing is wanted of them now
    kept.wanted = {};
    arena.release(layers_begin);
    run_mtp_fast(ctx, trunk, kept, rows.states, {}, arena);
    return Done{};
  }
  if (rows.wanted.empty()) return Done{};
  if (step.streams.data != nullptr)
    gather_streams(step.ctx, step.trunk, step.streams, step.x, step.arena);
  fast::take_wanted(step, hidden);
  if (last.present()) fast::norm(step, hidden, hidden, last);
  return Done{};
}

void logits_fast(ops::Context& ctx, const Trunk& trunk, View hidden, View logits) {
  ops::matmul(ctx, logits, hidden, trunk.weights.whole[Role::output].matrix);
  if (trunk.hyper.logit_scale != 1) ops::scale(ctx, logits, trunk.hyper.logit_scale);
  if (trunk.hyper.output_softcap > 0) ops::softcap(ctx, logits, trunk.hyper.output_softcap);
}

}  // namespace hearth::models