// safetensors: the header of one file.  What safetensors.cpp gives to the folder reader, the tests
// and the fuzzer.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/package.h"

namespace hearth {

// In the order of the header.  Views point into `file`.  Errors: corrupt, unsupported.
Result<std::vector<TensorEntry>> read_safetensors(std::span<const std::byte> file);

struct SafetensorsTensor {
  std::string name;
  Dtype dtype;
  std::vector<std::uint64_t> shape;  // outermost first
  std::span<const std::byte> data;
};

// The file that holds these tensors, in this order.  Errors: invalid (a type the format lacks, data
// of the wrong size, a name twice).
Result<std::string> safetensors_bytes(std::span<const SafetensorsTensor> tensors);

// The shards that an index names, each with the tensors it must hold.
struct ShardIndex {
  struct Shard {
    std::string file;  // a plain name, beside the index
    std::vector<std::string> tensors;
  };
  std::vector<Shard> shards;      // by name
  std::int64_t total_bytes = -1;  // of all tensors; -1: not stated
};

// Errors: corrupt.
Result<ShardIndex> read_shard_index(std::string_view json);

}  // namespace hearth
