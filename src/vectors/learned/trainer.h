// Training of the encoder: triplets of a row, one of its neighbours, and a row that is none of them
// but looks like one.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "vectors/learned/network.h"

namespace hearth::vectors {

// What turns a vector into 32 numbers and 32 bits.  Immutable once trained.
struct CodeModel {
  static constexpr std::size_t bits = 32;

  std::vector<float> mean;  // [dim]
  float scale = 1;          // the encoder sees (x - mean) * scale
  Encoder encoder;
  std::vector<float> thresholds;  // [bits]: a bit is set above it

  std::size_t dim() const { return mean.size(); }
  Table standardised(std::span<const float> rows) const;  // rows: [n, dim]
  std::uint32_t code(const float* embedding) const;
  // The memory that it takes.
  std::size_t bytes() const;
};

struct TrainingOptions {
  std::size_t hidden = 256, epochs = 100, batch = 128;
  float rate = 0.001f;
  LossOptions loss;
  std::size_t neighbours = 5;  // of a row, that count as positives
  std::size_t similar = 20;    // of its neighbours, that are never negatives
  std::size_t rivals = 512;    // rows looked through for the hardest negatives
  std::size_t patience = 3;    // epochs without gain before training ends
  std::uint64_t seed = 1;
};

struct TrainingProgress {
  std::size_t epoch, epochs;
  float loss;        // of the triplets, in this epoch
  float validation;  // share of the neighbours of held-out rows that the codes rank among the
                     // nearest twentieth
  double elapsed_seconds, eta_seconds;
};
using OnProgress = std::function<void(const TrainingProgress&)>;

constexpr std::size_t least_training_rows = 256;

// rows: [n, dim], a sample, n >= least_training_rows.  Errors: cancelled; invalid (too few rows).
Result<CodeModel> train_codes(std::span<const float> rows, std::size_t dim,
                              const TrainingOptions& options, std::stop_token stop,
                              const OnProgress& on_progress);

}  // namespace hearth::vectors
