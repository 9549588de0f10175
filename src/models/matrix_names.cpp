// Which stored tensor each matrix of the fast path comes from.
#include "models/weights.h"

namespace hearth::models {
namespace {

// The parts that a fused tensor was split into.
std::span<const Role> parts_of(Role role) {
  using enum Role;
  static constexpr Role attention[] = {q, k, v}, dense[] = {gate, up},
                        sparse[] = {experts_gate, experts_up}, gated[] = {q, mix_gate},
                        shared[] = {shared_gate, shared_up}, delta[] = {mixer_qkv, mixer_z},
                        steps[] = {mixer_b, mixer_a};
  switch (role) {
    case qkv:
      return attention;
    case gate_up:
      return dense;
    case experts_gate_up:
      return sparse;
    case query_gate:
      return gated;
    case shared_gate_up:
      return shared;
    case mixer_qkvz:
      return delta;
    case mixer_ba:
      return steps;
    default:
      return {};
  }
}

}  // namespace

void name_matrices(
    const TensorFinder& finder, const Weights& weights,
    const std::function<void(const ops::Matrix&, const std::string&, std::size_t expert)>& name) {
  const auto tell = [&](const Weight& weight, const std::string& tensor) {
    if (weight.matrix.rows() > 0) name(weight.matrix, tensor, 0);
    for (std::size_t e = 0; e < weight.experts.size(); ++e) name(weight.experts[e], tensor, e);
  };
  const auto visit = [&](const TensorRow& row, const Layer& layer, std::size_t index) {
    const TensorEntry* entry = finder.find(row, {index, 0}, TensorFinder::Part::weight);
    if (entry == nullptr) return;
    const auto parts = parts_of(row.role);
    for (const Role part : parts) tell(layer[part], entry->name);
    if (parts.empty()) tell(layer[row.role], entry->name);
  };
  for (const auto rows : finder.spec().tensors)
    for (const TensorRow& row : rows) {
      if (finder.pattern(row).empty()) continue;
      if (!of_layer(row.role)) visit(row, weights.whole, 0);
      for (std::size_t i = 0; of_layer(row.role) && i < weights.layers.size(); ++i)
        visit(row, weights.layers[i], i);
    }
}

}  // namespace hearth::models
