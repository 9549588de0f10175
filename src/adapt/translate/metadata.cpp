// GGUF metadata from the numbers of a model.
// Source: the key names of the GGUF specification.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "adapt/translate/extras.h"
#include "base/files.h"
#include "formats/meta_llama.h"
#include "models/describe.h"
#include "models/hyper_keys.h"
#include "models/model.h"

namespace hearth::adapt {
namespace {

using namespace models;

class Pairs {
 public:
  explicit Pairs(std::string_view architecture) : architecture_(architecture) {
    text("general.architecture", architecture);
  }

  void text(std::string key, std::string_view value) {
    add(std::move(key), GgufValue::text(value));
  }
  void add(std::string key, GgufValue value) { all_.push_back({std::move(key), std::move(value)}); }
  void count(Keys keys, std::uint64_t value) { own(keys, GgufValue::of(number(value))); }
  void real(Keys keys, double value) { own(keys, GgufValue::of(static_cast<float>(value))); }
  void flag(Keys keys, bool value) { own(keys, GgufValue::of(value)); }
  // One number where all layers have the same.
  void counts(Keys keys, const std::vector<std::uint32_t>& values) {
    if (std::ranges::all_of(values, [&](std::uint32_t v) { return v == values.front(); }))
      return count(keys, values.front());
    own(keys, GgufValue::array<std::uint32_t>(values));
  }
  void flags(Keys keys, const std::vector<bool>& values) {
    GgufValue out{.type = MetaType::boolean, .is_array = true, .count = values.size(), .bytes = {}};
    for (const bool value : values) out.bytes += value ? '\1' : '\0';
    own(keys, std::move(out));
  }
  void own(Keys keys, GgufValue value) {
    add(fmt::format("{}.{}", architecture_, keys.gguf), std::move(value));
  }

  std::vector<GgufContents::Pair> take() { return std::move(all_); }

 private:
  static std::uint32_t number(std::uint64_t value) { return static_cast<std::uint32_t>(value); }

  std::string_view architecture_;
  std::vector<GgufContents::Pair> all_;
};

std::vector<std::uint32_t> of_layers(const Hyper& hyper, std::uint32_t LayerHyper::* field) {
  std::vector<std::uint32_t> values;
  for (const LayerHyper& layer : hyper.layers) values.push_back(layer.*field);
  return values;
}

void add_sizes(const Origin& origin, Pairs& out) {
  const Hyper& hyper = origin.hyper;
  out.count(keys::context, hyper.context);
  out.count(keys::dim, hyper.dim);
  out.count(keys::layers, hyper.layers.size());
  out.count(keys::vocabulary, hyper.vocab);
  if (origin.spec.kind == Kind::static_embedder) return;
  auto widths = of_layers(hyper, &LayerHyper::hidden);
  for (std::size_t i = 0; i < widths.size(); ++i)
    if (!hyper.layers[i].has_mlp) widths[i] = 0;
  out.counts(keys::hidden, widths);
  const bool attends = std::ranges::any_of(hyper.layers, &LayerHyper::attends);
  out.count(keys::heads, attends ? hyper.heads : 0);
  out.real(origin.spec.norm == NormKind::rms ? keys::rms_eps : keys::layer_eps, hyper.norm_eps);
  if (!attends) return;
  auto kv_heads = of_layers(hyper, &LayerHyper::kv_heads);
  if (origin.spec.attention_every > 0 && attention_interval(hyper) > 0)  // the interval tells
    std::ranges::fill(kv_heads, hyper.max_kv_heads());
  out.counts(keys::kv_heads, kv_heads);
  const std::uint32_t rank = hyper.latent.kv_rank;  // what latents keep of a key and a value
  out.count(keys::head_dim, rank > 0 ? rank + hyper.latent.turning : hyper.head_dim);
  out.count(keys::value_dim, rank > 0 ? rank : hyper.head_dim);
}

void add_experts(const Hyper& hyper, Pairs& out) {
  if (hyper.experts == 0) return;
  out.count(keys::experts, hyper.experts);
  out.count(keys::experts_used, hyper.experts_used);
  out.count(keys::expert_hidden, hyper.expert_hidden);
  if (hyper.shared_hidden > 0) out.count(keys::shared_hidden, hyper.shared_hidden);
  if (hyper.shared_hidden > 0 && hyper.shared_hidden % hyper.expert_hidden == 0)
    out.count(keys::shared_experts, hyper.shared_hidden / hyper.expert_hidden);
  out.flag(keys::normalise_experts, hyper.normalise_experts);
}

void add_extras(const Origin& origin, Pairs& out) {
  const Hyper& hyper = origin.hyper;
  if (hyper.streams.count > 1) {
    std::vector<float> cuts;
    for (const LayerHyper& layer : hyper.layers) cuts.push_back(layer.gate_cut);
    out.own({"activation_sparsity_scale", ""}, GgufValue::array<float>(cuts));
  }
  for (const Extra& extra : extras()) {
    if (extra.keys.gguf.empty() || !extra.wanted(origin.spec, hyper)) continue;
    const double value = extra.value(hyper);
    if (extra.type == Extra::Type::count)
      out.count(extra.keys, static_cast<std::uint64_t>(value));
    else if (extra.type == Extra::Type::real)
      out.real(extra.keys, value);
    else
      out.flag(extra.keys, value != 0);
  }
}

void add_scaling(const RopeScaling& scaling, bool is_latent, Pairs& out,
                 std::vector<std::string>& losses) {
  const auto kind = [&](const char* name) {
    out.own({"rope.scaling.type", ""}, GgufValue::text(name));
    out.real({"rope.scaling.factor", ""}, scaling.factor);
  };
  const auto original = [&] {
    out.count({"rope.scaling.original_context_length", ""},
              static_cast<std::uint64_t>(scaling.original_context));
  };
  switch (scaling.kind) {
    case RopeScalingKind::none:
    case RopeScalingKind::proportional:  // of no architecture that is written
    case RopeScalingKind::llama3:        // a tensor
      break;
    case RopeScalingKind::linear:
      kind("linear");
      break;
    case RopeScalingKind::dynamic:
      losses.push_back("dynamic rope scaling: past its trained context the model turns otherwise");
      break;
    case RopeScalingKind::yarn: {
      kind("yarn");
      original();
      out.real({"rope.scaling.yarn_beta_fast", ""}, scaling.beta_fast);
      out.real({"rope.scaling.yarn_beta_slow", ""}, scaling.beta_slow);
      if (scaling.mscale_all_dims > 0) {  // models with latents write a tenth of it
        out.real({"rope.scaling.yarn_log_multiplier", ""},
                 is_latent ? 0.1 * scaling.mscale_all_dims : scaling.mscale_all_dims);
        break;
      }
      const double usual = 0.1 * std::log(scaling.factor) + 1;
      if (scaling.attention_factor > 0)
        out.real({"rope.scaling.yarn_attn_factor", ""}, scaling.attention_factor / usual);
      break;
    }
    case RopeScalingKind::longrope:
      original();
      out.real({"rope.scaling.attn_factor", ""},
               scaling.attention_factor > 0 ? scaling.attention_factor
               : scaling.factor <= 1
                   ? 1
                   : std::sqrt(1 + std::log(scaling.factor) / std::log(scaling.original_context)));
      break;
  }
}

void add_rope(const Origin& origin, Pairs& out, std::vector<std::string>& losses) {
  const Hyper& hyper = origin.hyper;
  const bool none_turns = std::ranges::none_of(hyper.layers, &LayerHyper::rotates);
  if (origin.spec.rope == RopeRule::none || none_turns) return;
  out.count({"rope.dimension_count", ""}, hyper.rotary_dims);
  out.real({"rope.freq_base", ""}, hyper.rope.theta);
  if (auto sections = hyper.rope_sections; !sections.empty()) {
    sections.push_back(0);  // of a fourth axis, which none has
    out.own({"rope.dimension_sections", ""}, GgufValue::array<std::uint32_t>(sections));
  }
  add_scaling(hyper.rope.scaling, hyper.latent.kv_rank > 0, out, losses);
  if (origin.spec.defaults.rope_theta_local > 0)
    out.real({"rope.freq_base_swa", ""}, hyper.rope_local.theta);
}

bool follows_pattern(const ArchSpec& spec, const Hyper& hyper) {
  for (std::size_t i = 0; i < hyper.layers.size(); ++i)
    if (hyper.layers[i].local !=
        (spec.local.period == 0 || i % spec.local.period != spec.local.global_at))
      return false;
  return true;
}

void add_windows(const Origin& origin, Pairs& out) {
  const Hyper& hyper = origin.hyper;
  std::uint32_t window = 0;
  for (const LayerHyper& layer : hyper.layers) window = std::max(window, layer.window);
  if (window == 0) return;
  out.count(keys::window, window);
  const LocalPattern& local = origin.spec.local;
  // Readers of encoders and of OLMo look for it, others know the architecture's own.
  if (local.period > 0 && local.global_at == 0 && follows_pattern(origin.spec, hyper))
    return out.count(keys::window_pattern, local.period);
  const bool told = origin.spec.local_rope_unscaled || origin.spec.local_heads;
  if (follows_pattern(origin.spec, hyper) && !told) return;
  std::vector<bool> flags;
  for (const LayerHyper& layer : hyper.layers) flags.push_back(layer.local);
  out.flags(keys::window_pattern, flags);
}

void add_factors(const Origin& origin, Pairs& out) {
  for (const HyperRow& row : origin.spec.hypers) {
    if (row.gguf.empty()) continue;
    double value = origin.hyper.*row.field;
    if (row.field == &Hyper::logit_scale && origin.spec.logit_scale_divides) value = 1 / value;
    out.real({row.gguf, ""}, value);
  }
  if (origin.spec.parallel == Parallel::by_hyper) out.flag(keys::parallel, origin.hyper.parallel);
}

void add_pooling(const Origin& origin, Pairs& out) {
  const Hyper& hyper = origin.hyper;
  const bool encodes = origin.spec.kind != Kind::generator;
  if (origin.spec.kind == Kind::encoder) out.flag({"attention.causal", ""}, false);
  const bool ranks = kind_of(origin.package, origin.spec, hyper) == ModelKind::reranker;
  const Pooling pooling = ranks ? Pooling::rank : hyper.pooling;
  if (encodes || pooling != Pooling::none)
    out.count({"pooling_type", ""}, static_cast<std::uint64_t>(pooling));
  if (hyper.skips_unknown) out.flag({"skip_unknown_tokens", ""}, true);
  if (hyper.types > 0) out.add("tokenizer.ggml.token_type_count", GgufValue::of(hyper.types));
}

}  // namespace

std::uint32_t file_type(const Package& package) {
  static constexpr std::pair<Dtype, std::uint32_t> rows[] = {
      {Dtype::f32, 0},    {Dtype::f16, 1},   {Dtype::bf16, 32}, {Dtype::q4_0, 2},
      {Dtype::q4_1, 3},   {Dtype::q8_0, 7},  {Dtype::q5_0, 8},  {Dtype::q5_1, 9},
      {Dtype::mxfp4, 38}, {Dtype::nvfp4, 39}};
  std::map<Dtype, std::uint64_t> sums;
  for (const TensorEntry& tensor : package.tensors)
    if (tensor.shape.size() > 1) sums[tensor.dtype] += tensor.elements();
  const auto most = std::ranges::max_element(sums, {}, [](const auto& sum) { return sum.second; });
  for (const auto& [dtype, type] : rows)
    if (most != sums.end() && most->first == dtype) return type;
  return 1;
}

Status write_metadata(const Origin& origin, Package& out, std::vector<std::string>& losses) {
  // RoBERTa is a BERT there, its table of positions cut.
  Pairs pairs(origin.spec.name == "roberta" ? "bert" : origin.spec.name);
  pairs.text("general.type", "model");
  pairs.text("general.name", TRY(describe(origin.package)).name);
  add_sizes(origin, pairs);
  if (origin.spec.kind != Kind::static_embedder) {
    add_experts(origin.hyper, pairs);
    add_extras(origin, pairs);
    add_rope(origin, pairs, losses);
    add_windows(origin, pairs);
    add_factors(origin, pairs);
  }
  add_pooling(origin, pairs);
  if (out.tower != nullptr)
    if (const auto deep = out.tower->metadata.booleans("clip.vision.is_deepstack_layers"))
      pairs.count({"n_deepstack_layers", ""},
                  static_cast<std::uint64_t>(std::ranges::count(*deep, true)));
  pairs.add("general.file_type", GgufValue::of(file_type(out)));
  const bool blocks = std::ranges::any_of(
      out.tensors, [](const TensorEntry& tensor) { return is_quantised(tensor.dtype); });
  constexpr std::uint32_t quantisation_version = 2;  // of the block layouts
  if (blocks) pairs.add("general.quantization_version", GgufValue::of(quantisation_version));
  return add_made_metadata(out, pairs.take());
}

}  // namespace hearth::adapt
