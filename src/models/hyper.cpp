#include "models/hyper.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "models/arch_spec.h"
#include "models/hyper_keys.h"
#include "models/hyper_layers.h"
#include "models/hyper_source.h"
#include "models/pooling.h"
#include "models/rope_hyper.h"

namespace hearth::models {
namespace {

constexpr std::uint32_t default_context = 2048;

// One number per layer: a list as long as the layers, one number for all, or nothing.
Result<std::vector<std::uint32_t>> per_layer(const HyperSource& source, Keys keys,
                                             std::uint32_t min, std::uint32_t max,
                                             std::size_t layers) {
  auto values = TRY(source.counts(keys, min, max));
  if (!values) return std::vector<std::uint32_t>();
  if (values->size() == 1) values->assign(layers, values->front());
  if (values->size() != layers)
    return Error(ErrorKind::corrupt, fmt::format("{} holds {} numbers: needs one, or {} (one per "
                                                 "layer)",
                                                 source.name_of(keys), values->size(), layers));
  return std::move(*values);
}

// A size that config.json may leave out.
std::optional<std::uint32_t> default_of(const HyperSource& source, std::uint32_t size) {
  if (source.is_gguf() || size == 0) return std::nullopt;
  return size;
}

// A size that the text side of a model that sees may leave out.
std::optional<std::uint32_t> nested_size(const Package& package, const HyperSource& source,
                                         Keys keys, std::uint32_t usual) {
  const bool is_nested = !source.is_gguf() && &language_config(package) != &package.config;
  if (!is_nested || usual == 0 || source.member(keys.hf) != nullptr) return std::nullopt;
  return usual;
}

// The vocabulary of a GGUF file is as long as its tokens; files without tokens say it in a key, or
// only in the shape of the embedding.
Result<std::uint32_t> gguf_vocabulary(const Package& package, const HyperSource& source) {
  if (const MetaValue* tokens = package.metadata.find("tokenizer.ggml.tokens")) {
    if (tokens->count == 0 || tokens->count > max_vocabulary)
      return Error(ErrorKind::corrupt,
                   fmt::format("tokenizer.ggml.tokens holds {} tokens: needs 1 to {}",
                               tokens->count, max_vocabulary));
    return static_cast<std::uint32_t>(tokens->count);
  }
  if (const auto size = TRY(source.count(keys::vocabulary, 1, max_vocabulary))) return *size;
  const TensorEntry* table = package.find("token_embd.weight");
  if (table == nullptr || table->shape.size() != 2 || table->shape[0] == 0 ||
      table->shape[0] > max_vocabulary)
    return Error(ErrorKind::corrupt, "token_embd.weight is missing or is no table of tokens");
  return static_cast<std::uint32_t>(table->shape[0]);
}

Result<std::uint32_t> read_vocabulary(const Package& package, const HyperSource& source,
                                      const ArchSpec& spec) {
  if (source.is_gguf()) return gguf_vocabulary(package, source);
  if (source.member(keys::vocabulary.hf) == nullptr)
    if (const auto usual = default_of(source, spec.defaults.vocab)) return *usual;
  return source.required_count(keys::vocabulary, 1, max_vocabulary);
}

Result<std::uint32_t> read_heads(const HyperSource& source, const ArchSpec& spec,
                                 std::size_t layers) {
  const std::uint32_t fewest = spec.mixer == MixerKind::none ? 1 : 0;
  const auto heads = TRY(per_layer(source, keys::heads, fewest, max_heads, layers));
  if (heads.empty()) {
    if (spec.one_branch || spec.mixer == MixerKind::rwkv7) return 0;
    if (const auto usual = default_of(source, spec.defaults.heads)) return *usual;
    return Error(ErrorKind::corrupt, fmt::format("{} is missing", source.name_of(keys::heads)));
  }
  // Layers that do not attend may say 0.
  const std::uint32_t most = std::ranges::max(heads);
  const auto differs = [&](std::uint32_t count) { return count != most && count != 0; };
  if (std::ranges::any_of(heads, differs))
    return Error(ErrorKind::unsupported,
                 fmt::format("{} differs between layers", source.name_of(keys::heads)));
  return most;
}

Status read_head_sizes(const Package& package, const HyperSource& source, const ArchSpec& spec,
                       Hyper& hyper) {
  const auto usual_heads = nested_size(package, source, keys::heads, spec.defaults.nested_heads);
  hyper.heads = usual_heads ? *usual_heads : TRY(read_heads(source, spec, hyper.layers.size()));
  if (hyper.heads == 0) {  // nothing attends
    hyper.heads = 1;
    hyper.head_dim = hyper.value_dim = hyper.dim;
    return Done{};
  }
  TRY(read_latent(source, hyper));
  if (hyper.latent.kv_rank > 0) {
    for (LayerHyper& layer : hyper.layers) layer.kv_heads = 1;
    return Done{};
  }
  auto head_dim = TRY(source.count(keys::head_dim, 1, max_dim));
  if (!head_dim) head_dim = default_of(source, spec.defaults.head_dim);
  if (!head_dim && hyper.dim % hyper.heads != 0)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} of {} is not a multiple of {} heads", source.name_of(keys::dim),
                             hyper.dim, hyper.heads));
  hyper.head_dim = head_dim.value_or(hyper.dim / hyper.heads);
  const auto value_dim = TRY(source.count(keys::value_dim, 1, max_dim));
  if (value_dim.value_or(hyper.head_dim) != hyper.head_dim)
    return Error(ErrorKind::unsupported, fmt::format("values of {} dimensions beside keys of {}",
                                                     *value_dim, hyper.head_dim));
  hyper.value_dim = hyper.head_dim;

  const std::uint32_t fewest = spec.mixer == MixerKind::none ? 1 : 0;
  const auto kv_heads =
      TRY(per_layer(source, keys::kv_heads, fewest, hyper.heads, hyper.layers.size()));
  const std::uint32_t usual_kv_heads =
      default_of(source, spec.defaults.kv_heads).value_or(hyper.heads);
  for (std::size_t i = 0; i < hyper.layers.size(); ++i) {
    const std::uint32_t held = kv_heads.empty() ? usual_kv_heads : kv_heads[i];
    if (held > 0 && hyper.heads % held != 0)
      return Error(ErrorKind::corrupt,
                   fmt::format("{} = {}: needs a divisor of the {} heads",
                               source.name_of(keys::kv_heads), held, hyper.heads));
    hyper.layers[i].kv_heads = held;
  }
  return Done{};
}

// LFM2 gives a width that its class makes two thirds of, in whole multiples.
Status adjust_hidden(const HyperSource& source, Hyper& hyper) {
  if (!TRY(source.flag({"", "block_auto_adjust_ff_dim"})).value_or(false)) return Done{};
  const auto told = TRY(source.count({"", "block_ff_dim|intermediate_size"}, 1, max_dim));
  const double factor = TRY(source.real({"", "block_ffn_dim_multiplier"}, {1e-3, 1e3})).value_or(1);
  const std::uint32_t multiple =
      TRY(source.count({"", "block_multiple_of"}, 1, 1u << 16)).value_or(256);
  std::uint32_t hidden = 2 * told.value_or(4 * hyper.dim) / 3;
  hidden = static_cast<std::uint32_t>(factor * hidden);
  hidden = (hidden + multiple - 1) / multiple * multiple;
  for (LayerHyper& layer : hyper.layers) layer.hidden = hidden;
  return Done{};
}

// Some folders of hybrids name their layers and do not count them.
Result<std::uint32_t> read_layer_count(const HyperSource& source, bool is_static) {
  if (source.member("num_hidden_layers") == nullptr && !source.is_gguf())
    if (const auto types = TRY(source.texts({"", "layers_block_type"})))
      if (types->size() >= 1 && types->size() <= max_layers)
        return static_cast<std::uint32_t>(types->size());
  return source.required_count(keys::layers, is_static ? 0 : 1, is_static ? 0 : max_layers);
}

Status read_sizes(const Package& package, const HyperSource& source, const ArchSpec& spec,
                  Hyper& hyper) {
  const bool is_static = spec.kind == Kind::static_embedder;
  const Defaults& usual = spec.defaults;
  const auto usual_layers = nested_size(package, source, keys::layers, usual.nested_layers);
  const auto usual_dim = nested_size(package, source, keys::dim, usual.nested_dim);
  const auto layers = usual_layers ? *usual_layers : TRY(read_layer_count(source, is_static));
  // GGUF files that keep the layers which guess further tokens count them too.
  const std::uint32_t most = source.is_gguf() ? std::max(layers, 1u) - 1 : max_layers;
  const bool may_be_uncounted = !source.is_gguf() && !spec.hf_guessing_layer.empty();
  hyper.extra_layers =
      TRY(source.count(
              has_role(spec, Role::mtp_in) ? keys::mtp_layers : Keys{keys::mtp_layers.gguf, ""}, 0,
              most))
          .value_or(may_be_uncounted ? 1 : 0);
  hyper.layers.resize(layers - (source.is_gguf() ? hyper.extra_layers : 0));
  hyper.dim = usual_dim ? *usual_dim : TRY(source.required_count(keys::dim, 1, max_dim));
  const auto context = TRY(source.count(keys::context, 1, max_context));
  hyper.context =
      context.value_or(default_of(source, spec.defaults.context).value_or(default_context));
  hyper.vocab = TRY(read_vocabulary(package, source, spec));
  if (is_static) return Done{};

  TRY(read_head_sizes(package, source, spec, hyper));
  const auto usual_hidden = nested_size(package, source, keys::hidden, usual.nested_hidden);
  const std::uint32_t fewest = spec.mixer == MixerKind::none ? 1 : 0;
  const auto hidden = TRY(per_layer(source, keys::hidden, fewest, max_dim, hyper.layers.size()));
  for (std::size_t i = 0; i < hyper.layers.size(); ++i)
    hyper.layers[i].hidden = hidden.empty() ? usual_hidden.value_or(4 * hyper.dim) : hidden[i];
  TRY(adjust_hidden(source, hyper));
  const Keys eps = spec.norm == NormKind::rms ? keys::rms_eps : keys::layer_eps;
  hyper.norm_eps =
      static_cast<float>(TRY(source.real(eps, {1e-30, 1})).value_or(spec.defaults.norm_eps));
  return Done{};
}

// Queries that grow with their position.  Source: the Llama 4 and Ministral 3 model cards.
Status read_temperature(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  if (spec.tempered == Tempered::none) return Done{};
  hyper.temperature_scale = spec.defaults.temperature_scale;
  hyper.temperature_floor = spec.defaults.temperature_floor;
  hyper.temperature_offset = spec.defaults.temperature_offset;
  if (hyper.temperature_floor == 0)
    hyper.temperature_floor =
        static_cast<float>(std::max(1.0, hyper.rope.scaling.original_context));
  const Range range{0, 1e9};
  if (const auto scale = TRY(source.real({"attention.temperature_scale", "attn_scale"}, range)))
    hyper.temperature_scale = static_cast<float>(*scale);
  if (const auto floor = TRY(source.real({"", "floor_scale"}, {1, 1e9})))
    hyper.temperature_floor = static_cast<float>(*floor);
  if (const auto floor = TRY(source.count({"attention.temperature_length", ""}, 1, max_context)))
    hyper.temperature_floor = static_cast<float>(*floor);
  if (const Json* rope = source.member("rope_parameters|rope_scaling"); rope && rope->is_object())
    if (const Json* beta = rope->find("llama_4_scaling_beta"); beta && beta->is_number())
      hyper.temperature_scale = static_cast<float>(beta->as_number());
  const Json* tuned = source.is_gguf() ? nullptr : source.member("attn_temperature_tuning");
  if (tuned != nullptr && tuned->is_bool() && !tuned->as_bool()) hyper.temperature_scale = 0;
  return Done{};
}

Status read_factors(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  hyper.attention_scale = 1 / std::sqrt(static_cast<float>(hyper.head_dim));
  if (spec.defaults.attention_scale > 0)
    hyper.attention_scale = static_cast<float>(spec.defaults.attention_scale);
  if (source.is_gguf() && spec.layers_scaled_by_dim == hyper.layers.size())
    hyper.attention_scale = 1 / std::sqrt(static_cast<float>(hyper.dim / hyper.heads));
  if (const auto scalar = TRY(source.real({"", "query_pre_attn_scalar"}, {1e-6, 1e9})))
    hyper.attention_scale = static_cast<float>(1 / std::sqrt(*scalar));
  if (spec.embedding_scale_sqrt_dim)
    hyper.embedding_scale = std::sqrt(static_cast<float>(hyper.dim));
  hyper.output_softcap = spec.defaults.output_softcap;
  for (const HyperRow& row : spec.hypers)
    if (const auto value = TRY(source.real({row.gguf, row.hf}, {row.min, row.max})))
      hyper.*row.field = static_cast<float>(*value);
  const RopeScaling& scaling = hyper.rope.scaling;
  if (hyper.latent.kv_rank > 0 && scaling.mscale_all_dims > 0 && scaling.factor > 1) {
    const double magnitude = 0.1 * scaling.mscale_all_dims * std::log(scaling.factor) + 1;
    hyper.attention_scale *= static_cast<float>(magnitude * magnitude);
  }
  if (spec.mixer_beside_attention) TRY(read_multipliers(source, hyper));
  TRY(read_temperature(source, spec, hyper));
  // Files of the larger Llama 4 do not say that it goes without.
  constexpr std::uint32_t larger_experts = 128;
  hyper.unit_after_rope = spec.unit_after_rope &&
                          !(source.is_gguf() && hyper.experts == larger_experts) &&
                          TRY(source.flag({"", "use_qk_norm"})).value_or(true);
  if (spec.logit_scale_divides) hyper.logit_scale = 1 / hyper.logit_scale;
  hyper.parallel =
      spec.parallel == Parallel::always ||
      (spec.parallel == Parallel::by_hyper && TRY(source.flag(keys::parallel)).value_or(true));
  return Done{};
}

Result<ops::Activation> activation_of(std::string_view name) {
  using enum ops::Activation;
  static constexpr struct {
    std::string_view name;
    ops::Activation activation;
  } rows[] = {
      {"silu", silu},           {"swish", silu},
      {"swiglu", silu},         {"gelu", gelu},
      {"gelu_new", gelu_tanh},  {"gelu_pytorch_tanh", gelu_tanh},
      {"gelu_fast", gelu_tanh}, {"quick_gelu", quick_gelu},
      {"relu", relu},           {"relu2", relu_squared},
      {"geglu", gelu},
  };
  for (const auto& row : rows)
    if (row.name == name) return row.activation;
  return Error(ErrorKind::unsupported, fmt::format("activation '{}'", printable(name)));
}

Status read_activation(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  hyper.activation = spec.activation;
  if (!spec.activation_from_config) return Done{};
  const auto name = TRY(source.text(keys::activation));
  if (name) hyper.activation = TRY(activation_of(*name));
  return Done{};
}

Status read_encoder(const Package& package, const HyperSource& source, const ArchSpec& spec,
                    Hyper& hyper) {
  if (source.is_gguf()) {
    if (package.metadata.has("tokenizer.ggml.token_type_count")) {
      const auto types = TRY(package.metadata.unsigned_integer("tokenizer.ggml.token_type_count"));
      hyper.types = static_cast<std::uint32_t>(std::min<std::uint64_t>(types, max_dim));
    }
  } else {
    hyper.types = TRY(source.count({"", "type_vocab_size"}, 0, max_dim)).value_or(0);
  }
  hyper.position_offset = source.is_gguf() ? 0 : spec.defaults.position_offset;
  return Done{};
}

}  // namespace

std::uint32_t Hyper::max_kv_heads() const {
  std::uint32_t most = 0;
  for (const LayerHyper& layer : layers) most = std::max(most, layer.kv_heads);
  return most;
}

namespace {

// config.json under the usual names.
Json renamed_numbers(const Package& package, const ArchSpec& spec) {
  if (package.naming == Naming::gguf) return Json::object();
  Json numbers = language_config(package);
  for (const Renamed& names : spec.renamed)
    if (const Json* held = numbers.find(names.theirs)) {
      const Json value = *held;
      numbers.set(std::string(names.usual), value);
    }
  return numbers;
}

}  // namespace

Result<Hyper> read_hyper(const Package& package, const ArchSpec& spec) {
  Hyper hyper;
  hyper.arch = std::string(spec.name);
  if (package.naming == Naming::gguf)
    hyper.arch = std::string(TRY(package.metadata.string("general.architecture")));
  const Json numbers = renamed_numbers(package, spec);
  const HyperSource source(package, hyper.arch, numbers);
  TRY(read_sizes(package, source, spec, hyper));
  TRY(read_encoder(package, source, spec, hyper));
  TRY(read_pooling(package, source, spec, hyper));
  if (spec.kind == Kind::static_embedder) return hyper;
  TRY(read_mixers(source, spec, hyper));
  TRY(read_windows(source, spec, hyper));
  TRY(read_local_heads(source, spec, hyper));
  TRY(read_streams(package, source, spec, hyper));
  TRY(read_rotating_layers(source, spec, hyper));
  TRY(read_rope(source, package, spec, hyper));
  TRY(read_experts(source, spec, hyper));
  TRY(read_factors(source, spec, hyper));
  TRY(read_activation(source, spec, hyper));
  hyper.tied = TRY(source.flag({"", "tie_word_embeddings"})).value_or(spec.defaults.tied);
  return hyper;
}

}  // namespace hearth::models
