// Quantisation as several parts of the ExecuTorch importer write it down.
#pragma once

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {

// How whole numbers q stand for real ones: (q - zero) * scale.
struct Quanta {
  ValueId scale = absent, zero = absent;  // f32, of shapes that broadcast
};

// A tensor of one number, or of several along one axis.
struct Levels {
  double low = 0, high = 0;
};
Levels levels_of(Element type);

// The scale and zero point for numbers from `low` to `high`, of any shape.
// Source: PyTorch, quantized_decomposed::choose_qparams_per_token_asymmetric.
Quanta choose_quanta(Emitter& b, ValueId low, ValueId high, Levels levels, double eps);
// clip(round(x / scale) + zero) as `type`, and back as f32.
ValueId to_levels(Emitter& b, ValueId x, const Quanta& quanta, Levels levels, Element type);
ValueId from_levels(Emitter& b, ValueId q, const Quanta& quanta);

// x f32 by constants: QuantizeLinear, with bounds where they are narrower than the type's.
Result<ValueId> quantise(Emitter& b, ValueId x, float scale, std::int64_t zero, Levels levels,
                         Element type);
Result<ValueId> dequantise(Emitter& b, ValueId q, float scale, std::int64_t zero, Element type);

// Groups of 2 or 4 bits of bytes, along the last axis: whole numbers i32 from `low` on.
ValueId unpacked(Emitter& b, ValueId bytes, unsigned bits, bool high_first, std::int64_t low);

}  // namespace hearth::graphs::executorch
