// Mixers: the recurrent parts of layers, on kernels.  Each keeps a state per sequence, which is
// read and written in place: the last inputs of its convolution, and a matrix for every head.
#pragma once

#include "models/trunk.h"

namespace hearth::models {

// Consecutive rows of one sequence.
struct RowRun {
  std::size_t first, count;
  float* state;  // of the layer
};

// The runs of a step in one layer.  A state is cleared where its sequence begins.
std::span<const RowRun> runs_of(const Trunk& trunk, std::size_t layer, const Rows& rows,
                                Arena& arena);

// What the layer's mixer makes of the normed stream, before its projection out: [rows, inner].
View run_mixer(ops::Context& ctx, const Trunk& trunk, std::size_t layer, const Rows& rows, View x,
               Arena& arena);

}  // namespace hearth::models
