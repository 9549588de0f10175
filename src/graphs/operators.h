// Operator: one row of the list of what graphs may hold.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace hearth::graphs {

struct Call;
struct Inference;
struct Node;

// Computes the outputs of one node.  Input shapes and indices come from files and users: a kernel
// checks all it relies on.
using Kernel = Status (*)(Call& call);
// Says what is known of the outputs before a run.  Knowing nothing is always right.
using Infer = void (*)(Inference& inference);

// Images in blocks of channels (blocked.h) as inputs: not at all, so that they are made plain
// first; as they are; or by an operator that treats all elements alike, as tensors of one more
// axis.
enum class Blocks : std::uint8_t { none, taken, alike };

struct Operator {
  std::string_view name;  // "Conv"; of other domains "com.microsoft.Gelu"
  Kernel kernel;
  Infer infer = nullptr;
  int least_inputs = 0, most_inputs = 1 << 20;
  bool is_random = false;  // not folded; another run may give another answer
  Blocks blocks = Blocks::none;
};

// nullptr: none of that name.
const Operator* find_operator(std::string_view name);
// All families, in the order of the list in operators.cpp.
std::span<const std::span<const Operator>> operator_families();

}  // namespace hearth::graphs
