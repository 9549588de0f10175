// The numbers of attention through latents and of what recurs.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "models/hyper_keys.h"
#include "models/hyper_layers.h"

namespace hearth::models {
namespace {

constexpr Keys kv_rank{"attention.kv_lora_rank", "kv_lora_rank"};
constexpr Keys q_rank{"attention.q_lora_rank", "q_lora_rank"};
constexpr Keys attention_interval{"full_attention_interval", "full_attention_interval"};
constexpr std::uint32_t max_kernel = 64, max_state = 1u << 14;
constexpr std::size_t max_state_floats = 1u << 30;

// Nemotron-H writes a letter for each layer; GGUF gives heads to those that attend and a width to
// MLPs.
Status read_branches(const HyperSource& source, Hyper& hyper) {
  const auto letters = TRY(source.text({"", "hybrid_override_pattern"}));
  if (letters && letters->size() != hyper.layers.size())
    return Error(ErrorKind::corrupt,
                 fmt::format("config.json: hybrid_override_pattern holds {} letters: needs {}",
                             letters->size(), hyper.layers.size()));
  for (std::size_t i = 0; i < hyper.layers.size(); ++i) {
    LayerHyper& layer = hyper.layers[i];
    const bool says_mlp = source.is_gguf() && source.has(keys::hidden) && layer.hidden > 0;
    const char kind = letters ? (*letters)[i] : layer.kv_heads > 0 ? '*' : says_mlp ? '-' : 'M';
    if (kind != 'M' && kind != '*' && kind != '-')
      return Error(ErrorKind::unsupported,
                   fmt::format("config.json: hybrid_override_pattern: layers of kind '{}'",
                               printable({&kind, 1})));
    layer.attends = kind == '*';
    layer.recurs = kind == 'M';
    layer.has_mlp = kind == '-';
  }
  return Done{};
}

// By names, by a list of the layers that attend, by an interval, or by where GGUF has no kv heads.
Status read_kinds(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  const std::size_t count = hyper.layers.size();
  if (spec.mixer_beside_attention) {
    for (LayerHyper& layer : hyper.layers) layer.recurs = true;
    return Done{};
  }
  if (spec.mixer == MixerKind::rwkv7) {
    const Json* hybrid = source.is_gguf() ? nullptr : source.member("attn");
    if (hybrid != nullptr && !hybrid->is_null())
      return Error(ErrorKind::unsupported, "config.json: attn: layers that attend");
    for (LayerHyper& layer : hyper.layers) {
      layer.attends = false;
      layer.recurs = true;
    }
    return Done{};
  }
  const auto set = [&](std::size_t i, bool attends) {
    hyper.layers[i].attends = attends;
    hyper.layers[i].recurs = !attends;
  };
  if (const auto types = TRY(source.texts({"", "layer_types|layers_block_type"}))) {
    if (types->size() != count)
      return Error(ErrorKind::corrupt, fmt::format("config.json: layer_types holds {} names: needs "
                                                   "{}",
                                                   types->size(), count));
    for (std::size_t i = 0; i < count; ++i) {
      const LayerType* type = layer_type((*types)[i]);
      if (type == nullptr)
        return Error(ErrorKind::unsupported,
                     fmt::format("config.json: layer_types[{}] = '{}'", i, printable((*types)[i])));
      hyper.layers[i].attends = type->attends;
      hyper.layers[i].recurs = type->recurs;
      if (spec.one_branch) hyper.layers[i].has_mlp = type->only_mlp;
    }
    return Done{};
  }
  if (const auto listed =
          TRY(source.counts({"", "full_attn_idxs"}, 0, static_cast<std::uint32_t>(count - 1)))) {
    for (std::size_t i = 0; i < count; ++i) set(i, std::ranges::find(*listed, i) != listed->end());
    return Done{};
  }
  if (spec.one_branch) return read_branches(source, hyper);
  const bool some_without = std::ranges::any_of(
      hyper.layers, [](const LayerHyper& layer) { return layer.kv_heads == 0; });
  const std::uint32_t every = TRY(source.count(attention_interval, 1, max_layers))
                                  .value_or(some_without ? 0 : spec.attention_every);
  for (std::size_t i = 0; i < count; ++i)
    set(i, every > 0 ? (i + 1) % every == 0 : hyper.layers[i].kv_heads > 0);
  return Done{};
}

Status read_short_conv(const HyperSource& source, MixerHyper& mixer) {
  mixer.kernel = TRY(source.required_count({"shortconv.l_cache", "conv_L_cache"}, 1, max_kernel));
  return Done{};
}

Status read_mamba(const HyperSource& source, const Hyper& hyper, MixerHyper& mixer) {
  mixer.kernel =
      TRY(source.required_count({"ssm.conv_kernel", "mamba_d_conv|conv_kernel"}, 1, max_kernel));
  mixer.state = TRY(source.required_count(
      {"ssm.state_size", "mamba_d_state|ssm_state_size|state_size"}, 1, max_state));
  mixer.groups =
      TRY(source.required_count({"ssm.group_count", "mamba_n_groups|n_groups"}, 1, max_heads));
  mixer.heads = TRY(source.required_count(
      {"ssm.time_step_rank", "mamba_n_heads|mamba_num_heads|num_heads"}, 1, max_heads));
  if (source.is_gguf()) {
    const auto inner = TRY(source.required_count({"ssm.inner_size", ""}, 1, max_dim));
    mixer.head_dim = inner / mixer.heads;
  } else {
    mixer.head_dim =
        TRY(source.count({"", "mamba_d_head|mamba_head_dim|head_dim"}, 1, max_dim))
            .value_or(TRY(source.count({"", "mamba_expand|expand"}, 1, 64)).value_or(2) *
                      hyper.dim / mixer.heads);
  }
  mixer.gate_after_norm = TRY(source.flag({"", "mamba_norm_before_gate"})).value_or(false);
  // An upper limit that is infinite is no number in JSON.
  const Json* limits = source.is_gguf() ? nullptr : source.member("time_step_limit");
  if (limits != nullptr && limits->is_array() && limits->as_array().size() == 2 &&
      limits->as_array()[0].is_number() && limits->as_array()[1].is_number()) {
    mixer.step_min = static_cast<float>(limits->as_array()[0].as_number());
    mixer.step_max = static_cast<float>(limits->as_array()[1].as_number());
  }
  return Done{};
}

Status read_delta(const HyperSource& source, MixerHyper& mixer) {
  mixer.kernel =
      TRY(source.required_count({"ssm.conv_kernel", "linear_conv_kernel_dim"}, 1, max_kernel));
  mixer.state = TRY(source.required_count({"ssm.state_size", "linear_key_head_dim"}, 1, max_state));
  mixer.groups =
      TRY(source.required_count({"ssm.group_count", "linear_num_key_heads"}, 1, max_heads));
  mixer.heads =
      TRY(source.required_count({"ssm.time_step_rank", "linear_num_value_heads"}, 1, max_heads));
  mixer.head_dim =
      source.is_gguf()
          ? TRY(source.required_count({"ssm.inner_size", ""}, 1, max_dim)) / mixer.heads
          : TRY(source.required_count({"", "linear_value_head_dim"}, 1, max_dim));
  return Done{};
}

// A row's last input, and states of [head_dim][head_dim].
Status read_rwkv(const HyperSource& source, const Hyper& hyper, MixerHyper& mixer) {
  const Keys size{"wkv.head_size", "head_dim|head_size"};
  mixer.kernel = 2;
  mixer.state = mixer.head_dim = TRY(source.required_count(size, 1, max_state));
  if (hyper.dim % mixer.head_dim != 0)
    return Error(ErrorKind::corrupt, fmt::format("{} = {}: needs a divisor of {}",
                                                 source.name_of(size), mixer.head_dim, hyper.dim));
  mixer.heads = mixer.groups = hyper.dim / mixer.head_dim;
  const struct {
    Keys keys;
    std::uint32_t& rank;
  } rows[] = {
      {{"attention.decay_lora_rank", "decay_low_rank_dim|lora_rank_decay"}, mixer.decay_rank},
      {{"attention.iclr_lora_rank", "a_low_rank_dim|lora_rank_iclr"}, mixer.rate_rank},
      {{"attention.value_residual_mix_lora_rank", "v_low_rank_dim|lora_rank_value_residual_mix"},
       mixer.first_rank},
      {{"attention.gate_lora_rank", "gate_low_rank_dim|lora_rank_gate"}, mixer.gate_rank},
  };
  for (const auto& row : rows) row.rank = TRY(source.required_count(row.keys, 1, max_dim));
  return Done{};
}

}  // namespace

Status read_multipliers(const HyperSource& source, Hyper& hyper) {
  if (source.is_gguf()) return Done{};
  for (const char* bias : {"attention_bias", "mlp_bias", "projectors_bias"})
    if (TRY(source.flag({"", bias})).value_or(false))
      return Error(ErrorKind::unsupported, fmt::format("config.json: {} with multipliers", bias));
  const Range range{-1e9, 1e9};
  const auto one = [&](const char* key) -> Result<float> {
    return static_cast<float>(TRY(source.real({"", key}, range)).value_or(1));
  };
  const auto several = [&](const char* key, std::size_t count) -> Result<std::vector<double>> {
    auto held = TRY(source.reals({"", key}, range)).value_or(std::vector<double>(count, 1));
    if (held.size() != count)
      return Error(ErrorKind::corrupt, fmt::format("config.json: {} holds {} numbers: needs {}",
                                                   key, held.size(), count));
    return held;
  };
  const float in = TRY(one("attention_in_multiplier")), key = TRY(one("key_multiplier"));
  hyper.attention_scale *= in * in * key;  // queries and keys both come of what it multiplies
  hyper.attention_factor = in * TRY(one("attention_out_multiplier"));
  const auto mlp = TRY(several("mlp_multipliers", 2));
  hyper.gate_factor = static_cast<float>(mlp[0]);
  hyper.mlp_factor = static_cast<float>(mlp[1]);
  const float mixer_in = TRY(one("ssm_in_multiplier"));
  const auto parts = TRY(several("ssm_multipliers", hyper.mixer.factors_in.size()));
  for (std::size_t i = 0; i < parts.size(); ++i)
    hyper.mixer.factors_in[i] = mixer_in * static_cast<float>(parts[i]);
  return Done{};
}

Status read_latent(const HyperSource& source, Hyper& hyper) {
  LatentHyper& latent = hyper.latent;
  latent.kv_rank = TRY(source.count(kv_rank, 0, max_dim)).value_or(0);
  if (latent.kv_rank == 0) return Done{};
  latent.q_rank = TRY(source.count(q_rank, 0, max_dim)).value_or(0);
  latent.turning =
      TRY(source.required_count({"rope.dimension_count", "qk_rope_head_dim"}, 2, max_dim));
  if (source.is_gguf()) {
    const auto whole = TRY(source.count({"attention.key_length_mla", ""}, 1, max_dim));
    hyper.head_dim = whole ? *whole : TRY(source.required_count(keys::head_dim, 1, max_dim));
    const auto value = TRY(source.count({"attention.value_length_mla", ""}, 1, max_dim));
    hyper.value_dim = value ? *value : TRY(source.required_count(keys::value_dim, 1, max_dim));
    if (hyper.head_dim <= latent.turning)
      return Error(ErrorKind::corrupt, fmt::format("keys of {} dimensions, {} of them turn",
                                                   hyper.head_dim, latent.turning));
    latent.plain = hyper.head_dim - latent.turning;
  } else {
    latent.plain = TRY(source.required_count({"", "qk_nope_head_dim"}, 1, max_dim));
    hyper.head_dim = latent.plain + latent.turning;
    hyper.value_dim = TRY(source.required_count(keys::value_dim, 1, max_dim));
  }
  return Done{};
}

Status read_mixers(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  if (spec.mixer == MixerKind::none) return Done{};
  TRY(read_kinds(source, spec, hyper));
  for (LayerHyper& layer : hyper.layers)
    if (!layer.attends) layer.kv_heads = 0;
  MixerHyper& mixer = hyper.mixer;
  mixer.kind = spec.mixer;
  mixer.tiled = spec.mixer_tiled_gguf && source.is_gguf();
  switch (spec.mixer) {
    case MixerKind::none:
      break;
    case MixerKind::short_conv:
      TRY(read_short_conv(source, mixer));
      mixer.heads = 1;
      mixer.head_dim = hyper.dim;
      break;
    case MixerKind::mamba2:
      TRY(read_mamba(source, hyper, mixer));
      break;
    case MixerKind::gated_delta:
      TRY(read_delta(source, mixer));
      break;
    case MixerKind::rwkv7:
      TRY(read_rwkv(source, hyper, mixer));
      break;
  }
  const bool grouped = mixer.kind != MixerKind::short_conv;
  if (mixer.head_dim == 0 || (grouped && mixer.heads % mixer.groups != 0))
    return Error(ErrorKind::corrupt, fmt::format("{} recurrent heads of {} numbers in {} groups",
                                                 mixer.heads, mixer.head_dim, mixer.groups));
  if (mixer.floats() > max_state_floats / hyper.layers.size())
    return Error(ErrorKind::exhausted, "the recurrent state passes its limit");
  return Done{};
}

std::uint32_t MixerHyper::channels() const {
  switch (kind) {
    case MixerKind::short_conv:
    case MixerKind::rwkv7:
      return inner();
    case MixerKind::mamba2:
    case MixerKind::gated_delta:
      return inner() + 2 * groups * state;
    case MixerKind::none:
      break;
  }
  return 0;
}

std::uint32_t MixerHyper::in_rows() const {
  return kind == MixerKind::short_conv ? 3 * inner() : inner() + channels() + heads;
}

std::size_t Hyper::state_begin(std::size_t layer) const {
  std::size_t floats = 0;
  for (std::size_t i = 0; i < layer; ++i)
    if (layers[i].recurs) floats += (mixer.floats() + 15) / 16 * 16;
  return floats;
}

std::size_t Hyper::state_floats() const { return state_begin(layers.size()); }

float Hyper::temperature(std::uint32_t position) const {
  const float steps =
      std::floor((static_cast<float>(position) + temperature_offset) / temperature_floor);
  return 1 + temperature_scale * std::log1p(steps);
}

}  // namespace hearth::models
