#include "models/gates.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hearth::models {

void cut_gates(ops::Context& ctx, View x, float deviations) {
  ctx.pool->parallel_for(x.rows, 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      float* row = x.row(i);
      double sum = 0, squares = 0;
      for (std::size_t d = 0; d < x.dim; ++d) sum += static_cast<double>(row[d]);
      const double mean = sum / static_cast<double>(x.dim);
      for (std::size_t d = 0; d < x.dim; ++d)
        squares += (static_cast<double>(row[d]) - mean) * (static_cast<double>(row[d]) - mean);
      const double deviation = std::sqrt(squares / static_cast<double>(x.dim));
      const auto cut = static_cast<float>(mean + static_cast<double>(deviations) * deviation);
      for (std::size_t d = 0; d < x.dim; ++d) row[d] = std::max(row[d] - cut, 0.0f);
    }
  });
}

double normal_quantile(double share) {
  if (share <= 0) return -std::numeric_limits<double>::infinity();
  double low = -40, high = 40;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < share ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace hearth::models
