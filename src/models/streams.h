// Streams that run side by side through the layers.  Every layer first guesses what all of them
// become, runs on one of the guesses, and corrects all by how far that one was wrong.
// Source: Baykal et al. 2023 (AltUp); the Gemma 3n model card.
#pragma once

#include "models/trunk.h"

namespace hearth::models {

// Streams from the embedding x: [rows, count * dim], one after the other.
View spread_streams(ops::Context& ctx, const Trunk& trunk, View x, Arena& arena);
// Streams become what the layer expects of them; active: [rows, dim], a copy of the one it reads.
void predict_streams(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View streams,
                     View active, Arena& arena);
// Streams follow what the layer gave: [rows, dim].
void correct_streams(ops::Context& ctx, const Trunk& trunk, const Layer& layer, View streams,
                     View given, Arena& arena);
// x: [rows, dim], the mean of all after their projections back.
void gather_streams(ops::Context& ctx, const Trunk& trunk, View streams, View x, Arena& arena);

}  // namespace hearth::models
