// Decoders of llama's kind in CTranslate2's folders.
#include <fmt/core.h>

#include "formats/ctranslate2_file.h"

namespace hearth {
namespace {

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }
Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

struct Sizes {
  std::uint64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0, dim = 0, hidden = 0, vocab = 0;
};

Result<Sizes> sizes_of(const Package& model) {
  Sizes sizes;
  while (model.find(fmt::format("decoder/layer_{}/self_attention/linear_0/weight", sizes.layers)))
    ++sizes.layers;
  const TensorEntry* table = model.find("decoder/embeddings/weight");
  const TensorEntry* fused = model.find("decoder/layer_0/self_attention/linear_0/weight");
  const TensorEntry* gate = model.find("decoder/layer_0/ffn/linear_0/weight");
  if (table == nullptr || fused == nullptr || gate == nullptr || table->shape.size() != 2 ||
      fused->shape.size() != 2 || gate->shape.size() != 2)
    return unsupported("a CTranslate2 model that is no decoder with layers");
  if (model.find("decoder/layer_0/ffn/linear_0_noact/weight") == nullptr ||
      model.find("decoder/layer_0/self_attention/layer_norm/beta") != nullptr)
    return unsupported("a CTranslate2 decoder that is no llama (gated MLP, norms without bias)");
  sizes.vocab = table->shape[0];
  sizes.dim = table->shape[1];
  sizes.hidden = gate->shape[0];
  const auto heads = scalar(model, "decoder/num_heads");
  const auto kv_heads = scalar(model, "decoder/layer_0/self_attention/num_heads_kv");
  if (!heads || *heads < 1 || *heads > 4096) return corrupt("decoder/num_heads: needs 1 to 4096");
  sizes.heads = static_cast<std::uint64_t>(*heads);
  sizes.kv_heads = kv_heads && *kv_heads >= 1 && *kv_heads <= *heads
                       ? static_cast<std::uint64_t>(*kv_heads)
                       : sizes.heads;
  const std::uint64_t all = sizes.heads + 2 * sizes.kv_heads;
  sizes.head_dim = fused->shape[0] / all;
  if (sizes.head_dim == 0 || fused->shape[0] % all != 0)
    return corrupt(fmt::format("linear_0 of {} rows beside {} heads and {} of keys and values",
                               fused->shape[0], sizes.heads, sizes.kv_heads));
  return sizes;
}

Status add_layer(const Package& model, const Sizes& sizes, std::uint64_t layer,
                 std::vector<TensorEntry>& out) {
  const std::string from = fmt::format("decoder/layer_{}/", layer),
                    to = fmt::format("model.layers.{}.", layer);
  const TensorEntry fused = TRY(linear(model, from + "self_attention/linear_0"));
  const std::uint64_t q = sizes.heads * sizes.head_dim, kv = sizes.kv_heads * sizes.head_dim;
  if (fused.shape[0] != q + 2 * kv) return corrupt(fmt::format("{}self_attention", from));
  out.push_back(rows_of(fused, to + "self_attn.q_proj.weight", 0, q));
  out.push_back(rows_of(fused, to + "self_attn.k_proj.weight", q, kv));
  out.push_back(rows_of(fused, to + "self_attn.v_proj.weight", q + kv, kv));
  static constexpr std::pair<const char*, const char*> matrices[] = {
      {"self_attention/linear_1", "self_attn.o_proj.weight"},
      {"ffn/linear_0", "mlp.gate_proj.weight"},
      {"ffn/linear_0_noact", "mlp.up_proj.weight"},
      {"ffn/linear_1", "mlp.down_proj.weight"}};
  for (const auto& [theirs, ours] : matrices) {
    out.push_back(TRY(linear(model, from + theirs)));
    out.back().name = to + ours;
  }
  static constexpr std::pair<const char*, const char*> norms[] = {
      {"self_attention/layer_norm/gamma", "input_layernorm.weight"},
      {"ffn/layer_norm/gamma", "post_attention_layernorm.weight"}};
  for (const auto& [theirs, ours] : norms) {
    const TensorEntry* norm = model.find(from + theirs);
    if (norm == nullptr) return corrupt(fmt::format("{}{} is missing", from, theirs));
    out.push_back(*norm);
    out.back().name = to + ours;
  }
  return Done{};
}

Json config_of(const Package& model, const Sizes& sizes, const Json& own) {
  const Json* eps = own.find("layer_norm_epsilon");
  const auto base = scalar(model, "decoder/layer_0/self_attention/rotary_base");
  const bool tied = model.find("decoder/projection/weight") == nullptr;
  Json config = Json::object({{"model_type", "llama"},
                              {"vocab_size", sizes.vocab},
                              {"hidden_size", sizes.dim},
                              {"intermediate_size", sizes.hidden},
                              {"num_hidden_layers", sizes.layers},
                              {"num_attention_heads", sizes.heads},
                              {"num_key_value_heads", sizes.kv_heads},
                              {"head_dim", sizes.head_dim},
                              {"rope_theta", base.value_or(10000)},
                              {"tie_word_embeddings", tied}});
  if (eps != nullptr && eps->is_number()) config.set("rms_norm_eps", *eps);
  return config;
}

}  // namespace

Result<std::vector<TensorEntry>> ctranslate2_llama(const Package& model, Package& package) {
  const Sizes sizes = TRY(sizes_of(model));
  constexpr double swish = 2;
  if (scalar(model, "decoder/activation").value_or(swish) != swish ||
      scalar(model, "decoder/alibi").value_or(0) != 0 ||
      scalar(model, "decoder/scale_embeddings").value_or(0) != 0)
    return unsupported("a CTranslate2 decoder that is no llama (activation, positions)");
  const std::string attention = "decoder/layer_0/self_attention/";
  if (scalar(model, attention + "rotary_interleave").value_or(0) != 0 ||
      scalar(model, attention + "rotary_scaling_type").value_or(-1) >= 0)
    return unsupported("a CTranslate2 decoder that turns in pairs, or with scaled frequencies");
  std::vector<TensorEntry> tensors;
  const TensorEntry* norm = model.find("decoder/layer_norm/gamma");
  if (norm == nullptr) return corrupt("decoder/layer_norm/gamma is missing");
  tensors.push_back(TRY(linear(model, "decoder/embeddings")));
  tensors.back().name = "model.embed_tokens.weight";
  tensors.push_back(*norm);
  tensors.back().name = "model.norm.weight";
  if (model.find("decoder/projection/weight") != nullptr) {
    tensors.push_back(TRY(linear(model, "decoder/projection")));
    tensors.back().name = "lm_head.weight";
  }
  for (std::uint64_t i = 0; i < sizes.layers; ++i) TRY(add_layer(model, sizes, i, tensors));
  package.config = config_of(model, sizes, package.config);
  return tensors;
}

}  // namespace hearth
