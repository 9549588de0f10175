// What the readers of CTranslate2's folders share: the variables of model.bin.
// Source: CTranslate2's documentation ("Model structure", "Quantization") and the binary format its
// converters write, versions 5 and 6.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "formats/package.h"

namespace hearth {

// The kind ("WhisperSpec") and the variables of a model.bin, aliases among them.
struct Ctranslate2File {
  std::string kind;
  Package variables;
};
Result<Ctranslate2File> read_ctranslate2_file(const std::shared_ptr<const MappedFile>& file);

// A number that is a variable; nullopt: not there.
std::optional<double> scalar(const Package& variables, std::string_view name);

// Weights of a linear layer or a convolution: floats as they lie, or bytes that a factor of each
// row was multiplied into, [rows, columns]. Errors: corrupt, unsupported (a type of numbers).
Result<TensorEntry> linear(const Package& variables, const std::string& name);

// Rows [first, first + count) under another name.
TensorEntry rows_of(const TensorEntry& entry, std::string name, std::uint64_t first,
                    std::uint64_t count);

// What such variables are under Hugging Face's names, by kind of model; each sets the configuration
// in `package`, which holds the folder's text files.  Errors: corrupt, unsupported.
Result<std::vector<TensorEntry>> ctranslate2_llama(const Package& variables, Package& package);
Result<std::vector<TensorEntry>> ctranslate2_whisper(const Package& variables, Package& package);

}  // namespace hearth
