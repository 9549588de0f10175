// Operators of com.microsoft that are others together.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "graphs/emit.h"

namespace hearth::graphs::onnx {

// One of them as its file has it.
struct Composed {
  std::string_view name;  // "QLinearAdd"
  std::span<const ValueId> inputs;
  const Attributes& attributes;
};

bool is_composed(std::string_view name);
// Adds the nodes that it stands for; its outputs in their order, `absent` where one is not made.
// Errors: corrupt (inputs that are missing).
Result<std::vector<ValueId>> write_composed(Emitter& b, const Composed& op);

}  // namespace hearth::graphs::onnx
