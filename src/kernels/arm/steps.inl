// Step kernels; see steps.h.  The includer defines HEARTH_ISA, a namespace.
#include <arm_neon.h>

#include "kernels/steps.h"

namespace hearth::kernels::HEARTH_ISA {
namespace {

enum class Measure { squares, products };

// s + the products of 16 bytes, in any order; none is below -127.
inline int32x4_t add_products(int32x4_t s, int8x16_t a, int8x16_t b) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(s, a, b);
#else
  const int16x8_t pairs = vmull_s8(vget_low_s8(a), vget_low_s8(b));
  return vpadalq_s16(s, vmlal_high_s8(pairs, a, b));
#endif
}

// Codes have seven bits, so that differences fit a signed byte.
template <Measure measure>
inline int32x4_t add_terms(int32x4_t s, const std::uint8_t* query, const std::uint8_t* row) {
  const uint8x16_t q = vld1q_u8(query), x = vld1q_u8(row);
  if constexpr (measure == Measure::squares) {
    const int8x16_t d = vreinterpretq_s8_u8(vabdq_u8(q, x));
    return add_products(s, d, d);
  }
  return add_products(s, vreinterpretq_s8_u8(q), vreinterpretq_s8_u8(x));
}

constexpr std::size_t rows_ahead = 6;

inline void ask_for(const std::uint8_t* row, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + i);
}

template <Measure measure>
void steps_at(std::int32_t* out, const std::uint8_t* query, const std::uint8_t* rows,
              std::size_t stride, const std::uint32_t* ids, std::size_t n, std::size_t bytes) {
  for (std::size_t i = 0; i < n && i < rows_ahead; ++i) ask_for(rows + ids[i] * stride, bytes);
  for (std::size_t i = 0; i < n; ++i) {
    if (n - i > rows_ahead) ask_for(rows + ids[i + rows_ahead] * stride, bytes);
    const std::uint8_t* row = rows + ids[i] * stride;
    int32x4_t s[4] = {};
    for (std::size_t j = 0; j < bytes; j += code_step)
      for (std::size_t part = 0; part < 4; ++part)
        s[part] = add_terms<measure>(s[part], query + j + 16 * part, row + j + 16 * part);
    const std::int32_t sum = vaddvq_s32(vaddq_s32(vaddq_s32(s[0], s[1]), vaddq_s32(s[2], s[3])));
    out[i] = measure == Measure::squares ? sum : -sum;
  }
}

constexpr StepKernels make_step_table(const char* name) {
  return {.name = name,
          .squares_at = steps_at<Measure::squares>,
          .products_at = steps_at<Measure::products>};
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
