// Layers that move elements and change shapes.
// Source: Core ML Tools, NeuralNetwork.proto.
#include <fmt/core.h>

#include <algorithm>
#include <climits>
#include <numeric>

#include "graphs/call.h"
#include "graphs/coreml/network.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }
Error unsupported(std::string message) { return Error(ErrorKind::unsupported, std::move(message)); }

std::int64_t size_of_all(const Dims& dims) {
  std::int64_t n = 1;
  for (const std::int64_t extent : dims) n = extent < 0 || n < 0 ? -1 : n * extent;
  return n;
}

// A shape with at most one extent that is left to be found.
Status give_reshaped(Layer& layer, ValueId x, Dims dims) {
  const std::int64_t all = size_of_all(TRY(layer.dims()));
  const auto open = std::ranges::count(dims, -1);
  if (open > 1) return unsupported(fmt::format("to {}", to_text(dims)));
  const ValueId y =
      layer.b.emit("Reshape", {x, layer.b.integers(dims)}, {{"allowzero", std::int64_t{1}}});
  if (open == 1 && all >= 0) {
    auto at = std::ranges::find(dims, -1);
    *at = 1;
    const std::int64_t known = size_of_all(dims);
    *at = known > 0 && all % known == 0 ? all / known : -1;
  }
  return layer.give(y, dims);
}

// [channels, h, w], or [steps, channels, h, w], of one axis more than it says: the batch.
Status reshape(Layer& layer) {
  Ints target = TRY(layer.ints(1, {}));
  if (target.size() == 3) target.insert(target.begin(), TRY(layer.dims()).size() == 5 ? -1 : 1);
  if (target.size() != 4) return corrupt(fmt::format("to {}", to_text(target)));
  const Dims x = TRY(layer.dims());
  const std::size_t n = x.size();
  if (n < 3) return corrupt(fmt::format("of {}", to_text(x)));
  const std::int64_t wanted = size_of_all({target[1], target[2], target[3]});
  const std::int64_t all = size_of_all(x);
  if (target[0] == -1 && all >= 0 && wanted > 0) target[0] = all / wanted;
  const Dims dims{target[0], 1, target[1], target[2], target[3]};
  if (layer.p.integer(2) == 0) return give_reshaped(layer, TRY(layer.in()), dims);
  // The last axis of channels becomes the innermost, and back.
  Ints order(n);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::rotate(order.end() - 3, order.end() - 2, order.end());
  const ValueId turned = layer.b.transposed(TRY(layer.in()), order);
  const ValueId y = layer.reshaped(turned, {target[0], 1, target[2], target[3], target[1]});
  return layer.give(layer.b.transposed(y, {0, 1, 4, 2, 3}), dims);
}

Status flatten(Layer& layer) {
  const Dims x = TRY(layer.dims());
  const std::size_t n = x.size();
  if (n < 3) return corrupt(fmt::format("of {}", to_text(x)));
  ValueId id = TRY(layer.in());
  if (layer.p.integer(1) == 1) {
    Ints order(n);
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::rotate(order.end() - 3, order.end() - 2, order.end());
    id = layer.b.transposed(id, order);
  }
  Dims dims(x.begin(), x.end() - 3);
  dims.insert(dims.end(), {size_of_all({x[n - 3], x[n - 2], x[n - 1]}), 1, 1});
  return give_reshaped(layer, id, dims);
}

// An order of [steps, channels, h, w]; the batch stays where it is.
Status permute(Layer& layer) {
  const Ints given = TRY(layer.ints(1, {0, 1, 2, 3}));
  const std::size_t n = TRY(layer.dims()).size();
  if (given.size() != 4 || n != 5) return corrupt("needs five axes and an order of four");
  Ints order{0, 1, 0, 0, 0};
  for (std::size_t i = 0; i < 4; ++i) {
    if (given[i] < 0 || given[i] > 3) return corrupt(fmt::format("axis {}", given[i]));
    order[i == 0 ? 0 : i + 1] = given[i] == 0 ? 0 : given[i] + 1;
  }
  return layer.give(layer.b.transposed(TRY(layer.in()), order));
}

Result<std::vector<ValueId>> all_inputs(Layer& layer) {
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < layer.inputs.size(); ++i) ids.push_back(TRY(layer.in(i)));
  if (ids.empty()) return corrupt("no inputs");
  return ids;
}

Status concat(Layer& layer) {
  const bool any_rank = layer.kind == 980;
  const std::int64_t wanted = any_rank ? layer.p.integer(1) : layer.p.flag(100) ? -5 : -3;
  const std::int64_t axis = TRY(layer.axis(wanted));
  auto ids = TRY(all_inputs(layer));
  if (!any_rank || !layer.p.flag(2))
    return layer.give(layer.b.emit("Concat", ids, {{"axis", axis}}));
  Dims dims = TRY(layer.dims());
  if (dims[static_cast<std::size_t>(axis)] >= 0)
    dims[static_cast<std::size_t>(axis)] *= static_cast<std::int64_t>(ids.size());
  for (ValueId& each : ids) each = layer.b.emit("Unsqueeze", {each, layer.b.integers({axis + 1})});
  return give_reshaped(layer, layer.b.emit("Concat", ids, {{"axis", axis + 1}}), dims);
}

Status stack(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(1), 1));
  auto ids = TRY(all_inputs(layer));
  for (ValueId& each : ids) each = layer.b.emit("Unsqueeze", {each, layer.b.integers({axis})});
  return layer.give(layer.b.emit("Concat", ids, {{"axis", axis}}));
}

Status split(Layer& layer) {
  const bool any_rank = layer.kind == 975;
  const std::int64_t axis = TRY(layer.axis(any_rank ? layer.p.integer(1) : -3));
  std::vector<ValueId> inputs{TRY(layer.in())};
  Attributes attributes{{"axis", axis}};
  Dims dims = TRY(layer.dims());
  const auto n = static_cast<std::int64_t>(layer.outputs.size());
  const Ints sizes = any_rank ? TRY(layer.ints(3, {})) : Ints{};
  if (!sizes.empty())
    inputs.push_back(layer.b.integers(sizes));
  else
    attributes["num_outputs"] = n;
  if (n == 0 || (!sizes.empty() && sizes.size() != layer.outputs.size()))
    return corrupt(fmt::format("{} parts", n));
  const auto parts = layer.b.emit_many("Split", inputs, layer.outputs.size(), attributes);
  const std::int64_t extent = dims[static_cast<std::size_t>(axis)];
  for (std::size_t i = 0; i < parts.size(); ++i) {
    dims[static_cast<std::size_t>(axis)] = !sizes.empty() ? sizes[i] : extent < 0 ? -1 : extent / n;
    TRY(layer.give(parts[i], dims, i));
  }
  return Done{};
}

Status give_tiled(Layer& layer, Ints times) {
  Dims dims = TRY(layer.dims());
  if (times.size() > dims.size()) return corrupt(fmt::format("{} repetitions", times.size()));
  while (times.size() < dims.size()) times.insert(times.begin(), 1);
  for (std::size_t i = 0; i < dims.size(); ++i)
    dims[i] = dims[i] < 0 || times[i] < 0 ? -1 : dims[i] * times[i];
  return layer.give(layer.b.emit("Tile", {TRY(layer.in()), layer.b.integers(times)}), dims);
}

Status sequence_repeat(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(-5));
  Ints times(TRY(layer.dims()).size(), 1);
  times[static_cast<std::size_t>(axis)] = std::max<std::int64_t>(layer.p.integer(1), 1);
  return give_tiled(layer, times);
}
Status tile(Layer& layer) {
  if (layer.inputs.size() < 2) return give_tiled(layer, TRY(layer.ints(1, {})));
  const Dims dims(TRY(layer.dims()).size(), -1);
  return layer.give(layer.b.emit("Tile", {TRY(layer.in()), TRY(layer.flat_places(1))}), dims);
}

Status reorganize(Layer& layer) {
  const std::int64_t mode = layer.p.integer(1), block = layer.p.integer(2);
  if (mode > 2 || block < 1 || block > 4096) return corrupt(fmt::format("blocks of {}", block));
  const ValueId before = TRY(layer.in());
  const ValueId x = TRY(as_images(layer, before));
  Dims d = TRY(layer.net.dims(x));
  const bool packs = mode == 0;
  const auto by = [&](std::int64_t n, std::int64_t f, bool up) {
    return n < 0 ? -1 : up ? n * f : n / f;
  };
  d = {d[0], by(d[1], block * block, packs), by(d[2], block, !packs), by(d[3], block, !packs)};
  Attributes attributes{{"blocksize", block}};
  if (!packs) attributes["mode"] = std::string(mode == 1 ? "DCR" : "CRD");
  const ValueId y = layer.b.emit(packs ? "SpaceToDepth" : "DepthToSpace", {x}, attributes);
  layer.net.set(y, d);
  return layer.give(TRY(as_before(layer, y, before)));
}

Status slice(Layer& layer) {
  const std::int64_t axis = layer.p.integer(4) - 3;
  const std::int64_t end = layer.p.integer(2), step = std::max<std::int64_t>(layer.p.integer(3), 1);
  if (axis < -3 || axis > -1) return corrupt(fmt::format("axis {}", layer.p.integer(4)));
  return layer.give(layer.b.emit(
      "Slice", {TRY(layer.in()), layer.b.integers({layer.p.integer(1)}), layer.b.integers({end}),
                layer.b.integers({axis}), layer.b.integers({step})}));
}

// 1 begin, 2 begin masks, 3 end, 4 end masks, 5 strides, 6 squeeze masks.  Inputs of a dynamic
// slice, where it has them: begin, end, strides, begin masks, end masks.
Status slice_any(Layer& layer) {
  Emitter& b = layer.b;
  const bool dynamic = layer.kind == 1000;
  const std::size_t n = TRY(layer.dims()).size();
  const auto numbers = [&](std::uint32_t field, std::int64_t fallback) -> Result<Ints> {
    Ints found = TRY(layer.p.integers(field));
    if (found.empty()) found.assign(n, fallback);
    if (found.size() != n) return corrupt(fmt::format("{} numbers for {} axes", found.size(), n));
    return found;
  };
  const auto list = [&](std::size_t input, std::uint32_t field,
                        std::int64_t fallback) -> Result<ValueId> {
    if (dynamic && input < layer.inputs.size()) return layer.flat_places(input);
    return b.integers(TRY(numbers(field, fallback)));
  };
  const auto chosen = [&](ValueId mask, ValueId yes, ValueId no) {
    return b.emit("Where", {b.cast(mask, Element::boolean), yes, no});
  };
  if (dynamic && layer.inputs.size() > 6) return unsupported("axes to drop that are computed");
  ValueId start = dynamic ? TRY(layer.flat_places(1)) : TRY(list(1, 1, 0));
  ValueId end = TRY(list(2, 3, INT_MAX)), steps = TRY(list(3, 5, 1));
  const ValueId begin_masks = TRY(list(4, 2, 0)), end_masks = TRY(list(5, 4, 0));
  const ValueId forward = b.emit("Greater", {steps, b.integer(0)});
  start = chosen(begin_masks, b.emit("Where", {forward, b.integer(0), b.integer(INT_MAX)}), start);
  end = chosen(end_masks, b.emit("Where", {forward, b.integer(INT_MAX), b.integer(INT64_MIN / 2)}),
               end);
  const Ints gone = TRY(numbers(6, 0));
  Ints axes, away;
  for (std::size_t i = 0; i < n; ++i) {
    axes.push_back(static_cast<std::int64_t>(i));
    if (gone[i] != 0) away.push_back(static_cast<std::int64_t>(i));
  }
  if (!away.empty()) {  // one element of each, the last one being -1
    const ValueId next = b.emit("Add", {start, b.integer(1)});
    const ValueId last = b.emit("Equal", {next, b.integer(0)});
    const ValueId after = b.emit("Where", {last, b.integer(INT_MAX), next});
    const ValueId drop = b.integers(gone);
    end = chosen(drop, after, end);
    steps = chosen(drop, b.integer(1), steps);
  }
  ValueId y = b.emit("Slice", {TRY(layer.in()), start, end, b.integers(axes), steps});
  if (away.size() == n && n > 0) away.erase(away.begin());  // never less than one axis
  if (!away.empty()) y = b.emit("Squeeze", {y, b.integers(away)});
  return layer.give(y, Dims(n - away.size(), -1));
}

// 1 size, 2 axis; where it begins is computed.
Status slice_by_size(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(3))), size = layer.p.integer(2);
  const ValueId start = TRY(layer.flat_places(1));
  const ValueId end = layer.b.emit("Add", {start, layer.b.integers({size})});
  Dims dims = TRY(layer.dims());
  dims[static_cast<std::size_t>(axis)] = size;
  return layer.give(layer.b.emit("Slice", {TRY(layer.in()), start, end, layer.b.integers({axis})}),
                    dims);
}

Status sliding_windows(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(1))), size = layer.p.integer(2),
                     step = std::max<std::int64_t>(layer.p.integer(3), 1);
  const std::int64_t n = TRY(layer.dims())[static_cast<std::size_t>(axis)];
  if (n < 0) return unsupported("along an axis of unknown length");
  constexpr std::int64_t most = 1 << 24;
  if (size < 1 || size > n || (n - size) / step + 1 > most / size)
    return corrupt(fmt::format("windows of {} over {}", size, n));
  Tensor places = TRY(make_tensor(Element::i64, {(n - size) / step + 1, size}));
  for (std::int64_t i = 0; i < places.count; ++i)
    places.data<std::int64_t>()[i] = i / size * step + i % size;
  return layer.give(layer.b.emit("Gather", {TRY(layer.in()), layer.b.constant(std::move(places))},
                                 {{"axis", axis}}));
}

Status reverse(Layer& layer) {
  const Ints flags = TRY(layer.p.integers(1));
  Ints axes;
  for (std::size_t i = 0; i < flags.size(); ++i)
    if (flags[i] != 0) axes.push_back(static_cast<std::int64_t>(i));
  if (axes.empty()) return layer.give(layer.b.emit("Identity", {TRY(layer.in())}));
  return layer.give(layer.b.emit("hearth.Reverse", {TRY(layer.in()), layer.b.integers(axes)}));
}

Status reverse_sequence(Layer& layer) {
  const std::int64_t batch = TRY(layer.axis(layer.p.integer(1))),
                     time = TRY(layer.axis(layer.p.integer(2)));
  return layer.give(layer.b.emit("ReverseSequence", {TRY(layer.in()), TRY(layer.flat_places(1))},
                                 {{"batch_axis", batch}, {"time_axis", time}}));
}

Status transpose(Layer& layer) {
  Ints order = TRY(layer.p.integers(1));
  const auto rank = static_cast<std::int64_t>(TRY(layer.dims()).size());
  if (static_cast<std::int64_t>(order.size()) != rank) return corrupt("an order of other axes");
  for (std::int64_t& axis : order) {
    if (axis < -rank || axis >= rank) return corrupt(fmt::format("axis {} of {}", axis, rank));
    if (axis < 0) axis += rank;
  }
  return layer.give(layer.b.transposed(TRY(layer.in()), order));
}

Status get_shape(Layer& layer) {
  const auto rank = static_cast<std::int64_t>(TRY(layer.dims()).size());
  return layer.give_number(layer.b.emit("Shape", {TRY(layer.in())}), Dims{rank});
}

Status broadcast_to(Layer& layer) {
  if (layer.kind == 1105) {
    const Dims dims = TRY(layer.ints(1, {}));
    return layer.give(layer.b.emit("Expand", {TRY(layer.in()), layer.b.integers(dims)}));
  }
  const Dims like = TRY(layer.dims(1));
  if (layer.kind == 1100)
    return layer.give(
        layer.b.emit("Expand", {TRY(layer.in()), layer.b.emit("Shape", {TRY(layer.in(1))})}), like);
  if (like.size() != 1 || like[0] < 0) return unsupported("a shape of unknown rank");
  return layer.give(layer.b.emit("Expand", {TRY(layer.in()), TRY(layer.flat_places(1))}),
                    Dims(static_cast<std::size_t>(like[0]), -1));
}

Status squeeze(Layer& layer) {
  const Dims x = TRY(layer.dims());
  Ints axes;
  if (layer.p.flag(2)) {
    for (std::size_t i = 0; i < x.size(); ++i)
      if (x[i] == 1) axes.push_back(static_cast<std::int64_t>(i));
  } else {
    for (const std::int64_t each : TRY(layer.p.integers(1))) axes.push_back(TRY(layer.axis(each)));
  }
  if (axes.size() == x.size() && !axes.empty()) axes.pop_back();  // never less than one axis
  if (axes.empty()) return layer.give(layer.b.emit("Identity", {TRY(layer.in())}));
  return layer.give(layer.b.emit("Squeeze", {TRY(layer.in()), layer.b.integers(axes)}));
}

Status expand_dims(Layer& layer) {
  const Ints axes = TRY(layer.p.integers(1));
  return layer.give(layer.b.emit("Unsqueeze", {TRY(layer.in()), layer.b.integers(axes)}));
}

Status flatten_to_2d(Layer& layer) {
  const std::int64_t axis = TRY(layer.axis(layer.p.integer(1)));
  return layer.give(layer.b.emit("Flatten", {TRY(layer.in())}, {{"axis", axis}}));
}

Status reshape_like(Layer& layer) {
  return layer.give(
      layer.b.emit("Reshape", {TRY(layer.in()), layer.b.emit("Shape", {TRY(layer.in(1))})}),
      TRY(layer.dims(1)));
}
Status reshape_static(Layer& layer) {
  return give_reshaped(layer, TRY(layer.in()), TRY(layer.ints(1, {})));
}
Status reshape_dynamic(Layer& layer) {
  const Dims shape = TRY(layer.dims(1));
  if (shape.size() != 1 || shape[0] < 0) return unsupported("a shape of unknown rank");
  return layer.give(layer.b.emit("Reshape", {TRY(layer.in()), TRY(layer.flat_places(1))}),
                    Dims(static_cast<std::size_t>(shape[0]), -1));
}
Status rank_preserving_reshape(Layer& layer) {
  const Ints target = TRY(layer.ints(1, {}));
  const Dims x = TRY(layer.dims());
  if (target.size() != x.size()) return corrupt(fmt::format("to {}", to_text(target)));
  Dims dims = target;
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (dims[i] == 0) dims[i] = x[i];
  if (std::ranges::count(dims, -1) <= 1) return give_reshaped(layer, TRY(layer.in()), dims);
  return layer.give(layer.reshaped(TRY(layer.in()), target), dims);
}

// Amounts that are computed: before and after of each axis, or the size that one of them says.
Status computed_pad(Layer& layer) {
  Emitter& b = layer.b;
  const Dims dims = TRY(layer.dims());
  const ValueId x = TRY(layer.in());
  ValueId amounts =
      layer.reshaped(TRY(layer.places(1)), {static_cast<std::int64_t>(dims.size()), 2});
  if (layer.p.flag(3)) {
    const ValueId sizes = layer.reshaped(b.emit("Shape", {x}), {-1, 1});
    const ValueId lacking = b.emit("Max", {b.emit("Sub", {amounts, sizes}), b.integer(0)});
    const ValueId is_given = b.emit("Greater", {amounts, b.integer(0)});
    amounts = b.emit("Where", {is_given, lacking, b.integer(0)});
  }
  const ValueId flat = layer.reshaped(b.transposed(amounts, {1, 0}), {-1});
  return layer.give(b.emit("Pad", {x, flat, layer.scalar(layer.p.real(1))}), Dims(dims.size(), -1));
}

Status constant_pad(Layer& layer) {
  if (layer.inputs.size() > 1) return computed_pad(layer);
  Ints pairs = TRY(layer.ints(2, {}));
  Dims dims = TRY(layer.dims());
  if (pairs.size() != 2 * dims.size()) return corrupt(fmt::format("{} amounts", pairs.size()));
  Ints before, after;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    std::int64_t* amount = &pairs[2 * i];
    if (layer.p.flag(3))  // amounts are sizes
      for (std::size_t k = 0; k < 2; ++k) {
        if (dims[i] < 0 && amount[k] > 0) return unsupported("an axis of unknown length to a size");
        amount[k] = amount[k] > 0 ? std::max<std::int64_t>(amount[k] - dims[i], 0) : 0;
      }
    before.push_back(amount[0]);
    after.push_back(amount[1]);
    if (dims[i] >= 0) dims[i] += amount[0] + amount[1];
  }
  before.insert(before.end(), after.begin(), after.end());
  return layer.give(layer.b.emit("Pad", {TRY(layer.in()), layer.b.integers(before),
                                         layer.scalar(layer.p.real(1))}),
                    dims);
}

constexpr LayerRow rows[] = {
    {300, "reshape", reshape},
    {301, "flatten", flatten},
    {310, "permute", permute},
    {320, "concat", concat},
    {330, "split", split},
    {340, "sequenceRepeat", sequence_repeat},
    {345, "reorganizeData", reorganize},
    {350, "slice", slice},
    {920, "tile", tile},
    {925, "stack", stack},
    {960, "reverse", reverse},
    {965, "reverseSeq", reverse_sequence},
    {975, "splitND", split},
    {980, "concatND", concat},
    {985, "transpose", transpose},
    {995, "sliceStatic", slice_any},
    {1000, "sliceDynamic", slice_any},
    {1005, "slidingWindows", sliding_windows},
    {1065, "getShape", get_shape},
    {1100, "broadcastToLike", broadcast_to},
    {1105, "broadcastToStatic", broadcast_to},
    {1110, "broadcastToDynamic", broadcast_to},
    {1120, "squeeze", squeeze},
    {1125, "expandDims", expand_dims},
    {1130, "flattenTo2D", flatten_to_2d},
    {1135, "reshapeLike", reshape_like},
    {1140, "reshapeStatic", reshape_static},
    {1145, "reshapeDynamic", reshape_dynamic},
    {1150, "rankPreservingReshape", rank_preserving_reshape},
    {1155, "constantPad", constant_pad},
    {1470, "sliceBySize", slice_by_size},
};

}  // namespace

std::span<const LayerRow> shape_layers() { return rows; }

}  // namespace hearth::graphs::coreml
