// A model in memory that says nothing: the shapes of a small language model, and weights made up.
#pragma once

#include "base/result.h"
#include "formats/package.h"

namespace hearth {

// Some 100 MB of Q8_0, more than caches hold, with the built-in model's words.  What takes time in
// real models takes it here.  Errors: none but those of a broken program.
Result<Package> make_sample_model();

}  // namespace hearth
