// Layers of networks: products, convolutions, pooling, normalisations, resizing.
// Source: PyTorch, torch.nn.functional; ExecuTorch, kernels/portable/functions.yaml.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

std::size_t last(const Op& op) { return op.count() - 1; }

Result<ValueId> number(Op& op, double value, Element type) {
  Tensor tensor = TRY(make_tensor(type, {}));
  store(type, tensor.bytes, Work::f64, &value, 1);
  return op.b().constant(std::move(tensor));
}

Status matmul(Op& op) {
  return op.give(last(op), op.b().emit("MatMul", {TRY(op.in(0)), TRY(op.in(1))}));
}

// linear(x, weight [out, in], bias?, out)
Status linear(Op& op) {
  Emitter& b = op.b();
  ValueId y = b.emit("MatMul", {TRY(op.in(0)), b.transposed(TRY(op.in(1)), {1, 0})});
  if (!op.is_null(2)) y = b.emit("Add", {y, TRY(op.in(2))});
  return op.give(last(op), y);
}

// addmm(bias, x, y, beta, alpha, out)
Status add_product(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(1));
  const double beta = TRY(op.real(3)), alpha = TRY(op.real(4));
  ValueId y = b.emit("MatMul", {TRY(op.in(1)), TRY(op.in(2))});
  if (alpha != 1) y = b.emit("Mul", {y, TRY(number(op, alpha, type))});
  ValueId bias = TRY(op.in(0));
  if (beta != 1) bias = b.emit("Mul", {bias, TRY(number(op, beta, type))});
  return op.give(last(op), b.emit("Add", {y, bias}));
}

// A list for every one of n axes: as given, or its one number for all.
Result<Ints> for_axes(const Ints& given, std::size_t n) {
  if (given.size() == n) return given;
  if (given.size() == 1) return Ints(n, given[0]);
  return corrupt(fmt::format("{} numbers for {} axes", given.size(), n));
}

// Both ends of each axis.
Ints both_ends(const Ints& pads) {
  Ints all = pads;
  all.insert(all.end(), pads.begin(), pads.end());
  return all;
}

// convolution(x, w, bias?, stride, padding, dilation, transposed, output_padding, groups, out)
Status convolution(Op& op) {
  Emitter& b = op.b();
  const std::size_t rank = TRY(op.rank(1));
  if (rank < 3) return corrupt(fmt::format("weights of {} axes", rank));
  const std::size_t n = rank - 2;
  const bool is_single = TRY(op.rank(0)) + 1 == rank;
  ValueId x = TRY(op.in(0));
  if (is_single) x = b.emit("Unsqueeze", {x, b.integers({0})});
  Attributes attributes{{"strides", TRY(for_axes(TRY(op.list(3)), n))},
                        {"pads", both_ends(TRY(for_axes(TRY(op.list(4)), n)))},
                        {"dilations", TRY(for_axes(TRY(op.list(5)), n))},
                        {"group", TRY(op.integer(8))}};
  const bool is_transposed = TRY(op.flag(6));
  if (is_transposed) attributes["output_padding"] = TRY(for_axes(TRY(op.list(7)), n));
  std::vector<ValueId> inputs{x, TRY(op.in(1))};
  if (!op.is_null(2)) inputs.push_back(TRY(op.in(2)));
  ValueId y =
      b.emit(is_transposed ? "ConvTranspose" : "Conv", std::move(inputs), std::move(attributes));
  if (is_single) y = b.emit("Squeeze", {y, b.integers({0})});
  return op.give(last(op), y);
}

struct Pooling {
  ValueId x;
  bool is_single = false;
  Attributes attributes;
};

// (x, kernel, stride, padding, ...) of two axes.
Result<Pooling> pooling_of(Op& op) {
  Pooling made;
  made.x = TRY(op.in(0));
  made.is_single = TRY(op.rank(0)) == 3;
  if (made.is_single) made.x = op.b().emit("Unsqueeze", {made.x, op.b().integers({0})});
  const Ints kernel = TRY(for_axes(TRY(op.list(1)), 2));
  const Ints stride = TRY(op.list(2)), pad = TRY(op.list(3));
  made.attributes = {{"kernel_shape", kernel},
                     {"strides", stride.empty() ? kernel : TRY(for_axes(stride, 2))},
                     {"pads", both_ends(pad.empty() ? Ints{0, 0} : TRY(for_axes(pad, 2)))}};
  return made;
}

ValueId unpooled(Op& op, const Pooling& pooling, ValueId id) {
  return pooling.is_single ? op.b().emit("Squeeze", {id, op.b().integers({0})}) : id;
}

// max_pool2d_with_indices(x, kernel, stride, padding, dilation, ceil, out, indices): the places
// are those within one channel.
Status max_pool(Op& op) {
  Emitter& b = op.b();
  Pooling pooling = TRY(pooling_of(op));
  const Ints dilation = TRY(op.list(4));
  pooling.attributes["dilations"] = dilation.empty() ? Ints{1, 1} : TRY(for_axes(dilation, 2));
  pooling.attributes["ceil_mode"] = TRY(op.integer(5));
  const Element type = TRY(op.type(0));
  const bool is_whole = !is_float(type);
  const ValueId x = is_whole ? b.cast(pooling.x, Element::f32) : pooling.x;
  const auto made = b.emit_many("MaxPool", {x}, 2, pooling.attributes);
  TRY(op.give(6, unpooled(op, pooling, made[0]), is_whole ? Element::f32 : type));
  const Dims& dims = TRY(op.spec(0))->dims;
  const std::int64_t area = dims[dims.size() - 2] * dims.back();
  const ValueId within =
      b.emit("hearth.FloorMod", {made[1], b.integer(std::max<std::int64_t>(area, 1))});
  return op.give(7, unpooled(op, pooling, within), Element::i64);
}

// avg_pool2d(x, kernel, stride, padding, ceil, count_include_pad, divisor?, out)
Status average_pool(Op& op) {
  Emitter& b = op.b();
  Pooling pooling = TRY(pooling_of(op));
  pooling.attributes["ceil_mode"] = TRY(op.integer(4));
  pooling.attributes["count_include_pad"] = TRY(op.integer(5));
  if (op.is_null(6))
    return op.give(last(op),
                   unpooled(op, pooling, b.emit("AveragePool", {pooling.x}, pooling.attributes)));
  // A divisor of its own: the sum over the window, which is the mean by its size where padding
  // counts.
  const double divisor = TRY(op.real(6));
  if (divisor == 0 || TRY(op.flag(4)))
    return Error(ErrorKind::unsupported, "a divisor with windows beyond the end");
  const Ints kernel = TRY(for_axes(TRY(op.list(1)), 2));
  pooling.attributes["count_include_pad"] = std::int64_t{1};
  const ValueId mean = b.emit("AveragePool", {pooling.x}, pooling.attributes);
  const double factor = static_cast<double>(kernel[0]) * static_cast<double>(kernel[1]) / divisor;
  const ValueId y = b.emit("Mul", {mean, TRY(number(op, factor, TRY(op.type(0))))});
  return op.give(last(op), unpooled(op, pooling, y));
}

// Weights [out, in] with which a product makes means over windows that divide `in` evenly.
Result<ValueId> window_means(Op& op, std::int64_t in, std::int64_t out, Element type) {
  if (in < 1 || out < 1 || in > 65536 || out > 65536) return corrupt("a size out of range");
  Tensor tensor = TRY(make_tensor(type, {out, in}));
  std::vector<double> numbers(static_cast<std::size_t>(in * out), 0);
  for (std::int64_t i = 0; i < out; ++i) {
    const std::int64_t begin = i * in / out, end = ((i + 1) * in + out - 1) / out;
    for (std::int64_t k = begin; k < end; ++k)
      numbers[static_cast<std::size_t>(i * in + k)] = 1.0 / static_cast<double>(end - begin);
  }
  store(type, tensor.bytes, Work::f64, numbers.data(), numbers.size());
  return op.b().constant(std::move(tensor));
}

// _adaptive_avg_pool2d(x, size, out)
Status adaptive_average_pool(Op& op) {
  Emitter& b = op.b();
  const TensorSpec* x = TRY(op.spec(0));
  const Ints size = TRY(op.list(1));
  const std::size_t rank = x->dims.size();
  if (size.size() != 2 || rank < 3) return corrupt("no picture");
  const auto r = static_cast<std::int64_t>(rank);
  if (size == Ints{1, 1})
    return op.give(last(op), b.emit("ReduceMean", {TRY(op.in(0)), b.integers({r - 2, r - 1})}));
  const ValueId rows = TRY(window_means(op, x->dims[rank - 2], size[0], x->type));
  const ValueId columns = TRY(window_means(op, x->dims[rank - 1], size[1], x->type));
  const ValueId wide = b.emit("MatMul", {rows, TRY(op.in(0))});
  return op.give(last(op), b.emit("MatMul", {wide, b.transposed(columns, {1, 0})}));
}

// native_layer_norm(x, shape, weight?, bias?, eps, out, mean, rstd)
Status layer_norm(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(0));
  const Ints shape = TRY(op.list(1));
  const auto axis = -static_cast<std::int64_t>(shape.size());
  ValueId scale = absent;
  if (op.is_null(2))
    scale = b.emit("Expand", {TRY(number(op, 1, type)), b.integers(shape)});
  else
    scale = TRY(op.in(2));
  const auto made = b.emit_many("LayerNormalization",
                                {TRY(op.in(0)), scale, op.is_null(3) ? absent : TRY(op.in(3))}, 3,
                                {{"axis", axis}, {"epsilon", TRY(op.real(4))}});
  TRY(op.give(5, made[0]));
  TRY(op.give(6, made[1], Element::f32));
  return op.give(7, made[2], Element::f32);
}

// native_group_norm(x, weight?, bias?, n, c, hxw, groups, eps, out, mean, rstd)
Status group_norm(Op& op) {
  Emitter& b = op.b();
  const TensorSpec* x = TRY(op.spec(0));
  const std::int64_t groups = TRY(op.integer(6)), channels = TRY(op.integer(4));
  const double eps = TRY(op.real(7));
  const ValueId flat = b.emit("Reshape", {TRY(op.in(0)), b.integers({0, groups, -1})});
  const auto mean_of = [&](ValueId id) { return b.emit("ReduceMean", {id, b.integers({2})}); };
  const ValueId mean = mean_of(flat), apart = b.emit("Sub", {flat, mean});
  const ValueId variance = mean_of(b.emit("hearth.Square", {apart}));
  const ValueId rate =
      b.emit("hearth.Rsqrt", {b.emit("Add", {variance, TRY(number(op, eps, x->type))})});
  ValueId y = b.emit("Reshape", {b.emit("Mul", {apart, rate}), b.emit("Shape", {TRY(op.in(0))})});
  Ints by_channel(x->dims.size(), 1);
  if (by_channel.size() < 2) return corrupt("no channels");
  by_channel[1] = channels;
  if (!op.is_null(1))
    y = b.emit("Mul", {y, b.emit("Reshape", {TRY(op.in(1)), b.integers(by_channel)})});
  if (!op.is_null(2))
    y = b.emit("Add", {y, b.emit("Reshape", {TRY(op.in(2)), b.integers(by_channel)})});
  TRY(op.give(8, y));
  TRY(op.give(9, b.emit("Squeeze", {mean, b.integers({2})}), x->type));
  return op.give(10, b.emit("Squeeze", {rate, b.integers({2})}), x->type);
}

// (x, weight?, bias?, mean, variance, momentum, eps, out, saved mean, saved rate)
Status batch_norm(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(0));
  const TensorSpec* mean = TRY(op.spec(3));
  const auto like = [&](std::size_t i, double fallback) -> Result<ValueId> {
    if (!op.is_null(i)) return op.in(i);
    return b.emit("Expand", {TRY(number(op, fallback, type)), b.integers(mean->dims)});
  };
  const ValueId scale = TRY(like(1, 1)), shift = TRY(like(2, 0));
  TRY(op.give(
      7, b.emit("BatchNormalization", {TRY(op.in(0)), scale, shift, TRY(op.in(3)), TRY(op.in(4))},
                {{"epsilon", TRY(op.real(6))}})));
  // Without training there are no statistics to save.
  for (std::size_t i = 8; i < 10; ++i)
    TRY(op.give(i, b.emit("Expand", {TRY(number(op, 0, TRY(op.type(i)))), b.integers({0})})));
  return Done{};
}

// By the statistics of x itself: no_stats_out(x, weight?, bias?, training, momentum, eps, out,
// saved mean, saved rate).
Status batch_norm_of_batch(Op& op) {
  Emitter& b = op.b();
  const TensorSpec* x = TRY(op.spec(0));
  if (!TRY(op.flag(3))) return corrupt("no statistics");
  Ints axes, by_channel(x->dims.size(), 1);
  for (std::size_t k = 0; k < x->dims.size(); ++k)
    if (k != 1) axes.push_back(static_cast<std::int64_t>(k));
  if (by_channel.size() < 2) return corrupt("no channels");
  by_channel[1] = x->dims[1];
  const auto mean_of = [&](ValueId id) { return b.emit("ReduceMean", {id, b.integers(axes)}); };
  const ValueId mean = mean_of(TRY(op.in(0))), apart = b.emit("Sub", {TRY(op.in(0)), mean});
  const ValueId variance = mean_of(b.emit("hearth.Square", {apart}));
  const ValueId rate = b.emit(
      "hearth.Rsqrt", {b.emit("Add", {variance, TRY(number(op, TRY(op.real(5)), x->type))})});
  ValueId y = b.emit("Mul", {apart, rate});
  if (!op.is_null(1))
    y = b.emit("Mul", {y, b.emit("Reshape", {TRY(op.in(1)), b.integers(by_channel)})});
  if (!op.is_null(2))
    y = b.emit("Add", {y, b.emit("Reshape", {TRY(op.in(2)), b.integers(by_channel)})});
  TRY(op.give(6, y));
  TRY(op.give(7, b.emit("Reshape", {mean, b.integers({-1})}), x->type));
  return op.give(8, b.emit("Reshape", {rate, b.integers({-1})}), x->type);
}

Status resized(Op& op, std::string_view mode, bool corners, bool antialias,
               const std::vector<double>& scales) {
  Emitter& b = op.b();
  const TensorSpec *x = TRY(op.spec(0)), *y = TRY(op.spec(last(op)));
  if (x->dims.size() != 4 || y->dims.size() != 4) return corrupt("no picture");
  const bool is_nearest = mode == "nearest";
  Attributes attributes{
      {"mode", std::string(mode)},
      {"axes", Ints{2, 3}},
      {"coordinate_transformation_mode", std::string(corners      ? "align_corners"
                                                     : is_nearest ? "asymmetric"
                                                                  : "pytorch_half_pixel")},
      {"nearest_mode", std::string("floor")},
      {"antialias", std::int64_t{antialias}},
      {"exclude_outside", std::int64_t{antialias}}};
  if (!is_nearest && !corners)
    attributes["coordinate_transformation_mode"] = std::string("half_pixel");
  std::vector<ValueId> inputs{TRY(op.in(0)), absent, absent, absent};
  // A size that comes of given scales is sampled by these scales and not by the sizes' quotient.
  if (scales.size() == 2) {
    Tensor factors = TRY(make_tensor(Element::f32, {2}));
    for (std::size_t i = 0; i < 2; ++i) factors.data<float>()[i] = static_cast<float>(scales[i]);
    inputs[2] = b.constant(std::move(factors));
  } else {
    inputs[3] = b.integers({y->dims[2], y->dims[3]});
  }
  return op.give(last(op), b.emit("Resize", std::move(inputs), std::move(attributes)));
}

// (x, size?, scales?, out)
Status upsample_nearest(Op& op) { return resized(op, "nearest", false, false, TRY(op.reals(2))); }

// (x, size?, align_corners, scales?, out)
Status upsample_bilinear(Op& op) {
  return resized(op, "linear", TRY(op.flag(2)), false, TRY(op.reals(3)));
}

// (x, size, align_corners, scale?, scale?, out)
Status upsample_antialiased(Op& op) { return resized(op, "linear", TRY(op.flag(2)), true, {}); }

// grid_sampler_2d(x, grid, mode, padding, align_corners, out)
Status grid_sample(Op& op) {
  constexpr std::string_view modes[] = {"linear", "nearest", "cubic"},
                             paddings[] = {"zeros", "border", "reflection"};
  const std::int64_t mode = TRY(op.integer(2)), padding = TRY(op.integer(3));
  if (mode < 0 || mode > 2 || padding < 0 || padding > 2) return corrupt("no such mode");
  return op.give(last(op), op.b().emit("GridSample", {TRY(op.in(0)), TRY(op.in(1))},
                                       {{"mode", std::string(modes[mode])},
                                        {"padding_mode", std::string(paddings[padding])},
                                        {"align_corners", TRY(op.integer(4))}}));
}

// The p-norm of differences over the last axis.
Result<ValueId> distance(Op& op, ValueId difference, double p, Element type) {
  Emitter& b = op.b();
  const ValueId apart = b.emit("Abs", {difference}), axis = b.integers({-1});
  const Attributes flat{{"keepdims", std::int64_t{0}}};
  if (p == 0) return b.emit("ReduceSum", {b.emit("Sign", {apart}), axis}, flat);
  if (std::isinf(p)) return b.emit("ReduceMax", {apart, axis}, flat);
  if (p == 1) return b.emit("ReduceSum", {apart, axis}, flat);
  if (p == 2)
    return b.emit("Sqrt", {b.emit("ReduceSum", {b.emit("hearth.Square", {apart}), axis}, flat)});
  const ValueId powers = b.emit("Pow", {apart, TRY(number(op, p, type))});
  return b.emit("Pow", {b.emit("ReduceSum", {powers, axis}, flat), TRY(number(op, 1 / p, type))});
}

// _cdist_forward(x, y, p, mode?, out)
Status pairwise_distances(Op& op) {
  Emitter& b = op.b();
  const ValueId x = b.emit("Unsqueeze", {TRY(op.in(0)), b.integers({-2})});
  const ValueId y = b.emit("Unsqueeze", {TRY(op.in(1)), b.integers({-3})});
  return op.give(last(op),
                 TRY(distance(op, b.emit("Sub", {x, y}), TRY(op.real(2)), TRY(op.type(0)))));
}

// _pdist_forward(x, p, out): of every two rows.
Status row_distances(Op& op) {
  Emitter& b = op.b();
  const TensorSpec* x = TRY(op.spec(0));
  if (x->dims.size() != 2 || x->dims[0] > 4096) return corrupt("no rows");
  Ints first, second;
  for (std::int64_t i = 0; i < x->dims[0]; ++i)
    for (std::int64_t k = i + 1; k < x->dims[0]; ++k) {
      first.push_back(i);
      second.push_back(k);
    }
  const auto rows = [&](const Ints& places) -> Result<ValueId> {
    return b.emit("Gather", {TRY(op.in(0)), b.integers(places)}, {{"axis", std::int64_t{0}}});
  };
  const ValueId apart = b.emit("Sub", {TRY(rows(first)), TRY(rows(second))});
  return op.give(last(op), TRY(distance(op, apart, TRY(op.real(1)), x->type)));
}

constexpr Kernel kernels[] = {
    {"aten::mm.out", matmul},
    {"aten::bmm.out", matmul},
    {"aten::matmul.out", matmul},
    {"aten::linear.out", linear},
    {"aten::addmm.out", add_product},
    {"aten::convolution.out", convolution},
    {"aten::max_pool2d_with_indices.out", max_pool},
    {"aten::avg_pool2d.out", average_pool},
    {"aten::_adaptive_avg_pool2d.out", adaptive_average_pool},
    {"aten::native_layer_norm.out", layer_norm},
    {"aten::native_group_norm.out", group_norm},
    {"aten::_native_batch_norm_legit_no_training.out", batch_norm},
    {"aten::_native_batch_norm_legit.no_stats_out", batch_norm_of_batch},
    {"aten::upsample_nearest2d.vec_out", upsample_nearest},
    {"aten::upsample_bilinear2d.vec_out", upsample_bilinear},
    {"aten::_upsample_bilinear2d_aa.out", upsample_antialiased},
    {"aten::grid_sampler_2d.out", grid_sample},
    {"aten::_cdist_forward.out", pairwise_distances},
    {"aten::_pdist_forward.out", row_distances},
};

}  // namespace

std::span<const Kernel> layer_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
