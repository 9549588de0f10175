// LoRA adapters as files: a folder of PEFT's or mlx-lm's, or a GGUF file of llama.cpp's.
// Source: Hu et al. 2021, "LoRA"; PEFT, "LoRA configuration"; llama.cpp, convert_lora_to_gguf.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "formats/package.h"

namespace hearth {

// What is added to one matrix W of the base: factor * up * down.
struct LoraPair {
  std::string module;  // the base's tensor, without ".weight"
  TensorEntry down;    // [rank, inputs]
  TensorEntry up;      // [outputs, rank]
  double factor = 1;
};

struct LoraFile {
  std::string path;
  Naming naming = Naming::huggingface;
  std::string base;          // what it was trained on, as it says itself; may be empty
  std::string architecture;  // GGUF: of the base
  std::vector<LoraPair> pairs;
  std::vector<std::shared_ptr<const void>> storage;
  std::uint64_t bytes = 0;
  std::string key = {};  // of the adapter made of it: another one for another file
};

// `path`: a GGUF file, a folder with adapter_config.json, or the weights file in it.  Errors:
// not_found, unsupported (no LoRA adapter, or one with parts beside the two matrices), corrupt.
Result<LoraFile> open_lora(const std::string& path);

}  // namespace hearth
