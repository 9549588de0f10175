// Mixers: the recurrent parts of layers, on kernels.  Each keeps a state per sequence, which is
// read and written in place: MixerHyper says what it holds.
#pragma once

#include "models/trunk.h"

namespace hearth::models {

// Consecutive rows of one sequence.
struct RowRun {
  std::size_t first, count;
  float* state;              // of the layer
  std::size_t guesses = 0;   // the last so many rows
  float* certain = nullptr;  // where guesses > 0: the state before them is copied here

  std::size_t certain_rows() const { return count - guesses; }
};

// The run that begins with row i; its count is 1.
RowRun run_from(const Trunk& trunk, std::size_t layer, const Rows& rows, std::size_t i);

// Clears the states of sequences that begin in this step, in all layers.
void clear_new_states(const Trunk& trunk, const Rows& rows);

// The runs of a step in one layer.
std::span<const RowRun> runs_of(const Trunk& trunk, std::size_t layer, const Rows& rows,
                                Arena& arena);

// What the layer's mixer makes of the normed stream, before its projection out: [rows, inner].
// first_values: [rows, inner], which the first layer of rwkv7 writes and later ones read.
View run_mixer(ops::Context& ctx, const Trunk& trunk, std::size_t layer, const Rows& rows, View x,
               View first_values, Arena& arena);

// What an MLP reads whose input follows the row before (rwkv7): x + (before - x) * lerp.
View follow_rows(ops::Context& ctx, const Trunk& trunk, std::size_t layer, const Rows& rows, View x,
                 Arena& arena);

}  // namespace hearth::models
