// Catalog: the models we can name without looking.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hardware/memory.h"
#include "library/folders.h"

namespace hearth {

struct CatalogEntry {
  std::string name;       // "qwen3:0.6b"
  std::string task;       // one of catalog_tasks
  std::string reference;  // where it is: "hf:Qwen/Qwen3-0.6B-GGUF:Q8_0"
  std::string summary, licence;
  double parameters = 0;         // in thousand millions
  double active_parameters = 0;  // that one token passes through; 0: all
  std::uint64_t bytes = 0;       // of its files, about
  std::uint64_t context = 0;     // tokens, as trained
  bool is_recommended = false;   // a good choice of its size today
  bool is_default = false;       // of its family, for names without a tag

  // Weights, 8,192 tokens of context and scratch; an estimate.
  std::uint64_t memory_bytes() const;
  std::uint64_t bytes_per_token() const;  // of weights that one token reads
};

constexpr std::string_view catalog_tasks[] = {"chat",   "code",   "embed",
                                              "rerank", "vision", "transcription"};

// The program's own entries, and those of the user's file, which replace entries of the same name.
// Errors: corrupt, naming the file and the entry.
Result<std::vector<CatalogEntry>> load_catalog(const LibraryFolders& folders);
Result<std::vector<CatalogEntry>> parse_catalog(std::string_view json);

// By name; a name without a tag means its family's default, or its first entry.  nullptr: none.
const CatalogEntry* find_in_catalog(const std::vector<CatalogEntry>& catalog,
                                    std::string_view name);

// What a machine with this memory can give a model and leave the rest of the system its own.
std::uint64_t memory_for_models(const hardware::Memory& memory);

}  // namespace hearth
