// Pooling: how the vectors of a text's tokens become one, and where a file says so.
#pragma once

#include "models/arch_spec.h"
#include "models/hyper_source.h"
#include "tensor/view.h"

namespace hearth::models {

// Fills `pooling` and `normalise`.  Source: GGUF "{arch}.pooling_type"; sentence-transformers'
// modules.json and 1_Pooling/config.json.
Status read_pooling(const Package& package, const HyperSource& source, const ArchSpec& spec,
                    Hyper& hyper);

// One vector of the rows of one text; rows is not empty.
void pool(Pooling pooling, View rows, float* out);
void normalise(float* vector, std::size_t dim);

}  // namespace hearth::models
