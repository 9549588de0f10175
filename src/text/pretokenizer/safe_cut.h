// Cuts that cannot change the result: between two characters that no token of the vocabulary holds
// side by side.  They make words of text that a model would otherwise see as one piece, so that
// words seen before are known.
#pragma once

#include "text/pretokenizer/pretokenizer.h"
#include "text/vocabulary.h"

namespace hearth {

// Cuts before U+2581, and around ASCII that is neither letter nor digit.
// null where U+2581 by itself is no token.
std::unique_ptr<PreTokenizerStep> make_safe_cut(const Vocabulary& vocabulary);

}  // namespace hearth
