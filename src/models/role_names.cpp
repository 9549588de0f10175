#include "models/role_names.h"

#include <algorithm>
#include <array>

namespace hearth::models {
namespace {

// In the order of Role.
constexpr std::array<std::string_view, roles> names = {
    "token_embedding",
    "position_embedding",
    "type_embedding",
    "embedding_norm",
    "output_norm",
    "output",
    "pooler",
    "pooler_norm",
    "classifier",
    "rope_divisors",
    "rope_short",
    "rope_long",
    "per_layer_embedding",
    "per_layer_projection",
    "per_layer_norm",
    "attention_norm",
    "qkv",
    "query_gate",
    "q",
    "mix_gate",
    "k",
    "v",
    "q_norm",
    "k_norm",
    "attention_out",
    "sinks",
    "q_a",
    "q_a_norm",
    "q_b",
    "kv_a",
    "kv_a_norm",
    "kv_b",
    "k_b",
    "v_b",
    "mixer_in",
    "mixer_qkvz",
    "mixer_qkv",
    "mixer_z",
    "mixer_ba",
    "mixer_b",
    "mixer_a",
    "mixer_conv",
    "mixer_decay",
    "mixer_skip",
    "mixer_step",
    "mixer_norm",
    "mixer_out",
    "attention_post_norm",
    "attention_sum_norm",
    "mlp_norm",
    "gate_up",
    "gate",
    "up",
    "down",
    "mlp_post_norm",
    "mlp_sum_norm",
    "router",
    "router_bias",
    "experts_gate_up",
    "experts_gate",
    "experts_up",
    "experts_down",
    "shared_router",
    "shared_gate_up",
    "shared_gate",
    "shared_up",
    "shared_down",
    "layer_gate",
    "layer_projection",
    "layer_norm",
    "layer_scale",
};
static_assert(names.back() == "layer_scale" &&
              names[static_cast<std::size_t>(Role::mlp_norm)] == "mlp_norm");

}  // namespace

std::optional<Role> role_named(std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Role>(found - names.begin());
}

std::span<const std::string_view> role_names() { return names; }

}  // namespace hearth::models
