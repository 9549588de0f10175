// What differs from layer to layer, in the words of config.json.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "adapt/translate/config.h"
#include "models/hyper_keys.h"

namespace hearth::adapt {
namespace {

using namespace models;

// Gemma 3n and 4: what differs from layer to layer.
void add_own_layers(const Origin& origin, Config& out) {
  const Hyper& hyper = origin.hyper;
  if (!origin.spec.local_heads) return;
  const std::uint32_t hidden = hyper.layers.front().hidden;
  out.set(keys::hidden, hidden);
  if (hyper.per_layer_dim > 0) {
    const TensorEntry* table = origin.package.find("per_layer_token_embd.weight");
    out.set("vocab_size_per_layer_input", table != nullptr ? table->shape.front() : hyper.vocab);
  }
  if (hyper.streams.count == 1) {
    const bool wide = hyper.layers.back().borrows_kv && hyper.layers.back().hidden == 2 * hidden;
    out.set("use_double_wide_mlp", wide);
    bool equal = true;  // keys stand in for the values of global layers
    for (std::size_t i = 0; i < hyper.layers.size(); ++i)
      if (!hyper.layers[i].local && !hyper.layers[i].borrows_kv)
        equal = equal && origin.package.find(fmt::format("blk.{}.attn_v.weight", i)) == nullptr;
    out.set("attention_k_eq_v", equal);
    return;
  }
  Json widths = Json::array(), shares = Json::array();
  for (const LayerHyper& layer : hyper.layers) {
    widths.push_back(layer.hidden);
    const double cut = static_cast<double>(layer.gate_cut);
    shares.push_back(real(std::isfinite(cut) ? 0.5 * std::erfc(-cut / std::sqrt(2.0)) : 0.0));
  }
  out.set(keys::hidden, std::move(widths));
  out.set("activation_sparsity_pattern", std::move(shares));
}

bool has_part(const Origin& origin, Role wanted) {
  for (const auto rows : origin.spec.tensors)
    for (const TensorRow& row : rows)
      if (row.role == wanted && !origin.finder.pattern(row).empty() &&
          origin.finder.find(row, {}, TensorFinder::Part::weight) != nullptr)
        return true;
  return false;
}

// What the layers of models that recur are, in the words of their classes.
void add_kinds(const Origin& origin, Config& out) {
  const MixerKind mixer = origin.spec.mixer;
  if (mixer == MixerKind::none) return;
  if (origin.spec.mixer_beside_attention) {
    out.set("mamba_d_ssm", origin.hyper.mixer.inner());
    out.set("mamba_rms_norm", has_part(origin, Role::mixer_norm));
    out.set("mamba_norm_before_gate", origin.hyper.mixer.gate_after_norm);
    out.set("mamba_conv_bias", has_bias(origin, Role::mixer_conv));
    out.set("mamba_proj_bias", has_bias(origin, Role::mixer_in));
    return;
  }
  if (mixer == MixerKind::rwkv7) {
    out.set("attn", Json());  // no layer attends
    out.set("hidden_act", "sqrelu");
    out.set("norm_first", true);
    out.set("norm_bias", has_bias(origin, Role::attention_norm));
    return;
  }
  const bool granite = origin.spec.name == "granitehybrid";
  const char* recurring = mixer == MixerKind::short_conv ? "conv"
                          : granite                      ? "mamba"
                                                         : "linear_attention";
  Json types = Json::array();
  for (const LayerHyper& layer : origin.hyper.layers)
    types.push_back(layer.recurs     ? recurring
                    : !layer.attends ? "mlp"
                    : granite        ? "attention"
                                     : "full_attention");
  if (origin.spec.one_branch && has_role(origin.spec, Role::q))
    out.set("layers_block_type", std::move(types));
  else if (!origin.spec.one_branch)
    out.set("layer_types", std::move(types));
  if (mixer == MixerKind::short_conv) {
    out.set("block_auto_adjust_ff_dim", false);
    out.set("conv_bias", has_bias(origin, Role::mixer_conv));
  }
  if (mixer == MixerKind::mamba2) {
    out.set(granite ? "mamba_conv_bias" : "use_conv_bias", has_bias(origin, Role::mixer_conv));
    out.set(origin.spec.one_branch ? "use_bias" : "mamba_proj_bias",
            has_bias(origin, Role::mixer_in));
  }
  if (granite && origin.hyper.experts == 0) {  // the shared one is left of its experts
    out.set("shared_intermediate_size", origin.hyper.layers.front().hidden);
    out.set("num_local_experts", 0);
    out.set("num_experts_per_tok", 0);
  }
  if (origin.spec.rope == RopeRule::by_file)
    out.set("position_embedding_type", origin.hyper.layers.front().rotates ? "rope" : "nope");
}

}  // namespace

void add_layers(const Origin& origin, Config& out) {
  add_kinds(origin, out);
  add_own_layers(origin, out);
}

}  // namespace hearth::adapt
