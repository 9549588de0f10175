// The networks of the learned index: an encoder input-256-32 whose outputs have length one, and a
// decoder back.  Source: Weinberger and Saul 2009 (triplets); Kingma and Ba 2015 (Adam).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vectors/learned/products.h"

namespace hearth::vectors {

// y = x * transposed(weights) + bias, and after it max(y, 0) in hidden layers.
struct Layer {
  Table weights;  // [outputs, inputs]
  std::vector<float> bias;

  Layer() = default;
  // Weights and bias uniform within 1 / sqrt(inputs), from a fixed sequence.
  Layer(std::size_t inputs, std::size_t outputs, std::uint64_t& seed);
  Table forward(const Table& x) const;
};

struct Encoder {
  Layer hidden, output;
  // x: [n, inputs] -> [n, outputs], each row of length one.
  Table encode(const Table& x) const;
};

struct Autoencoder {
  Encoder encoder;
  Layer decoder_hidden, decoder_output;

  Autoencoder() = default;
  Autoencoder(std::size_t inputs, std::size_t hidden, std::size_t outputs, std::uint64_t seed);
  std::vector<std::span<float>> parameters();
};

// Loss of triplets: mean of max(|a - p + eps| - |a - n + eps| + margin, 0) over codes, plus
// `reconstruction` times the mean squared error of what the decoder makes of the codes.
struct LossOptions {
  float margin = 0.2f;
  float reconstruction = 0.1f;
};

struct Losses {
  float triplet = 0, reconstruction = 0;
  float total(const LossOptions& o) const { return triplet + o.reconstruction * reconstruction; }
};

// anchors, positives, negatives: [n, inputs].  Gradients in the order of parameters(); `gradients`
// null: only the losses.
Losses triplet_losses(const Autoencoder& net, const Table& anchors, const Table& positives,
                      const Table& negatives, const LossOptions& options,
                      std::vector<std::vector<float>>* gradients);

class Adam {
 public:
  explicit Adam(float rate = 0.001f) : rate_(rate) {}
  void step(std::span<const std::span<float>> parameters,
            const std::vector<std::vector<float>>& gradients);

 private:
  float rate_;
  std::size_t steps_ = 0;
  std::vector<std::vector<float>> mean_, square_;
};

// One step of the encoder that moves its output for x, [1, inputs], along `pull`, [outputs]; then
// each of its arrays is brought back to within `most` of the length of base's.
void turn_encoder(Encoder& encoder, const Encoder& base, const Table& x,
                  const std::vector<float>& pull, float most);

// Uniform in [-1, 1), the next of a sequence.
float next_uniform(std::uint64_t& seed);

}  // namespace hearth::vectors
