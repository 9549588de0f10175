// Boxes from distances to anchors, the best of those that overlap: the end of TFLite's detectors.
// Source: TFLite, comments of its custom operator TFLite_Detection_PostProcess; Liu et al. 2016,
// "SSD: single shot multibox detector".
#include <algorithm>
#include <cmath>
#include <numeric>

#include "graphs/call.h"
#include "graphs/operators/families.h"

namespace hearth::graphs {
namespace {

constexpr std::int64_t most_boxes = 1 << 20;

struct Box {
  float top, left, bottom, right;
  float area() const { return (bottom - top) * (right - left); }
};

float overlap(const Box& a, const Box& b) {
  if (a.area() <= 0 || b.area() <= 0) return 0;
  const float h = std::min(a.bottom, b.bottom) - std::max(a.top, b.top),
              w = std::min(a.right, b.right) - std::max(a.left, b.left);
  const float both = std::max(h, 0.0f) * std::max(w, 0.0f);
  return both / (a.area() + b.area() - both);
}

struct Rules {
  std::int64_t most, classes, per_box, per_class, hidden;  // hidden: classes before the first one
  float least, overlap;
  bool by_class;
};

struct Detection {
  std::int64_t box, kind;
  float score;
};

// Those of some scores that stay, best first.
std::vector<std::int64_t> kept(const std::vector<Box>& boxes, const std::vector<float>& scores,
                               std::int64_t most, const Rules& rules) {
  std::vector<std::int64_t> order, result;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (scores[i] >= rules.least) order.push_back(static_cast<std::int64_t>(i));
  std::ranges::stable_sort(order, [&](auto a, auto b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  for (const std::int64_t i : order) {
    if (static_cast<std::int64_t>(result.size()) >= most) break;
    const bool is_covered = std::ranges::any_of(result, [&](std::int64_t other) {
      return overlap(boxes[static_cast<std::size_t>(i)], boxes[static_cast<std::size_t>(other)]) >
             rules.overlap;
    });
    if (!is_covered) result.push_back(i);
  }
  return result;
}

// Class after class, then the best of all.
std::vector<Detection> by_class(const std::vector<Box>& boxes, const float* scores,
                                const Rules& rules) {
  std::vector<Detection> all;
  std::vector<float> own(boxes.size());
  for (std::int64_t c = 0; c < rules.classes; ++c) {
    for (std::size_t i = 0; i < boxes.size(); ++i)
      own[i] =
          scores[static_cast<std::int64_t>(i) * (rules.classes + rules.hidden) + rules.hidden + c];
    for (const std::int64_t i : kept(boxes, own, rules.per_class, rules))
      all.push_back({i, c, own[static_cast<std::size_t>(i)]});
    std::ranges::stable_sort(all, std::ranges::greater{}, &Detection::score);
    if (static_cast<std::int64_t>(all.size()) > rules.most)
      all.resize(static_cast<std::size_t>(rules.most));
  }
  return all;
}

// By the best class of each box; each box that stays is told with its best classes.
std::vector<Detection> by_box(const std::vector<Box>& boxes, const float* scores,
                              const Rules& rules) {
  const auto per_box = static_cast<std::size_t>(std::min(rules.per_box, rules.classes));
  const auto row = [&](std::size_t i) {
    return scores + static_cast<std::int64_t>(i) * (rules.classes + rules.hidden) + rules.hidden;
  };
  std::vector<float> best(boxes.size());
  for (std::size_t i = 0; i < boxes.size(); ++i)
    best[i] = *std::max_element(row(i), row(i) + rules.classes);
  std::vector<Detection> all;
  std::vector<std::int64_t> order(static_cast<std::size_t>(rules.classes));
  for (const std::int64_t box : kept(boxes, best, rules.most, rules)) {
    const float* own = row(static_cast<std::size_t>(box));
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](auto a, auto b) { return own[a] > own[b]; });
    for (std::size_t i = 0; i < per_box; ++i) all.push_back({box, order[i], own[order[i]]});
  }
  return all;
}

// boxes: [n, 4 or more] as y, x, height, width, relative to anchors [n, 4] of the same.
std::vector<Box> decoded(const Tensor& boxes, const Tensor& anchors, const float (&scale)[4]) {
  const std::int64_t n = anchors.dims[0], width = boxes.dims.back();
  std::vector<Box> result;
  for (std::int64_t i = 0; i < n; ++i) {
    const float* b = boxes.data<float>() + i * width;
    const float* a = anchors.data<float>() + i * 4;
    const float y = b[0] / scale[0] * a[2] + a[0], x = b[1] / scale[1] * a[3] + a[1];
    const float h = 0.5f * std::exp(b[2] / scale[2]) * a[2],
                w = 0.5f * std::exp(b[3] / scale[3]) * a[3];
    result.push_back({y - h, x - w, y + h, x + w});
  }
  return result;
}

Result<Rules> rules_of(Call& call, std::int64_t given_classes) {
  const auto whole = [&](std::string_view name, double usual) {
    return static_cast<std::int64_t>(std::clamp(call.real(name, usual), -1.0, 1e9));
  };
  Rules rules{};
  rules.most = whole("max_detections", 0);
  rules.classes = whole("num_classes", 0);
  rules.per_box = whole("max_classes_per_detection", 1);
  rules.per_class = whole("detections_per_class", 100);
  rules.least = static_cast<float>(call.real("nms_score_threshold", 0));
  rules.overlap = static_cast<float>(call.real("nms_iou_threshold", 1));
  rules.by_class = call.real("use_regular_nms", 0) != 0;
  rules.hidden = given_classes - rules.classes;
  if (rules.classes < 1 || rules.hidden < 0 || rules.hidden > 1 || rules.most < 0 ||
      rules.most > most_boxes || rules.per_box < 1 || rules.per_box > most_boxes)
    return invalid(fmt::format("{} classes of {}, at most {} boxes", rules.classes, given_classes,
                               rules.most));
  return rules;
}

// inputs: boxes [1, n, 4], scores [1, n, classes], anchors [n, 4].  outputs: boxes [1, most, 4] as
// top, left, bottom, right, classes and scores [1, most], how many [1]; all f32, 0 where none is.
Status detect_boxes(Call& call) {
  const Tensor *boxes = TRY(call.typed(0, Element::f32)),
               *scores = TRY(call.typed(1, Element::f32)),
               *anchors = TRY(call.typed(2, Element::f32));
  if (boxes->rank() != 3 || scores->rank() != 3 || anchors->rank() != 2 || boxes->dims[0] != 1 ||
      scores->dims[0] != 1 || anchors->dims[1] != 4 || boxes->dims[2] < 4 ||
      boxes->dims[1] != anchors->dims[0] || scores->dims[1] != anchors->dims[0])
    return invalid(fmt::format("boxes {}, scores {}, anchors {}", to_text(boxes->dims),
                               to_text(scores->dims), to_text(anchors->dims)));
  const Rules rules = TRY(rules_of(call, scores->dims[2]));
  const float scale[] = {
      static_cast<float>(call.real("y_scale", 1)), static_cast<float>(call.real("x_scale", 1)),
      static_cast<float>(call.real("h_scale", 1)), static_cast<float>(call.real("w_scale", 1))};
  const std::vector<Box> places = decoded(*boxes, *anchors, scale);
  const auto found = rules.by_class ? by_class(places, scores->data<float>(), rules)
                                    : by_box(places, scores->data<float>(), rules);
  const std::int64_t each = rules.by_class ? 1 : std::min(rules.per_box, rules.classes);
  const std::int64_t rows = rules.most * rules.per_box;
  Tensor where = TRY(call.scratch(Element::f32, {1, rows, 4})),
         kinds = TRY(call.scratch(Element::f32, {1, rows})),
         values = TRY(call.scratch(Element::f32, {1, rows})),
         count = TRY(call.scratch(Element::f32, {1}));
  for (Tensor* each : {&where, &kinds, &values})
    std::fill_n(each->data<float>(), each->count, 0.0f);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Box& box = places[static_cast<std::size_t>(found[i].box)];
    const float corners[] = {box.top, box.left, box.bottom, box.right};
    std::ranges::copy(corners, where.data<float>() + 4 * i);
    kinds.data<float>()[i] = static_cast<float>(found[i].kind);
    values.data<float>()[i] = found[i].score;
  }
  count.data<float>()[0] = static_cast<float>(static_cast<std::int64_t>(found.size()) / each);
  call.give(0, std::move(where));
  call.give(1, std::move(kinds));
  call.give(2, std::move(values));
  call.give(3, std::move(count));
  return Done{};
}

constexpr Operator rows[] = {
    {"hearth.DetectBoxes", detect_boxes, nullptr, 3, 3},
};

}  // namespace

std::span<const Operator> detect_operators() { return rows; }

}  // namespace hearth::graphs
