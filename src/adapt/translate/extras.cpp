#include "adapt/translate/extras.h"

#include <algorithm>

#include "models/hyper_keys.h"

namespace hearth::adapt {
namespace {

using namespace models;
using enum Extra::Type;

bool mixes(const ArchSpec&, const Hyper& hyper) { return hyper.experts > 0; }
// Routers with a bias come with factors and groups that their classes have defaults for.
bool routes(const ArchSpec& spec, const Hyper& hyper) {
  return hyper.experts > 0 && has_role(spec, Role::router_bias);
}
bool scales(const ArchSpec& spec, const Hyper& hyper) {
  return routes(spec, hyper) || hyper.expert_scale != 1;
}
bool steps(const ArchSpec&, const Hyper& hyper) {
  return hyper.experts > 0 && sparse_layers(hyper).step > 1;
}
bool latent(const ArchSpec&, const Hyper& hyper) { return hyper.latent.kv_rank > 0; }
bool narrow(const ArchSpec&, const Hyper& hyper) { return hyper.latent.q_rank > 0; }
bool chunked(const ArchSpec& spec, const Hyper&) { return spec.defaults.chunk > 0; }
bool tempered(const ArchSpec& spec, const Hyper&) { return spec.tempered != Tempered::none; }
template <MixerKind kind>
bool has(const ArchSpec& spec, const Hyper&) {
  return spec.mixer == kind;
}
bool keeps_states(const ArchSpec& spec, const Hyper&) {
  return spec.mixer == MixerKind::mamba2 || spec.mixer == MixerKind::gated_delta;
}
bool alternates(const ArchSpec& spec, const Hyper& hyper) {
  return spec.attention_every > 0 && attention_interval(hyper) > 0;
}

bool owns_vectors(const ArchSpec& spec, const Hyper&) {
  return has_role(spec, Role::per_layer_embedding);
}
bool has_local_heads(const ArchSpec& spec, const Hyper&) { return spec.local_heads; }
bool streams(const ArchSpec&, const Hyper& hyper) { return hyper.streams.count > 1; }
// Global layers have sizes of their own.
bool differs(const ArchSpec& spec, const Hyper&) {
  return spec.local_heads && spec.experts_beside_mlp;
}

const LayerHyper& layer_that(const Hyper& hyper, bool local) {
  const auto found = std::ranges::find(hyper.layers, local, &LayerHyper::local);
  return found == hyper.layers.end() ? hyper.layers.front() : *found;
}

std::uint32_t chunk_of(const Hyper& hyper) {
  std::uint32_t chunk = 0;
  for (const LayerHyper& layer : hyper.layers) chunk = std::max(chunk, layer.chunk);
  return chunk;
}

// To let another number be converted: a row here.
constexpr Extra rows[] = {
    {keys::expert_scale, real, [](const Hyper& h) { return double{h.expert_scale}; }, scales},
    {keys::expert_groups, count, [](const Hyper& h) { return double(h.expert_groups); }, routes},
    {keys::expert_groups_used, count, [](const Hyper& h) { return double(h.expert_groups_used); },
     routes},
    {{"expert_gating_func", ""},
     count,
     [](const Hyper& h) { return h.expert_gate == ExpertGate::sigmoid ? 2.0 : 1.0; },
     routes},
    {keys::sparse_step, count, [](const Hyper& h) { return double(sparse_layers(h).step); }, steps},
    {keys::dense_first, count, [](const Hyper& h) { return double(sparse_layers(h).dense); },
     mixes},

    {{"attention.kv_lora_rank", "kv_lora_rank"},
     count,
     [](const Hyper& h) { return double(h.latent.kv_rank); },
     latent},
    {{"attention.q_lora_rank", "q_lora_rank"},
     count,
     [](const Hyper& h) { return double(h.latent.q_rank); },
     narrow},
    {{"attention.key_length_mla", ""},
     count,
     [](const Hyper& h) { return double(h.head_dim); },
     latent},
    {{"attention.value_length_mla", "v_head_dim"},
     count,
     [](const Hyper& h) { return double(h.value_dim); },
     latent},
    {{"", "qk_nope_head_dim"},
     count,
     [](const Hyper& h) { return double(h.latent.plain); },
     latent},
    {{"", "qk_rope_head_dim"},
     count,
     [](const Hyper& h) { return double(h.latent.turning); },
     latent},

    {{"attention.sliding_window", "attention_chunk_size"},
     count,
     [](const Hyper& h) { return double(chunk_of(h)); },
     chunked},
    {{"attention.temperature_scale", "attn_scale"},
     real,
     [](const Hyper& h) { return double{h.temperature_scale}; },
     tempered},
    {{"attention.temperature_length", "floor_scale"},
     count,
     [](const Hyper& h) { return double{h.temperature_floor}; },
     tempered},

    {{"embedding_length_per_layer_input", "hidden_size_per_layer_input"},
     count,
     [](const Hyper& h) { return double(h.per_layer_dim); },
     owns_vectors},
    {{"attention.shared_kv_layers", "num_kv_shared_layers"},
     count,
     [](const Hyper& h) {
       return double(std::ranges::count(h.layers, true, &LayerHyper::borrows_kv));
     },
     has_local_heads},
    {{"altup.num_inputs", "altup_num_inputs"},
     count,
     [](const Hyper& h) { return double(h.streams.count); },
     streams},
    {{"altup.active_idx", "altup_active_idx"},
     count,
     [](const Hyper& h) { return double(h.streams.active); },
     streams},
    {{"", "altup_correct_scale"},
     flag,
     [](const Hyper& h) { return double(h.streams.scaled); },
     streams},
    {{"", "laurel_rank"}, count, [](const Hyper& h) { return double(h.streams.side); }, streams},
    {{"attention.key_length_swa", "head_dim"},
     count,
     [](const Hyper& h) { return double(layer_that(h, true).head_dim); },
     differs},
    {{"attention.value_length_swa", ""},
     count,
     [](const Hyper& h) { return double(layer_that(h, true).head_dim); },
     differs},
    {{"rope.dimension_count_swa", ""},
     count,
     [](const Hyper& h) { return double(layer_that(h, true).head_dim); },
     differs},
    {{"", "global_head_dim"},
     count,
     [](const Hyper& h) { return double(layer_that(h, false).head_dim); },
     differs},
    {{"", "num_key_value_heads"},
     count,
     [](const Hyper& h) { return double(layer_that(h, true).kv_heads); },
     differs},
    {{"", "num_global_key_value_heads"},
     count,
     [](const Hyper& h) { return double(layer_that(h, false).kv_heads); },
     differs},
    {{"", "enable_moe_block"}, flag, [](const Hyper& h) { return double(h.experts > 0); }, differs},

    {{"shortconv.l_cache", "conv_L_cache"},
     count,
     [](const Hyper& h) { return double(h.mixer.kernel); },
     has<MixerKind::short_conv>},
    {{"ssm.conv_kernel", "mamba_d_conv|conv_kernel|linear_conv_kernel_dim"},
     count,
     [](const Hyper& h) { return double(h.mixer.kernel); },
     keeps_states},
    {{"ssm.state_size", "mamba_d_state|ssm_state_size|state_size|linear_key_head_dim"},
     count,
     [](const Hyper& h) { return double(h.mixer.state); },
     keeps_states},
    {{"ssm.group_count", "mamba_n_groups|n_groups|linear_num_key_heads"},
     count,
     [](const Hyper& h) { return double(h.mixer.groups); },
     keeps_states},
    {{"ssm.time_step_rank", "mamba_n_heads|mamba_num_heads|num_heads|linear_num_value_heads"},
     count,
     [](const Hyper& h) { return double(h.mixer.heads); },
     keeps_states},
    {{"ssm.inner_size", ""},
     count,
     [](const Hyper& h) { return double(h.mixer.inner()); },
     keeps_states},
    {{"", "mamba_d_head|mamba_head_dim|head_dim|linear_value_head_dim"},
     count,
     [](const Hyper& h) { return double(h.mixer.head_dim); },
     keeps_states},
    {{"", "mamba_expand|expand"},
     count,
     [](const Hyper& h) { return double(h.mixer.inner() / h.dim); },
     has<MixerKind::mamba2>},
    {{"wkv.head_size", "head_dim"},
     count,
     [](const Hyper& h) { return double(h.mixer.head_dim); },
     has<MixerKind::rwkv7>},
    {{"attention.decay_lora_rank", "decay_low_rank_dim"},
     count,
     [](const Hyper& h) { return double(h.mixer.decay_rank); },
     has<MixerKind::rwkv7>},
    {{"attention.iclr_lora_rank", "a_low_rank_dim"},
     count,
     [](const Hyper& h) { return double(h.mixer.rate_rank); },
     has<MixerKind::rwkv7>},
    {{"attention.value_residual_mix_lora_rank", "v_low_rank_dim"},
     count,
     [](const Hyper& h) { return double(h.mixer.first_rank); },
     has<MixerKind::rwkv7>},
    {{"attention.gate_lora_rank", "gate_low_rank_dim"},
     count,
     [](const Hyper& h) { return double(h.mixer.gate_rank); },
     has<MixerKind::rwkv7>},
    {{"full_attention_interval", ""},
     count,
     [](const Hyper& h) { return double(attention_interval(h)); },
     alternates},
};

}  // namespace

std::span<const Extra> extras() { return rows; }

SparseLayers sparse_layers(const Hyper& hyper) {
  std::vector<std::size_t> sparse;
  for (std::size_t i = 0; i < hyper.layers.size(); ++i)
    if (hyper.layers[i].sparse) sparse.push_back(i);
  if (sparse.empty()) return {hyper.layers.size(), 1};
  if (sparse.size() > 1 && sparse[1] > sparse[0] + 1) return {0, sparse[1] - sparse[0]};
  return {sparse.front(), 1};
}

std::size_t attention_interval(const Hyper& hyper) {
  const auto first = std::ranges::find(hyper.layers, true, &LayerHyper::attends);
  const auto every = static_cast<std::size_t>(first - hyper.layers.begin()) + 1;
  for (std::size_t i = 0; i < hyper.layers.size(); ++i)
    if (hyper.layers[i].attends != ((i + 1) % every == 0)) return 0;
  return every;
}

}  // namespace hearth::adapt
