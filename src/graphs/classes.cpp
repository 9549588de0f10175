#include "graphs/classes.h"

#include <algorithm>
#include <numeric>

namespace hearth::graphs {

bool is_row(const Tensor& tensor) {
  return tensor.rank() > 0 && tensor.dims.back() == tensor.count && tensor.count > 1 &&
         (is_float(tensor.type) || is_integer(tensor.type));
}

std::vector<Class> best_classes(const Tensor& row, const std::vector<std::string>& names,
                                std::size_t most) {
  std::vector<double> scores(static_cast<std::size_t>(row.count));
  load(Work::f64, scores.data(), row.type, row.bytes, scores.size());
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](auto a, auto b) { return scores[a] > scores[b]; });
  order.resize(std::min(most, order.size()));
  std::vector<Class> best;
  for (const std::size_t i : order)
    best.push_back({i, scores[i], i < names.size() ? names[i] : ""});
  return best;
}

Json classes_json(const Value& value, const std::vector<std::string>& names) {
  if (value.kind != Value::Kind::tensor || !is_row(value.tensor) ||
      !std::cmp_equal(names.size(), value.tensor.count))
    return Json();
  Json list = Json::array();
  for (const Class& each : best_classes(value.tensor, names))
    list.push_back(
        Json::object({{"index", each.index}, {"label", each.label}, {"score", each.score}}));
  return list;
}

}  // namespace hearth::graphs
