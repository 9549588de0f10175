#include "models/hyper_layers.h"

#include <fmt/core.h>

#include <algorithm>

#include "models/hyper_keys.h"

namespace hearth::models {
namespace {

// What of an attention pattern the file itself says.
Status read_layer_types(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  LocalPattern pattern = spec.local;
  const Keys key = keys::window_pattern;
  if (const auto held = TRY(source.counts(key, 0, max_layers))) {
    if (held->size() == 1 && held->front() > 0) {
      const bool global_first = pattern.period > 0 && pattern.global_at == 0;
      pattern = {held->front(), global_first ? 0 : held->front() - 1};
    } else if (held->size() == hyper.layers.size()) {
      for (std::size_t i = 0; i < held->size(); ++i) hyper.layers[i].local = (*held)[i] != 0;
      return Done{};
    } else {
      return Error(ErrorKind::corrupt,
                   fmt::format("{} holds {} numbers: needs {}", source.name_of(key), held->size(),
                               hyper.layers.size()));
    }
  }
  if (const auto every = TRY(source.count({"", "global_attn_every_n_layers"}, 1, max_layers)))
    pattern.period = *every;
  for (std::size_t i = 0; i < hyper.layers.size(); ++i)
    hyper.layers[i].local = pattern.period == 0 || i % pattern.period != pattern.global_at;

  const auto types = TRY(source.texts({"", "layer_types"}));
  if (!types) return Done{};
  if (types->size() != hyper.layers.size())
    return Error(ErrorKind::corrupt, fmt::format("config.json: layer_types holds {} names: needs "
                                                 "{}",
                                                 types->size(), hyper.layers.size()));
  for (std::size_t i = 0; i < types->size(); ++i) {
    const std::string& type = (*types)[i];
    if (type != "sliding_attention" && type != "full_attention")
      return Error(ErrorKind::unsupported,
                   fmt::format("config.json: layer_types[{}] = '{}': we know sliding_attention and "
                               "full_attention",
                               i, type));
    hyper.layers[i].local = type == "sliding_attention";
  }
  return Done{};
}

}  // namespace

Status read_windows(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  // Writers of both containers put 0 where there is no window (Phi-4, Qwen 2 MoE).
  const std::uint32_t window = TRY(source.count(keys::window, 0, max_context)).value_or(0);
  const bool used = TRY(source.flag({"", "use_sliding_window"})).value_or(true);
  if (window == 0 || !used) {
    // Patterns still tell layers apart where only local ones turn.
    if (spec.rope == RopeRule::local_layers || spec.defaults.rope_theta_local > 0)
      TRY(read_layer_types(source, spec, hyper));
    return Done{};
  }
  TRY(read_layer_types(source, spec, hyper));
  const bool typed = source.member("layer_types") != nullptr;
  const auto first = TRY(source.count({"", "max_window_layers"}, 0, max_layers));
  for (std::size_t i = 0; i < hyper.layers.size(); ++i) {
    if (!source.is_gguf() && !typed && first && i < *first) hyper.layers[i].local = false;
    if (hyper.layers[i].local) hyper.layers[i].window = window;
  }
  return Done{};
}

Status read_rotating_layers(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  const Keys key{"", "no_rope_layers"};
  const auto listed = TRY(source.counts(key, 0, 1));
  if (listed && listed->size() != hyper.layers.size())
    return Error(ErrorKind::corrupt,
                 fmt::format("{} holds {} numbers: needs {}", source.name_of(key), listed->size(),
                             hyper.layers.size()));
  const std::uint32_t every =
      TRY(source.count({"", "no_rope_layer_interval"}, 1, max_layers)).value_or(4);
  for (std::size_t i = 0; i < hyper.layers.size(); ++i) {
    LayerHyper& layer = hyper.layers[i];
    switch (spec.rope) {
      case RopeRule::all:
        layer.rotates = true;
        break;
      case RopeRule::none:
        layer.rotates = false;
        break;
      case RopeRule::local_layers:
        layer.rotates = layer.local;
        break;
      case RopeRule::three_of_four:
        layer.rotates = listed ? (*listed)[i] != 0 : (i + 1) % every != 0;
        break;
    }
  }
  return Done{};
}

Status read_experts(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  const auto experts = TRY(source.count(keys::experts, 0, max_experts));
  if (!experts || *experts == 0) return Done{};
  hyper.experts = *experts;
  hyper.experts_used =
      TRY(source.required_count(keys::experts_used, 1, std::min(hyper.experts, max_experts_used)));
  const auto hidden = TRY(source.count(keys::expert_hidden, 1, max_dim));
  hyper.expert_hidden = hidden.value_or(hyper.layers.front().hidden);
  hyper.shared_hidden = TRY(source.count(keys::shared_hidden, 0, max_dim)).value_or(0);
  hyper.normalise_experts =
      TRY(source.flag(keys::normalise_experts)).value_or(spec.defaults.normalise_experts);
  hyper.expert_scale =
      static_cast<float>(TRY(source.real({"expert_weights_scale", ""}, {0, 1e6})).value_or(1));
  if (hyper.expert_scale == 0) hyper.expert_scale = 1;  // how GGUF writers say "none"

  const auto dense_first =
      TRY(source.count(keys::dense_first, 0, static_cast<std::uint32_t>(hyper.layers.size())));
  const auto step = TRY(source.count({"", "decoder_sparse_step"}, 1, max_layers));
  for (std::size_t i = 0; i < hyper.layers.size(); ++i)
    hyper.layers[i].sparse = i >= dense_first.value_or(0) && (i + 1) % step.value_or(1) == 0;
  const auto dense = TRY(source.counts({"", "mlp_only_layers"}, 0,
                                       static_cast<std::uint32_t>(hyper.layers.size() - 1)));
  if (dense)
    for (const std::uint32_t i : *dense) hyper.layers[i].sparse = false;
  return Done{};
}

}  // namespace hearth::models
