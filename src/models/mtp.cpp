#include "models/mtp.h"

#include <algorithm>

namespace hearth::models {

bool holds_mtp(const TensorFinder& finder) {
  const Hyper& hyper = finder.hyper();
  if (hyper.extra_layers == 0) return false;
  const std::size_t behind = hyper.layers.size();
  for (const auto rows : finder.spec().tensors)
    for (const TensorRow& row : rows)
      if (row.role == Role::mtp_in &&
          finder.find(row, {behind, 0}, TensorFinder::Part::weight) != nullptr)
        return true;
  return false;
}

// It is built like the last layer of the trunk that attends.
void add_mtp(Hyper& hyper) {
  const auto like = std::ranges::find_if(hyper.layers.rbegin(), hyper.layers.rend(),
                                         [](const LayerHyper& layer) { return layer.attends; });
  LayerHyper layer = like == hyper.layers.rend() ? hyper.layers.back() : *like;
  layer.kv_layer = static_cast<std::uint32_t>(hyper.layers.size());
  layer.guesses = true;
  layer.from = 1;  // no row comes before the first
  hyper.layers.push_back(layer);
  --hyper.extra_layers;
}

void rows_before(const Rows& rows, View states, View before) {
  for (std::size_t i = 0; i < before.rows; ++i) {
    const std::uint32_t sequence = rows.places[i].sequence;
    const bool is_first = i == 0 || rows.places[i - 1].sequence != sequence;
    const float* state = !is_first             ? states.row(i - 1)
                         : rows.before.empty() ? nullptr
                                               : rows.before[sequence];
    if (state != nullptr)
      std::copy_n(state, before.dim, before.row(i));
    else
      std::fill_n(before.row(i), before.dim, 0.0f);
  }
}

}  // namespace hearth::models
