#include "vectors/graph/distances.h"

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

}  // namespace hearth::vectors
