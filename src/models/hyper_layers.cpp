#include "models/hyper_layers.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "models/hyper_keys.h"

namespace hearth::models {
namespace {

bool has_window(const LayerHyper& layer) { return layer.window > 0; }

// What of an attention pattern the file itself says.
Status read_layer_types(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  LocalPattern pattern = spec.local;
  const Keys key = keys::window_pattern;
  const Json* pattern_text = source.is_gguf() ? nullptr : source.member(key.hf);
  // EXAONE writes letters, and layer_types beside them.
  const bool in_letters = pattern_text != nullptr && pattern_text->is_string();
  const auto held = in_letters ? std::nullopt : TRY(source.counts(key, 0, max_layers));
  if (held) {
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
    const LayerType* known = layer_type(type);
    if (known == nullptr || (known->recurs && spec.mixer == MixerKind::none))
      return Error(ErrorKind::unsupported,
                   fmt::format("config.json: layer_types[{}] = '{}': we know sliding_attention and "
                               "full_attention",
                               i, printable(type)));
    hyper.layers[i].local = known->local;
  }
  return Done{};
}

// Local layers that see only their chunk of the positions.
Status read_chunks(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  TRY(read_layer_types(source, spec, hyper));
  const auto chunk =
      TRY(source.count({"attention.sliding_window", "attention_chunk_size"}, 0, max_context));
  for (LayerHyper& layer : hyper.layers)
    if (layer.local) layer.chunk = chunk.value_or(spec.defaults.chunk);
  return Done{};
}

}  // namespace

const LayerType* layer_type(std::string_view name) {
  static constexpr LayerType types[] = {
      {.name = "full_attention", .attends = true},
      {.name = "attention", .attends = true},
      {.name = "sliding_attention", .attends = true, .local = true},
      {.name = "chunked_attention", .attends = true, .local = true},
      {.name = "linear_attention", .recurs = true},
      {.name = "mamba", .recurs = true},
      {.name = "conv", .recurs = true},
      {.name = "mlp", .only_mlp = true},
  };
  const auto found = std::ranges::find(types, name, &LayerType::name);
  return found == std::end(types) ? nullptr : &*found;
}

Status read_windows(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  if (spec.defaults.chunk > 0) return read_chunks(source, spec, hyper);
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
  const bool told = listed && !listed->empty();
  if (told && listed->size() != hyper.layers.size())
    return Error(ErrorKind::corrupt,
                 fmt::format("{} holds {} numbers: needs {}", source.name_of(key), listed->size(),
                             hyper.layers.size()));
  // Granite 4: config.json says so, GGUF files by leaving the number of turning dimensions out.
  const auto kind = TRY(source.text({"", "position_embedding_type"}));
  const bool turns =
      source.is_gguf() ? TRY(source.count({"rope.dimension_count", ""}, 0, max_dim)).value_or(0) > 0
                       : kind.value_or("rope") == "rope";
  const bool any_window = std::ranges::any_of(hyper.layers, has_window);
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
      case RopeRule::by_file:
        layer.rotates = turns;
        break;
      case RopeRule::local_if_any:
        layer.rotates = layer.window > 0 || !any_window;
        break;
      case RopeRule::three_of_four:
        layer.rotates = told ? (*listed)[i] != 0 : (i + 1) % every != 0;
        break;
    }
    layer.tempered =
        spec.tempered == Tempered::all || (spec.tempered == Tempered::unrotated && !layer.rotates);
  }
  return Done{};
}

}  // namespace hearth::models
