// What a Whisper is made of; for whisper.cpp and whisper_load.cpp.
#pragma once

#include "ops/matrix.h"
#include "speech/whisper.h"

namespace hearth::speech {

struct Norm {
  std::vector<float> weight, bias;
};
struct Linear {
  ops::Matrix matrix;
  std::vector<float> bias;  // empty: none
};
struct AttentionWeights {
  Linear q, k, v, out;
};
struct EncoderLayer {
  Norm attention_norm, mlp_norm;
  AttentionWeights attention;
  Linear up, down;
};
struct DecoderLayer {
  Norm attention_norm, cross_norm, mlp_norm;
  AttentionWeights attention, cross;
  Linear up, down;
};

struct Whisper::Parts {
  Package package;  // keeps the storage that weights point into
  std::vector<std::shared_ptr<const std::vector<std::byte>>> made;  // of weights put together
  WhisperSizes sizes;
  ModelInfo info;
  Codes codes;
  std::unique_ptr<Tokenizer> tokenizer;
  KvLayout kv;

  Linear conv1, conv2;                                      // [dim, channels * 3]
  std::vector<float> encoder_positions, decoder_positions;  // [positions, dim]
  Norm encoder_norm, decoder_norm;
  std::vector<EncoderLayer> encoder;
  std::vector<DecoderLayer> decoder;
  ops::StoredMatrix embedding{};  // [vocabulary, dim]
  ops::Matrix output;             // the same, or a matrix of its own
};

// Memory of one window: keys and values of its sound and of its text.
std::uint64_t window_bytes(const WhisperSizes& sizes, const KvLayout& kv);

}  // namespace hearth::speech
