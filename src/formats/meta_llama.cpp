// Source: the model.py of Meta's llama and llama3 repositories and of llama2.c; the key names of
// the GGUF specification.
#include "formats/meta_llama.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/huggingface.h"
#include "formats/limits.h"
#include "formats/llama_vocabulary.h"

namespace hearth {
namespace {

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

struct Renaming {
  std::string_view meta, gguf;
};
constexpr Renaming whole_names[] = {
    {"tok_embeddings.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"output.weight", "output.weight"},
};
constexpr Renaming layer_names[] = {
    {"attention.wq.weight", "attn_q.weight"},      {"attention.wk.weight", "attn_k.weight"},
    {"attention.wv.weight", "attn_v.weight"},      {"attention.wo.weight", "attn_output.weight"},
    {"attention_norm.weight", "attn_norm.weight"}, {"feed_forward.w1.weight", "ffn_gate.weight"},
    {"feed_forward.w2.weight", "ffn_down.weight"}, {"feed_forward.w3.weight", "ffn_up.weight"},
    {"ffn_norm.weight", "ffn_norm.weight"},
};

// Empty: not a weight of the model (tables of the rotation are computed).
std::optional<std::string> gguf_name(std::string_view name) {
  for (const Renaming& row : whole_names)
    if (name == row.meta) return std::string(row.gguf);
  if (name == "rope.freqs" || name.starts_with("freqs_")) return "";
  constexpr std::string_view layers = "layers.";
  if (!name.starts_with(layers)) return std::nullopt;
  name.remove_prefix(layers.size());
  const auto dot = name.find('.');
  if (dot == 0 || dot > 4) return std::nullopt;  // npos too
  if (name.substr(dot + 1).ends_with("inner_attention.rope.freqs")) return "";
  for (const Renaming& row : layer_names)
    if (name.substr(dot + 1) == row.meta)
      return fmt::format("blk.{}.{}", name.substr(0, dot), row.gguf);
  return std::nullopt;
}

Result<std::uint64_t> whole(const Json& params, std::string_view key) {
  const Json* held = params.find(key);
  if (held == nullptr || held->is_null())
    return corrupt(fmt::format("{} is missing: it stands in params.json or the checkpoint", key));
  if (!held->is_integer() || held->as_integer() < 1 || held->as_integer() > 1 << 30)
    return corrupt(fmt::format("{}: needs a whole number from 1", key));
  return static_cast<std::uint64_t>(held->as_integer());
}

std::optional<double> real(const Json& params, std::string_view key) {
  const Json* held = params.find(key);
  return held != nullptr && held->is_number() ? std::optional(held->as_number()) : std::nullopt;
}

// What no file of these models says.
std::uint64_t context_of(const Json& params, double theta, double eps) {
  if (const auto said = real(params, "max_seq_len"); said && *said >= 1 && *said < 1e9)
    return static_cast<std::uint64_t>(*said);
  const Json* scaled = params.find("use_scaled_rope");
  if (scaled != nullptr && scaled->is_bool() && scaled->as_bool()) return 131072;
  if (theta > 100'000) return 8192;  // Llama 3
  return eps < 5e-6 ? 2048 : 4096;   // Llama 1, Llama 2
}

// Divisors of the rotation's frequencies (Llama 3.1).  Source: apply_scaling of Meta's model.py.
TensorEntry rope_divisors(std::uint64_t rotated, double theta) {
  TensorEntry entry{
      .name = "rope_freqs.weight", .dtype = Dtype::f32, .shape = {rotated / 2}, .data = {}};
  entry.make = [rotated, theta] {
    constexpr double factor = 8, low = 1, high = 4, original = 8192;
    std::vector<std::byte> out(rotated / 2 * sizeof(float));
    for (std::uint64_t i = 0; i < rotated / 2; ++i) {
      const double exponent = static_cast<double>(2 * i) / static_cast<double>(rotated);
      const double wavelength = 2 * std::numbers::pi * std::pow(theta, exponent);
      const double smooth = (original / wavelength - low) / (high - low);
      double divisor = 1 / ((1 - smooth) / factor + smooth);
      if (wavelength < original / high) divisor = 1;
      if (wavelength > original / low) divisor = factor;
      const auto value = static_cast<float>(divisor);
      std::memcpy(out.data() + i * sizeof value, &value, sizeof value);
    }
    return Result<std::vector<std::byte>>(std::move(out));
  };
  return entry;
}

// [rows, columns] of a tensor that must be there.
Result<std::span<const std::uint64_t>> matrix(const Package& package, std::string_view name) {
  const TensorEntry* entry = package.find(name);
  if (entry == nullptr || entry->shape.size() != 2)
    return corrupt(fmt::format("{} is missing or no matrix", name));
  return std::span<const std::uint64_t>(entry->shape);
}

Result<std::vector<GgufContents::Pair>> pairs_of(const Package& package, const Json& params,
                                                 std::uint64_t layers) {
  const auto table = TRY(matrix(package, "token_embd.weight"));
  const auto gate = TRY(matrix(package, "blk.0.ffn_gate.weight"));
  const auto keys = TRY(matrix(package, "blk.0.attn_k.weight"));
  const auto queries = TRY(matrix(package, "blk.0.attn_q.weight"));
  const std::uint64_t heads = TRY(whole(params, "n_heads"));
  const std::uint64_t head_dim = queries[0] / heads;
  if (head_dim == 0 || queries[0] % heads != 0 || keys[0] % head_dim != 0)
    return corrupt(
        fmt::format("n_heads = {}: queries have {} rows, keys {}", heads, queries[0], keys[0]));
  const double theta = real(params, "rope_theta").value_or(10000);
  const double eps = real(params, "norm_eps").value_or(1e-5);
  const auto number = [](std::uint64_t value) {
    return GgufValue::of(static_cast<std::uint32_t>(value));
  };
  return std::vector<GgufContents::Pair>{
      {"general.architecture", GgufValue::text("llama")},
      {"llama.block_count", number(layers)},
      {"llama.embedding_length", number(table[1])},
      {"llama.vocab_size", number(table[0])},
      {"llama.feed_forward_length", number(gate[0])},
      {"llama.attention.head_count", number(heads)},
      {"llama.attention.head_count_kv", number(keys[0] / head_dim)},
      {"llama.attention.key_length", number(head_dim)},
      {"llama.attention.value_length", number(head_dim)},
      {"llama.rope.dimension_count", number(head_dim)},
      {"llama.context_length", number(context_of(params, theta, eps))},
      {"llama.rope.freq_base", GgufValue::of(static_cast<float>(theta))},
      {"llama.attention.layer_norm_rms_epsilon", GgufValue::of(static_cast<float>(eps))},
  };
}

// tokenizer.bin: the longest piece (u32), then score (f32), length (i32) and bytes of each; spaces
// stand for the mark of a word's beginning.  Source: llama2.c, tokenizer.py, export().
Result<std::vector<GgufContents::Pair>> read_llama2c_vocabulary(std::span<const std::byte> file,
                                                                std::uint64_t vocabulary) {
  ByteReader in(file);
  TRY(in.skip(sizeof(std::uint32_t)));
  TRY(in.expect_records(vocabulary, 2 * sizeof(std::uint32_t)));
  LlamaVocabulary pieces;
  for (std::uint64_t id = 0; id < vocabulary; ++id) {
    const auto score = TRY(in.value<float>());
    const auto size = TRY(in.value<std::int32_t>());
    if (size < 0)
      return corrupt(fmt::format("offset {}: a piece of {} bytes", in.position(), size));
    const std::string piece =
        with_marked_spaces(text_of(TRY(in.take(static_cast<std::uint64_t>(size)))));
    if (!std::isfinite(score)) return corrupt(fmt::format("piece {}: its score", id));
    pieces.add(piece, score, piece.size() == 6 && piece.starts_with("<0x") && piece.ends_with('>'));
  }
  if (in.remaining() > 0)
    return corrupt(fmt::format("offset {}: more pieces than {}", in.position(), vocabulary));
  return pieces.pairs();
}

}  // namespace

bool has_meta_names(std::span<const TensorEntry> tensors) {
  const auto has = [&](std::string_view name) {
    return std::ranges::any_of(tensors, [&](const TensorEntry& t) { return t.name == name; });
  };
  return has("tok_embeddings.weight") && has("layers.0.attention.wq.weight");
}

Status add_made_metadata(Package& package, std::vector<GgufContents::Pair> pairs) {
  const auto kept = std::make_shared<const std::vector<GgufContents::Pair>>(std::move(pairs));
  for (const auto& [key, value] : *kept)
    if (!package.metadata.add(key,
                              {value.type, value.is_array, value.count, bytes_of(value.bytes)}))
      return corrupt(fmt::format("'{}': twice", printable(key)));
  package.storage.push_back(kept);
  return Done{};
}

Status add_meta_llama(Package& package, std::vector<TensorEntry> tensors, const Json& params) {
  package.naming = Naming::gguf;
  std::vector<TensorEntry> renamed;
  std::uint64_t layers = 0;
  for (TensorEntry& tensor : tensors) {
    auto name = gguf_name(tensor.name);
    if (!name)
      return Error(ErrorKind::unsupported,
                   fmt::format("tensor '{}': not one of Llama's names", printable(tensor.name)));
    if (name->empty()) continue;
    layers += name->ends_with(".attn_q.weight") ? 1 : 0;
    tensor.name = std::move(*name);
    renamed.push_back(std::move(tensor));
  }
  TRY(add_tensors(package, std::move(renamed)));
  auto pairs = TRY(pairs_of(package, params, layers));
  const Json* scaled = params.find("use_scaled_rope");
  if (scaled != nullptr && scaled->is_bool() && scaled->as_bool()) {
    const auto queries = TRY(matrix(package, "blk.0.attn_q.weight"));
    std::vector<TensorEntry> divisors;
    divisors.push_back(rope_divisors(queries[0] / TRY(whole(params, "n_heads")),
                                     real(params, "rope_theta").value_or(10000)));
    TRY(add_tensors(package, std::move(divisors)));
  }
  return add_made_metadata(package, std::move(pairs));
}

Status add_meta_tokenizer(Package& package, const std::string& folder, std::uint64_t vocabulary) {
  for (const std::string& name :
       {std::string("tokenizer.model"), fmt::format("tok{}.model", vocabulary)}) {
    if (!is_file(join_path(folder, name))) continue;
    const auto file = TRY(MappedFile::open(join_path(folder, name)));
    // SentencePiece begins with a field of its own; lines of base64 are Llama 3's.
    const bool pieces = text_of(file->bytes()).starts_with('\n');
    package.files.emplace(pieces ? "tokenizer.model" : "tokenizer.tiktoken", file->bytes());
    package.storage.push_back(file);
    return Done{};
  }
  for (const std::string& name :
       {fmt::format("tok{}.bin", vocabulary), std::string("tokenizer.bin")}) {
    if (!is_file(join_path(folder, name))) continue;
    const auto file = TRY(MappedFile::open(join_path(folder, name)));
    auto pairs = read_llama2c_vocabulary(file->bytes(), vocabulary);
    if (!pairs) return std::move(pairs).error().within(name);
    return add_made_metadata(package, std::move(*pairs));
  }
  return Done{};
}

}  // namespace hearth
