// One PyTorch file (.bin, .pt, .pth): the tensors it saves, without running anything it says.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/package.h"

namespace hearth {

struct TorchFile {
  std::vector<TensorEntry> tensors;  // by name; views point into the file
  // Numbers, texts and truths saved beside the weights under "model_args", "config" and the like;
  // null where there are none.
  Json arguments;
  std::vector<std::string> warnings;
};

// The ZIP form (PyTorch 1.6 and later, TorchScript archives for their weights) or the older one.
bool is_torch_file(std::string_view file);

// Errors: corrupt; unsupported (a name or opcode outside the lists, a form of storage).
Result<TorchFile> read_torch(std::span<const std::byte> file);

}  // namespace hearth
