// Multi-token prediction: a layer behind the last reads the next token beside what the trunk made
// of the row before it, and guesses the token after that.  Embedding and output matrix are the
// trunk's.  Row p holds token p and the trunk's output p - 1; what it keeps as keys and values
// depends on the tokens up to p alone, as in every other layer, so pages are shared alike.
// Source: DeepSeek-AI 2024 (V3), section 2.2; what the trunk gives is behind its last norm, as in
// Hugging Face transformers.
#pragma once

#include "models/tensors.h"
#include "models/trunk.h"

namespace hearth::models {

// Whether the package holds such a layer that we run: of several the first is meant.
bool holds_mtp(const TensorFinder& finder);

// Appends it to the layers.
void add_mtp(Hyper& hyper);

// What the layer reads of each row: [rows, dim] of the trunk's output for the row before, zeros
// where that is not known.  states: of these rows, or empty where every sequence has one row.
void rows_before(const Rows& rows, View states, View before);

// The layer's keys and values of all rows, and of the wanted ones what it makes of them, behind its
// own norm: hidden [wanted, dim].  states: as above.
void run_mtp_plainly(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View states,
                     View hidden);
void run_mtp_fast(ops::Context& ctx, const Trunk& trunk, const Rows& rows, View states, View hidden,
                  Arena& arena);

}  // namespace hearth::models
