// GGUF: one file of key/value pairs and tensors.  What gguf.cpp gives to the split reader, the
// tests and the fuzzer.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/package.h"

namespace hearth {

// Views point into the bytes that were read, and into `rewritten`.
struct GgufFile {
  std::uint32_t version = 0;
  std::uint32_t alignment = 0;
  Metadata metadata;
  std::vector<TensorEntry> tensors;
  // Version 1 stores short lengths; its strings are kept here with long ones.
  std::shared_ptr<const std::deque<std::string>> rewritten;
  std::vector<std::string> warnings;
};

// Touches the header only, not the tensors' data.  Errors: corrupt, unsupported.
Result<GgufFile> read_gguf(std::span<const std::byte> file);

}  // namespace hearth
