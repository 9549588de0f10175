#include "library/sample_model.h"

#include <fmt/core.h>

#include <array>
#include <cstring>
#include <utility>

#include "base/pages.h"
#include "library/library.h"

namespace hearth {
namespace {

// Those of Qwen2.5 0.5B: rows as short as they come, for which a layer takes longest beside
// reading.
constexpr std::uint32_t dim = 896, wide = 4864, heads = 14, kv_heads = 2, layers = 8;
constexpr std::uint32_t kv_dim = dim / heads * kv_heads;

struct Number {
  const char* key;
  std::uint32_t value;
};
constexpr std::array<Number, 6> numbers{{{"llama.embedding_length", dim},
                                         {"llama.block_count", layers},
                                         {"llama.feed_forward_length", wide},
                                         {"llama.attention.head_count", heads},
                                         {"llama.attention.head_count_kv", kv_heads},
                                         {"llama.rope.dimension_count", dim / heads}}};

constexpr struct {
  const char* name;
  std::uint32_t rows, columns;
} layer_matrices[] = {{"attn_q", dim, dim},      {"attn_k", kv_dim, dim}, {"attn_v", kv_dim, dim},
                      {"attn_output", dim, dim}, {"ffn_gate", wide, dim}, {"ffn_up", wide, dim},
                      {"ffn_down", dim, wide}};

// What the tensors' views point into.
struct Weights {
  PageBuffer codes;
  std::vector<float> ones = std::vector<float>(dim, 1.0f);
};

// Blocks of Q8_0: a scale of 2^-10, so that numbers stay ordinary, and 32 codes.
void fill(std::span<std::byte> bytes) {
  const std::size_t block = info(Dtype::q8_0).block_bytes;
  std::uint64_t state = 1;
  for (std::size_t i = 0; i + sizeof state <= bytes.size(); i += sizeof state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::memcpy(bytes.data() + i, &state, sizeof state);
  }
  constexpr std::uint16_t scale = 0x1400;
  for (std::size_t i = 0; i + block <= bytes.size(); i += block)
    std::memcpy(bytes.data() + i, &scale, sizeof scale);
}

Metadata metadata_of(const Metadata& words) {
  Metadata made;
  for (const Number& number : numbers)
    made.add(number.key,
             {.type = MetaType::u32, .bytes = std::as_bytes(std::span(&number.value, 1))});
  for (const Metadata::Entry& entry : words.entries()) made.add(entry.key, entry.value);
  return made;
}

}  // namespace

Result<Package> make_sample_model() {
  const Package words = TRY(open_reference(std::string(builtin_chat)));
  const std::uint64_t vocabulary = TRY(words.metadata.strings("tokenizer.ggml.tokens")).size();
  std::vector<TensorEntry> tensors;
  const auto add = [&](std::string name, Dtype dtype, std::vector<std::uint64_t> shape) {
    tensors.push_back(
        {.name = std::move(name), .dtype = dtype, .shape = std::move(shape), .data = {}});
  };
  add("token_embd.weight", Dtype::q8_0, {vocabulary, dim});
  add("output_norm.weight", Dtype::f32, {dim});
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    for (const char* norm : {"attn_norm", "ffn_norm"})
      add(fmt::format("blk.{}.{}.weight", layer, norm), Dtype::f32, {dim});
    for (const auto& matrix : layer_matrices)
      add(fmt::format("blk.{}.{}.weight", layer, matrix.name), Dtype::q8_0,
          {matrix.rows, matrix.columns});
  }
  std::uint64_t bytes = 0;
  for (const TensorEntry& tensor : tensors)
    if (tensor.dtype == Dtype::q8_0) bytes += tensor.bytes();
  auto weights = std::make_shared<Weights>();
  weights->codes = TRY(PageBuffer::allocate(bytes));
  std::span<std::byte> left(weights->codes.data(), bytes);
  fill(left);
  for (TensorEntry& tensor : tensors) {
    if (tensor.dtype != Dtype::q8_0) {
      tensor.data = std::as_bytes(std::span(weights->ones));
      continue;
    }
    tensor.data = left.first(tensor.bytes());
    left = left.subspan(tensor.bytes());
  }
  Package package;
  package.format = "gguf";
  package.path = "sample";
  package.metadata = metadata_of(words.metadata);
  package.file_bytes = bytes;
  package.storage = words.storage;
  package.storage.push_back(std::move(weights));
  TRY(add_tensors(package, std::move(tensors)));
  return package;
}

}  // namespace hearth
