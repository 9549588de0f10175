// What classifiers share: transforms of scores, and labels.
#pragma once

#include "graphs/call.h"

namespace hearth::graphs {

// NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT, in place over one row.
// Source: ONNX, ai.onnx.ml, attribute post_transform.
Result<int> transform_named(std::string_view name);
void transform_scores(int transform, std::span<float> row);

// Output `i` of [rows]: for each row the label of its class.  Labels: strings or whole numbers.
Status give_labels(Call& call, std::size_t i, std::span<const std::int64_t> classes,
                   std::string_view texts, std::string_view numbers);
std::size_t labels_named(Call& call, std::string_view texts, std::string_view numbers);

// x as rows: [rows, features] of f32; one axis is one row.
struct Table {
  std::int64_t rows = 0, columns = 0;
};
Result<Table> table_of(const Tensor& x);

}  // namespace hearth::graphs
