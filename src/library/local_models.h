// The models that lie on this machine, found where they are: nothing is copied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/store_files.h"
#include "library/folders.h"
#include "library/reference.h"

namespace hearth {

// What a file says of itself.
struct ModelFacts {
  std::string kind;   // "generator", "embedder", "reranker"; empty where `problem` is not
  std::string title;  // "Qwen2.5 0.5B Instruct"
  std::string architecture, quantisation;
  std::string capabilities;  // of Ollama's words: "completion,tools,thinking", "embedding"
  std::uint64_t parameters = 0, context_length = 0, kv_bytes_per_token = 0;
  std::uint64_t dim = 0, vocabulary = 0, weight_bytes = 0;
  std::string problem;  // why it does not run; empty: it does, as far as its header tells
};

struct LocalModel {
  std::string name;         // asks for this one and no other
  std::string reference;    // where it was fetched from: "hf:org/repo:Q8_0"; empty: unknown
  std::string_view tool;    // whose it is: "hearth" (our store), or the shelf's
  std::string folder;       // in our store: its folder, with all its files
  std::string path;         // what open_package takes
  std::string tower = {};   // its vision tower, where that is not found by its name
  std::string sha256 = {};  // in our store: promised of its only file; empty: it has several
  std::uint64_t bytes = 0;
  FileIdentity identity;  // of the main file
  ModelFacts facts;       // empty until described
};

// In order of name.  Quick: names and sizes only.
std::vector<LocalModel> find_local_models(const LibraryFolders& folders);

// Fills in facts, from the cache in folders.cache where the file is still the same, otherwise from
// the header.
void describe_local_models(const LibraryFolders& folders, std::vector<LocalModel>& models);

// From the header; the built-in ones too.
ModelFacts read_facts(const LocalModel& model);

// The first one that the reference means, nullptr for none.  Plain names match names, then file
// names, without regard to case.
const LocalModel* match(const std::vector<LocalModel>& models, const Reference& reference);

// "Q4_K_M" of "model-Q4_K_M.gguf" or "model-q4_k_m-00001-of-00002.gguf"; upper case; empty: none.
std::string quantisation_label(std::string_view file);
// Which of several quantisations is taken when none is asked for: the least number first.
int quantisation_rank(std::string_view label);
// "00001-of-00003" files: which part, of how many; {1, 1} for others.
struct SplitPlace {
  int part = 1, parts = 1;
};
SplitPlace split_place(std::string_view file);
// The file's name without folder, ".gguf" and the number of its part.
std::string model_stem(std::string_view file);

}  // namespace hearth
