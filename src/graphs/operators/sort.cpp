// Order: TopK, Unique, NonMaxSuppression.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <map>
#include <numeric>

#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

// The places of the k first of n elements `step` apart.
template <typename T>
std::vector<std::int64_t> first_k(const T* row, std::int64_t step, std::int64_t n, std::int64_t k,
                                  bool largest) {
  std::vector<std::int64_t> places(static_cast<std::size_t>(n));
  std::iota(places.begin(), places.end(), 0);
  const auto before = [&](std::int64_t a, std::int64_t b) {
    const T x = row[a * step], y = row[b * step];
    if (x != y) return largest ? x > y : x < y;
    return a < b;
  };
  std::partial_sort(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(k), places.end(),
                    before);
  places.resize(static_cast<std::size_t>(k));
  return places;
}

Status top_k(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const std::int64_t k = call.has(1) ? TRY(call.integer_input(1, 0)) : call.integer("k", 0);
  const auto axis = TRY(checked_axis(call.integer("axis", -1), x->rank()));
  if (k < 0 || k > x->dims[axis]) return invalid(fmt::format("{} of {}", k, x->dims[axis]));
  const bool largest = call.integer("largest", 1) != 0;
  Dims dims = x->dims;
  dims[axis] = k;
  Tensor values = TRY(call.scratch(x->type, dims));
  Tensor* places = TRY(call.make(1, Element::i64, dims));
  const std::int64_t n = x->dims[axis], inner = product(std::span(dims).subspan(axis + 1));
  const auto size = static_cast<std::int64_t>(size_of(x->type));
  const bool real = is_float(x->type);
  const Tensor none;
  const Numbers<double> reals(real ? *x : none);
  const Numbers<std::int64_t> wholes(real ? none : *x);
  for (std::int64_t row = 0; n > 0 && row < x->count / n; ++row) {
    const std::int64_t base = row / inner * n * inner + row % inner;
    const auto best = real ? first_k(reals.data() + base, inner, n, k, largest)
                           : first_k(wholes.data() + base, inner, n, k, largest);
    for (std::int64_t i = 0; i < k; ++i) {
      const std::int64_t to = row / inner * k * inner + i * inner + row % inner;
      const std::int64_t from = best[static_cast<std::size_t>(i)];
      places->data<std::int64_t>()[to] = from;
      std::memcpy(values.bytes + to * size, x->bytes + (base + from * inner) * size,
                  static_cast<std::size_t>(size));
    }
  }
  call.give(0, std::move(values));
  return Done{};
}

// Whether slice a comes before slice b; slices are `outer` rows of `inner` elements.
struct Slices {
  const Tensor& x;
  std::int64_t outer, n, inner;
  std::vector<double> numbers;

  int compare(std::int64_t a, std::int64_t b) const {
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t i = 0; i < inner; ++i) {
        const auto p = static_cast<std::size_t>((o * n + a) * inner + i);
        const auto q = static_cast<std::size_t>((o * n + b) * inner + i);
        if (x.type == Element::text) {
          const int order =
              x.text(static_cast<std::int64_t>(p)).compare(x.text(static_cast<std::int64_t>(q)));
          if (order != 0) return order;
        } else if (numbers[p] != numbers[q]) {
          return numbers[p] < numbers[q] ? -1 : 1;
        }
      }
    return 0;
  }
};

Status unique(Call& call) {
  const Tensor* given = TRY(call.tensor(0));
  const bool flat = !call.has_attribute("axis");
  const Tensor x = flat ? reshaped(*given, {given->count}) : *given;
  const auto axis = TRY(checked_axis(call.integer("axis", 0), x.rank()));
  Slices slices{x,
                product(std::span(x.dims).first(axis)),
                x.dims[axis],
                product(std::span(x.dims).subspan(axis + 1)),
                {}};
  if (x.type != Element::text) {
    const Numbers<double> numbers(x);
    slices.numbers.assign(numbers.begin(), numbers.end());
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(slices.n));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](auto a, auto b) { return slices.compare(a, b) < 0; });
  struct Group {
    std::int64_t first, members;
  };
  std::vector<Group> groups;
  std::vector<std::size_t> group_of(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || slices.compare(order[i - 1], order[i]) != 0) groups.push_back({order[i], 0});
    ++groups.back().members;
    group_of[static_cast<std::size_t>(order[i])] = groups.size() - 1;
  }
  std::vector<std::size_t> place(groups.size());  // of a group in the result
  std::iota(place.begin(), place.end(), 0);
  std::vector<std::size_t> listed = place;
  if (call.integer("sorted", 1) == 0) {
    std::ranges::sort(listed, [&](auto a, auto b) { return groups[a].first < groups[b].first; });
    for (std::size_t i = 0; i < listed.size(); ++i) place[listed[i]] = i;
  }
  Dims dims = x.dims;
  const auto n = static_cast<std::int64_t>(groups.size());
  dims[axis] = n;
  Tensor y = TRY(call.scratch(x.type, dims));
  const std::int64_t run = slices.inner * static_cast<std::int64_t>(size_of(x.type));
  for (std::int64_t o = 0; o < slices.outer; ++o)
    for (std::int64_t i = 0; i < n; ++i)
      std::memcpy(
          y.bytes + (o * n + i) * run,
          x.bytes + (o * slices.n + groups[listed[static_cast<std::size_t>(i)]].first) * run,
          static_cast<std::size_t>(run));
  call.give(0, std::move(y));
  Tensor first = TRY(call.scratch(Element::i64, {n})),
         counts = TRY(call.scratch(Element::i64, {n}));
  Tensor inverse = TRY(call.scratch(Element::i64, {slices.n}));
  for (std::size_t i = 0; i < listed.size(); ++i) {
    first.data<std::int64_t>()[i] = groups[listed[i]].first;
    counts.data<std::int64_t>()[i] = groups[listed[i]].members;
  }
  for (std::size_t i = 0; i < group_of.size(); ++i)
    inverse.data<std::int64_t>()[i] = static_cast<std::int64_t>(place[group_of[i]]);
  call.give(1, std::move(first));
  call.give(2, std::move(inverse));
  call.give(3, std::move(counts));
  return Done{};
}

struct Box {
  float y1, x1, y2, x2;
};

Box box_at(const float* raw, bool is_center) {
  if (is_center) {
    const float half_w = raw[2] / 2, half_h = raw[3] / 2;
    return {raw[1] - half_h, raw[0] - half_w, raw[1] + half_h, raw[0] + half_w};
  }
  return {std::min(raw[0], raw[2]), std::min(raw[1], raw[3]), std::max(raw[0], raw[2]),
          std::max(raw[1], raw[3])};
}

float overlap(const Box& a, const Box& b) {
  const float h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (h <= 0 || w <= 0) return 0;
  const float both = h * w;
  const float area = (a.y2 - a.y1) * (a.x2 - a.x1) + (b.y2 - b.y1) * (b.x2 - b.x1) - both;
  return area <= 0 ? 0 : both / area;
}

Status non_max_suppression(Call& call) {
  const Tensor* boxes = TRY(call.typed(0, Element::f32));
  const Tensor* scores = TRY(call.typed(1, Element::f32));
  if (boxes->rank() != 3 || scores->rank() != 3 || boxes->dims[2] != 4 ||
      boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2])
    return invalid(
        fmt::format("boxes {} and scores {}", to_text(boxes->dims), to_text(scores->dims)));
  const std::int64_t most = TRY(call.integer_input(2, 0));
  const auto one = [&](std::size_t i, float fallback) {
    const Tensor* t = call.tensor_or_null(i);
    return t != nullptr && t->type == Element::f32 && t->count == 1 ? t->data<float>()[0]
                                                                    : fallback;
  };
  const float iou = one(3, 0), least = one(4, -std::numeric_limits<float>::infinity());
  const bool is_center = call.integer("center_point_box", 0) != 0;
  const std::int64_t n = boxes->dims[1];
  std::vector<std::int64_t> found;
  for (std::int64_t row = 0; row < scores->dims[0] * scores->dims[1]; ++row) {
    const std::int64_t batch = row / scores->dims[1];
    const float* score = scores->data<float>() + row * n;
    std::vector<std::int64_t> order;
    for (std::int64_t i = 0; i < n; ++i)
      if (score[i] > least) order.push_back(i);
    std::ranges::stable_sort(order, [&](auto a, auto b) { return score[a] > score[b]; });
    std::vector<Box> kept;
    for (const std::int64_t i : order) {
      if (static_cast<std::int64_t>(kept.size()) >= most) break;
      const Box box = box_at(boxes->data<float>() + (batch * n + i) * 4, is_center);
      if (std::ranges::any_of(kept, [&](const Box& other) { return overlap(box, other) > iou; }))
        continue;
      kept.push_back(box);
      found.insert(found.end(), {batch, row % scores->dims[1], i});
    }
  }
  Tensor* y = TRY(call.make(0, Element::i64, {static_cast<std::int64_t>(found.size() / 3), 3}));
  std::ranges::copy(found, y->data<std::int64_t>());
  return Done{};
}

constexpr Operator rows[] = {
    {"TopK", top_k, nullptr, 1, 2},
    {"Unique", unique, nullptr, 1, 1},
    {"NonMaxSuppression", non_max_suppression, nullptr, 2, 5},
};

}  // namespace

std::span<const Operator> sort_operators() { return rows; }

}  // namespace hearth::graphs
