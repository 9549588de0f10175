// For tests and benches only: where the shared data lies, and a reader of just enough GGUF.
#pragma once

#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace hearth::test {

// "" (and a printed line) when it is absent.
std::string data_file(const std::string& name);
// "" where there is none.
std::string read_all(const std::string& path);

// The tokenizer of a GGUF file; views point into `bytes`.
struct GgufFile {
  std::string bytes;
  GgufVocabulary vocabulary;
};
bool read_gguf(const std::string& path, GgufFile& file);

// The texts of a .inp file, and the ids, line by line, of its .out file.
std::vector<std::string> read_texts(const std::string& path);
std::vector<std::vector<Token>> read_ids(const std::string& path);

}  // namespace hearth::test
