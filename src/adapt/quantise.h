// Quantising a model: a GGUF file in, a smaller one out, tensor after tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "adapt/importance.h"
#include "adapt/recipe.h"
#include "base/thread_pool.h"
#include "formats/package.h"

namespace hearth::adapt {

struct QuantiseProgress {
  std::uint64_t bytes = 0, total = 0;  // of the output
  std::string_view tensor;             // the one begun
};

struct QuantiseOptions {
  const Recipe* recipe = nullptr;
  const ImportanceMatrix* importance = nullptr;  // nullptr: none
  // Names ('*' stands for anything) and the types of their tensors; the first that matches counts.
  std::vector<std::pair<std::string, Dtype>> types;
  std::function<void(const QuantiseProgress&)> progress;
  std::stop_token stop;
};

struct Quantised {
  std::uint64_t bytes_before = 0, bytes_after = 0;  // of the tensors
  std::vector<std::pair<std::string, Dtype>> tensors;
  std::vector<std::string> remarks;  // for people
};

// Writes the model to `path`, all of it or nothing.  Memory: one tensor of the output.
// Errors: invalid (no model of GGUF, a tensor or importance that does not fit), unsupported,
// cancelled, io.
Result<Quantised> quantise(const Package& package, const std::string& path,
                           const QuantiseOptions& options, ThreadPool& pool);

}  // namespace hearth::adapt
