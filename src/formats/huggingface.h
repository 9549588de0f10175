// Hugging Face folders: what the readers of other weights files share with huggingface.cpp.
#pragma once

#include <memory>
#include <string>

#include "formats/format.h"

namespace hearth {

// The configuration, tokenizer and other text files of a folder.
Status add_surroundings(Package& package, const std::string& folder);
// One text file, where it is there.
Status add_text_file(Package& package, const std::string& folder, std::string_view name);
// A JSON object in a file of the folder; null where the file does not exist.
Result<Json> read_config(const std::string& folder, std::string_view name);

// The folders of the Dense modules that modules.json names (sentence-transformers), in order; their
// tensors are "FOLDER.linear.weight".  Errors: corrupt.
Result<std::vector<std::string>> dense_modules(const Package& package);

// A folder whose weights are in the file of that name, which may be mapped already.
Result<Package> read_huggingface(const std::string& folder, const std::string& weights,
                                 std::shared_ptr<const MappedFile> file);

}  // namespace hearth
