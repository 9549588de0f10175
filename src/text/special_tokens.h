// Which tokens begin, end and separate texts, and which end an answer.
#pragma once

#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace hearth {

// Completes `special` from the well-known names in the vocabulary: end of turn, end of message,
// fill-in-the-middle; and makes end_of_generation of eos, eot, eom, `more` and the well-known ends.
// Such tokens become control tokens in `vocabulary`.
void complete_special_tokens(SpecialTokens& special, Vocabulary& vocabulary,
                             std::span<const Token> more = {});

}  // namespace hearth
