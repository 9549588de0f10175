// What of heads differs between layers, and whose keys and values they read.
#include <fmt/core.h>

#include <algorithm>

#include "models/hyper_keys.h"
#include "models/hyper_layers.h"

namespace hearth::models {
namespace {

constexpr Keys shared_layers{"attention.shared_kv_layers", "num_kv_shared_layers"};

// What config.json says of layers by their number.
Status read_by_number(const HyperSource& source, Hyper& hyper) {
  const Json* by_number = source.is_gguf() ? nullptr : source.member("per_layer_config");
  if (by_number == nullptr || !by_number->is_object()) return Done{};
  for (std::size_t i = 0; i < hyper.layers.size(); ++i) {
    const Json* own = by_number->find(std::to_string(i));
    if (own == nullptr || !own->is_object()) continue;
    LayerHyper& layer = hyper.layers[i];
    const auto take = [&](const char* key, std::uint32_t most, std::uint32_t& field) -> Status {
      const Json* held = own->find(key);
      if (held == nullptr) return Done{};
      if (!held->is_integer() || held->as_integer() < 1 || held->as_integer() > most)
        return Error(
            ErrorKind::corrupt,
            fmt::format("config.json: per_layer_config.{}.{}: needs 1 to {}", i, key, most));
      field = static_cast<std::uint32_t>(held->as_integer());
      return Done{};
    };
    TRY(take("head_dim", max_dim, layer.head_dim));
    TRY(take("num_key_value_heads", hyper.heads, layer.kv_heads));
    if (!layer.local) hyper.head_dim = layer.head_dim;
  }
  return Done{};
}

// GGUF gives the sizes of global layers their usual keys, config.json those of local ones.
Status read_sizes(const HyperSource& source, Hyper& hyper) {
  std::uint32_t global = hyper.head_dim, local = hyper.head_dim;
  if (source.is_gguf())
    local = TRY(source.count({"attention.key_length_swa", ""}, 1, max_dim)).value_or(local);
  else
    global = TRY(source.count({"", "global_head_dim"}, 1, max_dim)).value_or(global);
  const bool equal = TRY(source.flag({"", "attention_k_eq_v"})).value_or(false);
  const auto heads = TRY(source.count({"", "num_global_key_value_heads"}, 1, hyper.heads));
  for (LayerHyper& layer : hyper.layers) {
    layer.head_dim = layer.local ? local : global;
    if (!layer.local && equal && heads) layer.kv_heads = *heads;
  }
  hyper.head_dim = global;
  hyper.rotary_dims_local = local;
  TRY(read_by_number(source, hyper));
  for (const LayerHyper& layer : hyper.layers)
    if (hyper.heads % layer.kv_heads != 0)
      return Error(ErrorKind::corrupt, fmt::format("{} key heads: needs a divisor of the {} heads",
                                                   layer.kv_heads, hyper.heads));
  return Done{};
}

// The last layers read what the last one of their kind before them keeps.
Status read_sharing(const HyperSource& source, Hyper& hyper) {
  const auto count = static_cast<std::uint32_t>(hyper.layers.size());
  const std::uint32_t shared = TRY(source.count(shared_layers, 0, count - 1)).value_or(0);
  const bool wide = TRY(source.flag({"", "use_double_wide_mlp"})).value_or(false);
  for (std::uint32_t i = count - shared; i < count; ++i) {
    LayerHyper& layer = hyper.layers[i];
    std::uint32_t from = count - shared;
    while (from > 0 && hyper.layers[from - 1].local != layer.local) --from;
    if (from == 0)
      return Error(ErrorKind::corrupt,
                   fmt::format("layer {} shares keys, and none before it has its kind", i));
    layer.borrows_kv = true;
    layer.kv_layer = from - 1;
    if (wide) layer.hidden *= 2;
  }
  return Done{};
}

// Gemma 4: the models without vectors of layers' own.  GGUF files do not say it.
Status read_ahead(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  if (!spec.ahead_in_windows) return Done{};
  const auto told = TRY(source.text({"", "use_bidirectional_attention"}));
  const bool ahead = source.is_gguf() ? hyper.per_layer_dim == 0 : told == "vision";
  for (LayerHyper& layer : hyper.layers) layer.sees_ahead = ahead && layer.window > 0;
  return Done{};
}

}  // namespace

Status read_local_heads(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  for (std::uint32_t i = 0; i < hyper.layers.size(); ++i) {
    hyper.layers[i].head_dim = hyper.head_dim;
    hyper.layers[i].kv_layer = i;
  }
  if (!spec.local_heads) return Done{};
  TRY(read_sizes(source, hyper));
  TRY(read_sharing(source, hyper));
  hyper.per_layer_dim =
      TRY(source.count({"embedding_length_per_layer_input", "hidden_size_per_layer_input"}, 0,
                       max_dim))
          .value_or(0);
  if (static_cast<std::uint64_t>(hyper.per_layer_dim) * hyper.layers.size() > max_dim)
    return Error(ErrorKind::corrupt, "the vectors of layers' own pass their limit");
  return read_ahead(source, spec, hyper);
}

}  // namespace hearth::models
