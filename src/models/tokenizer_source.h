// What a package's tokenizer is made of.
#pragma once

#include "formats/package.h"
#include "text/tokenizer.h"

namespace hearth::models {

// tokenizer.ggml.*; views into the package.  Errors: not_found (the file has no tokenizer),
// corrupt.
Result<GgufVocabulary> gguf_vocabulary(const Metadata& metadata);

// The files of a folder; views into the package.  Errors: not_found, corrupt.
Result<TokenizerFiles> tokenizer_files(const Package& package);

}  // namespace hearth::models
