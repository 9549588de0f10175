// What T5 is made of.
#pragma once

#include <memory>
#include <vector>

#include "models/dense_heads.h"
#include "models/hyper.h"
#include "models/model.h"
#include "ops/matrix.h"

namespace hearth::models {

struct T5Attention {
  std::vector<float> norm;  // of what reads, before
  ops::Matrix q, k, v, out;
};

struct T5Block {
  T5Attention self, cross;  // cross: the decoder's alone
  std::vector<float> mlp_norm;
  ops::Matrix gate, up, down;  // gate: of gated ones
};

struct T5Stack {
  std::vector<T5Block> blocks;
  std::vector<float> norm;  // behind the last
  // Added to scores: [2 * farthest + 1][heads], by how far behind who looks the seen row stands.
  std::vector<float> distance;
};

struct T5Parts {
  Package package;  // keeps the storage that weights point into
  std::vector<std::vector<std::byte>> made;
  ModelInfo info;
  KvLayout kv;
  std::uint32_t heads = 0, head_dim = 0, dim = 0, buckets = 0, farthest = 0;
  float eps = 1e-6f;
  bool gated = false, scaled_output = false;  // tied outputs are divided by the root of dim
  ops::Activation activation = ops::Activation::relu;
  Token start = 0, end = 1;  // of the decoder, of a text

  ops::StoredMatrix embedding{};
  ops::Matrix output;
  T5Stack encoder, decoder;

  std::vector<DenseHead> dense;  // of embedders

  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<ChatFormat> chat_format;
  std::string chat_template_source;

  std::size_t inner() const { return std::size_t{heads} * head_dim; }
};

Result<std::unique_ptr<T5Parts>> load_t5_parts(ops::Context& ctx, const Package& package,
                                               const LoadOptions& options);

}  // namespace hearth::models
