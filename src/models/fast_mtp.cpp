// The fast path of the layer that guesses a further token.
#include <algorithm>

#include "models/fast_parts.h"
#include "models/mtp.h"

namespace hearth::models {

void run_mtp_fast(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View states, View hidden,
                  Arena& arena) {
  const std::size_t index = trunk.hyper.trunk_layers(), dim = trunk.hyper.dim;
  const Layer& layer = trunk.weights.layers[index];
  fast::Step step = fast::begin(ctx, trunk, rows, arena);
  const View before = arena.view(step.x.rows, dim), both = arena.view(step.x.rows, 2 * dim);
  rows_before(rows, states, before);
  fast::norm(step, both.slice_columns(0, dim), step.x, layer[Role::mtp_token_norm]);
  fast::norm(step, both.slice_columns(dim, dim), before, layer[Role::mtp_hidden_norm]);
  ops::matmul(ctx, step.x, both, layer[Role::mtp_in].matrix);
  fast::block(step, index);
  fast::take_wanted(step, hidden);
  if (!rows.wanted.empty()) fast::norm(step, hidden, hidden, layer[Role::mtp_norm]);
}

}  // namespace hearth::models
