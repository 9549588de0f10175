// T5: an encoder reads a text, a decoder that sees all of it writes another.
// Source: Raffel et al. 2020; the T5 v1.1 and FLAN-T5 model cards.
//
// A sequence of the runtime is both after one another: tokens up to and with the first end of text
// are what the encoder reads, the row of that end is the decoder's start, and what follows is
// written.  Pages hold tokens, and keys and values of the decoder; what the encoder made of a text
// is kept beside them, and made again when it is gone.
#pragma once

#include "models/arch_spec.h"
#include "models/model.h"

namespace hearth::models {

extern const ArchSpec t5;

// Whether there is a decoder: embedders are an encoder alone (Sentence-T5).
bool t5_writes(const Package& package);

// Errors: as load_model.
Result<std::shared_ptr<const Model>> load_t5(ops::Context& ctx, const Package& package,
                                             const LoadOptions& options);

}  // namespace hearth::models
