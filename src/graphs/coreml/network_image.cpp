// Layers that work on [channels, height, width]: convolution, pooling, normalisation, sampling; and
// recurrent ones.
// Source: Core ML Tools, NeuralNetwork.proto.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "graphs/coreml/network.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }
Error unsupported(std::string message) { return Error(ErrorKind::unsupported, std::move(message)); }

// BorderAmounts: 10 edges {1 before, 2 after}, one per axis.
Result<std::vector<std::array<std::int64_t, 2>>> read_borders(const Fields& borders) {
  std::vector<std::array<std::int64_t, 2>> edges;
  for (const Bytes bytes : borders.messages(10)) {
    const Fields edge = TRY(Fields::of(bytes));
    edges.push_back({edge.integer(1), edge.integer(2)});
    for (const std::int64_t amount : edges.back())
      if (amount < 0 || amount > INT32_MAX) return corrupt(fmt::format("a border of {}", amount));
  }
  return edges;
}

// 50 valid {1 borders}, 51 same {1 mode}, or their numbers in other layers.
Status add_padding(Layer& layer, Attributes& attributes, std::uint32_t valid, std::uint32_t same) {
  if (layer.p.has(same)) {
    const bool heavy_top = TRY(layer.p.message(same)).integer(1) == 1;
    attributes["auto_pad"] = std::string(heavy_top ? "SAME_LOWER" : "SAME_UPPER");
    return Done{};
  }
  const Fields padding = TRY(layer.p.message(valid));
  const auto edges = TRY(read_borders(TRY(padding.message(1))));
  if (edges.size() == 2)
    attributes["pads"] = Ints{edges[0][0], edges[1][0], edges[0][1], edges[1][1]};
  return Done{};
}

Status convolution(Layer& layer) {
  const bool transposed = layer.p.flag(60);
  const std::int64_t out = layer.p.integer(1), kernel_channels = layer.p.integer(2),
                     groups = std::max<std::int64_t>(layer.p.integer(10, 1), 1);
  const Ints kernel = TRY(layer.ints(20, {3, 3}));
  if (kernel.size() != 2 || out < 1 || kernel_channels < 1 || out % groups != 0)
    return corrupt(fmt::format("{} filters in {} groups", out, groups));
  Attributes attributes{{"group", groups},
                        {"strides", TRY(layer.ints(30, {1, 1}))},
                        {"dilations", TRY(layer.ints(40, {1, 1}))}};
  TRY(add_padding(layer, attributes, 50, 51));
  const ValueId before = TRY(layer.in());
  const ValueId x = TRY(as_images(layer, before));
  std::vector<ValueId> inputs{x};
  if (layer.inputs.size() > 1) {  // weights are computed
    inputs.push_back(TRY(layer.in(1)));
    if (layer.inputs.size() > 2) inputs.push_back(layer.reshaped(TRY(layer.in(2)), {-1}));
  } else {
    const Dims shape = transposed ? Dims{kernel_channels, out / groups, kernel[0], kernel[1]}
                                  : Dims{out, kernel_channels, kernel[0], kernel[1]};
    inputs.push_back(TRY(layer.weight(90, shape)));
    if (layer.p.flag(70)) inputs.push_back(TRY(layer.weight(91, {out})));
  }
  if (!transposed) {
    const ValueId y = layer.b.emit("Conv", inputs, attributes);
    return layer.give(TRY(as_before(layer, y, before)));
  }
  const Dims dims = TRY(layer.net.dims(x));
  const Ints wanted = TRY(layer.ints(100, {}));
  Dims result{dims[0], out, -1, -1};
  const auto* strides = std::get_if<Ints>(&attributes["strides"]);
  const auto* dilations = std::get_if<Ints>(&attributes["dilations"]);
  const auto* pads = std::get_if<Ints>(&attributes["pads"]);
  if (strides->size() != 2 || dilations->size() != 2) return corrupt("strides of two axes");
  Ints more(2, 0);
  for (std::size_t i = 0; i < 2; ++i) {
    if (dims[i + 2] < 0) continue;
    const std::int64_t natural = (dims[i + 2] - 1) * (*strides)[i] +
                                 (kernel[i] - 1) * (*dilations)[i] + 1 -
                                 (pads == nullptr ? 0 : (*pads)[i] + (*pads)[i + 2]);
    result[i + 2] = attributes.contains("auto_pad") ? dims[i + 2] * (*strides)[i] : natural;
    if (wanted.size() != 2 || wanted[i] == result[i + 2]) continue;
    if (attributes.contains("auto_pad") || wanted[i] < natural ||
        wanted[i] - natural >= (*strides)[i])
      return unsupported(fmt::format("an output of {} where {} is natural", wanted[i], natural));
    more[i] = wanted[i] - natural;
    result[i + 2] = wanted[i];
  }
  attributes["output_padding"] = more;
  if (pads == nullptr) attributes.erase("pads");
  const ValueId y = layer.b.emit("ConvTranspose", inputs, attributes);
  layer.net.set(y, result);
  return layer.give(TRY(as_before(layer, y, before)));
}

constexpr std::string_view pools[] = {"MaxPool", "AveragePool", "LpPool"};
constexpr std::string_view whole_pools[] = {"GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"};

Status pooling(Layer& layer) {
  const auto type = static_cast<std::size_t>(layer.p.integer(1));
  if (type > 2) return unsupported(fmt::format("type {}", type));
  const ValueId before = TRY(layer.in());
  const ValueId x = TRY(as_images(layer, before));
  Attributes attributes;
  if (type == 2) attributes["p"] = std::int64_t{2};
  if (layer.p.flag(60)) {
    const ValueId y = layer.b.emit(whole_pools[type], {x}, attributes);
    return layer.give(TRY(as_before(layer, y, before)));
  }
  attributes["kernel_shape"] = TRY(layer.ints(10, {3, 3}));
  attributes["strides"] = TRY(layer.ints(20, {1, 1}));
  if (type == 1) attributes["count_include_pad"] = std::int64_t{layer.p.flag(50) ? 0 : 1};
  if (layer.p.has(32)) {
    const Fields padding = TRY(layer.p.message(32));
    const Ints sides = TRY(padding.integers(10));
    if (sides.size() == 2) attributes["pads"] = Ints{sides[0], sides[1], sides[0], sides[1]};
    attributes["ceil_mode"] = std::int64_t{1};
  } else {
    TRY(add_padding(layer, attributes, 30, 31));
  }
  const ValueId y = layer.b.emit(pools[type], {x}, attributes);
  return layer.give(TRY(as_before(layer, y, before)));
}

// Volumes: [batch, channels, depth, height, width].
Status convolution3d(Layer& layer) {
  const auto three = [&](std::uint32_t first) {
    return Ints{std::max<std::int64_t>(layer.p.integer(first, 1), 1),
                std::max<std::int64_t>(layer.p.integer(first + 1, 1), 1),
                std::max<std::int64_t>(layer.p.integer(first + 2, 1), 1)};
  };
  const std::int64_t out = layer.p.integer(1), channels = layer.p.integer(2),
                     groups = std::max<std::int64_t>(layer.p.integer(10, 1), 1);
  const Ints kernel = three(20);
  if (out < 1 || channels < 1 || channels % groups != 0 || out % groups != 0)
    return corrupt(fmt::format("{} filters in {} groups", out, groups));
  Attributes attributes{{"group", groups}, {"strides", three(31)}, {"dilations", three(40)}};
  if (layer.p.integer(70) == 2) attributes["auto_pad"] = std::string("SAME_UPPER");
  if (layer.p.integer(70) == 0)
    attributes["pads"] = Ints{layer.p.integer(80), layer.p.integer(82), layer.p.integer(84),
                              layer.p.integer(81), layer.p.integer(83), layer.p.integer(85)};
  const bool transposed = layer.p.flag(86);
  if (transposed && !TRY(layer.p.integers(87)).empty()) return unsupported("an output shape");
  Dims shape = transposed ? Dims{channels, out / groups} : Dims{out, channels / groups};
  shape.insert(shape.end(), kernel.begin(), kernel.end());
  std::vector<ValueId> inputs{TRY(layer.in()), TRY(layer.weight(60, shape))};
  if (layer.p.flag(50)) inputs.push_back(TRY(layer.weight(61, {out})));
  const ValueId y = layer.b.emit(transposed ? "ConvTranspose" : "Conv", inputs, attributes);
  if (!transposed) return layer.give(y);
  return layer.give(y, {TRY(layer.dims())[0], out, -1, -1, -1});
}

Status pooling3d(Layer& layer) {
  const auto type = static_cast<std::size_t>(layer.p.integer(1));
  if (type > 1) return unsupported(fmt::format("type {}", type));
  if (layer.kind == 1466) return layer.give(layer.b.emit(whole_pools[type], {TRY(layer.in())}));
  const auto n = [&](std::uint32_t i) { return layer.p.integer(i, 0); };
  Attributes attributes{{"kernel_shape", Ints{n(2), n(3), n(4)}},
                        {"strides", Ints{n(5), n(6), n(7)}}};
  if (n(15) == 0) attributes["pads"] = Ints{n(8), n(10), n(12), n(9), n(11), n(13)};
  if (n(15) == 2) attributes["auto_pad"] = std::string("SAME_UPPER");
  if (type == 1) attributes["count_include_pad"] = std::int64_t{n(14) != 0 ? 0 : 1};
  return layer.give(layer.b.emit(pools[type], {TRY(layer.in())}, attributes));
}

// By rank: [k], [a, k], [a, b, k], [a, channels, h, w], [a, b, channels, h, w].
Status inner_product(Layer& layer) {
  const std::int64_t k = layer.p.integer(1), n = layer.p.integer(2);
  if (k < 1 || n < 1) return corrupt(fmt::format("{} by {} weights", n, k));
  const Dims x = TRY(layer.dims());
  std::vector<ValueId> inputs{layer.reshaped(TRY(layer.in()), {-1, k}),
                              TRY(layer.weight(20, {n, k}))};
  if (layer.p.flag(10)) inputs.push_back(TRY(layer.weight(21, {n})));
  const ValueId y = layer.b.emit("Gemm", inputs, {{"transB", std::int64_t{1}}});
  Dims dims;
  switch (x.size()) {
    case 1:
      dims = {n};
      break;
    case 2:
      dims = {x[0], n};
      break;
    case 3:
      dims = {x[0], x[1], n};
      break;
    case 4:
      dims = {x[0], n, 1, 1};
      break;
    case 5:
      dims = {x[0], x[1], n, 1, 1};
      break;
    default:
      return corrupt(fmt::format("of {}", to_text(x)));
  }
  if (std::ranges::count(dims, -1) > 1) return unsupported("of two unknown extents");
  return layer.give(layer.reshaped(y, dims), dims);
}

// A column of the table per place.
Status embedding(Layer& layer) {
  const bool any_rank = layer.kind == 1040;
  const std::int64_t words = layer.p.integer(1), n = layer.p.integer(2);
  if (words < 1 || n < 1) return corrupt(fmt::format("{} by {} weights", n, words));
  const ValueId table = layer.b.transposed(TRY(layer.weight(20, {n, words})), {1, 0});
  ValueId y = layer.b.emit("Gather", {table, TRY(layer.flat_places(0))});
  if (layer.p.flag(any_rank ? 3 : 10)) y = layer.b.emit("Add", {y, TRY(layer.weight(21, {n}))});
  Dims dims = TRY(layer.dims());
  if (any_rank && !dims.empty())
    dims.back() = n;
  else if (dims.size() >= 3)
    dims[dims.size() - 3] = n;
  else
    return corrupt(fmt::format("places of {}", to_text(dims)));
  if (std::ranges::count(dims, -1) > 1) return unsupported("of two unknown extents");
  return layer.give(layer.reshaped(y, dims), dims);
}

Result<ValueId> or_filled(Layer& layer, std::uint32_t field, std::int64_t n, float value) {
  if (layer.p.has(field)) return layer.weight(field, {n});
  Tensor tensor = TRY(make_tensor(Element::f32, {n}));
  std::fill_n(tensor.data<float>(), n, value);
  return layer.b.constant(std::move(tensor));
}

// Images less the mean and over the deviation of each channel of all of them.
ValueId over_batch(Layer& layer, ValueId x, ValueId gamma, ValueId beta, double epsilon) {
  Emitter& b = layer.b;
  const ValueId axes = b.integers({0, 2, 3});
  const ValueId centred = b.emit("Sub", {x, b.emit("ReduceMean", {x, axes})});
  const ValueId variance = b.emit("ReduceMean", {b.emit("hearth.Square", {centred}), axes});
  const ValueId scale =
      b.emit("Mul", {layer.reshaped(gamma, {-1, 1, 1}),
                     b.emit("hearth.Rsqrt", {b.emit("Add", {variance, layer.scalar(epsilon)})})});
  return b.emit("Add", {b.emit("Mul", {centred, scale}), layer.reshaped(beta, {-1, 1, 1})});
}

Status batchnorm(Layer& layer) {
  const std::int64_t n = layer.p.integer(1);
  if (n < 1 || n > (1 << 24)) return corrupt(fmt::format("{} channels", n));
  const ValueId before = TRY(layer.in());
  const ValueId x = TRY(as_images(layer, before));
  const ValueId gamma = TRY(or_filled(layer, 15, n, 1)), beta = TRY(or_filled(layer, 16, n, 0));
  const Attributes attributes{{"epsilon", layer.real(10, 1e-5)}};
  ValueId y;
  if (layer.p.flag(5) && !layer.p.flag(6))
    y = over_batch(layer, x, gamma, beta, layer.real(10, 1e-5));
  else if (layer.p.flag(5))
    y = layer.b.emit("InstanceNormalization", {x, gamma, beta}, attributes);
  else
    y = layer.b.emit(
        "BatchNormalization",
        {x, gamma, beta, TRY(or_filled(layer, 17, n, 0)), TRY(or_filled(layer, 18, n, 1))},
        attributes);
  return layer.give(TRY(as_before(layer, y, before)));
}

Status mvn(Layer& layer) {
  const ValueId x = TRY(layer.in());
  const ValueId axes = layer.b.integers(layer.p.flag(1) ? Ints{-3, -2, -1} : Ints{-2, -1});
  ValueId y = layer.b.emit("Sub", {x, layer.b.emit("ReduceMean", {x, axes})});
  if (layer.p.flag(2)) {
    const ValueId variance = layer.b.emit("ReduceMean", {layer.b.emit("hearth.Square", {y}), axes});
    y = layer.b.emit(
        "Mul",
        {y, layer.b.emit("hearth.Rsqrt",
                         {layer.b.emit("Add", {variance, layer.scalar(layer.real(3, 1e-6))})})});
  }
  return layer.give(y);
}

Status l2normalize(Layer& layer) {
  const ValueId x = TRY(layer.in());
  const ValueId sum = layer.b.emit("ReduceSumSquare", {x, layer.b.integers({-3, -2, -1})});
  const ValueId more = layer.b.emit("Add", {sum, layer.scalar(layer.real(1, 1e-6))});
  return layer.give(layer.b.emit("Mul", {x, layer.b.emit("hearth.Rsqrt", {more})}));
}

Status lrn(Layer& layer) {
  const ValueId before = TRY(layer.in());
  const ValueId y = layer.b.emit("LRN", {TRY(as_images(layer, before))},
                                 {{"alpha", double{layer.p.real(1)}},
                                  {"beta", double{layer.p.real(2)}},
                                  {"size", layer.p.integer(3)},
                                  {"bias", layer.real(4, 1)}});
  return layer.give(TRY(as_before(layer, y, before)));
}

Status layer_normalization(Layer& layer) {
  const Dims dims = TRY(layer.p.integers(1));
  if (dims.empty()) return corrupt("no shape");
  return layer.give(layer.b.emit(
      "LayerNormalization",
      {TRY(layer.in()), TRY(layer.weight(3, dims)), TRY(layer.weight(4, dims))},
      {{"axis", -static_cast<std::int64_t>(dims.size())}, {"epsilon", layer.real(2, 1e-5)}}));
}

Result<ValueId> cut(Layer& layer, ValueId x, const Ints& from, const Ints& to) {
  return layer.b.emit(
      "Slice", {x, layer.b.integers(from), layer.b.integers(to), layer.b.integers({-2, -1})});
}

Status crop(Layer& layer) {
  const ValueId x = TRY(layer.in());
  if (layer.inputs.size() < 2) {
    const auto edges = TRY(read_borders(TRY(layer.p.message(1))));
    if (edges.size() != 2) return corrupt("needs the borders of two axes");
    const auto end = [](std::int64_t n) { return n == 0 ? INT32_MAX : -n; };
    return layer.give(
        TRY(cut(layer, x, {edges[0][0], edges[1][0]}, {end(edges[0][1]), end(edges[1][1])})));
  }
  const Ints offset = TRY(layer.ints(5, {0, 0}));
  const Dims like = TRY(layer.dims(1));
  if (offset.size() != 2 || like.size() < 2 || like[like.size() - 2] < 0 || like.back() < 0)
    return unsupported("to an unknown size");
  return layer.give(
      TRY(cut(layer, x, offset, {offset[0] + like[like.size() - 2], offset[1] + like.back()})));
}

Status padding(Layer& layer) {
  auto edges = TRY(read_borders(TRY(layer.p.message(10))));
  edges.resize(2);
  const std::string mode = layer.p.has(2) ? "reflect" : layer.p.has(3) ? "edge" : "constant";
  ValueId value = absent;
  if (layer.p.has(1)) value = layer.scalar(TRY(layer.p.message(1)).real(1));
  Dims dims = TRY(layer.dims());
  const std::size_t n = dims.size();
  if (n < 2) return corrupt(fmt::format("of {}", to_text(dims)));
  for (std::size_t i = 0; i < 2; ++i)
    if (dims[n - 2 + i] >= 0) dims[n - 2 + i] += edges[i][0] + edges[i][1];
  const ValueId y = layer.b.emit(
      "Pad",
      {TRY(layer.in()), layer.b.integers({edges[0][0], edges[1][0], edges[0][1], edges[1][1]}),
       value, layer.b.integers({-2, -1})},
      {{"mode", mode}});
  return layer.give(y, dims);
}

Status upsample(Layer& layer) {
  const auto fractions = TRY(layer.p.floats(7));
  const Ints whole = TRY(layer.ints(1, {1, 1}));
  if (whole.size() != 2) return corrupt("needs two factors");
  double h = static_cast<double>(whole[0]), w = static_cast<double>(whole[1]);
  if (fractions.size() == 2 && fractions[0] > 0 && fractions[1] > 0)
    h = fractions[0], w = fractions[1];
  Dims dims = TRY(layer.dims());
  const std::size_t n = dims.size();
  if (n < 3 || dims[n - 2] < 0 || dims[n - 1] < 0) return unsupported("of unknown size");
  if (!(h > 0 && w > 0 && h < 65536 && w < 65536)) return corrupt("a factor that is none");
  const Dims from = dims;
  dims[n - 2] = static_cast<std::int64_t>(static_cast<double>(dims[n - 2]) * h);
  dims[n - 1] = static_cast<std::int64_t>(static_cast<double>(dims[n - 1]) * w);
  if (layer.p.integer(5) == 0) {
    const Ints axes{static_cast<std::int64_t>(n - 2), static_cast<std::int64_t>(n - 1)};
    return layer.give(layer.b.emit("Resize",
                                   {TRY(layer.in()), absent, absent,
                                    layer.b.integers({dims[n - 2], dims[n - 1]})},
                                   {{"mode", std::string("nearest")},
                                    {"coordinate_transformation_mode", std::string("asymmetric")},
                                    {"nearest_mode", std::string("floor")},
                                    {"axes", axes}}),
                      dims);
  }
  constexpr std::string_view modes[] = {"DEFAULT", "STRICT_ALIGN_CORNERS", "UNALIGN_CORNERS"};
  const auto mode = static_cast<std::size_t>(layer.p.integer(6));
  if (mode > 2) return unsupported(fmt::format("mode {}", mode));
  return layer.give(TRY(emit_resize_bilinear(layer.b, TRY(layer.in()), from, dims[n - 2],
                                             dims[n - 1], modes[mode])),
                    dims);
}

Result<std::string> sampling_mode(Layer& layer, std::uint32_t field) {
  constexpr std::string_view modes[] = {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT",
                                        "OFFSET_CORNERS"};
  const auto mode = static_cast<std::size_t>(TRY(layer.p.message(field)).integer(1));
  if (mode > 3) return unsupported(fmt::format("sampling mode {}", mode));
  return std::string(modes[mode]);
}

Status resize_bilinear(Layer& layer) {
  const Ints size = TRY(layer.ints(1, {1, 1}));
  Dims dims = TRY(layer.dims());
  if (size.size() != 2 || dims.size() < 3) return corrupt("needs two sizes");
  const ValueId y = TRY(emit_resize_bilinear(layer.b, TRY(layer.in()), dims, size[0], size[1],
                                             TRY(sampling_mode(layer, 2))));
  dims[dims.size() - 2] = size[0];
  dims[dims.size() - 1] = size[1];
  return layer.give(y, dims);
}

// Images [1, batch, channels, h, w], boxes [n, 1, 4 or 5, 1, 1].
Status crop_resize(Layer& layer) {
  constexpr std::string_view boxes[] = {"CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST",
                                        "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST"};
  const Ints size = TRY(layer.ints(1, {1, 1}));
  const Dims x = TRY(layer.dims(0)), roi = TRY(layer.dims(1));
  const auto order = static_cast<std::size_t>(TRY(layer.p.message(4)).integer(1));
  if (size.size() != 2 || x.size() != 5 || roi.size() != 5 || order > 3)
    return corrupt(fmt::format("boxes {} of {}", to_text(roi), to_text(x)));
  CropResize how{size[0],
                 size[1],
                 layer.p.flag(2),
                 layer.real(5, 1),
                 TRY(sampling_mode(layer, 3)),
                 std::string(boxes[order]),
                 {}};
  const ValueId images = TRY(as_images(layer, TRY(layer.in())));
  TRY(layer.net.dims(images));
  const std::int64_t n = roi[0];
  const ValueId flat = layer.reshaped(TRY(layer.in(1)), {-1, roi[2]});
  if (roi[2] == 5) {
    const auto parts = layer.b.emit_many("Split", {flat, layer.b.integers({1, 4})}, 2,
                                         {{"axis", std::int64_t{1}}});
    const ValueId which = layer.b.cast(layer.reshaped(parts[0], {-1}), Element::i64);
    const ValueId y = TRY(emit_crop_resize(layer.b, images, parts[1], which, how));
    return layer.give(layer.b.emit("Unsqueeze", {y, layer.b.integers({1})}),
                      {n, 1, x[2], size[0], size[1]});
  }
  if (roi[2] != 4) return corrupt(fmt::format("boxes of {}", to_text(roi)));
  return layer.give(TRY(emit_crop_each(layer.b, images, {x[1], x[2]}, flat, n, how)),
                    {n, x[1], x[2], size[0], size[1]});
}

Status non_maximum_suppression(Layer& layer) {
  const auto input = [&](std::size_t i, double fallback) -> Result<ValueId> {
    if (i < layer.inputs.size()) return layer.reshaped(TRY(layer.in(i)), {});
    return layer.scalar(fallback);
  };
  const ValueId most =
      layer.inputs.size() > 4 ? TRY(layer.flat_places(4)) : layer.b.integers({layer.p.integer(3)});
  const Dims scores = TRY(layer.dims(1));
  if (scores.size() != 3) return corrupt(fmt::format("scores of {}", to_text(scores)));
  const auto made = layer.b.emit_many(
      "hearth.SelectBoxes",
      {TRY(layer.in(0)), TRY(layer.in(1)), TRY(input(2, layer.p.real(1))),
       TRY(input(3, layer.p.real(2))), most},
      4, {{"per_class", std::int64_t{layer.p.flag(4) ? 1 : 0}}, {"keeps_one", std::int64_t{1}}});
  const std::int64_t n = layer.inputs.size() > 4 ? -1 : layer.p.integer(3);
  TRY(layer.give(made[0], {scores[0], n, 4}, 0));
  TRY(layer.give(made[1], {scores[0], n, scores[2]}, 1));
  TRY(layer.give_number(made[2], {scores[0], n}, 2));
  return layer.give_number(made[3], {scores[0]}, 3);
}

constexpr LayerRow rows[] = {
    {100, "convolution", convolution},
    {120, "pooling", pooling},
    {140, "innerProduct", inner_product},
    {150, "embedding", embedding},
    {160, "batchnorm", batchnorm},
    {165, "mvn", mvn},
    {170, "l2normalize", l2normalize},
    {180, "lrn", lrn},
    {190, "crop", crop},
    {200, "padding", padding},
    {210, "upsample", upsample},
    {211, "resizeBilinear", resize_bilinear},
    {212, "cropResize", crop_resize},
    {1040, "embeddingND", embedding},
    {1350, "layerNormalization", layer_normalization},
    {1400, "NonMaximumSuppression", non_maximum_suppression},
    {1465, "pooling3d", pooling3d},
    {1466, "globalPooling3d", pooling3d},
    {1471, "convolution3d", convolution3d},
};

}  // namespace

std::span<const LayerRow> image_layers() { return rows; }

}  // namespace hearth::graphs::coreml
