// config.json and its like from the numbers of a model.
// Source: the configuration classes of Hugging Face transformers; sentence-transformers' modules.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "adapt/translate/extras.h"
#include "models/describe.h"
#include "models/hyper_keys.h"
#include "models/rope_tables.h"
#include "models/values.h"

namespace hearth::adapt {
namespace {

using namespace models;

class Config {
 public:
  explicit Config(const ArchSpec& spec) : spec_(spec) {}

  void set(std::string_view key, Json value) { json.set(std::string(key), std::move(value)); }
  // Under the one of the alternatives that the class reads.
  void set(Keys keys, Json value) {
    std::string_view chosen = keys.hf.substr(0, keys.hf.find('|'));
    for (std::string_view rest = keys.hf; !rest.empty();) {
      const auto bar = rest.find('|');
      const std::string_view word = rest.substr(0, bar);
      if (std::ranges::find(spec_.hf_words, word) != spec_.hf_words.end()) chosen = word;
      if (bar == rest.npos) break;
      rest.remove_prefix(bar + 1);
    }
    set(chosen, std::move(value));
  }

  // Whether the class reads one of the alternatives.
  bool reads(Keys keys) const {
    for (const std::string_view word : spec_.hf_words)
      if (("|" + std::string(keys.hf) + "|").find(fmt::format("|{}|", word)) != std::string::npos)
        return true;
    return false;
  }

  Json json = Json::object();

 private:
  const ArchSpec& spec_;
};

// A number as its shortest text: GGUF holds floats of four bytes.
Json real(double value) { return Json(static_cast<float>(value)); }

struct Class {
  std::string_view type, name;
};

// Some architectures of GGUF are several of transformers'.
Class class_of(const Origin& origin) {
  const Hyper& hyper = origin.hyper;
  const bool windowed =
      std::ranges::any_of(hyper.layers, [](const LayerHyper& layer) { return layer.window > 0; });
  const ArchSpec& spec = origin.spec;
  if (spec.name == "llama" && hyper.experts > 0) return {"mixtral", "MixtralForCausalLM"};
  if (spec.name == "llama" && windowed) return {"mistral", "MistralForCausalLM"};
  if (spec.name == "granitemoe" && hyper.shared_hidden > 0)
    return {"granitemoeshared", "GraniteMoeSharedForCausalLM"};
  if (spec.name == "deepseek2" && hyper.expert_gate == ExpertGate::sigmoid)
    return {"deepseek_v3", "DeepseekV3ForCausalLM"};
  if (spec.name == "olmo2" && windowed) return {"olmo3", "Olmo3ForCausalLM"};
  const bool ranks = kind_of(origin.package, spec, hyper) == ModelKind::reranker;
  if (ranks && spec.name == "modern-bert")
    return {"modernbert", "ModernBertForSequenceClassification"};
  if (ranks) return {"bert", "BertForSequenceClassification"};
  return {spec.hf_types.front(), spec.hf_class};
}

void add_sizes(const Origin& origin, Config& out) {
  const Hyper& hyper = origin.hyper;
  out.set(keys::vocabulary, hyper.vocab);
  out.set(keys::dim, hyper.dim);
  out.set(keys::layers, hyper.layers.size());
  std::uint32_t hidden = 0;
  for (const LayerHyper& layer : hyper.layers)
    if (layer.has_mlp) hidden = std::max(hidden, layer.hidden);
  out.set(origin.spec.norm == NormKind::rms ? keys::rms_eps : keys::layer_eps,
          real(hyper.norm_eps));
  const bool attends = std::ranges::any_of(hyper.layers, &LayerHyper::attends);
  if (hidden > 0) out.set(keys::hidden, hidden);
  if (attends || hidden > 0) out.set(keys::context, hyper.context);
  if (!attends) return;
  out.set(keys::heads, hyper.heads);
  const bool latent = hyper.latent.kv_rank > 0;
  const std::uint32_t kv_heads = latent ? hyper.heads : hyper.max_kv_heads();
  if (kv_heads != hyper.heads || origin.spec.defaults.kv_heads > 0 ||
      origin.spec.kind == Kind::generator)
    out.set(keys::kv_heads, kv_heads);
  const bool kept = origin.spec.rope != RopeRule::none || origin.spec.mixer != MixerKind::none;
  if (origin.spec.kind == Kind::generator && kept)
    out.set(keys::head_dim, latent ? hyper.latent.turning : hyper.head_dim);
}

Status check_layers(const ArchSpec& spec, const Hyper& hyper) {
  if (spec.local_heads) return Done{};  // their classes have words for it
  std::uint32_t hidden = 0;
  for (const LayerHyper& layer : hyper.layers) hidden = std::max(hidden, layer.hidden);
  for (const LayerHyper& layer : hyper.layers)
    if ((layer.attends && layer.kv_heads != hyper.max_kv_heads()) ||
        (layer.has_mlp && layer.hidden != hidden))
      return Error(ErrorKind::unsupported,
                   "layers of different sizes: a Hugging Face folder of this architecture has one "
                   "size for all");
  return Done{};
}

void add_experts(const Hyper& hyper, Config& out) {
  if (hyper.experts == 0) return;
  out.set(keys::experts, hyper.experts);
  out.set(keys::experts_used, hyper.experts_used);
  out.set(keys::expert_hidden, hyper.expert_hidden);
  if (hyper.layers.front().hidden != hyper.expert_hidden && hyper.shared_hidden == 0 &&
      hyper.expert_hidden == 0)
    return;
  if (out.reads(keys::shared_experts) && hyper.shared_hidden % hyper.expert_hidden == 0)
    out.set(keys::shared_experts, hyper.shared_hidden / hyper.expert_hidden);
  else if (hyper.shared_hidden > 0)
    out.set(keys::shared_hidden, hyper.shared_hidden);
  out.set(keys::normalise_experts, hyper.normalise_experts);
  if (out.reads(keys::dense_first) || out.reads(keys::sparse_step)) return;  // an Extra
  Json dense = Json::array();
  for (std::size_t i = 0; i < hyper.layers.size(); ++i)
    if (!hyper.layers[i].sparse) dense.push_back(i);
  if (dense.size() > 0) out.set("mlp_only_layers", std::move(dense));
}

// In any layer: not all have every part.
bool has_bias(const Origin& origin, Role wanted) {
  for (const auto rows : origin.spec.tensors)
    for (const TensorRow& row : rows)
      for (std::size_t i = 0; row.role == wanted && i < origin.hyper.layers.size(); ++i)
        if (!origin.finder.pattern(row).empty() &&
            origin.finder.find(row, {i, 0}, TensorFinder::Part::bias) != nullptr)
          return true;
  return false;
}

void add_extras(const Origin& origin, Config& out) {
  const Hyper& hyper = origin.hyper;
  for (const Extra& extra : extras()) {
    if (extra.keys.hf.empty() || !extra.wanted(origin.spec, hyper)) continue;
    const bool several = extra.keys.hf.find('|') != std::string_view::npos;
    if (several && !out.reads(extra.keys)) continue;
    const double value = extra.value(hyper);
    if (extra.type == Extra::Type::count)
      out.set(extra.keys, static_cast<std::int64_t>(value));
    else if (extra.type == Extra::Type::real)
      out.set(extra.keys, real(value));
    else
      out.set(extra.keys, value != 0);
  }
  if (hyper.latent.kv_rank > 0 && hyper.latent.q_rank == 0) out.set("q_lora_rank", Json());
  if (hyper.latent.kv_rank > 0 && hyper.expert_gate == ExpertGate::softmax)
    out.set("topk_method", hyper.expert_groups > 1 ? "group_limited_greedy" : "greedy");
  if (origin.spec.defaults.chunk > 0) {  // experts have the usual width's name
    out.set("intermediate_size_mlp", hyper.layers.front().hidden);
    out.set(keys::hidden, hyper.expert_hidden);
    out.set("use_qk_norm", hyper.unit_after_rope);
  }
}

// The rotation of local layers and of global ones, some of whose pairs may stand still.
Status add_own_rope(const Origin& origin, Config& out) {
  const Hyper& hyper = origin.hyper;
  Json global = Json::object({{"rope_type", "default"}, {"rope_theta", real(hyper.rope.theta)}});
  double share = 1;
  if (hyper.rope.scaling.kind == RopeScalingKind::proportional) share = hyper.rope.scaling.share;
  if (const TensorEntry* divisors = origin.package.find("rope_freqs.weight")) {
    const auto values = TRY(read_floats(*divisors));
    share = static_cast<double>(std::ranges::count(values, 1.0f)) /
            static_cast<double>(std::max<std::size_t>(1, values.size()));
  }
  if (share < 1) {
    global.set("rope_type", "proportional");
    global.set("partial_rotary_factor", real(share));
  }
  out.set("rope_parameters",
          Json::object({{"full_attention", std::move(global)},
                        {"sliding_attention",
                         Json::object({{"rope_type", "default"},
                                       {"rope_theta", real(hyper.rope_local.theta)}})}}));
  return Done{};
}

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

// What the layers of models that recur are, in the words of their classes.
void add_kinds(const Origin& origin, Config& out) {
  const MixerKind mixer = origin.spec.mixer;
  if (mixer == MixerKind::none || origin.spec.mixer_beside_attention) return;
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

// The numbers that give these divisors (Llama 3.1 and on); false: none that we know.
bool fit_llama3(std::span<const float> divisors, RopeHyper& rope, std::uint32_t dims) {
  rope.scaling.kind = RopeScalingKind::llama3;
  rope.scaling.factor = std::round(*std::ranges::max_element(divisors));
  for (const double original :
       {8192.0, 4096.0, 16384.0, 32768.0, 2048.0, 1024.0, 512.0, 256.0, 128.0, 64.0, 32.0})
    for (const auto& [low, high] : {std::pair{1.0, 4.0}, {1.0, 2.0}, {2.0, 4.0}, {1.0, 8.0}}) {
      rope.scaling.original_context = original;
      rope.scaling.low_frequency = low;
      rope.scaling.high_frequency = high;
      const auto made = llama3_divisors(rope, dims);
      const bool same = made.size() == divisors.size() &&
                        std::ranges::equal(made, divisors, [](float a, float b) {
                          return std::abs(a - b) <= 1e-4f * b;
                        });
      if (same) return true;
    }
  return false;
}

Result<Json> numbers_of(const Package& package, std::string_view name) {
  Json list = Json::array();
  const TensorEntry* entry = package.find(name);
  if (entry == nullptr) return Error(ErrorKind::corrupt, fmt::format("{} is missing", name));
  for (const float value : TRY(read_floats(*entry))) list.push_back(value);
  return list;
}

Result<Json> scaling_of(const Origin& origin, std::vector<std::string>& losses) {
  RopeHyper rope = origin.hyper.rope;
  if (const TensorEntry* divisors = origin.package.find("rope_freqs.weight")) {
    const auto values = TRY(read_floats(*divisors));
    const bool scaled = std::ranges::any_of(values, [](float v) { return v != 1; });
    if (scaled && !fit_llama3(values, rope, origin.hyper.rotary_dims))
      losses.push_back("rope_freqs.weight: divisors that no known scaling gives");
  }
  const RopeScaling& scaling = rope.scaling;
  Json out = Json::object();
  const auto kind = [&](const char* name) {
    out.set("rope_type", name);
    out.set("factor", real(scaling.factor));
  };
  const auto original = [&] {
    out.set("original_max_position_embeddings",
            static_cast<std::int64_t>(scaling.original_context));
  };
  switch (scaling.kind) {
    case RopeScalingKind::none:
    case RopeScalingKind::proportional:  // of no architecture that is written
      return Json();
    case RopeScalingKind::linear:
      kind("linear");
      break;
    case RopeScalingKind::dynamic:
      kind("dynamic");
      break;
    case RopeScalingKind::yarn:
      kind("yarn");
      original();
      out.set("beta_fast", real(scaling.beta_fast));
      out.set("beta_slow", real(scaling.beta_slow));
      if (scaling.attention_factor > 0) out.set("attention_factor", real(scaling.attention_factor));
      if (scaling.mscale_all_dims > 0) {
        out.set("mscale", real(scaling.mscale));
        out.set("mscale_all_dim", real(scaling.mscale_all_dims));
      }
      if (origin.spec.tempered == Tempered::all)
        out.set("llama_4_scaling_beta", real(origin.hyper.temperature_scale));
      if (!scaling.truncate) out.set("truncate", false);
      break;
    case RopeScalingKind::llama3:
      kind("llama3");
      original();
      out.set("low_freq_factor", real(scaling.low_frequency));
      out.set("high_freq_factor", real(scaling.high_frequency));
      break;
    case RopeScalingKind::longrope:
      out.set("rope_type", "longrope");
      out.set("long_factor", TRY(numbers_of(origin.package, "rope_factors_long.weight")));
      out.set("short_factor", TRY(numbers_of(origin.package, "rope_factors_short.weight")));
      original();
      out.set("factor", real(origin.hyper.context / scaling.original_context));
      if (scaling.attention_factor > 0) out.set("attention_factor", real(scaling.attention_factor));
      break;
  }
  return out;
}

// As `rope_scaling` and `rope_theta`: what every version of transformers reads.
Status add_rope(const Origin& origin, Config& out, std::vector<std::string>& losses) {
  if (origin.spec.rope == RopeRule::none) return Done{};
  const Hyper& hyper = origin.hyper;
  const ArchSpec& spec = origin.spec;
  if (spec.local_heads) return add_own_rope(origin, out);
  Json scaling = TRY(scaling_of(origin, losses));
  if (spec.local_rope_unscaled && scaling.is_object()) {
    const Json theta = real(hyper.rope.theta);
    scaling.set("rope_theta", theta);
    out.set("rope_parameters",
            Json::object({{"full_attention", std::move(scaling)},
                          {"sliding_attention",
                           Json::object({{"rope_type", "default"}, {"rope_theta", theta}})}}));
    return Done{};
  }
  const bool modern = spec.name == "modern-bert";
  out.set(modern ? "global_rope_theta" : "rope_theta", real(hyper.rope.theta));
  if (spec.defaults.rope_theta_local > 0)
    out.set(modern ? "local_rope_theta" : "rope_local_base_freq", real(hyper.rope_local.theta));
  if (scaling.is_object() && hyper.rope.scaling.kind == RopeScalingKind::longrope)
    out.set("original_max_position_embeddings",
            static_cast<std::int64_t>(hyper.rope.scaling.original_context));
  if (scaling.is_object()) out.set("rope_scaling", std::move(scaling));
  const bool latent = hyper.latent.kv_rank > 0;
  if (!latent && (hyper.rotary_dims != hyper.head_dim || spec.defaults.rotary_share != 1)) {
    const Json share = real(static_cast<double>(hyper.rotary_dims) / hyper.head_dim);
    out.set("partial_rotary_factor", share);
    if (spec.name == "gptneox") out.set("rotary_pct", share);
  }
  return Done{};
}

void add_windows(const Origin& origin, Config& out) {
  const Hyper& hyper = origin.hyper;
  std::uint32_t window = 0;
  for (const LayerHyper& layer : hyper.layers) window = std::max(window, layer.window);
  if (window > 0) {
    out.set(keys::window, window);
    if (origin.spec.name.starts_with("qwen")) out.set("use_sliding_window", true);
  } else if (origin.spec.name == "llama" || origin.spec.name == "starcoder2" ||
             origin.spec.name == "phi3") {
    out.set(keys::window, Json());
  }
  if (origin.spec.local.period > 0 && (window > 0 || origin.spec.defaults.chunk > 0 ||
                                       origin.spec.rope == RopeRule::local_layers)) {
    Json types = Json::array();
    for (const LayerHyper& layer : hyper.layers)
      types.push_back(!layer.local      ? "full_attention"
                      : layer.chunk > 0 ? "chunked_attention"
                                        : "sliding_attention");
    out.set("layer_types", std::move(types));
  }
  if (origin.spec.rope == RopeRule::three_of_four) {
    Json rotating = Json::array();
    for (const LayerHyper& layer : hyper.layers) rotating.push_back(layer.rotates ? 1 : 0);
    out.set("no_rope_layers", std::move(rotating));
  }
}

std::string_view activation_name(ops::Activation activation) {
  using enum ops::Activation;
  switch (activation) {
    case silu:
      return "silu";
    case gelu:
      return "gelu";
    case gelu_tanh:
      return "gelu_pytorch_tanh";
    case quick_gelu:
      return "quick_gelu";
    case relu:
      return "relu";
    case relu_squared:
      return "relu2";
    case tanh:
      return "tanh";
    case sigmoid:
      return "sigmoid";
  }
  return "silu";
}

void add_factors(const Origin& origin, Config& out) {
  const Hyper& hyper = origin.hyper;
  for (const HyperRow& row : origin.spec.hypers) {
    double value = hyper.*row.field;
    if (row.field == &Hyper::logit_scale && origin.spec.logit_scale_divides) value = 1 / value;
    const bool cap = row.field == &Hyper::attention_softcap || row.field == &Hyper::output_softcap;
    out.set(row.hf, cap && value == 0 ? Json() : real(value));
  }
  if (origin.spec.parallel == Parallel::by_hyper) out.set(keys::parallel, hyper.parallel);
  if (origin.spec.layers_scaled_by_dim > 0)
    out.set("query_pre_attn_scalar",
            std::llround(1 / (static_cast<double>(hyper.attention_scale) *
                              static_cast<double>(hyper.attention_scale))));
  const bool gemma = origin.spec.name.starts_with("gemma");
  if (origin.spec.activation_from_config || gemma)
    out.set(gemma ? Keys{"", "hidden_activation"} : keys::activation,
            activation_name(hyper.activation));
}

// Which optional parts the tensors have: classes make parameters by these.
void add_parts(const Origin& origin, Config& out) {
  const bool attention = has_bias(origin, Role::q) || has_bias(origin, Role::qkv);
  const std::string_view name = origin.spec.name;
  if (origin.spec.kind == Kind::generator && name != "gpt2" && name != "qwen2")
    out.set("attention_bias", attention);
  if (name == "llama" || name == "smollm3" || name == "granite")
    out.set("mlp_bias", has_bias(origin, Role::down));
  if (name == "starcoder2") out.set("use_bias", attention);
  if (name == "seed_oss") out.set("attention_out_bias", has_bias(origin, Role::attention_out));
  if (name == "modern-bert") {
    out.set("attention_bias", attention);
    out.set("mlp_bias", has_bias(origin, Role::down));
    out.set("norm_bias", has_bias(origin, Role::output_norm));
    out.set("classifier_bias", has_bias(origin, Role::pooler));
  }
  if (name == "command-r" || name == "glm4moe") {
    bool normed = false;
    for (const auto rows : origin.spec.tensors)
      for (const TensorRow& row : rows)
        normed = normed || (row.role == Role::q_norm &&
                            origin.finder.find(row, {}, TensorFinder::Part::weight) != nullptr);
    out.set("use_qk_norm", normed);
  }
}

bool has_output(const Package& out) {
  return std::ranges::any_of(out.tensors, [](const TensorEntry& tensor) {
    return tensor.name == "lm_head.weight" || tensor.name == "embed_out.weight";
  });
}

void add_encoder(const Origin& origin, Package& package, Config& out) {
  const Hyper& hyper = origin.hyper;
  if (origin.spec.kind != Kind::encoder) return;
  if (hyper.types > 0) out.set("type_vocab_size", hyper.types);
  if (kind_of(origin.package, origin.spec, hyper) == ModelKind::reranker) {
    out.set("num_labels", 1);
    out.set("id2label", Json::object({{"0", "LABEL_0"}}));
    out.set("label2id", Json::object({{"LABEL_0", 0}}));
    return;
  }
  const auto module = [](int index, const char* path, const char* type) {
    return Json::object({{"idx", index},
                         {"name", std::to_string(index)},
                         {"path", path},
                         {"type", fmt::format("sentence_transformers.models.{}", type)}});
  };
  Json modules = Json::array();
  modules.push_back(module(0, "", "Transformer"));
  modules.push_back(module(1, "1_Pooling", "Pooling"));
  if (hyper.normalise) modules.push_back(module(2, "2_Normalize", "Normalize"));
  add_file(package, "modules.json", write_json(modules, pretty));
  const Json pooling = Json::object({{"word_embedding_dimension", hyper.dim},
                                     {"pooling_mode_cls_token", hyper.pooling == Pooling::cls},
                                     {"pooling_mode_mean_tokens", hyper.pooling == Pooling::mean},
                                     {"pooling_mode_lasttoken", hyper.pooling == Pooling::last}});
  add_file(package, "1_Pooling/config.json", write_json(pooling, pretty));
}

// Of most weights, as transformers names it.
std::string_view dtype_name(const Package& package) {
  std::uint64_t halves = 0, brains = 0, singles = 0;
  for (const TensorEntry& tensor : package.tensors) {
    if (tensor.shape.size() < 2) continue;
    (tensor.dtype == Dtype::f16    ? halves
     : tensor.dtype == Dtype::bf16 ? brains
                                   : singles) += tensor.elements();
  }
  if (halves > brains && halves > singles) return "float16";
  return brains > singles ? "bfloat16" : "float32";
}

}  // namespace

Status write_config(const Origin& origin, Package& package, std::vector<std::string>& losses) {
  const ArchSpec& spec = origin.spec;
  if (spec.hf_class.empty() || origin.hyper.layers.empty())
    return Error(ErrorKind::unsupported,
                 fmt::format("{} has no form as a Hugging Face folder", spec.name));
  TRY(check_layers(spec, origin.hyper));
  Config out(spec);
  const Class kind = class_of(origin);
  out.set("architectures", Json(Json::Array{Json(kind.name)}));
  out.set("model_type", kind.type);
  add_sizes(origin, out);
  add_experts(origin.hyper, out);
  add_extras(origin, out);
  add_kinds(origin, out);
  add_own_layers(origin, out);
  if (kind.type == "mixtral" || spec.name == "gpt-oss")
    out.set(keys::hidden, origin.hyper.expert_hidden);
  TRY(add_rope(origin, out, losses));
  add_windows(origin, out);
  add_factors(origin, out);
  add_parts(origin, out);
  if (spec.kind == Kind::generator) out.set("tie_word_embeddings", !has_output(package));
  add_encoder(origin, package, out);
  // Classes have ids of their own where nothing stands here.
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) out.set(key, Json());
  out.set("torch_dtype", dtype_name(package));
  const bool blocks = std::ranges::any_of(
      package.tensors, [](const TensorEntry& tensor) { return tensor.name.ends_with("_blocks"); });
  if (blocks) {
    Json left = Json::array();
    for (const char* name :
         {"model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"})
      left.push_back(name);
    out.set("quantization_config",
            Json::object({{"quant_method", "mxfp4"}, {"modules_to_not_convert", std::move(left)}}));
  }
  package.config = std::move(out.json);
  return Done{};
}

}  // namespace hearth::adapt
