// Reading images at places between their elements: GridSample, AffineGrid, RoiAlign, MaxRoiPool.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <cmath>

#include "graphs/infer.h"
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

enum class Edge { zeros, border, reflection };

struct Sampler {
  Edge edge = Edge::zeros;
  bool align = false;

  double denormalised(double x, std::int64_t n) const {
    const auto extent = static_cast<double>(n);
    return align ? (x + 1) / 2 * (extent - 1) : ((x + 1) * extent - 1) / 2;
  }
  // Folded back into the image where the edges are mirrors.
  double reflected(double x, std::int64_t n) const {
    const double low = align ? 0 : -0.5, high = static_cast<double>(n) - (align ? 1 : 0.5);
    const double range = high - low;
    if (range <= 0) return 0;
    if (x >= low && x <= high) return x;
    const double past = std::fmod(std::fabs(x - low), 2 * range);
    return low + (past > range ? 2 * range - past : past);
  }
  // The element at whole place x, or -1.
  std::int64_t place(double x, std::int64_t n) const {
    if (!(x > -1e15 && x < 1e15)) return -1;
    if (edge == Edge::reflection) x = std::nearbyint(reflected(x, n));
    if (edge != Edge::zeros)
      return static_cast<std::int64_t>(std::clamp(x, 0.0, static_cast<double>(n - 1)));
    return x >= 0 && x < static_cast<double>(n) ? static_cast<std::int64_t>(x) : -1;
  }
};

double cubic_weight(double x) {  // a = -0.75
  constexpr double a = -0.75;
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

// The taps along one axis: where, and how much.
int taps_at(double x, std::string_view mode, double* at, double* weights) {
  if (mode == "nearest") {
    at[0] = std::nearbyint(x);
    weights[0] = 1;
    return 1;
  }
  const double base = std::floor(x), ratio = x - base;
  if (mode == "cubic") {
    for (int k = 0; k < 4; ++k) {
      at[k] = base + k - 1;
      weights[k] = cubic_weight(ratio - (k - 1));
    }
    return 4;
  }
  at[0] = base;
  at[1] = base + 1;
  weights[0] = 1 - ratio;
  weights[1] = ratio;
  return 2;
}

// x: [n, c, d1..dk]; grid: [n, e1..ek, k], coordinates innermost axis first.
Status grid_sample(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* grid = TRY(call.tensor(1));
  if (x->rank() < 3 || grid->rank() != x->rank() || grid->dims[0] != x->dims[0] ||
      grid->dims.back() != static_cast<std::int64_t>(x->rank() - 2))
    return invalid(fmt::format("an image {} and a grid {}", to_text(x->dims), to_text(grid->dims)));
  const std::size_t axes = x->rank() - 2;
  if (axes > 3) return unsupported("more than three spatial axes");
  std::string_view mode = call.text("mode", "linear");
  if (mode == "bilinear") mode = "linear";
  if (mode == "bicubic") mode = "cubic";
  Sampler sampler;
  const std::string_view padding = call.text("padding_mode", "zeros");
  sampler.edge = padding == "border"       ? Edge::border
                 : padding == "reflection" ? Edge::reflection
                                           : Edge::zeros;
  sampler.align = call.integer("align_corners", 0) != 0;
  Dims dims{x->dims[0], x->dims[1]};
  dims.insert(dims.end(), grid->dims.begin() + 1, grid->dims.end() - 1);
  const std::int64_t outputs = product(std::span(dims).subspan(2)),
                     inputs = product(std::span(x->dims).subspan(2));
  const std::int64_t channels = x->dims[1];
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  if (x->count == 0 && y->count > 0) return invalid("an empty image");
  const Numbers<double> from(*x), where(*grid);
  std::vector<double> result(static_cast<std::size_t>(y->count));
  parallel(call.machine, x->dims[0] * outputs, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t point = begin; point < end; ++point) {
      const double* g = where.data() + point * static_cast<std::int64_t>(axes);
      double at[3][4], weights[3][4];
      int counts[3] = {1, 1, 1};
      for (std::size_t k = 0; k < axes; ++k) {  // axis k of the image is coordinate axes - 1 - k
        double place = sampler.denormalised(g[axes - 1 - k], x->dims[2 + k]);
        if (sampler.edge == Edge::border && mode != "cubic")
          place = std::clamp(place, 0.0, static_cast<double>(x->dims[2 + k] - 1));
        if (sampler.edge == Edge::reflection && mode != "cubic")
          place = sampler.reflected(place, x->dims[2 + k]);
        counts[k] = taps_at(place, mode, at[k], weights[k]);
      }
      for (std::int64_t c = 0; c < channels; ++c) {
        const std::int64_t batch = point / outputs;
        const double* plane = from.data() + (batch * channels + c) * inputs;
        double sum = 0;
        for (int t = 0; t < counts[0] * counts[1] * counts[2]; ++t) {
          const int index[3] = {t / (counts[1] * counts[2]), t / counts[2] % counts[1],
                                t % counts[2]};
          double weight = 1;
          std::int64_t place = 0;
          for (std::size_t k = 0; k < axes && place >= 0; ++k) {
            const std::int64_t p = sampler.place(at[k][index[k]], x->dims[2 + k]);
            weight *= weights[k][index[k]];
            place = p < 0 ? -1 : place * x->dims[2 + k] + p;
          }
          if (place >= 0) sum += weight * plane[place];
        }
        result[static_cast<std::size_t>((batch * channels + c) * outputs + point % outputs)] = sum;
      }
    }
  });
  put(*y, std::span<const double>(result));
  return Done{};
}

// theta: [n, 2, 3] or [n, 3, 4]; size: [n, c, (d,) h, w].
Status affine_grid(Call& call) {
  const Tensor* theta = TRY(call.tensor(0));
  const auto size = TRY(call.integers(1));
  const std::size_t axes = size.size() < 3 ? 0 : size.size() - 2;
  if (axes < 2 || axes > 3 ||
      theta->count != size[0] * static_cast<std::int64_t>(axes * (axes + 1)))
    return invalid(fmt::format("theta {} for {} sizes", to_text(theta->dims), size.size()));
  const bool align = call.integer("align_corners", 0) != 0;
  Dims dims{size[0]};
  dims.insert(dims.end(), size.begin() + 2, size.end());
  dims.push_back(static_cast<std::int64_t>(axes));
  Tensor* y = TRY(call.make(0, theta->type, std::move(dims)));
  const Numbers<double> t(*theta);
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(y->count));
  const std::int64_t points = product(std::span(size).subspan(2));
  for (std::int64_t i = 0; i < size[0] * points; ++i) {
    double at[4] = {1, 1, 1, 1};  // x, y, (z,) 1
    std::int64_t rest = i % points;
    for (std::size_t k = 0; k < axes; ++k) {
      const std::int64_t n = size[size.size() - 1 - k];
      const auto p = static_cast<double>(rest % n), extent = static_cast<double>(n);
      rest /= n;
      at[k] = align ? (n == 1 ? 0 : 2 * p / (extent - 1) - 1) : (2 * p + 1) / extent - 1;
    }
    const double* m = t.data() + i / points * static_cast<std::int64_t>(axes * (axes + 1));
    for (std::size_t row = 0; row < axes; ++row) {
      double sum = m[row * (axes + 1) + axes];
      for (std::size_t k = 0; k < axes; ++k) sum += m[row * (axes + 1) + k] * at[k];
      result.push_back(sum);
    }
  }
  put(*y, std::span<const double>(result));
  return Done{};
}

// Bilinear, as RoiAlign reads: outside by more than one element is zero.
struct Corner {
  std::int64_t at[4];
  double weight[4];
};
Corner corners(double y, double x, std::int64_t h, std::int64_t w) {
  Corner c{{0, 0, 0, 0}, {0, 0, 0, 0}};
  if (y < -1 || y > static_cast<double>(h) || x < -1 || x > static_cast<double>(w)) return c;
  y = std::max(y, 0.0);
  x = std::max(x, 0.0);
  auto y0 = static_cast<std::int64_t>(y), x0 = static_cast<std::int64_t>(x);
  std::int64_t y1 = y0 + 1, x1 = x0 + 1;
  if (y0 >= h - 1) {
    y0 = y1 = h - 1;
    y = static_cast<double>(y0);
  }
  if (x0 >= w - 1) {
    x0 = x1 = w - 1;
    x = static_cast<double>(x0);
  }
  const double fy = y - static_cast<double>(y0), fx = x - static_cast<double>(x0);
  return {{y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1},
          {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}};
}

Status roi_align(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* rois = TRY(call.tensor(1));
  const auto batches = TRY(call.integers(2));
  const std::int64_t oh = call.integer("output_height", 1), ow = call.integer("output_width", 1);
  const std::int64_t ratio = call.integer("sampling_ratio", 0);
  if (x->rank() != 4 || rois->rank() != 2 || rois->dims[1] != 4 ||
      static_cast<std::int64_t>(batches.size()) != rois->dims[0] || oh < 1 || ow < 1 ||
      oh > (1 << 16) || ow > (1 << 16) || ratio < 0 || ratio > 1024 || x->dims[2] < 1 ||
      x->dims[3] < 1)
    return invalid(
        fmt::format("an image {} and regions {}", to_text(x->dims), to_text(rois->dims)));
  const double scale = call.real("spatial_scale", 1);
  const bool most = call.text("mode", "avg") == "max";
  const bool half =
      call.text("coordinate_transformation_mode", call.node.version != 0 && call.node.version < 16
                                                      ? "output_half_pixel"
                                                      : "half_pixel") == "half_pixel";
  const std::int64_t channels = x->dims[1], h = x->dims[2], w = x->dims[3];
  Tensor* y = TRY(call.make(0, x->type, {rois->dims[0], channels, oh, ow}));
  const Numbers<double> from(*x), box(*rois);
  std::vector<double> result(static_cast<std::size_t>(y->count));
  for (std::int64_t r = 0; r < rois->dims[0]; ++r) {
    const std::int64_t b = batches[static_cast<std::size_t>(r)];
    if (b < 0 || b >= x->dims[0]) return invalid(fmt::format("batch {}", b));
    const double* p = box.data() + r * 4;
    const double x1 = p[0] * scale - (half ? 0.5 : 0), y1 = p[1] * scale - (half ? 0.5 : 0);
    double rw = p[2] * scale - (half ? 0.5 : 0) - x1, rh = p[3] * scale - (half ? 0.5 : 0) - y1;
    if (!half) {
      rw = std::max(rw, 1.0);
      rh = std::max(rh, 1.0);
    }
    const double bh = rh / static_cast<double>(oh), bw = rw / static_cast<double>(ow);
    const auto steps = [&](double extent) {
      return std::clamp<std::int64_t>(
          ratio > 0 ? ratio : static_cast<std::int64_t>(std::ceil(extent)), 1, 4096);
    };
    const std::int64_t gh = steps(bh), gw = steps(bw);
    for (std::int64_t o = 0; o < oh * ow; ++o)
      for (std::int64_t c = 0; c < channels; ++c) {
        const double* plane = from.data() + (b * channels + c) * h * w;
        double sum = 0;
        bool first = true;
        for (std::int64_t s = 0; s < gh * gw; ++s) {
          const double py = y1 + static_cast<double>(o / ow) * bh +
                            (static_cast<double>(s / gw) + 0.5) * bh / static_cast<double>(gh);
          const double px = x1 + static_cast<double>(o % ow) * bw +
                            (static_cast<double>(s % gw) + 0.5) * bw / static_cast<double>(gw);
          const Corner corner = corners(py, px, h, w);
          double total = 0, biggest = 0;
          for (int k = 0; k < 4; ++k) {
            const double part = corner.weight[k] * plane[corner.at[k]];
            total += part;
            biggest = k == 0 ? part : std::max(biggest, part);
          }
          if (most)
            sum = first ? biggest : std::max(sum, biggest);
          else
            sum += total;
          first = false;
        }
        result[static_cast<std::size_t>((r * channels + c) * oh * ow + o)] =
            most ? sum : sum / static_cast<double>(gh * gw);
      }
  }
  put(*y, std::span<const double>(result));
  return Done{};
}

// rois: [n, 5]: batch, x1, y1, x2, y2.
Status max_roi_pool(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* rois = TRY(call.tensor(1));
  const auto shape = call.list("pooled_shape");
  if (x->rank() != 4 || rois->rank() != 2 || rois->dims[1] != 5 || shape.size() != 2 ||
      shape[0] < 1 || shape[1] < 1 || shape[0] > (1 << 16) || shape[1] > (1 << 16))
    return invalid(
        fmt::format("an image {} and regions {}", to_text(x->dims), to_text(rois->dims)));
  const double scale = call.real("spatial_scale", 1);
  const std::int64_t channels = x->dims[1], h = x->dims[2], w = x->dims[3];
  Tensor* y = TRY(call.make(0, x->type, {rois->dims[0], channels, shape[0], shape[1]}));
  const Numbers<double> from(*x), box(*rois);
  std::vector<double> result(static_cast<std::size_t>(y->count), 0.0);
  for (std::int64_t r = 0; r < rois->dims[0]; ++r) {
    const double* p = box.data() + r * 5;
    for (int k = 0; k < 5; ++k)
      if (!(std::fabs(p[k] * scale) < 1e9)) return invalid("a region");
    const auto b = static_cast<std::int64_t>(p[0]);
    if (b < 0 || b >= x->dims[0]) return invalid(fmt::format("batch {}", b));
    const auto edge = [&](int k) { return static_cast<std::int64_t>(std::round(p[k] * scale)); };
    const double rh = static_cast<double>(std::max<std::int64_t>(edge(4) - edge(2) + 1, 1)) /
                      static_cast<double>(shape[0]);
    const double rw = static_cast<double>(std::max<std::int64_t>(edge(3) - edge(1) + 1, 1)) /
                      static_cast<double>(shape[1]);
    for (std::int64_t o = 0; o < shape[0] * shape[1]; ++o) {
      const auto i = static_cast<double>(o / shape[1]), j = static_cast<double>(o % shape[1]);
      const auto y0 =
          std::clamp(static_cast<std::int64_t>(std::floor(i * rh)) + edge(2), std::int64_t{0}, h);
      const auto y1 = std::clamp(static_cast<std::int64_t>(std::ceil((i + 1) * rh)) + edge(2),
                                 std::int64_t{0}, h);
      const auto x0 =
          std::clamp(static_cast<std::int64_t>(std::floor(j * rw)) + edge(1), std::int64_t{0}, w);
      const auto x1 = std::clamp(static_cast<std::int64_t>(std::ceil((j + 1) * rw)) + edge(1),
                                 std::int64_t{0}, w);
      for (std::int64_t c = 0; c < channels; ++c) {
        double best = y0 < y1 && x0 < x1 ? -INFINITY : 0;
        for (std::int64_t a = y0; a < y1; ++a)
          for (std::int64_t d = x0; d < x1; ++d)
            best = std::max(best,
                            from[static_cast<std::size_t>(((b * channels + c) * h + a) * w + d)]);
        result[static_cast<std::size_t>((r * channels + c) * shape[0] * shape[1] + o)] = best;
      }
    }
  }
  put(*y, std::span<const double>(result));
  return Done{};
}

constexpr Operator rows[] = {
    {"GridSample", grid_sample, nullptr, 2, 2},
    {"com.microsoft.GridSample", grid_sample, nullptr, 2, 2},
    {"AffineGrid", affine_grid, nullptr, 2, 2},
    {"RoiAlign", roi_align, nullptr, 3, 3},
    {"MaxRoiPool", max_roi_pool, nullptr, 2, 2},
};

}  // namespace

std::span<const Operator> sample_operators() { return rows; }

}  // namespace hearth::graphs
