#pragma once

#include "graphs/tflite/builder.h"

namespace hearth::graphs::tflite {

// StableHLO's operators and their kin.  Errors: unsupported, without a message: it is none of them.
Status add_stablehlo_operator(Builder& b, const Operator& op);

using Ints = std::vector<std::int64_t>;

// Every extent of a tensor.  Errors: unsupported (one is open).
Result<Dims> known_dims(Builder& b, std::int64_t index);
// `gaps[i]` times `value` between neighbours along axis i.  dims: of x, then of the result.
Result<ValueId> spread(Builder& b, ValueId x, Dims& dims, const Ints& gaps, ValueId value);

Status add_gather(Builder& b, const Operator& op);
// reduction: as of ScatterElements, what is made of an element and its update.
Status add_scatter(Builder& b, const Operator& op, std::string_view reduction);
Status add_convolution(Builder& b, const Operator& op);

}  // namespace hearth::graphs::tflite
