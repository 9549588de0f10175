// Step kernels that run everywhere; they are the reference too.
#include "kernels/steps.h"

namespace hearth::kernels {
extern const StepKernels portable_step_table;
namespace {

void squares_at(std::int32_t* out, const std::uint8_t* query, const std::uint8_t* rows,
                std::size_t stride, const std::uint32_t* ids, std::size_t n, std::size_t bytes) {
  for (std::size_t i = 0; i < n; ++i) {
    if (n - i > 4) __builtin_prefetch(rows + ids[i + 4] * stride);
    const std::uint8_t* row = rows + ids[i] * stride;
    std::int32_t s = 0;
    for (std::size_t j = 0; j < bytes; ++j) s += (query[j] - row[j]) * (query[j] - row[j]);
    out[i] = s;
  }
}

void products_at(std::int32_t* out, const std::uint8_t* query, const std::uint8_t* rows,
                 std::size_t stride, const std::uint32_t* ids, std::size_t n, std::size_t bytes) {
  for (std::size_t i = 0; i < n; ++i) {
    if (n - i > 4) __builtin_prefetch(rows + ids[i + 4] * stride);
    const std::uint8_t* row = rows + ids[i] * stride;
    std::int32_t s = 0;
    for (std::size_t j = 0; j < bytes; ++j) s += static_cast<std::int8_t>(query[j]) * row[j];
    out[i] = -s;
  }
}

}  // namespace

const StepKernels portable_step_table = {
    .name = "portable", .squares_at = squares_at, .products_at = products_at};
}  // namespace hearth::kernels
