// CTranslate2 folders of llama-like decoders: model.bin with config.json and vocabulary.json.
// Source: CTranslate2's documentation ("Model structure", "Quantization") and the binary format its
// converters write, version 6.
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/format.h"
#include "formats/huggingface.h"
#include "formats/limits.h"
#include "formats/requantise.h"

namespace hearth {
namespace {

constexpr std::string_view file_of_model = "model.bin";
constexpr std::uint32_t least_version = 5, most_version = 6;

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }
Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

// Length with the NUL behind it, which is left out.
Result<std::string> read_name(ByteReader& in) {
  const auto size = TRY(in.value<std::uint16_t>());
  const std::string_view text = text_of(TRY(in.take(size)));
  if (!text.ends_with('\0')) return corrupt(fmt::format("offset {}: a name's end", in.position()));
  return std::string(text.substr(0, text.size() - 1));
}

Result<TensorEntry> read_variable(ByteReader& in) {
  TensorEntry entry{.name = TRY(read_name(in)), .dtype = Dtype::f32, .shape = {}, .data = {}};
  const auto within = [&](std::string what) {
    return corrupt(fmt::format("variable '{}': {}", printable(entry.name), what));
  };
  const auto rank = TRY(in.value<std::uint8_t>());
  if (rank > limits::safetensors_rank) return within(fmt::format("rank {}", rank));
  std::uint64_t elements = 1;
  for (std::uint8_t i = 0; i < rank; ++i) {
    entry.shape.push_back(TRY(in.value<std::uint32_t>()));
    elements = TRY(checked_mul(elements, entry.shape.back()));
  }
  static constexpr Dtype types[] = {Dtype::f32, Dtype::i8,  Dtype::i16,
                                    Dtype::i32, Dtype::f16, Dtype::bf16};
  const auto type = TRY(in.value<std::uint8_t>());
  if (type >= std::size(types))
    return unsupported(fmt::format("variable '{}': type {}", printable(entry.name), type));
  entry.dtype = types[type];
  const auto bytes = TRY(in.value<std::uint32_t>());
  // Of more than 4 GiB the low bits stand there: the shape counts.
  const std::uint64_t wanted = TRY(byte_size(entry.dtype, elements));
  if (static_cast<std::uint32_t>(wanted) != bytes)
    return within(fmt::format("{} bytes, its shape needs {}", bytes, wanted));
  entry.data = TRY(in.take(wanted));
  return entry;
}

Status read_variables(ByteReader& in, Package& package, const MappedFile& file) {
  const auto count = TRY(in.value<std::uint32_t>());
  if (count > limits::safetensors_tensors) return corrupt(fmt::format("{} variables", count));
  std::vector<TensorEntry> tensors;
  for (std::uint32_t i = 0; i < count; ++i) tensors.push_back(TRY(read_variable(in)));
  TRY(add_tensors(package, std::move(tensors), &file));
  const auto aliases = TRY(in.value<std::uint32_t>());
  if (aliases > limits::safetensors_tensors) return corrupt(fmt::format("{} aliases", aliases));
  std::vector<TensorEntry> more;
  for (std::uint32_t i = 0; i < aliases; ++i) {
    const std::string name = TRY(read_name(in)), of = TRY(read_name(in));
    const TensorEntry* held = package.find(of);
    if (held == nullptr)
      return corrupt(
          fmt::format("'{}' stands for '{}', which is missing", printable(name), printable(of)));
    more.push_back(*held);
    more.back().name = name;
  }
  if (in.remaining() > 0)
    return corrupt(fmt::format("offset {}: bytes after the last alias", in.position()));
  return add_tensors(package, std::move(more), &file);
}

// A number that is a variable; nullopt: not there.
std::optional<double> scalar(const Package& package, std::string_view name) {
  const TensorEntry* entry = package.find(name);
  if (entry == nullptr || entry->elements() != 1) return std::nullopt;
  ByteReader in(entry->data);
  switch (entry->dtype) {
    case Dtype::i8:
      return *in.value<std::int8_t>();
    case Dtype::i16:
      return *in.value<std::int16_t>();
    case Dtype::i32:
      return *in.value<std::int32_t>();
    default:
      return Floats::can_read(*entry) ? std::optional<double>(Floats(*entry)[0]) : std::nullopt;
  }
}

// Weights of a linear layer: floats, or bytes that a factor of each row was multiplied into.
Result<TensorEntry> linear(const Package& package, const std::string& name) {
  const TensorEntry* codes = package.find(name + "/weight");
  if (codes == nullptr || codes->shape.size() != 2)
    return corrupt(fmt::format("{}/weight is missing or no matrix", printable(name)));
  if (Floats::can_read(*codes)) return *codes;
  const TensorEntry* factors = package.find(name + "/weight_scale");
  if (codes->dtype != Dtype::i8)
    return unsupported(fmt::format("{}/weight is stored as {}: we read floats and int8",
                                   printable(name), name_of(codes->dtype)));
  if (factors == nullptr || !Floats::can_read(*factors) || factors->elements() != codes->shape[0] ||
      codes->elements() == 0)
    return corrupt(fmt::format("{}/weight_scale: needs a factor of each row", printable(name)));
  CodedMatrix matrix{.rows = codes->shape[0],
                     .columns = codes->shape[1],
                     .group = codes->shape[1],
                     .bits = 8,
                     .symmetric = true,
                     .read = {}};
  matrix.read = [data = codes->data, factors = Floats(*factors), columns = codes->shape[1]](
                    std::uint64_t row, CodeRow& out) {
    for (std::uint64_t k = 0; k < columns; ++k)
      out.codes[k] = std::to_integer<std::uint8_t>(data[row * columns + k]) ^ 0x80;
    out.scales[0] = 1 / factors[row];
    out.zeros[0] = 128;
    out.shifts[0] = 0;
  };
  return coded_tensor(name + "/weight", std::move(matrix));
}

// Rows [first, first + count) under another name.
TensorEntry rows_of(const TensorEntry& entry, std::string name, std::uint64_t first,
                    std::uint64_t count) {
  TensorEntry out = entry;
  out.name = std::move(name);
  const std::uint64_t row_bytes = entry.bytes() / entry.shape[0];
  out.shape[0] = count;
  if (entry.make)
    out.make = [make = entry.make, begin = first * row_bytes,
                bytes = count * row_bytes]() -> Result<std::vector<std::byte>> {
      const auto whole = TRY(make());
      const auto from = whole.begin() + static_cast<std::ptrdiff_t>(begin);
      return std::vector<std::byte>(from, from + static_cast<std::ptrdiff_t>(bytes));
    };
  else
    out.data = entry.data.subspan(first * row_bytes, count * row_bytes);
  return out;
}

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

Result<Package> read_ctranslate2(const Source& source) {
  const std::string folder = source.is_folder() ? source.path : parent_folder(source.path);
  const auto file =
      source.is_folder() ? TRY(MappedFile::open(join_path(folder, file_of_model))) : source.file;
  ByteReader in(file->bytes());
  const auto version = TRY(in.value<std::uint32_t>());
  if (version < least_version || version > most_version)
    return unsupported(fmt::format("version {} of CTranslate2's files", version));
  const std::string spec = TRY(read_name(in));
  TRY(in.value<std::uint32_t>());  // its revision
  if (spec != "TransformerDecoderSpec" && spec != "TransformerDecoderModelSpec")
    return unsupported(
        fmt::format("a CTranslate2 model of kind {}: we read decoders", printable(spec)));
  Package model;
  TRY(read_variables(in, model, *file));
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

  Package package;
  package.naming = Naming::huggingface;
  package.format = "ctranslate2";
  package.file_bytes = file->bytes().size();
  package.storage.push_back(file);
  TRY(add_surroundings(package, folder));
  package.config = config_of(model, sizes, package.config);
  TRY(add_tensors(package, std::move(tensors), file.get()));
  return package;
}

bool is_ctranslate2(const Source& source) {
  if (!source.is_folder()) {
    const std::string_view text = source.text();
    return file_name(source.path) == file_of_model && text.size() > 32 &&
           text.substr(6, 11) == "Transformer";
  }
  const auto names = list_folder(source.path);
  return names && std::ranges::find(*names, file_of_model) != names->end() &&
         std::ranges::any_of(*names, [](const std::string& name) {
           return name.starts_with("vocabulary.") || name.starts_with("source_vocabulary.");
         });
}

}  // namespace

extern const Format ctranslate2_format;
const Format ctranslate2_format{
    .name = "ctranslate2", .recognises = is_ctranslate2, .read = read_ctranslate2};

}  // namespace hearth
