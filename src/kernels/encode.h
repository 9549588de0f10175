// Quantisation: rows of f32 become the blocks of GGUF files.  One table per instruction set.
//
// For every entry:
//   - x: [n] f32, whole blocks of the type; blocks: as the file holds them, at any alignment;
//   - importance: [n], how much an error in each column matters (the mean square of what it is
//     multiplied with); nullptr: every column alike.  It changes the choice of scales, never the
//     layout;
//   - infinities and NaN give blocks that are valid and of no use;
//   - tables agree to the tolerance of encode_test.cpp: sums are ordered by lanes.
// Source of the layouts: the tensor types of the GGUF specification and of ggml; see quants.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::kernels {

using EncodeRow = void (*)(const float* x, const float* importance, void* blocks, std::size_t n);

struct Encoders {
  const char* name;  // "avx2"

  // The nearest levels of the largest value's scale; with importance the scale is searched for.
  EncodeRow q4_0, q4_1, q5_0, q5_1, q8_0;
  // The nearest levels, whatever the importance.
  EncodeRow tq1_0, tq2_0, q1_0, q2_0, mxfp4, nvfp4;
  // Scales, and minima where there are some, by weighted least squares over many candidates.
  EncodeRow q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs;
};

// The types of code books: for each scale tried, every entry is compared.
struct GridEncoders {
  const char* name;
  EncodeRow iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s;
};

}  // namespace hearth::kernels
