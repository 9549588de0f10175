// config.json and its like from the numbers of a model.
// Source: the configuration classes of Hugging Face transformers; sentence-transformers' modules.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "adapt/translate/config.h"
#include "adapt/translate/extras.h"
#include "models/describe.h"
#include "models/hyper_keys.h"

namespace hearth::adapt {

using namespace models;

void Config::set(Keys keys, Json value) {
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

bool Config::reads(Keys keys) const {
  for (const std::string_view word : spec_.hf_words)
    if (("|" + std::string(keys.hf) + "|").find(fmt::format("|{}|", word)) != std::string::npos)
      return true;
  return false;
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

namespace {

struct Class {
  std::string_view type, name;
};

// Some architectures of GGUF are several of transformers'.
Class class_of(const Origin& origin) {
  const Hyper& hyper = origin.hyper;
  const bool windowed =
      std::ranges::any_of(hyper.layers, [](const LayerHyper& layer) { return layer.window > 0; });
  const ArchSpec& spec = origin.spec;
  // Without its tower it is one that reads text.
  if (spec.name == "qwen3vl") return {"qwen3", "Qwen3ForCausalLM"};
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
  add_layers(origin, out);
  if (kind.type == "mixtral" || spec.name == "gpt-oss")
    out.set(keys::hidden, origin.hyper.expert_hidden);
  TRY(add_rope(origin, out, losses));
  add_windows(origin, out);
  add_factors(origin, out);
  add_parts(origin, out);
  if (spec.kind == Kind::generator) out.set("tie_word_embeddings", !has_output(package));
  if (spec.ahead_in_windows && takes_tower(origin) &&
      std::ranges::any_of(origin.hyper.layers, &LayerHyper::sees_ahead))
    out.set("use_bidirectional_attention", "vision");
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
