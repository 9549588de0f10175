// A cut that cannot change the result: before U+2581 where no token of the vocabulary holds the
// character before it and U+2581 side by side.  It makes words of text that a model would otherwise
// see as one piece, so that words seen before are known.
#pragma once

#include "text/pretokenizer/pretokenizer.h"
#include "text/vocabulary.h"

namespace hearth {

// null where U+2581 by itself is no token.
std::unique_ptr<PreTokenizerStep> make_safe_cut(const Vocabulary& vocabulary);

}  // namespace hearth
