// The nodes of XNNPACK graphs.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "graphs/executorch/xnnpack.h"

namespace hearth::graphs::executorch {
namespace {

constexpr std::uint32_t no_tensor = UINT32_MAX;
constexpr std::uint32_t transposes_weights = 1, aligns_corners = 8;

// One node at work.
struct XnnNode {
  XnnGraph& g;
  const FlatTable& table;   // of its kind
  const FlatTable& bounds;  // of its result; may be absent
  std::string_view ours;

  Emitter& b() const { return *g.b; }
  std::uint32_t number(unsigned slot) const { return table.number<std::uint32_t>(slot, 0); }
  std::int64_t whole(unsigned slot) const { return number(slot); }
  Result<ValueId> real(unsigned slot) const { return g.real(number(slot)); }
  Result<Dims> dims(unsigned slot) const { return TRY(g.tensor(number(slot)))->dims; }
  Result<Ints> list(unsigned slot) const {
    const auto given = TRY(table.numbers<std::uint32_t>(slot));
    if (given.size() > max_rank) return corrupt(fmt::format("{} numbers", given.size()));
    return Ints(given.begin(), given.end());
  }
  // The result, within the bounds that the node has.
  Status give(unsigned slot, ValueId id) const {
    if (bounds.exists()) {
      const auto low = bounds.number<float>(0, 0), high = bounds.number<float>(1, 0);
      const ValueId least = std::isinf(low) ? absent : b().scalar(low);
      const ValueId most = std::isinf(high) ? absent : b().scalar(high);
      if (least != absent || most != absent) id = b().emit("Clip", {id, least, most});
    }
    return g.give_real(number(slot), id);
  }
};

Status unary(XnnNode& n) { return n.give(1, n.b().emit(n.ours, {TRY(n.real(0))})); }

Status binary(XnnNode& n) {
  return n.give(2, n.b().emit(n.ours, {TRY(n.real(0)), TRY(n.real(1))}));
}

Status copy(XnnNode& n) { return n.give(1, n.b().emit("Identity", {TRY(n.real(0))})); }

Status clamp(XnnNode& n) { return n.give(1, TRY(n.real(0))); }

// Results of softmax have the scale of 1 / 256 that they say.
Status softmax(XnnNode& n) {
  return n.give(1, n.b().emit("Softmax", {TRY(n.real(0))}, {{"axis", std::int64_t{-1}}}));
}

Status gelu(XnnNode& n) { return n.give(1, n.b().emit("Gelu", {TRY(n.real(0))})); }

Status elu(XnnNode& n) {
  return n.give(2, n.b().emit("Elu", {TRY(n.real(1))},
                              {{"alpha", static_cast<double>(n.table.number<float>(0, 1))}}));
}

Status leaky_relu(XnnNode& n) {
  return n.give(2, n.b().emit("LeakyRelu", {TRY(n.real(1))},
                              {{"alpha", static_cast<double>(n.table.number<float>(0, 0))}}));
}

Status batch_matmul(XnnNode& n) {
  ValueId y = TRY(n.real(1));
  if ((n.number(3) & transposes_weights) != 0) {
    Ints order(TRY(n.dims(1)).size());
    std::iota(order.begin(), order.end(), std::int64_t{0});
    if (order.size() < 2) return corrupt("a product of vectors");
    std::swap(order[order.size() - 1], order[order.size() - 2]);
    y = n.b().transposed(y, order);
  }
  return n.give(2, n.b().emit("MatMul", {TRY(n.real(0)), y}));
}

// Weights of four bits stay packed: as they are in the file.
Result<ValueId> packed_product(XnnNode& n, XnnTensor& w, ValueId x) {
  Emitter& b = n.b();
  const std::int64_t rows = w.dims[0], k = w.dims[1];
  const bool has_groups = w.store == XnnTensor::Store::four_bit_groups;
  const std::int64_t block = has_groups ? w.group : k + k % 2;
  const std::int64_t blocks = k / std::max<std::int64_t>(block, 1) + (k % block != 0 ? 1 : 0);
  const std::int64_t bytes = rows * blocks * (block / 2);
  if (w.constant.size() < static_cast<std::size_t>(bytes) ||
      static_cast<std::int64_t>(w.scales.size()) != rows * blocks)
    return corrupt(fmt::format("{} bytes of weights", w.constant.size()));
  Tensor codes;
  codes.type = Element::u8;
  codes.dims = {rows, blocks, block / 2};
  codes.count = bytes;
  codes.bytes = const_cast<std::byte*>(w.constant.data());
  codes.owner = n.g.flow->file().files().front();
  Tensor scale = TRY(make_tensor(Element::f32, {rows * blocks}));
  std::ranges::copy(w.scales, scale.data<float>());
  return b.emit("com.microsoft.MatMulNBits",
                {x, b.constant(std::move(codes)), b.constant(std::move(scale))},
                {{"N", rows}, {"K", k}, {"bits", std::int64_t{4}}, {"block_size", block}});
}

Status fully_connected(XnnNode& n) {
  Emitter& b = n.b();
  XnnTensor* w = TRY(n.g.tensor(n.number(1)));
  if (w->dims.size() != 2) return corrupt("weights of other than two axes");
  const bool transposes = (n.number(4) & transposes_weights) != 0;
  using Store = XnnTensor::Store;
  const std::int64_t k = w->dims[1];
  const bool is_packed = !transposes && !w->constant.empty() &&
                         ((w->store == Store::four_bits && k >= 16) ||
                          (w->store == Store::four_bit_groups && w->group >= 16 &&
                           w->group % 2 == 0 && k % w->group == 0));
  const ValueId x = TRY(n.real(0));
  ValueId y = absent;
  if (is_packed)
    y = TRY(packed_product(n, *w, x));
  else
    y = b.emit("MatMul", {x, TRY(n.g.weights(n.number(1), transposes ? Ints{0, 1} : Ints{1, 0}))});
  if (n.number(2) != no_tensor) y = b.emit("Add", {y, TRY(n.real(2))});
  return n.give(3, y);
}

Result<ValueId> channels_first(XnnNode& n, unsigned slot) {
  if (TRY(n.dims(slot)).size() != 4) return corrupt("no picture");
  return n.b().transposed(TRY(n.real(slot)), {0, 3, 1, 2});
}
ValueId channels_last(XnnNode& n, ValueId id) { return n.b().transposed(id, {0, 2, 3, 1}); }

// The paddings at slots 0 to 3: top, right, bottom, left.
Ints pads_of(const XnnNode& n) { return {n.whole(0), n.whole(3), n.whole(2), n.whole(1)}; }

// Weights [out, h, w, in]; of depthwise ones [1, h, w, out].
Status convolution(XnnNode& n) {
  Emitter& b = n.b();
  const bool is_depthwise = n.ours == "depthwise", is_transposed = n.ours == "ConvTranspose";
  const Dims w = TRY(n.dims(16));
  if (w.size() != 4) return corrupt("weights of other than four axes");
  const std::int64_t groups = n.whole(12);
  if (groups < 1) return corrupt("no groups");
  Attributes attributes{{"strides", Ints{n.whole(6), n.whole(7)}},
                        {"dilations", Ints{n.whole(8), n.whole(9)}},
                        {"pads", pads_of(n)},
                        {"group", groups}};
  ValueId weights = absent;
  if (is_depthwise) {
    weights = TRY(n.g.weights(n.number(16), {3, 0, 1, 2}));
  } else if (is_transposed) {
    // Of a transposed one ours are [in, out of a group, h, w].
    weights = TRY(n.g.weights(n.number(16), {0, 3, 1, 2}));
    const std::int64_t out = w[0] / groups, in = w[3];
    if (groups > 1) {
      weights = b.emit("Reshape", {weights, b.integers({groups, out, in, w[1], w[2]})});
      weights = b.transposed(weights, {0, 2, 1, 3, 4});
      weights = b.emit("Reshape", {weights, b.integers({groups * in, out, w[1], w[2]})});
    } else {
      weights = TRY(n.g.weights(n.number(16), {3, 0, 1, 2}));
    }
    attributes["output_padding"] = Ints{n.whole(13), n.whole(14)};
  } else {
    weights = TRY(n.g.weights(n.number(16), {0, 3, 1, 2}));
  }
  std::vector<ValueId> inputs{TRY(channels_first(n, 15)), weights};
  if (n.number(17) != no_tensor) inputs.push_back(TRY(n.real(17)));
  const ValueId y =
      b.emit(is_transposed ? "ConvTranspose" : "Conv", std::move(inputs), std::move(attributes));
  return n.give(18, channels_last(n, y));
}

Status pooling(XnnNode& n) {
  Attributes attributes{{"kernel_shape", Ints{n.whole(4), n.whole(5)}},
                        {"strides", Ints{n.whole(6), n.whole(7)}},
                        {"pads", pads_of(n)}};
  if (n.ours == "MaxPool") attributes["dilations"] = Ints{n.whole(8), n.whole(9)};
  return n.give(11, channels_last(n, n.b().emit(n.ours, {TRY(channels_first(n, 10))},
                                                std::move(attributes))));
}

Status global_average(XnnNode& n) {
  const auto rank = static_cast<std::int64_t>(TRY(n.dims(0)).size());
  if (rank < 3) return corrupt("no picture");
  return n.give(1,
                n.b().emit("ReduceMean", {TRY(n.real(0)), n.b().integers({rank - 3, rank - 2})}));
}

// The most of each window, and where in the window it is.
Status extreme_pool(XnnNode& n) {
  Emitter& b = n.b();
  const Dims dims = TRY(n.dims(6));
  const std::int64_t h = n.whole(4), w = n.whole(5);
  if (dims.size() != 4 || h < 1 || w < 1 || dims[1] % h != 0 || dims[2] % w != 0 ||
      n.number(0) + n.number(1) + n.number(2) + n.number(3) != 0)
    return Error(ErrorKind::unsupported, "windows that do not divide the picture");
  const ValueId apart = b.emit(
      "Reshape", {TRY(n.real(6)), b.integers({dims[0], dims[1] / h, h, dims[2] / w, w, dims[3]})});
  const ValueId windows =
      b.emit("Reshape", {b.transposed(apart, {0, 1, 3, 5, 2, 4}),
                         b.integers({dims[0], dims[1] / h, dims[2] / w, dims[3], h * w})});
  const ValueId axis = b.integers({-1});
  TRY(n.give(7, b.emit("ReduceMax", {windows, axis}, {{"keepdims", std::int64_t{0}}})));
  const ValueId place =
      b.emit("ArgMax", {windows}, {{"axis", std::int64_t{-1}}, {"keepdims", std::int64_t{0}}});
  XnnTensor* t = TRY(n.g.tensor(n.number(8)));
  t->type = Element::i64;
  return n.g.give_stored(n.number(8), place);
}

Status transpose(XnnNode& n) { return n.give(3, n.b().transposed(TRY(n.real(2)), TRY(n.list(1)))); }

// 0 stands for what is left over.
Status reshape(XnnNode& n) {
  Ints shape = TRY(n.list(1));
  for (std::int64_t& extent : shape)
    if (extent == 0) extent = -1;
  return n.give(3, n.b().emit("Reshape", {TRY(n.real(2)), n.b().integers(shape)}));
}

// A size of 0 reaches to the end.
Status slice(XnnNode& n) {
  Emitter& b = n.b();
  const Ints offsets = TRY(n.list(1)), sizes = TRY(n.list(2));
  if (offsets.size() != sizes.size()) return corrupt("offsets without sizes");
  Ints ends, axes;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    ends.push_back(sizes[k] == 0 ? INT32_MAX : offsets[k] + sizes[k]);
    axes.push_back(static_cast<std::int64_t>(k));
  }
  return n.give(4, b.emit("Slice", {TRY(n.real(3)), b.integers(offsets), b.integers(ends),
                                    b.integers(axes)}));
}

Status pad(XnnNode& n) {
  Ints pads = TRY(n.list(0));
  const Ints after = TRY(n.list(1));
  if (pads.size() != after.size()) return corrupt("paddings of other axes");
  pads.insert(pads.end(), after.begin(), after.end());
  return n.give(4, n.b().emit("Pad", {TRY(n.real(3)), n.b().integers(pads),
                                      n.b().scalar(n.table.number<float>(2, 0))}));
}

Status resize(XnnNode& n) {
  Emitter& b = n.b();
  const bool corners = (n.number(4) & aligns_corners) != 0;
  const ValueId y = b.emit(
      "Resize", {TRY(channels_first(n, 2)), absent, absent, b.integers({n.whole(0), n.whole(1)})},
      {{"mode", std::string("linear")},
       {"axes", Ints{2, 3}},
       {"coordinate_transformation_mode", std::string(corners ? "align_corners" : "half_pixel")}});
  return n.give(3, channels_last(n, y));
}

Status concatenate(XnnNode& n) {
  const auto count = static_cast<unsigned>(n.ours[0] - '0');
  constexpr unsigned slots[] = {1, 2, 3, 4, 7};
  std::vector<ValueId> parts;
  for (unsigned i = 0; i < count; ++i) parts.push_back(TRY(n.real(slots[i])));
  return n.give(5, n.b().emit("Concat", std::move(parts), {{"axis", n.whole(0)}}));
}

// softmax(q * scale * k^T + mask) * v of [batch, heads, rows, dim].
Status attention(XnnNode& n) {
  Emitter& b = n.b();
  const ValueId q = b.emit("Mul", {TRY(n.real(0)), TRY(n.real(3))});
  const ValueId scores = b.emit(
      "Add", {b.emit("MatMul", {q, b.transposed(TRY(n.real(1)), {0, 1, 3, 2})}), TRY(n.real(4))});
  const ValueId weights = b.emit("Softmax", {scores}, {{"axis", std::int64_t{-1}}});
  return n.give(5, b.emit("MatMul", {weights, TRY(n.real(2))}));
}

struct Row {
  int kind;  // of XNodeUnion
  std::string_view name;
  Status (*add)(XnnNode& n);
  std::string_view ours;
};
constexpr Row rows[] = {
    {1, "XNNAdd", binary, "Add"},
    {2, "XNNFullyConnected", fully_connected, ""},
    {3, "XNNSoftmax", softmax, ""},
    {4, "XNNSigmoid", unary, "Sigmoid"},
    {5, "XNNStaticTranspose", transpose, ""},
    {6, "XNNClamp", clamp, ""},
    {7, "XNNConv2d", convolution, "Conv"},
    {8, "XNNDiv", binary, "Div"},
    {9, "XNNStaticResizeBilinear2D", resize, ""},
    {10, "XNNStaticConstantPad", pad, ""},
    {11, "XNNAvgPooling2d", pooling, "AveragePool"},
    {12, "XNNMinimum", binary, "Min"},
    {13, "XNNDepthwiseConv2d", convolution, "depthwise"},
    {14, "XNNMaxPooling2d", pooling, "MaxPool"},
    {15, "XNNMultiply", binary, "Mul"},
    {16, "XNNSubtract", binary, "Sub"},
    {17, "XNNFloor", unary, "Floor"},
    {18, "XNNConvert", copy, ""},
    {19, "XNNGlobalAvgPooling2d", global_average, ""},
    {20, "XNNStaticReshape", reshape, ""},
    {21, "XNNArgMaxPooling2d", extreme_pool, ""},
    {22, "XNNSquareRoot", unary, "Sqrt"},
    {23, "XNNCeiling", unary, "Ceil"},
    {24, "XNNHardswish", unary, "HardSwish"},
    {25, "XNNLeakyReLU", leaky_relu, ""},
    {26, "XNNMaximum", binary, "Max"},
    {27, "XNNNegate", unary, "Neg"},
    {28, "XNNSquare", unary, "hearth.Square"},
    {29, "XNNELU", elu, ""},
    {30, "XNNAbs", unary, "Abs"},
    {31, "XNNPReLU", binary, "PRelu"},
    {32, "XNNConcatenate2", concatenate, "2"},
    {33, "XNNConcatenate3", concatenate, "3"},
    {34, "XNNConcatenate4", concatenate, "4"},
    {35, "XNNStaticSlice", slice, ""},
    {36, "XNNScaledDotProductAttention", attention, ""},
    {37, "XNNBatchMatrixMultiply", batch_matmul, ""},
    {38, "XNNConcatenate5", concatenate, "5"},
    {39, "XNNConvTranspose2d", convolution, "ConvTranspose"},
    {40, "XNNReciprocalSquareRoot", unary, "hearth.Rsqrt"},
    {41, "XNNLog", unary, "Log"},
    {42, "XNNGelu", gelu, ""},
    {43, "XNNTanh", unary, "Tanh"},
    {44, "XNNExp", unary, "Exp"},
    {45, "XNNSin", unary, "Sin"},
    {46, "XNNCopy", copy, ""},
    {47, "XNNCos", unary, "Cos"},
};

}  // namespace

Status add_node(XnnGraph& graph, const FlatTable& node) {
  const int kind = node.number<std::uint8_t>(0, 0);
  const auto row = std::ranges::find(rows, kind, &Row::kind);
  if (row == std::end(rows))
    return Error(ErrorKind::unsupported, fmt::format("a node of kind {}", kind));
  const FlatTable table = TRY(node.table(1)), bounds = TRY(node.table(3));
  XnnNode n{graph, table, bounds, row->ours};
  auto added = row->add(n);
  if (!added) return std::move(added).error().within(row->name);
  return Done{};
}

std::vector<std::string> xnnpack_names() {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  return names;
}

}  // namespace hearth::graphs::executorch
