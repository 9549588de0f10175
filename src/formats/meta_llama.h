// Llama models under the names of Meta's releases and of llama2.c: the same rows as in a GGUF file,
// so that is what they become.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "formats/gguf_writer.h"
#include "formats/package.h"

namespace hearth {

bool has_meta_names(std::span<const TensorEntry> tensors);

// Metadata that no file holds; the package keeps it.
Status add_made_metadata(Package& package, std::vector<GgufContents::Pair> pairs);

// Renames the tensors into the package and makes its metadata.  `params` is params.json or what a
// checkpoint keeps of it.  Errors: corrupt (numbers that are missing or do not fit the tensors).
Status add_meta_llama(Package& package, std::vector<TensorEntry> tensors, const Json& params);

// The tokenizer of these models: tokenizer.model, tokN.model of a vocabulary of N, or
// tokenizer.bin and tokN.bin of llama2.c.
Status add_meta_tokenizer(Package& package, const std::string& folder, std::uint64_t vocabulary);

}  // namespace hearth
