// The fast path: MLPs, experts and the way that a branch is added to the stream.
#include <algorithm>
#include <cmath>

#include "models/experts.h"
#include "models/fast_parts.h"
#include "models/gates.h"

namespace hearth::models::fast {
namespace {

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

}  // namespace

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

}  // namespace hearth::models::fast
