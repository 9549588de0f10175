// Distances of seven-bit codes in whole steps, gathered by number: what a walk over a graph spends
// its time on.
//
// Codes are bytes of 0 to 127.  A row starts at rows + ids[i] * stride; `bytes` is a multiple of
// code_step; the memory of rows that come next is asked for early.  Results are exact for at most
// 65536 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::kernels {

constexpr std::size_t code_step = 64;

struct StepKernels {
  const char* name;  // "avx2"

  // out[i] = sum over j of (query[j] - row[j])^2.  query: a code.
  void (*squares_at)(std::int32_t* out, const std::uint8_t* query, const std::uint8_t* rows,
                     std::size_t stride, const std::uint32_t* ids, std::size_t n,
                     std::size_t bytes);
  // out[i] = minus the sum over j of query[j] * row[j].  query: signed bytes of -127 to 127.
  void (*products_at)(std::int32_t* out, const std::uint8_t* query, const std::uint8_t* rows,
                      std::size_t stride, const std::uint32_t* ids, std::size_t n,
                      std::size_t bytes);
};

// Slow, obvious, right.  Every other table is tested against it.
const StepKernels& step_reference();

}  // namespace hearth::kernels
