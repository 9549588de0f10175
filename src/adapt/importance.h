// Importance matrices: how much an error in each column of a weight matters, measured on a text.
// Source: the layout of llama.cpp's imatrix files (GGUF and the older binary one).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::adapt {

// Of one weight, or of a stack of experts: mean squares of what each column is multiplied with.
struct Importance {
  std::vector<float> values;  // [experts][columns]
  std::vector<float> counts;  // rows seen: one, or one of each expert
};

struct ImportanceMatrix {
  std::map<std::string, Importance, std::less<>> weights;  // by GGUF name
  std::string text;                                        // where the text came from
  std::uint32_t chunks = 0, chunk_tokens = 0;
};

// Errors: not_found, corrupt, unsupported.
Result<ImportanceMatrix> read_importance(const std::string& path);
Status write_importance(const std::string& path, const ImportanceMatrix& matrix);

}  // namespace hearth::adapt
