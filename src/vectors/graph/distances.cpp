#include "vectors/graph/distances.h"

#include "kernels/search_select.h"
#include "kernels/steps_select.h"

namespace hearth::vectors {
Distances distances_for(Metric metric, kernels::RowType rows) {
  const kernels::StepKernels& steps = kernels::best_step_kernels();
  const kernels::SearchKernels& search = kernels::best_search_kernels();
  const auto type = static_cast<std::size_t>(rows);
  return {metric == Metric::inner_product ? steps.products_at : steps.squares_at,
          metric == Metric::l2 ? search.l2_at[type] : search.dot_at[type]};
}

}  // namespace hearth::vectors
