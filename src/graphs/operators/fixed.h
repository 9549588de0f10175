// Fixed-point operators of TFLite on 16-bit numbers; tflite/fixed.h makes their nodes.
#pragma once

#include "graphs/call.h"

namespace hearth::graphs {

Status fixed_add(Call& call);
Status fixed_rescale(Call& call);
Status fixed_conv(Call& call);
Status fixed_conv_transpose(Call& call);

}  // namespace hearth::graphs
