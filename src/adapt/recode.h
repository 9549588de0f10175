// The types of a model's tensors as a container can hold them.
#pragma once

#include <vector>

#include "adapt/convert.h"
#include "formats/streamed.h"

namespace hearth::adapt {

// What was done to the types, told once per kind.
struct Recoding {
  std::vector<std::string> losses, remarks;
};

// Tensors to write, in the order of the package, which must outlive them.  Called once, in order.
class Recoder {
 public:
  Recoder(const Package& package, const ConvertOptions& options, ThreadPool& pool);
  ~Recoder();
  // Errors: unsupported (a tensor of a type that the container lacks).
  Result<std::vector<StreamedTensor>> plan();
  // What the writing found out: call it when all is written.
  Recoding recoding() const;
  // MLX: the member "quantization" of config.json; null where nothing is quantised.
  Json quantization() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The parts of an MLX weight that hold every number of these blocks: codes, scales and biases.
struct MlxParts {
  std::vector<std::uint32_t> codes;
  std::vector<std::byte> scales, biases;  // f16 or f32; of mxfp4 and nvfp4 bytes, without biases
};
struct MlxForm {
  int bits, group;
  Dtype scales;  // f16, f32, or u8
  std::string_view mode;
};
// nullptr: such blocks have no exact form in MLX.
const MlxForm* mlx_form(Dtype dtype);
void to_mlx(Dtype dtype, std::span<const std::byte> blocks, MlxParts& out);

}  // namespace hearth::adapt
