// Trunk: everything of a model but its text side, and the two ways to run it: a plain one that is
// slow and obvious, and a fast one on top of ops.  Both read the same data.
#pragma once

#include <span>
#include <stop_token>

#include "models/arena.h"
#include "models/model.h"
#include "models/rope_tables.h"
#include "models/weights.h"

namespace hearth::models {

// Immutable once loaded.
struct Trunk {
  const ArchSpec* spec = nullptr;
  Hyper hyper;
  Weights weights;
  RopeTables ropes;
  KvLayout kv;
  std::vector<std::uint8_t> rope_axes;  // [rotary_dims / 2], of grid positions; empty: none

  // The frequencies of one layer.
  bool uses_local_rope(std::size_t layer) const { return hyper.layers[layer].local; }
};

// The rows of one step.
struct Rows {
  std::span<const Token> tokens;             // [rows], all inside the vocabulary
  std::span<const std::uint32_t> positions;  // [rows]
  // Generators: where keys and values go.
  std::span<const ops::RowPlace> places;
  std::span<const ops::KvSequence> sequences;
  // Encoders: text s is rows [starts[s], starts[s + 1]).
  std::span<const std::size_t> starts;
  std::span<const std::uint8_t> types;    // [rows], of the type embedding; empty: all 0
  std::span<const std::uint32_t> wanted;  // rows whose result is wanted, ascending
  std::span<const RowInput> inputs = {};  // empty, or [rows]
  std::span<const std::span<const AdapterUse>> adapters = {};  // empty, or of each sequence
  // Where a layer guesses further tokens: as in Batch, and what the trunk makes of every row, its
  // last norm applied: [rows, dim].
  std::span<const float* const> before = {};
  View states = {};
};

// The last hidden state, output norm applied: hidden [wanted, dim].  Errors: cancelled.
Status run_plainly(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View hidden,
                   std::stop_token stop);
Status run_fast(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View hidden, Arena& arena,
                std::stop_token stop);

// logits: [hidden.rows, vocabulary]; hidden is overwritten by none of them.
void logits_plainly(ops::Context& ctx, const Trunk& trunk, View hidden, View logits);
void logits_fast(ops::Context& ctx, const Trunk& trunk, View hidden, View logits);

// The score of a pooled vector: pooler, activation, classifier.
float score(ops::Context& ctx, const Trunk& trunk, std::span<const float> pooled);

}  // namespace hearth::models
