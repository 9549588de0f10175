// Rows of scores as the classes that they speak for.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "graphs/graph.h"

namespace hearth::graphs {

struct Class {
  std::size_t index;
  double score;
  std::string label;  // "": it has no name
};

// A tensor of one row of several real or whole numbers, whatever axes of 1 stand before it.
bool is_row(const Tensor& tensor);
// The `most` highest scores of a row; `names`: of the classes, in order, as far as there are any.
std::vector<Class> best_classes(const Tensor& row, const std::vector<std::string>& names,
                                std::size_t most = 5);
// What a program's answer says of a result besides its numbers: {"index", "label", "score"} of the
// best classes.  null: no row with as many numbers as there are names.
Json classes_json(const Value& value, const std::vector<std::string>& names);

}  // namespace hearth::graphs
