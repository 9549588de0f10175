// Converting a model: any weights that Hearth reads become a GGUF file, a Hugging Face folder, an
// MLX folder, an npz or an ONNX graph, tensor after tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "formats/package.h"

namespace hearth::adapt {

enum class Container : std::uint8_t { gguf, safetensors, mlx, npz, onnx };

struct ContainerName {
  Container container;
  std::string_view name, ending;  // "gguf", ".gguf": a single file; an empty ending: a folder
};
std::span<const ContainerName> containers();

struct ConvertProgress {
  std::uint64_t bytes = 0, total = 0;  // of the output
};

struct ConvertOptions {
  Container to = Container::gguf;
  bool single_file = false;     // a lone .safetensors or .npz, without what lies beside it
  std::optional<Dtype> floats;  // what weights of matrices become; nothing: what they are
  std::uint64_t shard_bytes = 5'000'000'000;  // of a folder's files
  bool replace = false;                       // what is there already
  std::function<void(const ConvertProgress&)> progress;
  std::stop_token stop;
};

struct Converted {
  std::uint64_t bytes_before = 0, bytes_after = 0;  // of the tensors
  std::size_t tensors = 0;
  std::vector<std::string> losses;   // what the new file does not hold; empty: it holds everything
  std::vector<std::string> remarks;  // what else people should know
};

// Writes the model to `path`, all of it or nothing.  Memory: a few tensors.  Errors: invalid
// (`path` is there), exhausted (the disk is too small), cancelled, those of translate() and of the
// writers.
Result<Converted> convert(const Package& package, const std::string& path,
                          const ConvertOptions& options, ThreadPool& pool);

// Writes the vision tower that translate() made beside the file of its language model, under the
// name by which it is found there.  Returns its path; empty: the model has none.  Errors as above.
Result<std::string> write_tower(const Package& model, const std::string& path, bool replace,
                                ThreadPool& pool);

}  // namespace hearth::adapt
