// The list of operators of ExecuTorch programs.
#include <algorithm>
#include <array>
#include <unordered_map>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

// To add an operator: a row in its family's list.  To add a family: a source, flow.h, here.
std::span<const std::span<const Kernel>> families() {
  static const std::array list{elementwise_kernels(), reduce_kernels(),    shape_kernels(),
                               index_kernels(),       layer_kernels(),     pad_kernels(),
                               number_kernels(),      quantised_kernels(), llm_kernels(),
                               cortex_kernels()};
  return list;
}

}  // namespace

const Kernel* find_kernel(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const Kernel*> rows;
    for (const auto family : families())
      for (const Kernel& row : family) rows.emplace(row.name, &row);
    return rows;
  }();
  const auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const auto family : families())
    for (const Kernel& row : family) names.emplace_back(row.name);
  std::ranges::sort(names);
  return names;
}

}  // namespace hearth::graphs::executorch
