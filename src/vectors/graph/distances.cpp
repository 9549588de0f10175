#include "vectors/graph/distances.h"

#include <cmath>

#include "kernels/search_select.h"
#include "kernels/steps_select.h"

namespace hearth::vectors {
Distances distances_for(Metric metric) {
  const kernels::StepKernels& steps = kernels::best_step_kernels();
  const kernels::SearchKernels& search = kernels::best_search_kernels();
  constexpr auto f32 = static_cast<std::size_t>(kernels::RowType::f32);
  return {metric == Metric::inner_product ? steps.products_at : steps.squares_at,
          metric == Metric::l2 ? search.l2_at[f32] : search.dot_at[f32]};
}

void normalise(float* vector, std::size_t dim) {
  double squares_sum = 0;
  for (std::size_t i = 0; i < dim; ++i) squares_sum += double{vector[i]} * double{vector[i]};
  if (!(squares_sum > 0)) return;
  const double factor = 1 / std::sqrt(squares_sum);
  for (std::size_t i = 0; i < dim; ++i) vector[i] = static_cast<float>(vector[i] * factor);
}

}  // namespace hearth::vectors
