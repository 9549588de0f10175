// From a package to the parts of a T5.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "models/describe.h"
#include "models/hyper_keys.h"
#include "models/t5.h"
#include "models/t5_parts.h"
#include "models/tensors.h"
#include "models/text_side.h"
#include "models/values.h"

namespace hearth::models {
namespace {

constexpr std::string_view types[] = {"t5", "mt5"};
constexpr std::string_view encoder_names[] = {"t5encoder"};
constexpr Renamed renamed[] = {{"num_attention_heads", "num_heads"},
                               {"head_dim", "d_kv"},
                               {"intermediate_size", "d_ff"},
                               {"num_hidden_layers", "num_layers"}};
constexpr std::uint32_t most_buckets = 4096, most_distance = 1u << 16;
// Positions are relative: texts may be longer than those it was trained with.
constexpr std::uint32_t least_context = 2048;

// Which row of the table a distance (of what is seen, from who looks) has.
// Source: Raffel et al. 2020, section 2.1; logarithms in f32 as the published code has them.
std::size_t bucket_of(std::int64_t distance, bool both_ways, std::size_t buckets, float farthest) {
  std::size_t first = 0;
  if (both_ways) {
    buckets /= 2;
    if (distance > 0) first = buckets;
    distance = std::abs(distance);
  } else {
    distance = std::max<std::int64_t>(-distance, 0);
  }
  const std::size_t exact = buckets / 2;
  if (static_cast<std::size_t>(distance) < exact) return first + static_cast<std::size_t>(distance);
  const float share = std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
                      std::log(farthest / static_cast<float>(exact));
  const auto step = static_cast<std::size_t>(share * static_cast<float>(buckets - exact));
  return first + std::min(exact + step, buckets - 1);
}

// The table of buckets as one of distances.
std::vector<float> by_distance(const T5Parts& parts, const std::vector<float>& held,
                               bool both_ways) {
  const auto farthest = static_cast<std::int64_t>(parts.farthest);
  std::vector<float> out;
  for (std::int64_t distance = -farthest; distance <= farthest; ++distance) {
    const std::size_t bucket =
        bucket_of(distance, both_ways, parts.buckets, static_cast<float>(parts.farthest));
    for (std::size_t head = 0; head < parts.heads; ++head)
      out.push_back(held[bucket * parts.heads + head]);
  }
  return out;
}

struct Wanted {
  ops::StoredMatrix stored;
  ops::Matrix* matrix;
};

class Loader {
 public:
  Loader(T5Parts& parts, std::uint32_t hidden) : parts_(parts), hidden_(hidden) {}

  Status stack(bool decodes, std::size_t layers, T5Stack& out);
  Status whole(bool scaled, std::uint32_t vocabulary);
  Status prepare(ops::Context& ctx);

 private:
  bool gguf() const { return parts_.package.naming == Naming::gguf; }
  // "decoder.block.3." or "dec.blk.3."
  std::string block(bool decodes, std::size_t layer) const {
    return gguf() ? fmt::format("{}.blk.{}.", decodes ? "dec" : "enc", layer)
                  : fmt::format("{}.block.{}.", decodes ? "decoder" : "encoder", layer);
  }
  Result<const TensorEntry*> entry(const std::string& name, std::vector<std::uint64_t> shape);
  Result<ops::StoredMatrix> stored(const std::string& name, std::uint64_t rows,
                                   std::uint64_t columns);
  Status matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns,
                ops::Matrix& out);
  Status vector(const std::string& name, std::vector<std::uint64_t> shape, std::vector<float>& out);
  Status attention(const std::string& prefix, bool cross, T5Attention& out);
  Status mlp(const std::string& prefix, bool decodes, T5Block& out);

  T5Parts& parts_;
  std::uint32_t hidden_;
  std::vector<Wanted> wanted_;
};

Result<const TensorEntry*> Loader::entry(const std::string& name,
                                         std::vector<std::uint64_t> shape) {
  const TensorEntry* found = parts_.package.find(name);
  if (found == nullptr)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} is missing: needs {}", name, text_of_shape(shape)));
  TRY(check_shape(*found, shape));
  return found;
}

Result<ops::StoredMatrix> Loader::stored(const std::string& name, std::uint64_t rows,
                                         std::uint64_t columns) {
  const TensorEntry* found = TRY(entry(name, {rows, columns}));
  if (!is_float(found->dtype) && !is_quantised(found->dtype))
    return Error(ErrorKind::unsupported,
                 fmt::format("{} is stored as {}", name, name_of(found->dtype)));
  if (!found->make)
    return ops::StoredMatrix{found->dtype, rows, columns, found->data, found->file_mapped};
  parts_.made.push_back(TRY(found->make()));
  return ops::StoredMatrix{found->dtype, rows, columns, parts_.made.back(), false};
}

Status Loader::matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns,
                      ops::Matrix& out) {
  wanted_.push_back({TRY(stored(name + ".weight", rows, columns)), &out});
  return Done{};
}

Status Loader::vector(const std::string& name, std::vector<std::uint64_t> shape,
                      std::vector<float>& out) {
  const TensorEntry* found = TRY(entry(name + ".weight", std::move(shape)));
  out = TRY(read_floats(*found));
  return Done{};
}

Status Loader::attention(const std::string& prefix, bool cross, T5Attention& out) {
  const std::uint64_t dim = parts_.dim, inner = parts_.inner();
  const std::string own =
      gguf() ? prefix + (cross ? "cross_attn_" : "attn_")
             : prefix + (cross ? "layer.1.EncDecAttention." : "layer.0.SelfAttention.");
  const std::string norm =
      gguf() ? own + "norm" : prefix + (cross ? "layer.1.layer_norm" : "layer.0.layer_norm");
  TRY(vector(norm, {dim}, out.norm));
  TRY(matrix(own + "q", inner, dim, out.q));
  TRY(matrix(own + "k", inner, dim, out.k));
  TRY(matrix(own + "v", inner, dim, out.v));
  return matrix(own + "o", dim, inner, out.out);
}

Status Loader::mlp(const std::string& prefix, bool decodes, T5Block& out) {
  const std::uint64_t dim = parts_.dim;
  const std::string layer = fmt::format("{}layer.{}.", prefix, decodes ? 2 : 1);
  const std::string own = gguf() ? prefix + "ffn_" : layer + "DenseReluDense.";
  TRY(vector(gguf() ? own + "norm" : layer + "layer_norm", {dim}, out.mlp_norm));
  if (parts_.gated) TRY(matrix(own + (gguf() ? "gate" : "wi_0"), hidden_, dim, out.gate));
  const char* up = gguf() ? "up" : parts_.gated ? "wi_1" : "wi";
  TRY(matrix(own + up, hidden_, dim, out.up));
  return matrix(own + (gguf() ? "down" : "wo"), dim, hidden_, out.down);
}

Status Loader::stack(bool decodes, std::size_t layers, T5Stack& out) {
  out.blocks.resize(layers);
  for (std::size_t i = 0; i < layers; ++i) {
    const std::string prefix = block(decodes, i);
    TRY(attention(prefix, false, out.blocks[i].self));
    if (decodes) TRY(attention(prefix, true, out.blocks[i].cross));
    TRY(mlp(prefix, decodes, out.blocks[i]));
  }
  const std::string first = block(decodes, 0);
  std::vector<float> held;
  TRY(vector(first + (gguf() ? "attn_rel_b" : "layer.0.SelfAttention.relative_attention_bias"),
             {parts_.buckets, parts_.heads}, held));
  out.distance = by_distance(parts_, held, !decodes);
  const char* side = gguf() ? (decodes ? "dec" : "enc") : (decodes ? "decoder" : "encoder");
  return vector(fmt::format("{}.{}", side, gguf() ? "output_norm" : "final_layer_norm"),
                {parts_.dim}, out.norm);
}

// What the logits come of.
Status Loader::whole(bool scaled, std::uint32_t vocabulary) {
  const char* names[] = {"token_embd.weight", "shared.weight", "encoder.embed_tokens.weight",
                         "decoder.embed_tokens.weight"};
  const char* held = names[gguf() ? 0 : 1];
  for (const char* name : names)
    if (parts_.package.find(name) != nullptr) {
      held = name;
      break;
    }
  parts_.embedding = TRY(stored(held, vocabulary, parts_.dim));
  if (!t5_writes(parts_.package)) return Done{};
  const std::string output = gguf() ? "output" : "lm_head";
  const bool own = parts_.package.find(output + ".weight") != nullptr;
  parts_.scaled_output = gguf() ? !own : scaled;
  if (own) return matrix(output, vocabulary, parts_.dim, parts_.output);
  wanted_.push_back({parts_.embedding, &parts_.output});
  return Done{};
}

Status Loader::prepare(ops::Context& ctx) {
  std::vector<ops::StoredMatrix> all;
  for (const Wanted& each : wanted_) all.push_back(each.stored);
  auto matrices = TRY(ops::Matrix::prepare_all(ctx, all));
  for (std::size_t i = 0; i < wanted_.size(); ++i) *wanted_[i].matrix = std::move(matrices[i]);
  return Done{};
}

// "gated-gelu", "relu"; GGUF tells by the tensors there are.
Status read_activation(const HyperSource& source, T5Parts& parts) {
  using enum ops::Activation;
  if (source.is_gguf()) {
    parts.gated = parts.package.find("enc.blk.0.ffn_gate.weight") != nullptr;
    parts.activation = parts.gated ? gelu_tanh : relu;
    return Done{};
  }
  const std::string name = TRY(source.text({"", "feed_forward_proj"})).value_or("relu");
  parts.gated = name.starts_with("gated-");
  const std::string_view kind = std::string_view(name).substr(parts.gated ? 6 : 0);
  if (kind == "relu")
    parts.activation = relu;
  else if (kind == "gelu" || kind == "gelu_new")
    parts.activation = gelu_tanh;
  else if (kind == "silu" || kind == "swish")
    parts.activation = silu;
  else
    return Error(ErrorKind::unsupported,
                 fmt::format("config.json: feed_forward_proj = '{}'", printable(name)));
  return Done{};
}

Status read_numbers(const HyperSource& source, const Hyper& hyper, T5Parts& parts) {
  parts.heads = hyper.heads;
  parts.head_dim = hyper.head_dim;
  parts.dim = hyper.dim;
  parts.eps = hyper.norm_eps;
  parts.buckets =
      TRY(source.count({"attention.relative_buckets_count", "relative_attention_num_buckets"}, 4,
                       most_buckets))
          .value_or(32);
  parts.farthest =
      TRY(source.count({"", "relative_attention_max_distance"}, 1, most_distance)).value_or(128);
  if (parts.farthest <= parts.buckets / 2)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} buckets for distances up to {}", parts.buckets, parts.farthest));
  const std::uint32_t last = hyper.vocab - 1;
  parts.start = static_cast<Token>(
      TRY(source.count({"decoder_start_token_id", "decoder_start_token_id"}, 0, last)).value_or(0));
  const auto end = TRY(source.count({"", "eos_token_id"}, 0, last));
  const auto& special = parts.tokenizer->special();
  parts.end = end ? static_cast<Token>(*end) : special.eos.value_or(1);
  return read_activation(source, parts);
}

// Tokens, then keys and values of all layers of the decoder, position after position.
void lay_out(T5Parts& parts, std::size_t layers) {
  const std::size_t row = 2 * parts.inner() * sizeof(float);
  std::size_t at = ops::kv_page_tokens * sizeof(Token);
  for (std::size_t i = 0; i < layers; ++i, at += row * ops::kv_page_tokens)
    parts.kv.layers.push_back({parts.heads, parts.head_dim, parts.head_dim, Dtype::f32, at});
  parts.kv.page_bytes = at;
  parts.info.kv_bytes_per_token = at / ops::kv_page_tokens;
}

}  // namespace

const ArchSpec t5{
    .name = "t5",
    .gguf_also = encoder_names,
    .hf_types = types,
    .renamed = renamed,
    .defaults = {.norm_eps = 1e-6, .tied = true, .context = 512},
    .rope = RopeRule::none,
};

bool t5_writes(const Package& package) {
  const bool gguf = package.naming == Naming::gguf;
  return package.find(gguf ? "dec.blk.0.attn_q.weight"
                           : "decoder.block.0.layer.0.SelfAttention.q.weight") != nullptr;
}

Result<std::unique_ptr<T5Parts>> load_t5_parts(ops::Context& ctx, const Package& package,
                                               const LoadOptions& options) {
  auto parts = std::make_unique<T5Parts>();
  parts->package = package;
  TRY(check_scheme(package));
  const Hyper hyper = TRY(read_hyper(package, t5));
  const HyperSource source(package, hyper.arch);
  parts->info = TRY(info_of(package, t5, hyper, options.kv_dtype));
  TextSide side = TRY(load_text_side(package, parts->info.name, hyper.vocab));
  parts->tokenizer = std::move(side.tokenizer);
  parts->chat_format = std::move(side.chat_format);
  parts->chat_template_source = std::move(side.chat_template_source);
  TRY(read_numbers(source, hyper, *parts));
  parts->info.context_length = std::max(hyper.context, least_context);

  const auto decoder_layers =
      TRY(source.count({"decoder_block_count", "num_decoder_layers"}, 1, max_layers));
  const std::size_t layers = hyper.layers.size();
  Loader loader(*parts, hyper.layers.front().hidden);
  // Older files say no more than that the output is the embedding.
  const auto scaled = TRY(source.flag({"", "scale_decoder_outputs"}));
  TRY(loader.whole(scaled.value_or(hyper.tied), hyper.vocab));
  TRY(loader.stack(false, layers, parts->encoder));
  if (t5_writes(package))
    TRY(loader.stack(true, decoder_layers.value_or(static_cast<std::uint32_t>(layers)),
                     parts->decoder));
  parts->dense = TRY(read_dense_heads(package, hyper.dim));
  if (options.stop.stop_requested()) return Error(ErrorKind::cancelled, "loading was stopped");
  TRY(loader.prepare(ctx));
  lay_out(*parts, parts->decoder.blocks.size());
  if (options.progress) options.progress(1);
  return parts;
}

}  // namespace hearth::models
