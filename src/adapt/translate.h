// A model under the other naming: its tensors renamed, permuted and joined or split as the other
// side has them, its numbers, tokenizer and chat template written as that side writes them.  One
// table serves both directions: the rows of the architecture.
#pragma once

#include <string>
#include <vector>

#include "formats/package.h"

namespace hearth::adapt {

struct Translated {
  // Its tensors are made when they are asked for.  A tower lies in `tower`, where GGUF files have
  // it.
  Package package;
  std::vector<std::string> losses;  // what the other side cannot hold, for people; empty: nothing
};

// The package itself where it has that naming already.  Errors: those of describe(), and
// unsupported (an architecture or form that cannot be written so).
Result<Translated> translate(const Package& package, Naming naming);

}  // namespace hearth::adapt
