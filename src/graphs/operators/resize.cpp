// Resize and Upsample.
// Source: ONNX operator specification, Resize (version 19).
#include <algorithm>
#include <cmath>

#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

enum class Mode { nearest, linear, cubic };

struct Plan {
  Mode mode = Mode::nearest;
  std::string coordinates = "half_pixel", nearest = "round_prefer_floor";
  bool antialias = false, exclude_outside = false;
  double cubic_a = -0.75;
  double outside = 0;  // of tf_crop_and_resize
};

struct AxisPlan {
  std::int64_t in = 1, out = 1;
  double scale = 1, start = 0, end = 1;
};

// Which inputs make each output along one axis, and how much of each.
struct Taps {
  std::vector<std::vector<std::pair<std::int64_t, double>>> of;
  std::vector<bool> outside;
};

double source_of(const Plan& plan, const AxisPlan& a, double x) {
  const auto in = static_cast<double>(a.in);
  const double width = a.scale * in;
  if (plan.coordinates == "asymmetric") return x / a.scale;
  if (plan.coordinates == "align_corners") return width == 1 ? 0 : x * (in - 1) / (width - 1);
  if (plan.coordinates == "pytorch_half_pixel") return a.out > 1 ? (x + 0.5) / a.scale - 0.5 : 0;
  if (plan.coordinates == "tf_half_pixel_for_nn") return (x + 0.5) / a.scale;
  if (plan.coordinates == "half_pixel_symmetric") {
    const double adjustment = static_cast<double>(a.out) / width;
    return in / 2 * (1 - adjustment) + (x + 0.5) / a.scale - 0.5;
  }
  if (plan.coordinates == "tf_crop_and_resize") {
    if (a.out <= 1) return 0.5 * (a.start + a.end) * (in - 1);
    return a.start * (in - 1) + x * (a.end - a.start) * (in - 1) / static_cast<double>(a.out - 1);
  }
  return (x + 0.5) / a.scale - 0.5;
}

double cubic(double x, double a) {
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

double nearest_of(const Plan& plan, double x) {
  if (plan.nearest == "round_prefer_ceil") return std::floor(x + 0.5);
  if (plan.nearest == "floor") return std::floor(x);
  if (plan.nearest == "ceil") return std::ceil(x);
  return std::ceil(x - 0.5);
}

Taps taps_of(const Plan& plan, const AxisPlan& axis) {
  Taps taps;
  const std::int64_t last = axis.in - 1;
  for (std::int64_t i = 0; i < axis.out; ++i) {
    const double x = source_of(plan, axis, static_cast<double>(i));
    taps.outside.push_back(plan.coordinates == "tf_crop_and_resize" &&
                           (x < 0 || x > static_cast<double>(last)));
    auto& row = taps.of.emplace_back();
    if (plan.mode == Mode::nearest) {
      row.emplace_back(static_cast<std::int64_t>(
                           std::clamp(nearest_of(plan, x), 0.0, static_cast<double>(last))),
                       1.0);
      continue;
    }
    const double base = std::floor(x), ratio = x - base;
    const double shrink = plan.antialias ? std::min(axis.scale, 1.0) : 1.0;
    const double reach = (plan.mode == Mode::linear ? 1 : 2) / shrink;
    double sum = 0;
    const auto first = static_cast<std::int64_t>(std::floor(-reach)) + 1;
    for (std::int64_t k = first; k <= 1 - first; ++k) {
      const double distance = (static_cast<double>(k) - ratio) * shrink;
      double weight = plan.mode == Mode::linear ? std::max(0.0, 1 - std::fabs(distance))
                                                : cubic(distance, plan.cubic_a);
      const std::int64_t at = static_cast<std::int64_t>(base) + k;
      if (plan.exclude_outside && (at < 0 || at > last)) weight = 0;
      sum += weight;
      if (weight != 0) row.emplace_back(std::clamp(at, std::int64_t{0}, last), weight);
    }
    for (auto& [at, weight] : row) weight /= sum;
  }
  return taps;
}

struct Numbered {
  std::vector<double> values;
  Dims dims;
};

void resize_axis(Call& call, Numbered& x, std::size_t axis, const Taps& taps) {
  const std::int64_t in = x.dims[axis], out = static_cast<std::int64_t>(taps.of.size());
  const std::int64_t inner = product(std::span(x.dims).subspan(axis + 1));
  const std::int64_t outer = product(std::span(x.dims).first(axis));
  std::vector<double> result(static_cast<std::size_t>(outer * out * inner), 0.0);
  parallel(call.machine, outer * out,
           std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, inner)),
           [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t row = begin; row < end; ++row)
               for (const auto& [at, weight] : taps.of[static_cast<std::size_t>(row % out)]) {
                 const double* from = x.values.data() + (row / out * in + at) * inner;
                 double* to = result.data() + row * inner;
                 for (std::int64_t i = 0; i < inner; ++i) to[i] += from[i] * weight;
               }
           });
  x.values = std::move(result);
  x.dims[axis] = out;
}

// Sizes from scales, or scales from sizes.
Status size_axes(Call& call, std::vector<AxisPlan>& axes, const std::vector<std::size_t>& order,
                 const std::vector<double>& scales, const std::vector<std::int64_t>& sizes) {
  if (!sizes.empty()) {
    if (sizes.size() != order.size())
      return invalid(fmt::format("{} sizes for {} axes", sizes.size(), order.size()));
    const std::string_view policy = call.text("keep_aspect_ratio_policy", "stretch");
    double common = policy == "not_larger" ? INFINITY : 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      AxisPlan& axis = axes[order[i]];
      if (sizes[i] < 1 || axis.in < 1) return invalid(fmt::format("a size of {}", sizes[i]));
      axis.out = sizes[i];
      axis.scale = static_cast<double>(sizes[i]) / static_cast<double>(axis.in);
      common = policy == "not_larger" ? std::min(common, axis.scale) : std::max(common, axis.scale);
    }
    if (policy == "stretch") return Done{};
    for (const std::size_t i : order) {
      axes[i].scale = common;
      axes[i].out =
          static_cast<std::int64_t>(std::floor(common * static_cast<double>(axes[i].in) + 0.5));
    }
    return Done{};
  }
  if (scales.size() != order.size())
    return invalid(fmt::format("{} scales for {} axes", scales.size(), order.size()));
  for (std::size_t i = 0; i < order.size(); ++i) {
    AxisPlan& axis = axes[order[i]];
    const double out = std::floor(static_cast<double>(axis.in) * scales[i]);
    if (!(scales[i] > 0) || !(out >= 0 && out < 1e9))
      return invalid(fmt::format("a scale of {}", scales[i]));
    axis.scale = scales[i];
    axis.out = static_cast<std::int64_t>(out);
  }
  return Done{};
}

Status run_resize(Call& call, const Plan& plan, std::vector<AxisPlan>& axes) {
  const Tensor* x = TRY(call.tensor(0));
  Dims dims;
  for (const AxisPlan& axis : axes) dims.push_back(axis.out);
  Tensor* y = TRY(call.make(0, x->type, dims));
  if (y->count == 0) return Done{};
  if (x->count == 0) return invalid("an empty image");
  if (plan.mode == Mode::linear && !is_float(x->type) && x->type == Element::boolean)
    return unsupported("bool");
  const Numbers<double> numbers(*x);
  Numbered now{{numbers.begin(), numbers.end()}, x->dims};
  std::vector<Taps> all;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    all.push_back(taps_of(plan, axes[i]));
    const bool same =
        axes[i].in == axes[i].out && axes[i].scale == 1 && plan.coordinates != "tf_crop_and_resize";
    if (!same) resize_axis(call, now, i, all[i]);
  }
  if (plan.coordinates == "tf_crop_and_resize") {
    const Dims strides = strides_of(dims);
    for (std::int64_t i = 0; i < y->count; ++i)
      for (std::size_t k = 0; k < axes.size(); ++k)
        if (all[k].outside[static_cast<std::size_t>(i / strides[k] % dims[k])]) {
          now.values[static_cast<std::size_t>(i)] = plan.outside;
          break;
        }
  }
  if (!is_float(x->type) && plan.mode != Mode::nearest)
    for (double& value : now.values) value = std::nearbyint(value);
  put(*y, std::span<const double>(now.values));
  return Done{};
}

Result<Plan> plan_of(Call& call, bool old) {
  Plan plan;
  const std::string_view mode = call.text("mode", "nearest");
  if (mode == "linear" || mode == "bilinear" || mode == "trilinear")
    plan.mode = Mode::linear;
  else if (mode == "cubic")
    plan.mode = Mode::cubic;
  else if (mode != "nearest")
    return unsupported(fmt::format("mode '{}'", mode));
  plan.coordinates = call.text("coordinate_transformation_mode", old ? "asymmetric" : "half_pixel");
  plan.nearest = call.text("nearest_mode", old ? "floor" : "round_prefer_floor");
  plan.antialias = call.integer("antialias", 0) != 0;
  plan.exclude_outside = call.integer("exclude_outside", 0) != 0;
  plan.cubic_a = call.real("cubic_coeff_a", -0.75);
  plan.outside = call.real("extrapolation_value", 0);
  return plan;
}

Status resize(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const bool old = call.node.version != 0 && call.node.version < 11;
  const Plan plan = TRY(plan_of(call, old));
  std::vector<std::size_t> order = TRY(checked_axes(call.list("axes"), x->rank()));
  if (!call.has_attribute("axes"))
    for (std::size_t i = 0; i < x->rank(); ++i) order.push_back(i);
  std::vector<AxisPlan> axes;
  for (const std::int64_t extent : x->dims) axes.push_back({extent, extent, 1, 0, 1});
  std::vector<double> scales = call.reals_of("scales");
  std::vector<std::int64_t> sizes;
  const std::size_t scales_at = old ? 1 : 2;
  if (call.has(scales_at)) scales = TRY(call.reals(scales_at));
  if (!old && call.has(3)) sizes = TRY(call.integers(3));
  TRY(size_axes(call, axes, order, scales, sizes));
  if (!old && call.has(1) && plan.coordinates == "tf_crop_and_resize") {
    const auto roi = TRY(call.reals(1));
    if (roi.size() != 2 * order.size())
      return invalid(fmt::format("a roi of {} numbers", roi.size()));
    for (std::size_t i = 0; i < order.size(); ++i) {
      axes[order[i]].start = roi[i];
      axes[order[i]].end = roi[order.size() + i];
    }
  }
  return run_resize(call, plan, axes);
}

constexpr Operator rows[] = {
    {"Resize", resize, nullptr, 1, 4},
    {"Upsample", resize, nullptr, 1, 2},
};

}  // namespace

std::span<const Operator> resize_operators() { return rows; }

}  // namespace hearth::graphs
