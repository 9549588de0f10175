// What writers of model files are given: tensors whose bytes are there when their turn comes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace hearth {

struct StreamedTensor {
  std::string name;
  Dtype dtype;
  std::vector<std::uint64_t> shape;  // outermost first
  // Called once, in order; what it returns is used up before the next call.
  std::function<Result<std::span<const std::byte>>()> data;
};

// The bytes of its elements.  Errors: invalid.
Result<std::uint64_t> bytes_of_streamed(const StreamedTensor& tensor);
// What it gives, held to that.  Errors: also those of `data`.
Result<std::span<const std::byte>> take_streamed(const StreamedTensor& tensor);

// Each writes one file as a DraftFile does: it has its name when it is complete.  Errors: invalid
// (a type that the format lacks, a name twice), io, exhausted, those of the tensors. `note`: the
// "format" of the header's metadata, as "pt" or "mlx".
Status write_safetensors(const std::string& path, std::span<const StreamedTensor> tensors,
                         std::string_view note);
Status write_npz(const std::string& path, std::span<const StreamedTensor> tensors);

// Whether the formats have a name for the type.
bool safetensors_holds(Dtype dtype);
bool npz_holds(Dtype dtype);

}  // namespace hearth
