#include "models/weights_parts.h"

#include "models/values.h"
#include "ops/dequantise.h"

namespace hearth::models {
namespace {

// Moves rows of a fused weight into weights of their own.
void split(Layer& layer, Role fused, std::initializer_list<std::pair<Role, std::uint64_t>> parts) {
  Weight& from = layer[fused];
  if (!from.present()) return;
  std::uint64_t rows = 0, first = 0;
  for (const auto& part : parts) rows += part.second;
  for (const auto& [role, count] : parts) {
    Weight& to = layer[role];
    to.rebuilt = from.rebuilt;
    if (from.stored.rows > 0) to.stored = slice_rows(from.stored, first, count);
    for (const ops::StoredMatrix& expert : from.stored_experts)
      to.stored_experts.push_back(slice_rows(expert, first, count));
    for (std::size_t e = 0; e < from.bias.size(); e += rows)
      to.bias.insert(to.bias.end(), from.bias.begin() + static_cast<std::ptrdiff_t>(e + first),
                     from.bias.begin() + static_cast<std::ptrdiff_t>(e + first + count));
    first += count;
  }
  from = Weight();
}

// The same of a vector's values.
void split_values(Layer& layer, Role fused, std::span<const Role> parts) {
  Weight& from = layer[fused];
  const auto each = static_cast<std::ptrdiff_t>(from.values.size() / parts.size());
  for (auto at = from.values.begin(); const Role role : parts) {
    if (!from.present()) return;
    layer[role].values.assign(at, at + each);
    at += each;
  }
  from = Weight();
}

// Keys from the latent are multiplied with queries before the latent is: their matrix is turned.
Status split_latent(const Hyper& hyper, Layer& layer) {
  Weight& from = layer[Role::kv_b];
  if (!from.present()) return Done{};
  const std::size_t plain = hyper.latent.plain, rank = hyper.latent.kv_rank;
  Weight &keys = layer[Role::k_b], &values = layer[Role::v_b];
  values.rebuilt = from.rebuilt;
  const bool floats = is_float(from.stored.dtype);
  const Dtype dtype = floats ? from.stored.dtype : Dtype::f32;
  Bytes all;
  for (std::size_t head = 0; head < hyper.heads; ++head) {
    const std::size_t first = head * (plain + hyper.value_dim);
    values.stored_experts.push_back(slice_rows(from.stored, first + plain, hyper.value_dim));
    const ops::StoredMatrix own = slice_rows(from.stored, first, plain);
    std::vector<float> wide;
    if (!floats) wide = TRY(ops::dequantise(own.dtype, own.data, plain * rank));
    const auto data = floats ? own.data : std::as_bytes(std::span(wide));
    const Bytes turned = transpose(data, plain, rank, info(dtype).block_bytes);
    all.insert(all.end(), turned.begin(), turned.end());
  }
  keys.rebuilt = std::make_shared<const Bytes>(std::move(all));
  const std::size_t each = keys.rebuilt->size() / hyper.heads;
  for (std::size_t head = 0; head < hyper.heads; ++head)
    keys.stored_experts.push_back(
        {dtype, rank, plain, std::span(*keys.rebuilt).subspan(head * each, each)});
  from = Weight();
  return Done{};
}

}  // namespace

Status split_fused(const Hyper& hyper, std::size_t index, Layer& layer) {
  using enum Role;
  const LayerHyper& at = hyper.layers[index];
  const std::uint64_t q_rows = std::uint64_t{hyper.heads} * at.head_dim;
  const std::uint64_t kv_rows = std::uint64_t{at.kv_heads} * at.head_dim;
  split(layer, qkv, {{q, q_rows}, {k, kv_rows}, {v, kv_rows}});
  split(layer, gate_up, {{gate, at.hidden}, {up, at.hidden}});
  split(layer, experts_gate_up,
        {{experts_gate, hyper.expert_hidden}, {experts_up, hyper.expert_hidden}});
  split(layer, shared_gate_up,
        {{shared_gate, hyper.shared_hidden}, {shared_up, hyper.shared_hidden}});
  split(layer, query_gate, {{q, q_rows}, {mix_gate, q_rows}});
  split_values(layer, mixer_lerps, lerp_roles);
  const MixerHyper& mixer = hyper.mixer;
  if (mixer.kind == MixerKind::gated_delta) {
    split(layer, mixer_qkvz, {{mixer_qkv, mixer.channels()}, {mixer_z, mixer.inner()}});
    split(layer, mixer_ba, {{mixer_b, mixer.heads}, {mixer_a, mixer.heads}});
  }
  return split_latent(hyper, layer);
}

}  // namespace hearth::models
