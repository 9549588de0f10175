#include "models/experts.h"

#include <algorithm>
#include <cmath>

namespace hearth::models {
namespace {

// The choice of one row, by rank.
struct Choice {
  std::uint32_t expert;
  float share;
  std::uint32_t pair;  // place among the pairs, which are sorted by expert
};

// The experts_used best of a row's logits, equals by index.
void choose(const Hyper& hyper, std::span<const float> logits, std::span<Choice> out) {
  const float highest = *std::ranges::max_element(logits);
  float sum = 0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  for (std::size_t rank = 0; rank < out.size(); ++rank) {
    std::size_t best = logits.size();
    for (std::size_t e = 0; e < logits.size(); ++e) {
      const bool taken = std::ranges::any_of(
          out.first(rank), [&](const Choice& choice) { return choice.expert == e; });
      if (!taken && (best == logits.size() || logits[e] > logits[best])) best = e;
    }
    out[rank] = {static_cast<std::uint32_t>(best), std::exp(logits[best] - highest), 0};
  }
  if (hyper.normalise_experts) {
    sum = 0;
    for (const Choice& choice : out) sum += choice.share;
  }
  for (Choice& choice : out) choice.share = choice.share / sum * hyper.expert_scale;
}

// Pairs (row, expert) sorted by expert, then row; tells each choice where its pair is.
std::span<const ops::ExpertPair> pairs_of(const Hyper& hyper, std::span<Choice> choices,
                                          Arena& arena) {
  const auto begins = arena.take<std::uint32_t>(hyper.experts + 1);
  std::ranges::fill(begins, 0u);
  for (const Choice& choice : choices) ++begins[choice.expert + 1];
  for (std::size_t e = 0; e < hyper.experts; ++e) begins[e + 1] += begins[e];
  const auto pairs = arena.take<ops::ExpertPair>(choices.size());
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const auto row = static_cast<std::uint32_t>(i / hyper.experts_used);
    choices[i].pair = begins[choices[i].expert]++;
    pairs[choices[i].pair] = {row, choices[i].expert};
  }
  return pairs;
}

void add_expert_bias(View y, const Weight& w, std::span<const ops::ExpertPair> pairs) {
  if (w.bias.empty()) return;
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    const float* bias = w.bias.data() + pairs[p].expert * y.dim;
    for (std::size_t d = 0; d < y.dim; ++d) y.row(p)[d] += bias[d];
  }
}

void gate_up(ops::Context& ctx, const Trunk& trunk, View gate, View up) {
  if (trunk.spec->clamped_swiglu)
    ops::swiglu_clamped(ctx, gate, up, trunk.hyper.swiglu_alpha, trunk.hyper.swiglu_limit);
  else
    ops::activate_mul(ctx, gate, up, trunk.hyper.activation);
}

void add_shared(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View x, View y,
                Arena& arena) {
  const View gate = arena.view(x.rows, trunk.hyper.shared_hidden);
  const View up = arena.view(x.rows, trunk.hyper.shared_hidden);
  const ops::MatmulJob jobs[] = {{gate, &layer[Role::shared_gate].matrix, {}},
                                 {up, &layer[Role::shared_up].matrix, {}}};
  ops::matmul_many(ctx, jobs, x);
  gate_up(ctx, trunk, gate, up);
  const View shared = arena.view(x.rows, x.dim);
  ops::matmul(ctx, shared, gate, layer[Role::shared_down].matrix);
  if (layer[Role::shared_router].present()) {
    const View shares = arena.view(x.rows, 1);
    ops::matmul(ctx, shares, x, layer[Role::shared_router].matrix);
    ops::activate(ctx, shares, ops::Activation::sigmoid);
    for (std::size_t i = 0; i < x.rows; ++i)
      for (std::size_t d = 0; d < x.dim; ++d) shared.row(i)[d] *= shares.row(i)[0];
  }
  ops::add(ctx, y, shared);
}

}  // namespace

void mix_experts(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View x, View y,
                 Arena& arena) {
  const Hyper& hyper = trunk.hyper;
  const View logits = arena.view(x.rows, hyper.experts);
  ops::matmul(ctx, logits, x, layer[Role::router].matrix, layer[Role::router].bias);
  const std::size_t used = hyper.experts_used;
  const auto choices = arena.take<Choice>(x.rows * used);
  for (std::size_t i = 0; i < x.rows; ++i)
    choose(hyper, {logits.row(i), hyper.experts}, choices.subspan(i * used, used));
  const auto pairs = pairs_of(hyper, choices, arena);

  const View gate = arena.view(pairs.size(), hyper.expert_hidden);
  const View up = arena.view(pairs.size(), hyper.expert_hidden);
  ops::matmul_experts(ctx, gate, x, layer[Role::experts_gate].experts, pairs);
  ops::matmul_experts(ctx, up, x, layer[Role::experts_up].experts, pairs);
  add_expert_bias(gate, layer[Role::experts_gate], pairs);
  add_expert_bias(up, layer[Role::experts_up], pairs);
  gate_up(ctx, trunk, gate, up);

  const auto own = arena.take<ops::ExpertPair>(pairs.size());
  for (std::size_t p = 0; p < own.size(); ++p)
    own[p] = {static_cast<std::uint32_t>(p), pairs[p].expert};
  const View down = arena.view(pairs.size(), x.dim);
  ops::matmul_experts(ctx, down, gate, layer[Role::experts_down].experts, own);
  add_expert_bias(down, layer[Role::experts_down], pairs);

  for (std::size_t i = 0; i < x.rows; ++i) {
    std::fill_n(y.row(i), y.dim, 0.0f);
    for (const Choice& choice : choices.subspan(i * used, used))
      for (std::size_t d = 0; d < y.dim; ++d)
        y.row(i)[d] += choice.share * down.row(choice.pair)[d];
  }
  if (layer[Role::shared_up].present()) add_shared(ctx, trunk, layer, x, y, arena);
}

}  // namespace hearth::models
