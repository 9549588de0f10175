// Gather and scatter of StableHLO: windows of a tensor that begin at computed places, as places in
// its elements one after another.
// Source: StableHLO specification, gather and scatter.
#include <fmt/core.h>

#include <algorithm>

#include "graphs/call.h"
#include "graphs/tflite/stablehlo.h"

namespace hearth::graphs::tflite {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

bool holds(const Ints& list, std::size_t axis) {
  return std::ranges::find(list, static_cast<std::int64_t>(axis)) != list.end();
}

Status check_axes(const Ints& axes, std::size_t rank) {
  for (std::size_t i = 0; i < axes.size(); ++i)
    if (axes[i] < 0 || std::cmp_greater_equal(axes[i], rank) ||
        std::ranges::count(axes, axes[i]) > 1)
      return corrupt(fmt::format("axis {} of {}", axes[i], rank));
  return Done{};
}

// Windows of a tensor.  `from` [n]: axes that their beginnings are given along; `sizes` [rank] of a
// window; `dropped`: axes of size 1 that a window leaves out.
struct Windows {
  Dims dims;
  Ints from, sizes, dropped;

  Status check() const {
    constexpr std::int64_t most_in_window = 1 << 24;
    TRY(count_of(dims));
    TRY(check_axes(from, dims.size()));
    TRY(check_axes(dropped, dims.size()));
    if (sizes.size() != dims.size()) return corrupt("as many sizes as axes");
    for (std::size_t i = 0; i < dims.size(); ++i)
      if (sizes[i] < 0 || sizes[i] > dims[i] || (holds(dropped, i) && sizes[i] != 1))
        return corrupt(fmt::format("windows {} of {}", to_text(sizes), to_text(dims)));
    if (product(sizes) > most_in_window)
      return Error(ErrorKind::exhausted, fmt::format("windows of {}", to_text(sizes)));
    return Done{};
  }
  std::vector<std::size_t> kept() const {
    std::vector<std::size_t> axes;
    for (std::size_t i = 0; i < dims.size(); ++i)
      if (!holds(dropped, i)) axes.push_back(i);
    return axes;
  }
};

// The beginnings of windows as [batch..., n], and the batch.
struct Starts {
  ValueId id = absent;
  Dims batch;
};
Result<Starts> read_starts(Builder& b, std::int64_t tensor, std::int64_t axis, std::size_t n) {
  Starts starts;
  starts.batch = TRY(known_dims(b, tensor));
  starts.id = b.cast(TRY(b.raw(tensor)), Element::i64);
  const auto rank = static_cast<std::int64_t>(starts.batch.size());
  if (axis < 0 || axis > rank) return corrupt(fmt::format("axis {} of {}", axis, rank));
  if (axis == rank) {
    starts.id = b.emit("Unsqueeze", {starts.id, b.integers({rank})});
    starts.batch.push_back(1);
  }
  if (std::cmp_not_equal(starts.batch[static_cast<std::size_t>(axis)], n))
    return corrupt(fmt::format("beginnings along {} axes for {}",
                               starts.batch[static_cast<std::size_t>(axis)], n));
  Ints order;
  for (std::size_t i = 0; i < starts.batch.size(); ++i)
    if (std::cmp_not_equal(i, axis)) order.push_back(static_cast<std::int64_t>(i));
  order.push_back(axis);
  starts.id = b.transposed(starts.id, order);
  starts.batch.erase(starts.batch.begin() + axis);
  return starts;
}

// How far the elements of a window lie behind its first one: i64 [kept sizes...].
Result<ValueId> within_window(Builder& b, const Windows& w) {
  const Dims strides = strides_of(w.dims);
  const auto axes = w.kept();
  Dims shape;
  for (const std::size_t axis : axes) shape.push_back(w.sizes[axis]);
  Tensor places = TRY(make_tensor(Element::i64, shape));
  for (std::int64_t i = 0; i < places.count; ++i) {
    std::int64_t rest = i, place = 0;
    for (std::size_t k = axes.size(); k-- > 0;) {
      place += rest % shape[k] * strides[axes[k]];
      rest /= shape[k];
    }
    places.data<std::int64_t>()[i] = place;
  }
  return b.constant(std::move(places));
}

// [batch...] with an axis of 1 for each that a window keeps.
ValueId beside_windows(Builder& b, ValueId id, const Dims& batch, const Windows& w) {
  Ints shape = batch;
  shape.resize(batch.size() + w.kept().size(), 1);
  return b.emit("Reshape", {id, b.integers(shape)});
}

// i64 [batch..., kept sizes...] of windows that begin at `starts`.
Result<ValueId> places_of(Builder& b, const Windows& w, ValueId starts, const Dims& batch) {
  const Dims strides = strides_of(w.dims);
  Ints steps;
  for (const std::int64_t axis : w.from) steps.push_back(strides[static_cast<std::size_t>(axis)]);
  const ValueId first =
      b.emit("ReduceSum", {b.emit("Mul", {starts, b.integers(steps)}), b.integers({-1})},
             {{"keepdims", std::int64_t{0}}});
  return b.emit("Add", {beside_windows(b, first, batch, w), TRY(within_window(b, w))});
}

}  // namespace

// 0 axes of the result that windows fill, 1 axes dropped, 2 axes that beginnings are along, 3 which
// axis of the indices lists them, 4 sizes.  Windows that reach over the edge are moved within.
Status add_gather(Builder& b, const Operator& op) {
  const FlatTable& o = op.more_options;
  if (op.inputs.size() != 2 || op.outputs.size() != 1) return corrupt("needs a tensor and indices");
  Windows w;
  w.dims = TRY(known_dims(b, op.inputs[0]));
  w.dropped = TRY(o.numbers<std::int64_t>(1));
  w.from = TRY(o.numbers<std::int64_t>(2));
  w.sizes = TRY(o.numbers<std::int64_t>(4));
  TRY(w.check());
  const Starts starts =
      TRY(read_starts(b, op.inputs[1], o.number<std::int64_t>(3, 0), w.from.size()));
  Ints room;
  for (const std::int64_t axis : w.from) {
    const auto at = static_cast<std::size_t>(axis);
    room.push_back(w.dims[at] - w.sizes[at]);
  }
  const ValueId inside =
      b.emit("Max", {b.emit("Min", {starts.id, b.integers(room)}), b.integer(0)});
  const ValueId places = TRY(places_of(b, w, inside, starts.batch));
  const ValueId flat = b.emit("Reshape", {TRY(b.raw(op.inputs[0])), b.integers({-1})});
  const ValueId found = b.emit("Gather", {flat, places});
  const Ints offsets = TRY(o.numbers<std::int64_t>(0));
  const std::size_t rank = starts.batch.size() + w.kept().size();
  TRY(check_axes(offsets, rank));
  if (offsets.size() != w.kept().size()) return corrupt("other axes than windows have");
  Ints order;
  std::int64_t batch = 0, window = static_cast<std::int64_t>(starts.batch.size());
  for (std::size_t i = 0; i < rank; ++i) order.push_back(holds(offsets, i) ? window++ : batch++);
  return b.give_raw(op.outputs[0], b.transposed(found, order));
}

// 1 axes of the updates that windows are along, 2 axes dropped, 3 axes that beginnings are along, 4
// which axis of the indices lists them.  Elements outside the tensor are left out.
Status add_scatter(Builder& b, const Operator& op, std::string_view reduction) {
  const FlatTable& o = op.more_options;
  if (op.inputs.size() != 3 || op.outputs.size() != 1)
    return Error(ErrorKind::unsupported, "of several tensors");
  Windows w;
  w.dims = TRY(known_dims(b, op.inputs[0]));
  w.dropped = TRY(o.numbers<std::int64_t>(2));
  w.from = TRY(o.numbers<std::int64_t>(3));
  const Ints window_axes = TRY(o.numbers<std::int64_t>(1));
  const Dims updates = TRY(known_dims(b, op.inputs[2]));
  TRY(check_axes(window_axes, updates.size()));
  TRY(check_axes(w.dropped, w.dims.size()));
  const auto kept = w.kept();
  if (window_axes.size() != kept.size()) return corrupt("other axes than windows have");
  w.sizes.assign(w.dims.size(), 1);
  for (std::size_t i = 0; i < kept.size(); ++i)
    w.sizes[kept[i]] = updates[static_cast<std::size_t>(window_axes[i])];
  TRY(w.check());
  const Starts starts =
      TRY(read_starts(b, op.inputs[1], o.number<std::int64_t>(4, 0), w.from.size()));
  if (updates.size() != starts.batch.size() + kept.size()) return corrupt("updates of other axes");
  ValueId places = TRY(places_of(b, w, starts.id, starts.batch));
  const std::int64_t count = product(w.dims);
  for (std::size_t i = 0; i < w.from.size(); ++i) {
    const auto axis = static_cast<std::size_t>(w.from[i]);
    const ValueId start = b.emit("Gather", {starts.id, b.integer(static_cast<std::int64_t>(i))},
                                 {{"axis", std::int64_t{-1}}});
    ValueId at = beside_windows(b, start, starts.batch, w);
    if (const auto place = std::ranges::find(kept, axis); place != kept.end()) {
      Ints shape(kept.size(), 1);
      shape[static_cast<std::size_t>(place - kept.begin())] = w.sizes[axis];
      const ValueId steps = b.emit("Range", {b.integer(0), b.integer(w.sizes[axis]), b.integer(1)});
      at = b.emit("Add", {at, b.emit("Reshape", {steps, b.integers(shape)})});
    }
    const ValueId inside = b.emit("And", {b.emit("GreaterOrEqual", {at, b.integer(0)}),
                                          b.emit("Less", {at, b.integer(w.dims[axis])})});
    places = b.emit("Where", {inside, places, b.integer(count)});
  }
  Ints order;  // of the updates: batch, then windows
  for (std::size_t i = 0; i < updates.size(); ++i)
    if (!holds(window_axes, i)) order.push_back(static_cast<std::int64_t>(i));
  order.insert(order.end(), window_axes.begin(), window_axes.end());
  const ValueId flat = b.integers({-1});
  const ValueId spare =
      b.cast(b.emit("Reshape", {b.scalar(0), b.integers({1})}), TRY(b.info(op.inputs[0]))->type);
  const ValueId room =
      b.emit("Concat", {b.emit("Reshape", {TRY(b.raw(op.inputs[0])), flat}), spare},
             {{"axis", std::int64_t{0}}});
  const ValueId turned = b.transposed(TRY(b.raw(op.inputs[2])), order);
  const ValueId written =
      b.emit("ScatterElements",
             {room, b.emit("Reshape", {places, flat}), b.emit("Reshape", {turned, flat})},
             {{"axis", std::int64_t{0}}, {"reduction", std::string(reduction)}});
  const ValueId rest = b.emit("Slice", {written, b.integers({0}), b.integers({count})});
  return b.give_raw(op.outputs[0], b.emit("Reshape", {rest, b.integers(w.dims)}));
}

}  // namespace hearth::graphs::tflite
