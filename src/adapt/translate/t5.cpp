// T5 under the other naming: every tensor is the same in both, by another name.
#include "models/t5.h"

#include <fmt/core.h>

#include <array>

#include "adapt/translate/origin.h"
#include "formats/meta_llama.h"
#include "models/describe.h"
#include "models/hyper_keys.h"
#include "models/hyper_source.h"
#include "models/values.h"

namespace hearth::adapt {
namespace {

using namespace models;

struct Names {
  std::string_view gguf, hf;
};

// Of the whole model; older folders hold the embedding of each side, too.
constexpr Names whole[] = {{"token_embd", "shared"},
                           {"output", "lm_head"},
                           {"enc.output_norm", "encoder.final_layer_norm"},
                           {"dec.output_norm", "decoder.final_layer_norm"}};
// Of a block; {mlp} is the number of its last part: 1 in the encoder, 2 in the decoder.
constexpr Names parts[] = {{"attn_norm", "layer.0.layer_norm"},
                           {"attn_q", "layer.0.SelfAttention.q"},
                           {"attn_k", "layer.0.SelfAttention.k"},
                           {"attn_v", "layer.0.SelfAttention.v"},
                           {"attn_o", "layer.0.SelfAttention.o"},
                           {"attn_rel_b", "layer.0.SelfAttention.relative_attention_bias"},
                           {"cross_attn_norm", "layer.1.layer_norm"},
                           {"cross_attn_q", "layer.1.EncDecAttention.q"},
                           {"cross_attn_k", "layer.1.EncDecAttention.k"},
                           {"cross_attn_v", "layer.1.EncDecAttention.v"},
                           {"cross_attn_o", "layer.1.EncDecAttention.o"},
                           {"ffn_norm", "layer.{}.layer_norm"},
                           {"ffn_gate", "layer.{}.DenseReluDense.wi_0"},
                           {"ffn_up", "layer.{}.DenseReluDense.wi"},
                           {"ffn_down", "layer.{}.DenseReluDense.wo"}};

struct Renaming {
  const Package& from;
  bool to_gguf;
  bool gated;
  std::set<std::string> used;
  std::vector<TensorEntry> out;

  void row(std::string gguf, std::string hf);
  std::size_t blocks(bool decodes);
};

void Renaming::row(std::string gguf, std::string hf) {
  gguf += ".weight";
  hf += ".weight";
  const TensorEntry* held = from.find(to_gguf ? hf : gguf);
  if (held == nullptr) return;
  used.insert(held->name);
  TensorEntry entry = *held;
  entry.name = to_gguf ? std::move(gguf) : std::move(hf);
  // Readers of GGUF want vectors, and the few numbers of distances, as floats of four bytes.
  const bool small = entry.shape.size() < 2 || entry.name.ends_with("attn_rel_b.weight");
  if (to_gguf && small && entry.dtype != Dtype::f32) {
    entry.dtype = Dtype::f32;
    entry.data = {};
    entry.make = [held]() -> Result<std::vector<std::byte>> {
      const std::vector<float> values = TRY(read_floats(*held));
      const auto bytes = std::as_bytes(std::span(values));
      return std::vector<std::byte>(bytes.begin(), bytes.end());
    };
  }
  out.push_back(std::move(entry));
}

// Returns how many blocks there are.
std::size_t Renaming::blocks(bool decodes) {
  for (std::size_t i = 0; i < max_layers; ++i) {
    const std::size_t before = out.size();
    for (const Names& part : parts) {
      if (!decodes && part.gguf.starts_with("cross_")) continue;
      std::string own(part.hf);
      if (const auto at = own.find("{}"); at != own.npos) own.replace(at, 2, decodes ? "2" : "1");
      if (gated && part.gguf == "ffn_up") own += "_1";
      row(fmt::format("{}.blk.{}.{}", decodes ? "dec" : "enc", i, part.gguf),
          fmt::format("{}.block.{}.{}", decodes ? "decoder" : "encoder", i, own));
    }
    if (out.size() == before) return i;
  }
  return max_layers;
}

// What neither side holds under keys that they share.
struct Rest {
  std::size_t encoder = 0, decoder = 0, buckets = 0;
  std::uint32_t start = 0, farthest = 128;
  bool gated = false, tied = true;
};

Status add_numbers(const Hyper& hyper, const Rest& rest, const Package& from, Package& out) {
  std::vector<GgufContents::Pair> pairs;
  const std::string arch = rest.decoder > 0 ? "t5" : "t5encoder";
  pairs.push_back({"general.architecture", GgufValue::text(arch)});
  pairs.push_back({"general.type", GgufValue::text("model")});
  pairs.push_back({"general.name", GgufValue::text(TRY(describe(from)).name)});
  const auto count = [&](std::string_view key, std::uint64_t value) {
    pairs.push_back(
        {fmt::format("{}.{}", arch, key), GgufValue::of(static_cast<std::uint32_t>(value))});
  };
  count(keys::context.gguf, hyper.context);
  count(keys::dim.gguf, hyper.dim);
  count(keys::hidden.gguf, hyper.layers.front().hidden);
  count(keys::layers.gguf, rest.encoder);
  if (rest.decoder > 0) {
    count("decoder_block_count", rest.decoder);
    count("decoder_start_token_id", rest.start);
  }
  count(keys::heads.gguf, hyper.heads);
  count(keys::head_dim.gguf, hyper.head_dim);
  count(keys::value_dim.gguf, hyper.head_dim);
  count("attention.relative_buckets_count", rest.buckets);
  count(keys::vocabulary.gguf, hyper.vocab);
  pairs.push_back({fmt::format("{}.{}", arch, keys::rms_eps.gguf), GgufValue::of(hyper.norm_eps)});
  pairs.push_back({"general.file_type", GgufValue::of(file_type(out))});
  return add_made_metadata(out, std::move(pairs));
}

void add_config(const Hyper& hyper, const Rest& rest, Package& out) {
  const bool writes = rest.decoder > 0;
  Json json = Json::object(
      {{"architectures",
        Json(Json::Array{Json(writes ? "T5ForConditionalGeneration" : "T5EncoderModel")})},
       {"model_type", "t5"},
       {"d_model", hyper.dim},
       {"d_kv", hyper.head_dim},
       {"d_ff", hyper.layers.front().hidden},
       {"num_heads", hyper.heads},
       {"num_layers", rest.encoder},
       {"num_decoder_layers", writes ? rest.decoder : rest.encoder},
       {"relative_attention_num_buckets", rest.buckets},
       {"relative_attention_max_distance", rest.farthest},
       {"feed_forward_proj", rest.gated ? "gated-gelu" : "relu"},
       {"layer_norm_epsilon", Json(hyper.norm_eps)},
       {"vocab_size", hyper.vocab},
       {"n_positions", hyper.context},
       {"decoder_start_token_id", rest.start},
       {"eos_token_id", 1},
       {"pad_token_id", 0},
       {"is_encoder_decoder", writes},
       {"tie_word_embeddings", rest.tied}});
  out.config = std::move(json);
}

}  // namespace

Result<Translated> translate_t5(const Package& package, Naming naming) {
  const auto origin = std::make_shared<const Origin>(package, t5, TRY(read_hyper(package, t5)));
  const Package& from = origin->package;
  const Hyper& hyper = origin->hyper;
  const bool to_gguf = naming == Naming::gguf;
  const HyperSource source(from, hyper.arch);
  const char* gate =
      to_gguf ? "encoder.block.0.layer.1.DenseReluDense.wi_0.weight" : "enc.blk.0.ffn_gate.weight";
  Rest rest{.gated = from.find(gate) != nullptr};
  const auto projection = TRY(source.text({"", "feed_forward_proj"}));
  if (projection && *projection != "relu" && *projection != "gated-gelu" &&
      *projection != "gated-gelu_new")
    return Error(ErrorKind::unsupported,
                 fmt::format("feed_forward_proj = '{}': GGUF files say relu and gated-gelu alone",
                             *projection));
  rest.start =
      TRY(source.count({"decoder_start_token_id", "decoder_start_token_id"}, 0, hyper.vocab - 1))
          .value_or(0);
  rest.farthest =
      TRY(source.count({"", "relative_attention_max_distance"}, 1, 1u << 16)).value_or(128);

  Renaming renaming{from, to_gguf, rest.gated, {}, {}};
  for (const Names& names : whole) renaming.row(std::string(names.gguf), std::string(names.hf));
  rest.encoder = renaming.blocks(false);
  rest.decoder = t5_writes(from) ? renaming.blocks(true) : 0;
  for (const TensorEntry& entry : renaming.out) {
    if (entry.name.ends_with("attn_rel_b.weight") ||
        entry.name.ends_with("relative_attention_bias.weight"))
      rest.buckets = entry.shape.front();
    if (entry.name == "lm_head.weight") rest.tied = false;
  }

  Translated out{{}, {}};
  Package& made = out.package;
  made.naming = naming;
  made.path = from.path;
  made.format = to_gguf ? "gguf" : "safetensors";
  made.storage.push_back(origin);
  TRY(add_tensors(made, std::move(renaming.out)));
  for (const char* twice : {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"})
    renaming.used.insert(twice);  // the embedding, as older programs save it
  tell_unused(from, renaming.used, out.losses);
  if (to_gguf && rest.farthest != 128)
    out.losses.push_back(fmt::format("distances up to {}: GGUF files mean 128", rest.farthest));
  if (to_gguf) {
    TRY(add_numbers(hyper, rest, from, made));
    TRY(write_gguf_tokenizer(from, made, hyper.vocab, out.losses));
  } else {
    add_config(hyper, rest, made);
    TRY(write_folder_tokenizer(from, made, out.losses));
  }
  return out;
}

}  // namespace hearth::adapt
