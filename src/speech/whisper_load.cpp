// From a package to a Whisper that runs.  Tensors have the names of Hugging Face's folders or those
// of OpenAI's own checkpoints, which whisper.cpp's files keep.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>

#include "models/hyper_source.h"
#include "models/tensors.h"
#include "models/values.h"
#include "speech/whisper_parts.h"

namespace hearth::speech {
namespace {

using models::HyperSource;

constexpr std::string_view prefixes[] = {"model.", "", "model_state_dict."};

struct Renaming {
  std::string_view ours, openai;
};
// In this order: the longer before what they hold.
constexpr Renaming renamings[] = {
    {".layers.", ".blocks."},
    {"self_attn_layer_norm", "attn_ln"},
    {"encoder_attn_layer_norm", "cross_attn_ln"},
    {"final_layer_norm", "mlp_ln"},
    {"encoder.layer_norm", "encoder.ln_post"},
    {"decoder.layer_norm", "decoder.ln"},
    {"self_attn.", "attn."},
    {"encoder_attn.", "cross_attn."},
    {"q_proj", "query"},
    {"k_proj", "key"},
    {"v_proj", "value"},
    {"out_proj", "out"},
    {"fc1", "mlp.0"},
    {"fc2", "mlp.2"},
    {"embed_positions.weight", "positional_embedding"},
    {"embed_tokens", "token_embedding"},
};

std::string openai_name(std::string name) {
  for (const Renaming& row : renamings)
    if (const auto at = name.find(row.ours); at != name.npos)
      name.replace(at, row.ours.size(), row.openai);
  return name;
}

const TensorEntry* find(const Package& package, const std::string& name) {
  for (const std::string& each : {name, openai_name(name)})
    for (const std::string_view prefix : prefixes)
      if (const TensorEntry* entry = package.find(std::string(prefix) + each)) return entry;
  return nullptr;
}

bool has_whisper_config(const Package& package) {
  const Json* type = package.config.find("model_type");
  return type != nullptr && type->is_string() && type->as_string() == "whisper";
}

// What OpenAI's checkpoints do not say in words, from the shapes of their tensors.
Result<Json> config_of_shapes(const Package& package) {
  const auto shape = [&](const char* name) {
    const TensorEntry* entry = find(package, name);
    return entry != nullptr && entry->shape.size() >= 2 ? entry->shape
                                                        : std::vector<std::uint64_t>{0, 0};
  };
  const auto layers = [&](std::string_view side) {
    std::uint64_t count = 0;
    while (count < 1024 &&
           find(package, fmt::format("{}.layers.{}.fc1.weight", side, count)) != nullptr)
      ++count;
    return count;
  };
  constexpr std::uint64_t head_dim = 64;  // of all that were published
  const auto conv = shape("encoder.conv1.weight"), up = shape("encoder.layers.0.fc1.weight"),
             tokens = shape("decoder.embed_tokens.weight");
  return Json::object({{"model_type", "whisper"},
                       {"d_model", conv[0]},
                       {"num_mel_bins", conv[1]},
                       {"vocab_size", tokens[0]},
                       {"max_source_positions", shape("encoder.embed_positions.weight")[0]},
                       {"max_target_positions", shape("decoder.embed_positions.weight")[0]},
                       {"encoder_layers", layers("encoder")},
                       {"decoder_layers", layers("decoder")},
                       {"encoder_attention_heads", conv[0] / head_dim},
                       {"decoder_attention_heads", conv[0] / head_dim},
                       {"encoder_ffn_dim", up[0]},
                       {"decoder_ffn_dim", up[0]}});
}

// Finds tensors, checks their shapes, and prepares matrices together.
struct Loader {
  ops::Context& ctx;
  Whisper::Parts& parts;
  struct Wanted {
    ops::Matrix* matrix;
    ops::StoredMatrix stored;
  };
  std::vector<Wanted> wanted = {};

  Result<const TensorEntry*> needed(const std::string& name) const;
  Result<std::vector<float>> values(const std::string& name, std::uint64_t count) const;
  Status norm(const std::string& name, Norm& out) const;
  Result<ops::StoredMatrix> stored(const std::string& name, std::uint64_t rows,
                                   std::uint64_t columns);
  Status linear(const std::string& name, std::uint64_t rows, std::uint64_t columns, bool has_bias,
                Linear& out);
  Status attention(const std::string& name, AttentionWeights& out);
  Status prepare();
};

Result<const TensorEntry*> Loader::needed(const std::string& name) const {
  const TensorEntry* entry = find(parts.package, name);
  if (entry == nullptr) return Error(ErrorKind::corrupt, name + " is missing");
  return entry;
}

Result<std::vector<float>> Loader::values(const std::string& name, std::uint64_t count) const {
  const TensorEntry* entry = TRY(needed(name));
  if (entry->elements() != count)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} has {} elements: needs {}", name, entry->elements(), count));
  return models::read_floats(*entry);
}

Status Loader::norm(const std::string& name, Norm& out) const {
  out.weight = TRY(values(name + ".weight", parts.sizes.dim));
  out.bias = TRY(values(name + ".bias", parts.sizes.dim));
  return Done{};
}

Result<ops::StoredMatrix> Loader::stored(const std::string& name, std::uint64_t rows,
                                         std::uint64_t columns) {
  const TensorEntry* entry = TRY(needed(name));
  if (entry->shape.empty() || entry->shape[0] != rows || entry->elements() != rows * columns)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} is {}: needs {} rows of {}", name,
                             models::text_of_shape(entry->shape), rows, columns));
  if (info(entry->dtype).gguf_id < 0 ||
      (!models::is_float(entry->dtype) && !is_quantised(entry->dtype)))
    return Error(ErrorKind::unsupported,
                 fmt::format("{} is stored as {}: we multiply floats and quantised blocks", name,
                             name_of(entry->dtype)));
  if (columns % info(entry->dtype).block_elements != 0)
    return Error(ErrorKind::corrupt,
                 fmt::format("{}: rows of {} are not whole blocks", name, columns));
  ops::StoredMatrix matrix{entry->dtype, rows, columns, entry->data, entry->file_mapped};
  if (entry->make) {
    parts.made.push_back(std::make_shared<const std::vector<std::byte>>(TRY(entry->make())));
    matrix.data = *parts.made.back();
    matrix.file_mapped = false;
  }
  return matrix;
}

Status Loader::linear(const std::string& name, std::uint64_t rows, std::uint64_t columns,
                      bool has_bias, Linear& out) {
  wanted.push_back({&out.matrix, TRY(stored(name + ".weight", rows, columns))});
  if (has_bias) out.bias = TRY(values(name + ".bias", rows));
  return Done{};
}

Status Loader::attention(const std::string& name, AttentionWeights& out) {
  const std::uint64_t dim = parts.sizes.dim;
  TRY(linear(name + ".q_proj", dim, dim, true, out.q));
  TRY(linear(name + ".k_proj", dim, dim, false, out.k));
  TRY(linear(name + ".v_proj", dim, dim, true, out.v));
  return linear(name + ".out_proj", dim, dim, true, out.out);
}

Status Loader::prepare() {
  std::vector<ops::StoredMatrix> all;
  for (const Wanted& each : wanted) all.push_back(each.stored);
  std::vector<ops::Matrix> matrices = TRY(ops::Matrix::prepare_all(ctx, all));
  const bool borrows = std::ranges::any_of(matrices, &ops::Matrix::borrows);
  for (std::size_t i = 0; i < wanted.size(); ++i) *wanted[i].matrix = std::move(matrices[i]);
  wanted.clear();
  if (!borrows) parts.made.clear();
  return Done{};
}

Status load_encoder(Loader& loader, const std::function<Status(double)>& tell) {
  Whisper::Parts& parts = loader.parts;
  const WhisperSizes& sizes = parts.sizes;
  TRY(loader.linear("encoder.conv1", sizes.dim, std::uint64_t{3} * sizes.mels, true, parts.conv1));
  TRY(loader.linear("encoder.conv2", sizes.dim, std::uint64_t{3} * sizes.dim, true, parts.conv2));
  parts.encoder_positions = TRY(loader.values("encoder.embed_positions.weight",
                                              std::uint64_t{sizes.source_positions} * sizes.dim));
  TRY(loader.norm("encoder.layer_norm", parts.encoder_norm));
  parts.encoder.resize(sizes.encoder_layers);
  for (std::uint32_t i = 0; i < sizes.encoder_layers; ++i) {
    const std::string name = fmt::format("encoder.layers.{}", i);
    EncoderLayer& layer = parts.encoder[i];
    TRY(loader.attention(name + ".self_attn", layer.attention));
    TRY(loader.norm(name + ".self_attn_layer_norm", layer.attention_norm));
    TRY(loader.norm(name + ".final_layer_norm", layer.mlp_norm));
    TRY(loader.linear(name + ".fc1", sizes.encoder_hidden, sizes.dim, true, layer.up));
    TRY(loader.linear(name + ".fc2", sizes.dim, sizes.encoder_hidden, true, layer.down));
    TRY(loader.prepare());
    TRY(tell(i + 1));
  }
  return Done{};
}

// The table of tokens is read row by row and multiplied with as a whole.
Status load_tokens(Loader& loader) {
  Whisper::Parts& parts = loader.parts;
  const WhisperSizes& sizes = parts.sizes;
  parts.embedding = TRY(loader.stored("decoder.embed_tokens.weight", sizes.vocabulary, sizes.dim));
  auto embedding_bytes = std::move(parts.made);
  parts.made.clear();
  parts.embedding.file_mapped = false;  // it is read again and again
  ops::StoredMatrix output = parts.embedding;
  if (parts.package.find("proj_out.weight") != nullptr)
    output = TRY(loader.stored("proj_out.weight", sizes.vocabulary, sizes.dim));
  loader.wanted.push_back({&parts.output, output});
  TRY(loader.prepare());
  for (auto& bytes : embedding_bytes) parts.made.push_back(std::move(bytes));
  return Done{};
}

Status load_decoder(Loader& loader, const std::function<Status(double)>& tell) {
  Whisper::Parts& parts = loader.parts;
  const WhisperSizes& sizes = parts.sizes;
  parts.decoder_positions = TRY(loader.values("decoder.embed_positions.weight",
                                              std::uint64_t{sizes.target_positions} * sizes.dim));
  TRY(loader.norm("decoder.layer_norm", parts.decoder_norm));
  parts.decoder.resize(sizes.decoder_layers);
  for (std::uint32_t i = 0; i < sizes.decoder_layers; ++i) {
    const std::string name = fmt::format("decoder.layers.{}", i);
    DecoderLayer& layer = parts.decoder[i];
    TRY(loader.attention(name + ".self_attn", layer.attention));
    TRY(loader.attention(name + ".encoder_attn", layer.cross));
    TRY(loader.norm(name + ".self_attn_layer_norm", layer.attention_norm));
    TRY(loader.norm(name + ".encoder_attn_layer_norm", layer.cross_norm));
    TRY(loader.norm(name + ".final_layer_norm", layer.mlp_norm));
    TRY(loader.linear(name + ".fc1", sizes.decoder_hidden, sizes.dim, true, layer.up));
    TRY(loader.linear(name + ".fc2", sizes.dim, sizes.decoder_hidden, true, layer.down));
    TRY(loader.prepare());
    TRY(tell(sizes.encoder_layers + i + 1));
  }
  return load_tokens(loader);
}

KvLayout kv_of(const WhisperSizes& sizes, Dtype dtype) {
  KvLayout layout;
  const std::uint32_t head_dim = sizes.dim / sizes.decoder_heads;
  for (std::uint32_t i = 0; i < sizes.decoder_layers; ++i) {
    layout.layers.push_back({sizes.decoder_heads, head_dim, head_dim, dtype, layout.page_bytes});
    layout.page_bytes += layout.layers.back().bytes();
  }
  return layout;
}

// The type that most weights have.
Dtype main_dtype(const Package& package) {
  std::map<Dtype, std::uint64_t> counts;
  for (const TensorEntry& entry : package.tensors) counts[entry.dtype] += entry.elements();
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& pair) { return pair.second; });
  return most == counts.end() ? Dtype::f32 : most->first;
}

Dtype standard_kv_dtype(const Package& package) {
  return main_dtype(package) == Dtype::f32 ? Dtype::f32 : Dtype::f16;
}

std::string title_of(const Package& package) {
  const Json* name = package.config.find("_name_or_path");
  if (name != nullptr && name->is_string() && !name->as_string().empty())
    return file_name(name->as_string());
  return file_name(package.path);
}

}  // namespace

bool is_whisper(const Package& package) {
  if (has_whisper_config(package)) return true;
  return package.config.is_null() && find(package, "encoder.conv1.weight") != nullptr &&
         find(package, "decoder.layers.0.encoder_attn.q_proj.weight") != nullptr &&
         find(package, "decoder.embed_tokens.weight") != nullptr;
}

Result<WhisperSizes> sizes_of(const Package& package) {
  if (!is_whisper(package)) return Error(ErrorKind::unsupported, "not a Whisper model");
  const Json config = has_whisper_config(package) ? package.config : TRY(config_of_shapes(package));
  const HyperSource source(package, "whisper", config);
  constexpr std::uint32_t most = 1 << 16;
  const struct {
    std::string_view key;
    std::uint32_t WhisperSizes::* size;
    std::uint32_t max;
  } rows[] = {
      {"d_model", &WhisperSizes::dim, most},
      {"vocab_size", &WhisperSizes::vocabulary, 1 << 24},
      {"num_mel_bins", &WhisperSizes::mels, 512},
      {"encoder_layers", &WhisperSizes::encoder_layers, 1024},
      {"encoder_attention_heads", &WhisperSizes::encoder_heads, 1024},
      {"encoder_ffn_dim", &WhisperSizes::encoder_hidden, 1 << 20},
      {"decoder_layers", &WhisperSizes::decoder_layers, 1024},
      {"decoder_attention_heads", &WhisperSizes::decoder_heads, 1024},
      {"decoder_ffn_dim", &WhisperSizes::decoder_hidden, 1 << 20},
      {"max_source_positions", &WhisperSizes::source_positions, most},
      {"max_target_positions", &WhisperSizes::target_positions, most},
  };
  WhisperSizes sizes;
  for (const auto& row : rows)
    sizes.*row.size = TRY(source.required_count({"", row.key}, 1, row.max));
  if (sizes.dim % sizes.encoder_heads != 0 || sizes.dim % sizes.decoder_heads != 0)
    return Error(ErrorKind::corrupt, "config.json: heads do not divide d_model");
  if (sizes.target_positions < 8)
    return Error(ErrorKind::corrupt, "config.json: max_target_positions: needs 8 or more");
  return sizes;
}

Result<ModelInfo> describe_whisper(const Package& package) {
  const WhisperSizes sizes = TRY(sizes_of(package));
  ModelInfo info;
  info.name = title_of(package);
  info.architecture = "whisper";
  info.kind = ModelKind::transcriber;
  for (const TensorEntry& entry : package.tensors) {
    info.parameters += entry.elements();
    info.weight_bytes += entry.bytes();
  }
  info.quantisation = name_of(main_dtype(package));
  info.context_length = sizes.target_positions;
  info.vocabulary = sizes.vocabulary;
  info.dim = sizes.dim;
  info.layers = sizes.encoder_layers + sizes.decoder_layers;
  info.heads = info.kv_heads = sizes.decoder_heads;
  info.file_bytes = package.file_bytes;
  const KvLayout kv = kv_of(sizes, standard_kv_dtype(package));
  info.kv_bytes_per_token =
      (window_bytes(sizes, kv) + sizes.target_positions - 1) / sizes.target_positions;
  return info;
}

Result<std::shared_ptr<const Whisper>> Whisper::load(ops::Context& ctx, const Package& package,
                                                     const WhisperOptions& options) {
  auto owned = std::make_unique<Parts>();
  Parts& parts = *owned;
  parts.package = package;
  parts.sizes = TRY(sizes_of(package));
  parts.info = TRY(describe_whisper(package));
  auto tokenizer = load_tokenizer(package);
  if (!tokenizer) return std::move(tokenizer).error().within(package.path);
  parts.tokenizer = *std::move(tokenizer);
  parts.codes = TRY(read_codes(package, *parts.tokenizer, parts.sizes.vocabulary));
  if (parts.codes.first_timestamp() >= static_cast<Token>(parts.sizes.vocabulary))
    return Error(ErrorKind::corrupt, "no_timestamps_token_id lies at the vocabulary's end");
  parts.kv = kv_of(parts.sizes, options.kv_dtype.value_or(standard_kv_dtype(package)));
  Loader loader{ctx, parts};
  const double steps = parts.sizes.encoder_layers + parts.sizes.decoder_layers + 1;
  const auto tell = [&](double done) -> Status {
    if (options.stop.stop_requested()) return Error(ErrorKind::cancelled, "loading was stopped");
    if (options.progress) options.progress(done / steps);
    return Done{};
  };
  TRY(load_encoder(loader, tell));
  TRY(load_decoder(loader, tell));
  if (options.progress) options.progress(1);
  return std::shared_ptr<const Whisper>(new Whisper(std::move(owned)));
}

}  // namespace hearth::speech
