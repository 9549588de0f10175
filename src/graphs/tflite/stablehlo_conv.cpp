// Convolution of StableHLO: any order of axes, gaps on either side, groups.
// Source: StableHLO specification, convolution.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/tflite/stablehlo.h"

namespace hearth::graphs::tflite {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// Which axes are the first, the second, and the spatial ones: each axis once.
Result<Ints> order_of(std::int64_t first, std::int64_t second, const Ints& spatial) {
  Ints order{first, second};
  order.insert(order.end(), spatial.begin(), spatial.end());
  Ints sorted = order;
  std::ranges::sort(sorted);
  for (std::size_t i = 0; i < sorted.size(); ++i)
    if (std::cmp_not_equal(sorted[i], i)) return corrupt("axes that are not each named once");
  return order;
}

Dims in_order(const Dims& dims, const Ints& order) {
  Dims turned;
  for (const std::int64_t axis : order) turned.push_back(dims[static_cast<std::size_t>(axis)]);
  return turned;
}

}  // namespace

// 0 steps, 1 pads in pairs, 2 gaps of the image, 3 gaps of the kernel, 4 which axes of the kernel
// are turned about; 5 batch, 6 feature, 7 spatial axes of the image; 8 input feature, 9 output
// feature, 10 spatial of the kernel; 11 batch, 12 feature, 13 spatial of the result; 14 groups of
// features, 15 groups of images.
Status add_convolution(Builder& b, const Operator& op) {
  const FlatTable& o = op.more_options;
  if (op.inputs.size() != 2 || op.outputs.size() != 1)
    return corrupt("needs an image and a kernel");
  const auto number = [&](unsigned slot) { return o.number<std::int64_t>(slot, 0); };
  const Ints x_axes = TRY(o.numbers<std::int64_t>(7)), w_axes = TRY(o.numbers<std::int64_t>(10)),
             y_axes = TRY(o.numbers<std::int64_t>(13));
  const Ints x_order = TRY(order_of(number(5), number(6), x_axes)),
             w_order = TRY(order_of(number(9), number(8), w_axes)),
             y_order = TRY(order_of(number(11), number(12), y_axes));
  const std::size_t n = x_axes.size();
  Dims dims = TRY(known_dims(b, op.inputs[0]));
  const Dims kernel = TRY(known_dims(b, op.inputs[1]));
  TRY(count_of(dims));
  TRY(count_of(kernel));
  if (dims.size() != n + 2 || x_order.size() != w_order.size() ||
      x_order.size() != y_order.size() || kernel.size() != dims.size() || n < 1 || n > 3)
    return corrupt(fmt::format("{} spatial axes", n));
  if (o.number<std::int64_t>(15, 1) > 1) return Error(ErrorKind::unsupported, "groups of images");
  const auto list = [&](unsigned slot, std::size_t count, std::int64_t usual) -> Result<Ints> {
    Ints found = TRY(o.numbers<std::int64_t>(slot));
    if (found.empty()) found.assign(count, usual);
    if (found.size() != count)
      return corrupt(fmt::format("{} numbers for {}", found.size(), count));
    return found;
  };
  const Ints steps = TRY(list(0, n, 1)), pairs = TRY(list(1, 2 * n, 0)), apart = TRY(list(2, n, 1)),
             dilations = TRY(list(3, n, 1));
  ValueId x = b.transposed(TRY(b.real(op.inputs[0])), x_order);
  dims = in_order(dims, x_order);
  Ints gaps(2, 0);
  for (const std::int64_t each : apart) gaps.push_back(each - 1);
  x = TRY(spread(b, x, dims, gaps, b.scalar(0)));
  Ints before(2, 0), after(2, 0);
  for (std::size_t i = 0; i < n; ++i) {
    before.push_back(pairs[2 * i]);
    after.push_back(pairs[2 * i + 1]);
  }
  before.insert(before.end(), after.begin(), after.end());
  if (std::ranges::any_of(before, [](std::int64_t pad) { return pad != 0; }))
    x = b.emit("Pad", {x, b.integers(before), b.scalar(0)});
  ValueId w = b.transposed(TRY(b.real(op.inputs[1])), w_order);
  const auto turned = TRY(o.numbers<std::uint8_t>(4));
  Ints about;
  for (std::size_t i = 0; i < turned.size(); ++i)
    if (turned[i] != 0) about.push_back(static_cast<std::int64_t>(i + 2));
  if (!about.empty()) w = b.emit("hearth.Reverse", {w, b.integers(about)});
  const Dims shape = in_order(kernel, w_order);
  const ValueId y = b.emit("Conv", {x, w},
                           {{"strides", steps},
                            {"dilations", dilations},
                            {"group", std::max<std::int64_t>(o.number<std::int64_t>(14, 1), 1)},
                            {"kernel_shape", Ints(shape.begin() + 2, shape.end())}});
  Ints back(y_order.size());
  for (std::size_t i = 0; i < y_order.size(); ++i)
    back[static_cast<std::size_t>(y_order[i])] = static_cast<std::int64_t>(i);
  return b.give_real(op.outputs[0], b.transposed(y, back));
}

}  // namespace hearth::graphs::tflite
