// Package: the contents of a model file or folder, not yet runnable.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "base/result.h"
#include "formats/metadata.h"
#include "tensor/dtype.h"

namespace hearth {

// One stored tensor.  `data` points into what Package::storage keeps mapped.
struct TensorEntry {
  std::string name;
  Dtype dtype;
  std::vector<std::uint64_t> shape;  // outermost first; [rows, columns] for a weight matrix
  std::span<const std::byte> data;
  // `data` lies in a read-only mapping of a file: memory given back is read from there again.
  bool file_mapped = false;
  // Of a tensor that no bytes of the file are: parts of several files, a strided view, codes and
  // scales that lie apart.  Puts its elements together, at every call anew; `data` is empty then.
  // Valid as long as the package's storage.  Thread-safe.
  std::function<Result<std::vector<std::byte>>()> make = {};

  std::uint64_t elements() const;
  std::uint64_t bytes() const;  // of the elements
};

// Whose names the tensors and hyper-parameters carry.
enum class Naming { gguf, huggingface };

// Immutable once read; thread-safe.  Copying shares the storage.
struct Package {
  std::string format;  // "gguf", "safetensors", "pytorch"
  std::string path;    // what was opened
  Naming naming = Naming::gguf;

  Metadata metadata;       // GGUF key/values; empty for Hugging Face folders
  Json config;             // config.json; null where there is none
  Json generation_config;  // generation_config.json; null where there is none

  std::vector<TensorEntry> tensors;                              // in file order
  std::map<std::string, std::size_t, std::less<>> tensor_index;  // name -> place in `tensors`
  const TensorEntry* find(std::string_view name) const;          // nullptr: absent

  // Text files beside the weights that the text floor reads: "tokenizer.json",
  // "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model", "vocab.txt",
  // "vocab.json", "merges.txt", "added_tokens.json", "chat_template.jinja", "chat_template.json",
  // "*.tiktoken", "tekken.json", "1_Pooling/config.json", "modules.json",
  // "sentence_bert_config.json".  Name -> bytes.
  std::map<std::string, std::span<const std::byte>, std::less<>> files;

  // The vision tower of a GGUF model, which lies in a file of its own.
  std::shared_ptr<const Package> tower;

  std::uint64_t file_bytes = 0;  // size of all weight files together
  std::vector<std::shared_ptr<const void>> storage;
  std::vector<std::string> warnings;  // oddities that did not stop the reader, for people
};

// Puts `tensors` at the end of the package's.  `file`: where the data of some may lie.  Errors:
// corrupt (a name twice).
Status add_tensors(Package& package, std::vector<TensorEntry> tensors,
                   const MappedFile* file = nullptr);

// Opens a model file (any shard of a split one) or folder.  Memory-maps; touches only headers.
// Errors: not_found, unsupported (not a model format we read), corrupt (with file, field, offset).
Result<Package> open_package(const std::string& path);
// The same for a single file that is mapped already; `name` stands for its path.
Result<Package> open_package(std::string name, std::shared_ptr<const MappedFile> file);

}  // namespace hearth
