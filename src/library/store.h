// Our store: one folder per model, which takes its name only when all of it is there and verified.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

struct StoredFile {
  std::string name;  // path within the folder
  std::uint64_t bytes = 0;
  std::string sha256;  // lower-case hex
};

// model.json, written last.
struct Manifest {
  std::string reference;  // "hf:org/repo:Q4_K_M"
  std::string name;       // of the catalog; empty: none
  std::string revision;   // the commit it was fetched from
  std::string main;       // file to open, or "." for the folder
  std::int64_t pulled_seconds = 0;
  std::vector<StoredFile> files;

  std::uint64_t bytes() const;
};

constexpr std::string_view manifest_file = "model.json";

Result<Manifest> read_manifest(const std::string& folder);
Status write_manifest(const std::string& folder, const Manifest& manifest);

// "hf:org/repo:Q8_0" -> "hf--org--repo--Q8_0".
std::string store_name(std::string_view reference);
// Where a model is put together before it is moved to its name.
std::string partial_folder(const std::string& store, std::string_view reference);

struct PartialDownload {
  std::string name;  // store_name of what was being fetched
  std::uint64_t bytes = 0;
};
std::vector<PartialDownload> partial_downloads(const std::string& store);

// Removes the folder in one step; a reader that has mapped its files keeps them.
Status remove_from_store(const std::string& store, const std::string& folder);

}  // namespace hearth
