// Resizing, cropping and resampling of images [..., height, width].
// Source: Core ML Tools, MIL operator reference; NeuralNetwork.proto, SamplingMode.
#include <fmt/core.h>

#include <algorithm>
#include <climits>
#include <cmath>

#include "graphs/coreml/mil.h"

namespace hearth::graphs::coreml {
namespace {

constexpr std::int64_t most_points = 1 << 20;  // of a side

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }
Error unknown_mode(std::string_view what, std::string_view mode) {
  return Error(ErrorKind::unsupported, fmt::format("{} '{}'", what, mode));
}

Ints last_axes(std::size_t rank, std::size_t n) {
  Ints axes;
  for (std::size_t i = rank - std::min(n, rank); i < rank; ++i)
    axes.push_back(static_cast<std::int64_t>(i));
  return axes;
}

Attributes nearest(std::size_t rank) {
  return {{"mode", std::string("nearest")},
          {"coordinate_transformation_mode", std::string("asymmetric")},
          {"nearest_mode", std::string("floor")},
          {"axes", last_axes(rank, 2)}};
}
Attributes bilinear(std::size_t rank, std::string_view coordinates) {
  return {{"mode", std::string("linear")},
          {"coordinate_transformation_mode", std::string(coordinates)},
          {"axes", last_axes(rank, 2)}};
}

// Factors of height and width.
Result<std::pair<double, double>> factors(MilOp& op) {
  const double h = TRY(op.real("scale_factor_height", 1)),
               w = TRY(op.real("scale_factor_width", 1));
  if (!(h > 0) || !(w > 0) || h > 65536 || w > 65536) return corrupt("a factor that is none");
  return std::pair(h, w);
}

// Sizes of the result where they are known, else absent and factors in `scales`.
Result<std::vector<ValueId>> resize_inputs(MilOp& op, const Dims& x, double h, double w) {
  const std::size_t n = x.size();
  const auto size = [](std::int64_t extent, double by) {
    return static_cast<std::int64_t>(std::floor(static_cast<double>(extent) * by));
  };
  const ValueId id = TRY(op.in("x"));
  if (x[n - 2] >= 0 && x[n - 1] >= 0)
    return std::vector<ValueId>{id, absent, absent,
                                op.b.integers({size(x[n - 2], h), size(x[n - 1], w)})};
  Tensor scales = TRY(make_tensor(Element::f32, {2}));
  scales.data<float>()[0] = static_cast<float>(h);
  scales.data<float>()[1] = static_cast<float>(w);
  return std::vector<ValueId>{id, absent, op.b.constant(std::move(scales))};
}

Result<Dims> image_dims(MilOp& op) {
  const Dims x = TRY(op.dims("x"));
  if (x.size() < 3) return corrupt(fmt::format("of {}; needs three axes", to_text(x)));
  return x;
}

Status upsample_nearest(MilOp& op) {
  const Dims x = TRY(image_dims(op));
  const auto [h, w] = TRY(factors(op));
  return op.give(op.b.emit("Resize", TRY(resize_inputs(op, x, h, w)), nearest(x.size())));
}

Status upsample_bilinear(MilOp& op) {
  const Dims x = TRY(image_dims(op));
  const auto [h, w] = TRY(factors(op));
  const bool corners = TRY(op.flag("align_corners", true));
  const bool half = TRY(op.flag("half_pixel_centers", !corners));
  if (corners && half) return unknown_mode("align_corners with", "half_pixel_centers");
  const std::string_view how = corners ? "align_corners" : half ? "half_pixel" : "asymmetric";
  return op.give(op.b.emit("Resize", TRY(resize_inputs(op, x, h, w)), bilinear(x.size(), how)));
}

Status resize_nearest_neighbor(MilOp& op) {
  const Dims x = TRY(image_dims(op));
  const ValueId sizes = op.b.integers(
      {TRY(op.integer("target_size_height", 1)), TRY(op.integer("target_size_width", 1))});
  return op.give(op.b.emit("Resize", {TRY(op.in("x")), absent, absent, sizes}, nearest(x.size())));
}

Status resize_bilinear(MilOp& op) {
  const Dims x = TRY(image_dims(op));
  const std::int64_t h = TRY(op.integer("target_size_height", 1)),
                     w = TRY(op.integer("target_size_width", 1));
  const std::string mode = TRY(op.text("sampling_mode", "DEFAULT"));
  return op.give(TRY(emit_resize_bilinear(op.b, TRY(op.in("x")), x, h, w, mode)));
}

// Our name of a sampling mode that does not need the sizes to be known; empty: none.
std::string_view coordinates_of(std::string_view mode) {
  if (mode == "DEFAULT") return "asymmetric";
  if (mode == "STRICT_ALIGN_CORNERS" || mode == "ALIGN_CORNERS") return "align_corners";
  if (mode == "UNALIGN_CORNERS") return "half_pixel";
  return "";
}

Status resize(MilOp& op) {
  const Dims x = TRY(op.dims("x"));
  const auto n = static_cast<std::size_t>(
      std::clamp<std::int64_t>(TRY(op.integer("resized_dims", 0)), 0, INT_MAX));
  if (n == 0 || n > x.size()) return corrupt(fmt::format("{} axes of {}", n, x.size()));
  const std::string mode = TRY(op.text("interpolation_mode", "LINEAR")),
                    sampling = TRY(op.text("sampling_mode", "DEFAULT"));
  if (mode != "LINEAR" && mode != "NEAREST_NEIGHBOR") return unknown_mode("mode", mode);
  const ValueId id = TRY(op.in("x"));
  const std::string_view how = coordinates_of(sampling);
  if (how.empty()) {
    if (!op.is_constant("shape") || n != 2) return unknown_mode("sampling_mode", sampling);
    const Ints shape = TRY(op.ints("shape"));
    if (shape.size() < 2) return corrupt("'shape' of fewer axes");
    Ints sizes(shape.end() - 2, shape.end());
    for (std::size_t i = 0; i < 2; ++i)
      if (sizes[i] == 0) sizes[i] = x[x.size() - 2 + i];
    return op.give(TRY(emit_resize_bilinear(op.b, id, x, sizes[0], sizes[1], sampling)));
  }
  const auto first = -static_cast<std::int64_t>(n);
  const auto last = [&](ValueId shape) {
    return op.b.emit("Slice", {shape, op.b.integers({first}), op.b.integers({INT_MAX})});
  };
  const ValueId wanted = last(TRY(op.int_list("shape")));
  const ValueId kept = op.b.emit("Equal", {wanted, op.b.integer(0)});
  const ValueId sizes = op.b.emit("Where", {kept, last(op.shape_of(id)), wanted});
  Attributes attributes{
      {"mode", std::string(mode == "LINEAR" ? "linear" : "nearest")},
      {"coordinate_transformation_mode", std::string(how)},
      {"nearest_mode", std::string(how == "align_corners" ? "round_prefer_ceil" : "floor")},
      {"axes", last_axes(x.size(), n)}};
  return op.give_cast(0, op.b.emit("Resize", {id, absent, absent, sizes}, attributes));
}

Result<CropResize> crop_of(MilOp& op) {
  CropResize how;
  how.height = TRY(op.integer("target_height", 1));
  how.width = TRY(op.integer("target_width", 1));
  how.normalized = TRY(op.flag("normalized_coordinates", false));
  how.scale = TRY(op.real("spatial_scale", 1));
  how.boxes = TRY(op.text("box_coordinate_mode", "CORNERS_HEIGHT_FIRST"));
  how.mode = TRY(op.text("sampling_mode", "DEFAULT"));
  if (op.has("pad_value")) how.outside = TRY(op.real("pad_value", 0));
  return how;
}

// roi: [n, 1, 4 or 5, 1, 1]; with five numbers the first says which image.
Status crop_of_rois(MilOp& op, const Dims& x, const CropResize& how) {
  const Dims roi = TRY(op.dims("roi"));
  if (roi.size() != 5 || (roi[2] != 4 && roi[2] != 5))
    return corrupt(fmt::format("boxes of {}", to_text(roi)));
  const ValueId flat = op.reshaped(TRY(op.in("roi")), {-1, roi[2]});
  const ValueId image = TRY(op.in("x"));
  if (roi[2] == 5) {
    const auto parts =
        op.b.emit_many("Split", {flat, op.b.integers({1, 4})}, 2, {{"axis", std::int64_t{1}}});
    const ValueId which = op.b.cast(op.reshaped(parts[0], {-1}), Element::i64);
    const ValueId y = TRY(emit_crop_resize(op.b, image, parts[1], which, how));
    return op.give(op.b.emit("Unsqueeze", {y, op.b.integers({1})}));
  }
  const ValueId y = TRY(emit_crop_each(op.b, image, {x[0], x[1]}, flat, roi[0], how));
  return op.give(y);
}

Status crop_resize(MilOp& op) {
  const Dims x = TRY(op.dims("x"));
  if (x.size() != 4) return corrupt(fmt::format("of {}; needs four axes", to_text(x)));
  const CropResize how = TRY(crop_of(op));
  if (op.has("roi")) return crop_of_rois(op, x, how);
  const Dims boxes = TRY(op.dims("boxes"));
  ValueId which;
  if (op.has("box_indices")) {
    which = op.b.cast(TRY(op.in("box_indices")), Element::i64);
  } else {
    if (boxes.size() != 2 || boxes[0] < 0 || boxes[0] > most_points)
      return corrupt(fmt::format("boxes of {}", to_text(boxes)));
    Ints each;
    for (std::int64_t i = 0; i < boxes[0]; ++i) each.push_back(i);
    which = op.b.integers(each);
  }
  const ValueId corners = op.b.cast(TRY(op.in("boxes")), Element::f32);
  return op.give(TRY(emit_crop_resize(op.b, TRY(op.in("x")), corners, which, how)));
}

// Where the grid of output points lies in the input, by a matrix of two rows per image.
Status affine(MilOp& op) {
  const Dims x = TRY(op.dims("x")), m = TRY(op.dims("transform_matrix"));
  if (x.size() != 4 || m.size() != 2 || x[0] < 0 || x[1] < 0)
    return Error(ErrorKind::unsupported, fmt::format("images of {}", to_text(x)));
  if (!TRY(op.flag("align_corners", true))) return unknown_mode("align_corners", "false");
  const std::int64_t h = TRY(op.integer("output_height", 1)),
                     w = TRY(op.integer("output_width", 1));
  ValueId matrix = op.reshaped(TRY(op.in("transform_matrix")), {-1, 2, 3});
  if (m[0] != x[0]) matrix = op.b.emit("Expand", {matrix, op.b.integers({x[0], 2, 3})});
  const Attributes align{{"align_corners", std::int64_t{1}}};
  const ValueId grid = op.b.emit("AffineGrid", {matrix, op.b.integers({x[0], x[1], h, w})}, align);
  return op.give(op.b.emit("GridSample", {TRY(op.in("x")), grid},
                           {{"align_corners", std::int64_t{1}},
                            {"mode", std::string("linear")},
                            {"padding_mode", std::string("zeros")}}));
}

// Coordinates as points: p = by * c + from; then as GridSample wants them with or without its
// corners aligned.
struct Line {
  double by, from;
};
Line to_grid(std::string_view mode, bool corners, bool corners_wanted, double n) {
  Line point{1, 0};
  if (mode != "unnormalized") {
    // -1..1 or 0..1 over the centres of the outermost points, or over their edges.
    const double span = corners ? n - 1 : n, first = corners ? 0 : -0.5;
    point = mode == "normalized_zero_to_one" ? Line{span, first} : Line{span / 2, span / 2 + first};
  }
  if (corners_wanted) return {2 * point.by / (n - 1), 2 * point.from / (n - 1) - 1};
  return {2 * point.by / n, (2 * point.from + 1) / n - 1};
}

Status resample(MilOp& op) {
  const Dims x = TRY(op.dims("x"));
  if (x.size() != 4 || x[2] < 1 || x[3] < 1)
    return Error(ErrorKind::unsupported, fmt::format("images of {}", to_text(x)));
  const std::string sampling = TRY(op.text("sampling_mode", "bilinear")),
                    padding = TRY(op.text("padding_mode", "constant")),
                    mode = TRY(op.text("coordinates_mode", "normalized_minus_one_to_one"));
  const bool corners = TRY(op.flag("align_corners", true));
  if (sampling != "bilinear" && sampling != "nearest")
    return unknown_mode("sampling_mode", sampling);
  const std::string_view ours = padding == "constant"                               ? "zeros"
                                : padding == "border"                               ? "border"
                                : padding == "reflection" || padding == "symmetric" ? "reflection"
                                                                                    : "";
  if (ours.empty()) return unknown_mode("padding_mode", padding);
  if (mode != "unnormalized" && mode != "normalized_minus_one_to_one" &&
      mode != "normalized_zero_to_one")
    return unknown_mode("coordinates_mode", mode);
  // Reflection about the outermost points, or about their edges.
  const bool wanted = padding == "reflection" && x[2] > 1 && x[3] > 1;
  Tensor by = TRY(make_tensor(Element::f32, {2})), from = TRY(make_tensor(Element::f32, {2}));
  for (std::size_t i = 0; i < 2; ++i) {
    const Line line = to_grid(mode, corners, wanted, static_cast<double>(x[3 - i]));
    by.data<float>()[i] = static_cast<float>(line.by);
    from.data<float>()[i] = static_cast<float>(line.from);
  }
  const ValueId raw = op.b.cast(TRY(op.in("coordinates")), Element::f32);
  const ValueId grid = op.b.emit("Add", {op.b.emit("Mul", {raw, op.b.constant(std::move(by))}),
                                         op.b.constant(std::move(from))});
  // What lies outside is 0 of an image shifted by the value it should have.
  const double outside = padding == "constant" ? TRY(op.real("padding_value", 0)) : 0;
  ValueId image = TRY(op.in("x"));
  const ValueId shift = op.b.scalar(static_cast<float>(outside));
  if (outside != 0) image = op.b.emit("Sub", {image, shift});
  const ValueId y = op.b.emit("GridSample", {image, grid},
                              {{"align_corners", std::int64_t{wanted ? 1 : 0}},
                               {"mode", std::string(sampling == "bilinear" ? "linear" : "nearest")},
                               {"padding_mode", std::string(ours)}});
  return op.give(outside != 0 ? op.b.emit("Add", {y, shift}) : y);
}

constexpr MilRow rows[] = {
    {"upsample_nearest_neighbor", upsample_nearest},
    {"upsample_bilinear", upsample_bilinear},
    {"resize_nearest_neighbor", resize_nearest_neighbor},
    {"resize_bilinear", resize_bilinear},
    {"resize", resize},
    {"crop_resize", crop_resize},
    {"affine", affine},
    {"resample", resample},
};

// Weights [count, size] that take samples at `points` of an axis.
Result<Tensor> sampler(const std::vector<double>& points, std::int64_t size) {
  const auto count = static_cast<std::int64_t>(points.size());
  Tensor weights = TRY(make_tensor(Element::f32, {count, size}));
  std::fill_n(weights.data<float>(), weights.count, 0.0f);
  for (std::int64_t i = 0; i < count; ++i) {
    const double p =
        std::clamp(points[static_cast<std::size_t>(i)], 0.0, static_cast<double>(size - 1));
    const auto low = static_cast<std::int64_t>(p);
    const std::int64_t high = std::min(low + 1, size - 1);
    const auto part = static_cast<float>(p - static_cast<double>(low));
    weights.data<float>()[i * size + low] += 1 - part;
    weights.data<float>()[i * size + high] += part;
  }
  return weights;
}

}  // namespace

std::span<const MilRow> image_rows() { return rows; }

Result<std::vector<double>> sample_points(std::string_view mode, std::int64_t size,
                                          std::int64_t count) {
  if (size < 1 || count < 1 || size > most_points || count > most_points)
    return corrupt(fmt::format("{} samples of {}", count, size));
  const auto in = static_cast<double>(size), out = static_cast<double>(count);
  std::vector<double> points;
  for (std::int64_t k = 0; k < count; ++k) {
    const auto i = static_cast<double>(k);
    if (mode == "STRICT_ALIGN_CORNERS")
      points.push_back(count == 1 ? 0 : i * (in - 1) / (out - 1));
    else if (mode == "ALIGN_CORNERS")
      points.push_back(count == 1 ? (in - 1) / 2 : i * (in - 1) / (out - 1));
    else if (mode == "DEFAULT")
      points.push_back(i * in / out);
    else if (mode == "UNALIGN_CORNERS")
      points.push_back((i + 0.5) * in / out - 0.5);
    else if (mode == "OFFSET_CORNERS")
      points.push_back((i + 0.5) * std::max(1.0, in - 1) / out);
    else
      return unknown_mode("sampling_mode", mode);
  }
  return points;
}

Result<ValueId> emit_resize_bilinear(Emitter& b, ValueId x, const Dims& dims, std::int64_t height,
                                     std::int64_t width, std::string_view mode) {
  const std::size_t n = dims.size();
  const std::string_view how = coordinates_of(mode);
  const bool is_plain = !how.empty() && (mode != "ALIGN_CORNERS" || (height > 1 && width > 1));
  if (is_plain)
    return b.emit("Resize", {x, absent, absent, b.integers({height, width})}, bilinear(n, how));
  if (dims[n - 2] < 0 || dims[n - 1] < 0)
    return Error(ErrorKind::unsupported,
                 fmt::format("sampling_mode '{}' of an unknown size", mode));
  const Tensor rows = TRY(sampler(TRY(sample_points(mode, dims[n - 2], height)), dims[n - 2]));
  const Tensor columns = TRY(sampler(TRY(sample_points(mode, dims[n - 1], width)), dims[n - 1]));
  const ValueId wide = b.emit("MatMul", {x, b.transposed(b.constant(columns), {1, 0})});
  return b.emit("MatMul", {b.constant(rows), wide});
}

namespace {

// One axis of boxes: from where to where, [n, 1] each.
struct Side {
  ValueId start, end;
  std::int64_t size, count;
};

struct Samples {
  ValueId weights, inside;  // [n, count, size], [n, count]
};

// p = start + a * length + b, where length is the box's, or at least 1.
Result<Samples> emit_samples(Emitter& b, const Side& side, std::string_view mode) {
  const auto n = static_cast<double>(side.count);
  Tensor by = TRY(make_tensor(Element::f32, {1, side.count}));
  Tensor more = TRY(make_tensor(Element::f32, {1, side.count}));
  for (std::int64_t k = 0; k < side.count; ++k) {
    const auto i = static_cast<double>(k);
    double a = 0, c = 0;
    if (mode == "STRICT_ALIGN_CORNERS")
      a = side.count == 1 ? 0 : i / (n - 1);
    else if (mode == "ALIGN_CORNERS")
      a = side.count == 1 ? 0.5 : i / (n - 1);
    else if (mode == "DEFAULT")
      a = c = i / n;
    else if (mode == "UNALIGN_CORNERS")
      a = (i + 0.5) / n, c = a - 0.5;
    else if (mode == "OFFSET_CORNERS")
      a = (i + 0.5) / n;
    else
      return unknown_mode("sampling_mode", mode);
    by.data<float>()[k] = static_cast<float>(a);
    more.data<float>()[k] = static_cast<float>(c);
  }
  ValueId length = b.emit("Sub", {side.end, side.start});
  if (mode == "OFFSET_CORNERS") length = b.emit("Max", {length, b.scalar(1)});
  const ValueId steps = b.emit("Add", {b.emit("Mul", {length, b.constant(by)}), b.constant(more)});
  const ValueId points = b.emit("Add", {side.start, steps});
  const auto last = static_cast<float>(side.size - 1);
  Samples samples;
  samples.inside = b.emit("And", {b.emit("GreaterOrEqual", {points, b.scalar(0)}),
                                  b.emit("LessOrEqual", {points, b.scalar(last)})});
  const ValueId clamped = b.emit("Clip", {points, b.scalar(0), b.scalar(last)});
  Tensor places = TRY(make_tensor(Element::f32, {side.size}));
  for (std::int64_t i = 0; i < side.size; ++i) places.data<float>()[i] = static_cast<float>(i);
  const ValueId apart =
      b.emit("Abs", {b.emit("Sub", {b.emit("Unsqueeze", {clamped, b.integers({-1})}),
                                    b.constant(std::move(places))})});
  samples.weights = b.emit("Relu", {b.emit("Sub", {b.scalar(1), apart})});
  return samples;
}

}  // namespace

Result<ValueId> emit_crop_each(Emitter& b, ValueId x, ImageCount images, ValueId boxes,
                               std::int64_t n, const CropResize& how) {
  if (images.count < 1 || n < 0 || images.channels < 0 || images.count > most_points ||
      n > most_points / images.count)
    return Error(ErrorKind::unsupported, "boxes of an unknown number of images");
  Tensor which = TRY(make_tensor(Element::i64, {n * images.count}));
  for (std::int64_t i = 0; i < which.count; ++i) which.data<std::int64_t>()[i] = i % images.count;
  const ValueId each = b.emit(
      "Tile", {b.emit("Unsqueeze", {boxes, b.integers({1})}), b.integers({1, images.count, 1})});
  const ValueId all = b.emit("Reshape", {each, b.integers({-1, 4})});
  const ValueId y = TRY(emit_crop_resize(b, x, all, b.constant(std::move(which)), how));
  return b.emit("Reshape",
                {y, b.integers({n, images.count, images.channels, how.height, how.width})});
}

Result<ValueId> emit_crop_resize(Emitter& b, ValueId x, ValueId boxes, ValueId which,
                                 const CropResize& how) {
  if (how.height < 1 || how.width < 1 || how.height > most_points || how.width > most_points)
    return corrupt(fmt::format("crops of {} by {}", how.height, how.width));
  const ValueInfo& info = b.graph.values[static_cast<std::size_t>(x)];
  if (!info.has_shape || info.shape.size() != 4 || info.shape[2].value < 1 ||
      info.shape[3].value < 1 || info.shape[2].value > most_points ||
      info.shape[3].value > most_points)
    return Error(ErrorKind::unsupported, "of images of unknown size");
  const std::int64_t h = info.shape[2].value, w = info.shape[3].value;
  const bool centred = how.boxes.starts_with("CENTER_SIZE"),
             width_first = how.boxes.ends_with("WIDTH_FIRST");
  if (!centred && !how.boxes.starts_with("CORNERS"))
    return unknown_mode("box_coordinate_mode", how.boxes);
  auto c = b.emit_many("Split", {boxes, b.integers({1, 1, 1, 1})}, 4, {{"axis", std::int64_t{1}}});
  if (width_first) {
    std::swap(c[0], c[1]);
    std::swap(c[2], c[3]);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const double side = static_cast<double>(i % 2 == 0 ? h : w) - 1;
    const double by = how.scale * (how.normalized ? side : 1);
    if (by != 1) c[i] = b.emit("Mul", {c[i], b.scalar(static_cast<float>(by))});
  }
  if (centred)
    for (std::size_t i = 0; i < 2; ++i) {
      const ValueId half = b.emit("Mul", {c[i + 2], b.scalar(0.5f)});
      c[i + 2] = b.emit("Add", {c[i], half});
      c[i] = b.emit("Sub", {c[i], half});
    }
  const Samples rows = TRY(emit_samples(b, {c[0], c[2], h, how.height}, how.mode));
  const Samples columns = TRY(emit_samples(b, {c[1], c[3], w, how.width}, how.mode));
  const ValueId images = b.emit("Gather", {x, which}, {{"axis", std::int64_t{0}}});
  const ValueId tall =
      b.emit("MatMul", {b.emit("Unsqueeze", {rows.weights, b.integers({1})}), images});
  const ValueId across =
      b.transposed(b.emit("Unsqueeze", {columns.weights, b.integers({1})}), {0, 1, 3, 2});
  const ValueId y = b.emit("MatMul", {tall, across});
  if (!how.outside) return y;
  const ValueId inside = b.emit("And", {b.emit("Unsqueeze", {rows.inside, b.integers({1, 3})}),
                                        b.emit("Unsqueeze", {columns.inside, b.integers({1, 2})})});
  return b.emit("Where", {inside, y, b.scalar(static_cast<float>(*how.outside))});
}

}  // namespace hearth::graphs::coreml
