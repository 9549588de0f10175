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

// Scores of a row's logits, in place; what experts are chosen by comes beside them.
void make_scores(const Hyper& hyper, std::span<float> logits, std::span<const float> bias,
                 std::span<float> ranks) {
  std::ranges::copy(logits, ranks.begin());
  if (hyper.expert_gate == ExpertGate::sigmoid) {
    for (float& score : logits) score = 1 / (1 + std::exp(-score));
  } else {
    const float highest = *std::ranges::max_element(logits);
    float sum = 0;
    for (float& score : logits) sum += score = std::exp(score - highest);
    for (float& score : logits) score /= sum;
  }
  if (bias.empty()) return;
  for (std::size_t e = 0; e < logits.size(); ++e) ranks[e] = logits[e] + bias[e];
}

// Leaves only the experts of the best groups.  A group of sigmoids is as good as its two best
// together, one of shares as its best.  Source: DeepSeek-AI 2024 (V2 and V3).
void keep_best_groups(const Hyper& hyper, std::span<float> ranks, std::span<float> groups) {
  if (hyper.expert_groups < 2) return;
  const std::size_t size = ranks.size() / hyper.expert_groups;
  for (std::size_t g = 0; g < hyper.expert_groups; ++g) {
    float best = -INFINITY, second = -INFINITY;
    for (const float rank : ranks.subspan(g * size, size)) {
      second = std::max(second, std::min(best, rank));
      best = std::max(best, rank);
    }
    groups[g] = hyper.expert_gate == ExpertGate::sigmoid && size > 1 ? best + second : best;
  }
  for (std::uint32_t left = hyper.expert_groups; left > hyper.expert_groups_used; --left) {
    std::size_t worst = 0;
    for (std::size_t g = 1; g < hyper.expert_groups; ++g)
      if (!std::isinf(groups[g]) && (std::isinf(groups[worst]) || groups[g] <= groups[worst]))
        worst = g;
    groups[worst] = -INFINITY;
    std::ranges::fill(ranks.subspan(worst * size, size), -INFINITY);
  }
}

// The experts_used best of a row's logits, equals by index.  spare: 2 floats per expert.
void choose(const Hyper& hyper, std::span<float> logits, std::span<const float> bias,
            std::span<float> spare, std::span<Choice> out) {
  const auto ranks = spare.first(logits.size());
  make_scores(hyper, logits, bias, ranks);
  keep_best_groups(hyper, ranks, spare.subspan(logits.size()));
  float sum = 0;
  for (std::size_t rank = 0; rank < out.size(); ++rank) {
    std::size_t best = logits.size();
    for (std::size_t e = 0; e < logits.size(); ++e) {
      const bool taken = std::ranges::any_of(
          out.first(rank), [&](const Choice& choice) { return choice.expert == e; });
      if (!taken && (best == logits.size() || ranks[e] > ranks[best])) best = e;
    }
    out[rank] = {static_cast<std::uint32_t>(best), logits[best], 0};
    sum += logits[best];
  }
  const float factor = hyper.expert_scale / (hyper.normalise_experts ? sum + 1e-20f : 1.0f);
  for (Choice& choice : out) choice.share *= factor;
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

// A row for each pair, times its share.
View scaled_inputs(View x, std::span<const Choice> choices, std::size_t used, Arena& arena) {
  const View scaled = arena.view(choices.size(), x.dim);
  for (std::size_t i = 0; i < choices.size(); ++i)
    for (std::size_t d = 0; d < x.dim; ++d)
      scaled.row(choices[i].pair)[d] = choices[i].share * x.row(i / used)[d];
  return scaled;
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

void mix_experts(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View x, View routed,
                 View y, Arena& arena) {
  const Hyper& hyper = trunk.hyper;
  const View logits = arena.view(x.rows, hyper.experts);
  ops::matmul(ctx, logits, routed, layer[Role::router].matrix, layer[Role::router].bias);
  const std::size_t used = hyper.experts_used;
  const auto choices = arena.take<Choice>(x.rows * used);
  const auto spare = arena.take<float>(2 * std::size_t{hyper.experts});
  for (std::size_t i = 0; i < x.rows; ++i)
    choose(hyper, {logits.row(i), hyper.experts}, layer[Role::router_bias].values, spare,
           choices.subspan(i * used, used));
  if (const auto& factors = layer[Role::experts_scale].values; !factors.empty())
    for (Choice& choice : choices) choice.share *= factors[choice.expert];
  const auto pairs = pairs_of(hyper, choices, arena);

  const View gate = arena.view(pairs.size(), hyper.expert_hidden);
  const View up = arena.view(pairs.size(), hyper.expert_hidden);
  const auto own = arena.take<ops::ExpertPair>(pairs.size());
  for (std::size_t p = 0; p < own.size(); ++p)
    own[p] = {static_cast<std::uint32_t>(p), pairs[p].expert};
  const bool scaled = trunk.spec->scales_expert_input;
  const View input = scaled ? scaled_inputs(x, choices, used, arena) : x;
  const auto from = scaled ? std::span<const ops::ExpertPair>(own) : pairs;
  ops::matmul_experts(ctx, gate, input, layer[Role::experts_gate].experts, from);
  ops::matmul_experts(ctx, up, input, layer[Role::experts_up].experts, from);
  add_expert_bias(gate, layer[Role::experts_gate], pairs);
  add_expert_bias(up, layer[Role::experts_up], pairs);
  gate_up(ctx, trunk, gate, up);

  const View down = arena.view(pairs.size(), x.dim);
  ops::matmul_experts(ctx, down, gate, layer[Role::experts_down].experts, own);
  add_expert_bias(down, layer[Role::experts_down], pairs);

  for (std::size_t i = 0; i < x.rows; ++i) {
    std::fill_n(y.row(i), y.dim, 0.0f);
    for (const Choice& choice : choices.subspan(i * used, used))
      for (std::size_t d = 0; d < y.dim; ++d)
        y.row(i)[d] += (scaled ? 1.0f : choice.share) * down.row(choice.pair)[d];
  }
  if (layer[Role::shared_up].present()) add_shared(ctx, trunk, layer, x, y, arena);
}

}  // namespace hearth::models
