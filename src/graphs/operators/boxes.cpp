// Choosing among overlapping boxes, as Core ML does it.
// Source: Core ML Tools, NeuralNetwork.proto, NonMaximumSuppressionLayerParams.
#include <algorithm>
#include <numeric>

#include "graphs/call.h"
#include "graphs/operators/families.h"

namespace hearth::graphs {
namespace {

// Centre, width, height.
float overlap(const float* a, const float* b) {
  const float w =
      std::min(a[0] + a[2] / 2, b[0] + b[2] / 2) - std::max(a[0] - a[2] / 2, b[0] - b[2] / 2);
  const float h =
      std::min(a[1] + a[3] / 2, b[1] + b[3] / 2) - std::max(a[1] - a[3] / 2, b[1] - b[3] / 2);
  if (w <= 0 || h <= 0) return 0;
  const float both = w * h, all = a[2] * a[3] + b[2] * b[3] - both;
  return all <= 0 ? 0 : both / all;
}

struct Rule {
  float overlap = 0, least = 0;
  std::int64_t most = 0;
  bool per_class = false, keeps_one = false;
};

// The boxes of one image that stay, best first.  boxes: [n, 4], scores: [n, classes].
std::vector<std::int64_t> selected(const float* boxes, const float* scores, std::int64_t n,
                                   std::int64_t classes, const Rule& rule) {
  std::vector<float> best(static_cast<std::size_t>(n));
  std::vector<std::int64_t> kind(static_cast<std::size_t>(n)), order, kept;
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = scores + i * classes;
    const float* top = std::max_element(row, row + classes);
    best[static_cast<std::size_t>(i)] = *top;
    kind[static_cast<std::size_t>(i)] = top - row;
    if (*top > rule.least) order.push_back(i);
  }
  if (order.empty() && rule.keeps_one && n > 0)
    order.push_back(std::max_element(best.begin(), best.end()) - best.begin());
  std::ranges::stable_sort(order, [&](auto a, auto b) {
    return best[static_cast<std::size_t>(a)] > best[static_cast<std::size_t>(b)];
  });
  for (const std::int64_t i : order) {
    if (static_cast<std::int64_t>(kept.size()) >= rule.most) break;
    const bool is_covered = std::ranges::any_of(kept, [&](std::int64_t other) {
      if (rule.per_class &&
          kind[static_cast<std::size_t>(i)] != kind[static_cast<std::size_t>(other)])
        return false;
      return overlap(boxes + i * 4, boxes + other * 4) > rule.overlap;
    });
    if (!is_covered) kept.push_back(i);
  }
  return kept;
}

// inputs: boxes [images, n, 4], scores [images, n, classes], the overlap that suppresses, the least
// score, the most boxes.  outputs: [images, most, 4] and [images, most, classes], filled up with 0;
// places i32 [images, most], filled up with -1; counts i32 [images].
Status select_boxes(Call& call) {
  const Tensor* boxes = TRY(call.typed(0, Element::f32));
  const Tensor* scores = TRY(call.typed(1, Element::f32));
  const auto overlaps = TRY(call.reals(2)), least = TRY(call.reals(3));
  const std::int64_t most = TRY(call.integer_input(4, 0));
  if (boxes->rank() != 3 || scores->rank() != 3 || boxes->dims[2] != 4 ||
      boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[1] ||
      scores->dims[2] < 1 || overlaps.size() != 1 || least.size() != 1 || most < 0)
    return invalid(
        fmt::format("boxes {} and scores {}", to_text(boxes->dims), to_text(scores->dims)));
  const Rule rule{static_cast<float>(overlaps[0]), static_cast<float>(least[0]), most,
                  call.integer("per_class", 0) != 0, call.integer("keeps_one", 0) != 0};
  const std::int64_t images = boxes->dims[0], n = boxes->dims[1], classes = scores->dims[2];
  Tensor coordinates = TRY(call.scratch(Element::f32, {images, most, 4}));
  Tensor values = TRY(call.scratch(Element::f32, {images, most, classes}));
  Tensor places = TRY(call.scratch(Element::i32, {images, most}));
  Tensor counts = TRY(call.scratch(Element::i32, {images}));
  std::fill_n(coordinates.data<float>(), coordinates.count, 0.0f);
  std::fill_n(values.data<float>(), values.count, 0.0f);
  std::fill_n(places.data<std::int32_t>(), places.count, -1);
  for (std::int64_t image = 0; image < images; ++image) {
    const float* from = boxes->data<float>() + image * n * 4;
    const float* score = scores->data<float>() + image * n * classes;
    const auto kept = selected(from, score, n, classes, rule);
    counts.data<std::int32_t>()[image] = static_cast<std::int32_t>(kept.size());
    for (std::size_t k = 0; k < kept.size(); ++k) {
      const std::int64_t row = image * most + static_cast<std::int64_t>(k);
      std::copy_n(from + kept[k] * 4, 4, coordinates.data<float>() + row * 4);
      std::copy_n(score + kept[k] * classes, classes, values.data<float>() + row * classes);
      places.data<std::int32_t>()[row] = static_cast<std::int32_t>(kept[k]);
    }
  }
  call.give(0, std::move(coordinates));
  call.give(1, std::move(values));
  call.give(2, std::move(places));
  call.give(3, std::move(counts));
  return Done{};
}

constexpr Operator rows[] = {
    {"hearth.SelectBoxes", select_boxes, nullptr, 5, 5},
};

}  // namespace

std::span<const Operator> box_operators() { return rows; }

}  // namespace hearth::graphs
