// Folders whose model is one table: a vector for every token, of which a text's are averaged.
// Model2Vec writes them, and sentence-transformers as its module StaticEmbedding.
#pragma once

#include <string>

#include "formats/package.h"

namespace hearth {

// The folder of the module StaticEmbedding that modules.json names; "": there is none, or it is
// the model's own folder.  Errors: corrupt (modules.json).
Result<std::string> static_table_folder(const std::string& folder);

// Makes such a folder's table and configuration those of the architecture "static-embed": one row
// for each token, shares and weights of tokens worked in, and a tokenizer that puts nothing around
// a text.  Leaves every other package as it is.  Errors: corrupt (parts that do not fit together).
Status join_static_table(Package& package, const std::string& folder);

}  // namespace hearth
