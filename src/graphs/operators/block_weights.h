// Kernels of products and tables whose weights lie in blocks of 2, 4 or 8 bits.
#pragma once

#include "graphs/call.h"

namespace hearth::graphs {

Status matmul_nbits(Call& call);            // com.microsoft.MatMulNBits
Status matmul_packed(Call& call);           // hearth.MatMulNBits: the same of constant weights
Status gather_block_quantized(Call& call);  // com.microsoft.GatherBlockQuantized

}  // namespace hearth::graphs
