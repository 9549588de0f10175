#include "graphs/operators.h"

#include <array>
#include <unordered_map>

#include "graphs/operators/families.h"

namespace hearth::graphs {

// To add an operator: a row in its family's list.  To add a family: a source, families.h, here.
std::span<const std::span<const Operator>> operator_families() {
  static const std::array list{arithmetic_operators(),     unary_operators(),
                               shape_operators(),          gather_operators(),
                               create_operators(),         reduce_operators(),
                               sort_operators(),           matmul_operators(),
                               conv_operators(),           pool_operators(),
                               norm_operators(),           quantised_operators(),
                               control_operators(),        text_operators(),
                               random_operators(),         signal_operators(),
                               resize_operators(),         sample_operators(),
                               loss_operators(),           recurrent_operators(),
                               attention_operators(),      linear_attention_operators(),
                               tree_operators(),           classic_operators(),
                               feature_operators(),        image_operators(),
                               microsoft_operators(),      fused_conv_operators(),
                               fused_matmul_operators(),   box_operators(),
                               projected_lstm_operators(), detect_operators(),
                               microfrontend_operators()};
  return list;
}

const Operator* find_operator(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const Operator*> rows;
    for (const auto family : operator_families())
      for (const Operator& row : family) rows.emplace(row.name, &row);
    return rows;
  }();
  const auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

}  // namespace hearth::graphs
