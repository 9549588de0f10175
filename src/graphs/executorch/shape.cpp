// Operators that move numbers and compute none.
// Source: PyTorch, torch, "Indexing, Slicing, Joining, Mutating Ops"; ExecuTorch,
// kernels/portable/functions.yaml.
#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

std::size_t last(const Op& op) { return op.count() - 1; }

Result<std::int64_t> axis_of(const Op& op, std::size_t i, std::size_t rank) {
  const std::int64_t axis = TRY(op.integer(i)), n = static_cast<std::int64_t>(rank);
  if (axis < -std::max<std::int64_t>(n, 1) || axis >= std::max<std::int64_t>(n, 1))
    return corrupt(fmt::format("axis {} of {}", axis, rank));
  return axis < 0 ? axis + n : axis;
}

Status view(Op& op) {
  Emitter& b = op.b();
  return op.give(last(op), b.emit("Reshape", {TRY(op.in(0)), TRY(op.list_id(1))},
                                  {{"allowzero", std::int64_t{1}}}));
}

// et_view(x, size, out): out is x's memory under another shape.
Status et_view(Op& op) {
  Emitter& b = op.b();
  if (op.count() < 3) return corrupt("too few arguments");
  const ValueId y =
      b.emit("Reshape", {TRY(op.in(0)), TRY(op.list_id(1))}, {{"allowzero", std::int64_t{1}}});
  return op.flow.share(TRY(op.arg(2)), TRY(op.arg(0)), y);
}

Status permute(Op& op) {
  Ints order = TRY(op.list(1));
  const auto rank = static_cast<std::int64_t>(TRY(op.rank(0)));
  for (std::int64_t& axis : order)
    if (axis < 0) axis += rank;
  return op.give(last(op), op.b().transposed(TRY(op.in(0)), order));
}

Status transpose(Op& op) {
  const std::size_t rank = TRY(op.rank(0));
  Ints order(rank);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  if (op.name == "aten::t_copy.out") {
    if (rank == 2) std::swap(order[0], order[1]);
  } else if (rank > 0) {
    std::swap(order[static_cast<std::size_t>(TRY(axis_of(op, 1, rank)))],
              order[static_cast<std::size_t>(TRY(axis_of(op, 2, rank)))]);
  }
  return op.give(last(op), op.b().transposed(TRY(op.in(0)), order));
}

Status unsqueeze(Op& op) {
  return op.give(last(op),
                 op.b().emit("Unsqueeze", {TRY(op.in(0)), op.b().integers({TRY(op.integer(1))})}));
}

// Those of the axes whose extent is 1.
Status squeeze(Op& op) {
  const TensorSpec* x = TRY(op.spec(0));
  Ints gone;
  const auto rank = static_cast<std::int64_t>(x->dims.size());
  for (std::int64_t axis : TRY(op.list(1))) {
    if (axis < 0) axis += rank;
    if (axis >= 0 && axis < rank && x->dims[static_cast<std::size_t>(axis)] == 1)
      gone.push_back(axis);
  }
  if (gone.empty()) return op.give(last(op), op.b().emit("Identity", {TRY(op.in(0))}));
  return op.give(last(op), op.b().emit("Squeeze", {TRY(op.in(0)), op.b().integers(gone)}));
}

// -1 leaves an extent as it is, which is what 1 does too.
Status expand(Op& op) {
  Emitter& b = op.b();
  const ValueId wanted = b.emit("Max", {TRY(op.list_id(1)), b.integer(1)});
  const Ints sizes = TRY(op.spec(last(op)))->dims;
  const bool has_none = std::ranges::find(sizes, 0) != sizes.end();
  return op.give(last(op),
                 b.emit("Expand", {TRY(op.in(0)), has_none ? b.integers(sizes) : wanted}));
}

struct Cut {
  ValueId start, end, axis, step;
};

// (start?, end?, step) from argument i on, along an axis.
Result<Cut> cut_of(const Op& op, std::int64_t axis, std::size_t i) {
  Emitter& b = op.b();
  const ValueId start = op.is_null(i) ? b.integers({0}) : TRY(op.whole(i));
  const ValueId end = op.is_null(i + 1) ? b.integers({INT64_MAX}) : TRY(op.whole(i + 1));
  return Cut{start, end, b.integers({axis}), b.integers({TRY(op.integer(i + 2))})};
}

// slice(x, dim, start?, end?, step, out)
Status slice(Op& op) {
  const std::int64_t axis = TRY(axis_of(op, 1, TRY(op.rank(0))));
  const Cut cut = TRY(cut_of(op, axis, 2));
  return op.give(last(op),
                 op.b().emit("Slice", {TRY(op.in(0)), cut.start, cut.end, cut.axis, cut.step}));
}

// slice_scatter(x, part, dim, start?, end?, step, out)
Status slice_scatter(Op& op) {
  const std::int64_t axis = TRY(axis_of(op, 2, TRY(op.rank(0))));
  const Cut cut = TRY(cut_of(op, axis, 3));
  const Element type = TRY(op.type(0));
  return op.give(last(op),
                 op.b().emit("hearth.SliceUpdate", {TRY(op.in(0)), TRY(op.in(1, type)), cut.start,
                                                    cut.end, cut.axis, cut.step}));
}

// narrow(x, dim, start, length, out)
Status narrow(Op& op) {
  Emitter& b = op.b();
  const std::int64_t axis = TRY(axis_of(op, 1, TRY(op.rank(0))));
  const ValueId start = TRY(op.whole(2));
  const ValueId end = b.emit("Add", {start, TRY(op.whole(3))});
  return op.give(last(op), b.emit("Slice", {TRY(op.in(0)), start, end, b.integers({axis})}));
}

// select(x, dim, index, out): `index` may be computed.
Status select(Op& op) {
  Emitter& b = op.b();
  const std::int64_t axis = TRY(axis_of(op, 1, TRY(op.rank(0))));
  return op.give(
      last(op), b.emit("Gather", {TRY(op.in(0)), TRY(op.flow.number(TRY(op.arg(2)), Element::i64))},
                       {{"axis", axis}}));
}

// select_scatter(x, part, dim, index, out)
Status select_scatter(Op& op) {
  Emitter& b = op.b();
  const std::int64_t axis = TRY(axis_of(op, 2, TRY(op.rank(0))));
  const std::int64_t index = TRY(op.integer(3));
  const Element type = TRY(op.type(0));
  const ValueId part = b.emit("Unsqueeze", {TRY(op.in(1, type)), b.integers({axis})});
  return op.give(last(op),
                 b.emit("hearth.SliceUpdate", {TRY(op.in(0)), part, b.integers({index}),
                                               b.integers({index == -1 ? INT64_MAX : index + 1}),
                                               b.integers({axis}), b.integers({1})}));
}

Status give_all(Op& op, std::size_t list, const std::vector<ValueId>& parts) {
  const auto places = TRY(op.tensors(list));
  if (places.size() != parts.size()) return corrupt(fmt::format("{} parts", places.size()));
  for (std::size_t i = 0; i < parts.size(); ++i) TRY(op.flow.write(places[i], parts[i]));
  return Done{};
}

// split(x, size(s), dim, out)
Status split(Op& op) {
  Emitter& b = op.b();
  const std::size_t rank = TRY(op.rank(0));
  const std::int64_t axis = TRY(axis_of(op, 2, rank));
  const std::size_t parts = TRY(op.tensors(last(op))).size();
  if (parts == 0 || rank == 0) return corrupt("a split in no parts");
  ValueId sizes = absent;
  if (op.name == "aten::split_with_sizes_copy.out") {
    sizes = TRY(op.list_id(1));
  } else {
    const std::int64_t extent = TRY(op.spec(0))->dims[static_cast<std::size_t>(axis)];
    const std::int64_t size = TRY(op.integer(1));
    if (size < 1) return corrupt(fmt::format("parts of {}", size));
    Ints all;
    for (std::int64_t at = 0; at < extent && all.size() <= parts; at += size)
      all.push_back(std::min(size, extent - at));
    if (all.size() != parts) return corrupt(fmt::format("{} parts", parts));
    sizes = b.integers(all);
  }
  return give_all(op, last(op),
                  b.emit_many("Split", {TRY(op.in(0)), sizes}, parts, {{"axis", axis}}));
}

Status unbind(Op& op) {
  Emitter& b = op.b();
  const std::int64_t axis = TRY(axis_of(op, 1, TRY(op.rank(0))));
  const std::size_t n = TRY(op.tensors(last(op))).size();
  if (n == 0) return Done{};
  auto parts = b.emit_many("Split", {TRY(op.in(0))}, n,
                           {{"axis", axis}, {"num_outputs", static_cast<std::int64_t>(n)}});
  for (ValueId& each : parts) each = b.emit("Squeeze", {each, b.integers({axis})});
  return give_all(op, last(op), parts);
}

// Of several types: the one of the result.  What is empty and has one axis is left out.
Status cat(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(last(op)));
  std::vector<ValueId> parts;
  for (const std::int64_t place : TRY(op.tensors(0))) {
    const TensorSpec* t = TRY(op.flow.spec(place));
    if (t->dims.size() == 1 && t->dims[0] == 0) continue;
    const ValueId id = TRY(op.flow.read(place));
    parts.push_back(t->type == type ? id : b.cast(id, type));
  }
  if (parts.empty()) return corrupt("nothing to join");
  return op.give(last(op), b.emit("Concat", std::move(parts), {{"axis", TRY(op.integer(1))}}));
}

Status stack(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(last(op)));
  const std::int64_t axis = TRY(op.integer(1));
  std::vector<ValueId> parts;
  for (const std::int64_t place : TRY(op.tensors(0))) {
    const ValueId id = TRY(op.flow.read(place));
    const bool is_same = TRY(op.flow.spec(place))->type == type;
    parts.push_back(b.emit("Unsqueeze", {is_same ? id : b.cast(id, type), b.integers({axis})}));
  }
  if (parts.empty()) return corrupt("nothing to stack");
  return op.give(last(op), b.emit("Concat", std::move(parts), {{"axis", axis}}));
}

Status repeat(Op& op) {
  Emitter& b = op.b();
  const Ints times = TRY(op.list(1));
  const std::size_t rank = TRY(op.rank(0));
  if (times.size() < rank) return corrupt(fmt::format("{} repeats", times.size()));
  ValueId x = TRY(op.in(0));
  Ints fresh(times.size() - rank);
  std::iota(fresh.begin(), fresh.end(), std::int64_t{0});
  if (!fresh.empty()) x = b.emit("Unsqueeze", {x, b.integers(fresh)});
  return op.give(last(op), b.emit("Tile", {x, b.integers(times)}));
}

Status flip(Op& op) {
  const auto rank = static_cast<std::int64_t>(TRY(op.rank(0)));
  Ints axes = TRY(op.list(1));
  for (std::int64_t& axis : axes)
    if (axis < 0) axis += rank;
  if (axes.empty()) return op.give(last(op), op.b().emit("Identity", {TRY(op.in(0))}));
  return op.give(last(op), op.b().emit("hearth.Reverse", {TRY(op.in(0)), op.b().integers(axes)}));
}

// The last k of an axis come first.
Status roll(Op& op) {
  Emitter& b = op.b();
  const TensorSpec* x = TRY(op.spec(0));
  const Ints shifts = TRY(op.list(1));
  Ints axes = TRY(op.list(2));
  ValueId y = TRY(op.in(0));
  const bool is_flat = axes.empty();
  if (is_flat) y = b.emit("Reshape", {y, b.integers({-1})});
  const auto rank = static_cast<std::int64_t>(is_flat ? 1 : x->dims.size());
  if (is_flat) axes = {0};
  if (shifts.size() != axes.size()) return corrupt("shifts without axes");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank) return corrupt(fmt::format("axis {}", axes[i]));
    const std::int64_t extent =
        is_flat ? TRY(count_of(x->dims)) : x->dims[static_cast<std::size_t>(axis)];
    if (extent == 0) continue;
    const std::int64_t cut = extent - ((shifts[i] % extent) + extent) % extent;
    const auto part = [&](std::int64_t from, std::int64_t to) {
      return b.emit("Slice", {y, b.integers({from}), b.integers({to}), b.integers({axis})});
    };
    y = b.emit("Concat", {part(cut, INT64_MAX), part(0, cut)}, {{"axis", axis}});
  }
  if (is_flat) y = b.emit("Reshape", {y, b.integers(x->dims)});
  return op.give(last(op), y);
}

// Elements of a flat tensor at places that are known.
Status gather_places(Op& op, const std::vector<std::int64_t>& places, const Dims& dims) {
  Emitter& b = op.b();
  const ValueId all = b.emit("Reshape", {TRY(op.in(0)), b.integers({-1})});
  const ValueId some = b.emit("Gather", {all, b.integers(places)}, {{"axis", std::int64_t{0}}});
  return op.give(last(op),
                 b.emit("Reshape", {some, b.integers(dims)}, {{"allowzero", std::int64_t{1}}}));
}

// The places of a window of given strides.
Result<std::vector<std::int64_t>> places_of(const Dims& dims, const Ints& strides,
                                            std::int64_t first, std::int64_t of) {
  constexpr std::int64_t most = 1 << 24;
  const std::int64_t count = TRY(count_of(dims));
  if (count > most) return Error(ErrorKind::exhausted, fmt::format("{} places", count));
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i, place = first;
    for (std::size_t k = dims.size(); k-- > 0;) {
      place += rest % dims[k] * strides[k];
      rest /= dims[k];
    }
    if (place < 0 || place >= of) return corrupt(fmt::format("place {} of {}", place, of));
    places.push_back(place);
  }
  return places;
}

// as_strided(x, size, stride, offset?, out)
Status as_strided(Op& op) {
  const Ints size = TRY(op.list(1)), stride = TRY(op.list(2));
  if (size.size() != stride.size()) return corrupt("strides of other axes");
  for (const std::int64_t each : stride)
    if (each < 0 || each > (std::int64_t{1} << 40)) return corrupt("a stride out of range");
  const std::int64_t of = TRY(count_of(TRY(op.spec(0))->dims));
  return gather_places(op, TRY(places_of(size, stride, TRY(op.integer(3, 0)), of)), size);
}

Ints strides_of_dims(const Dims& dims) {
  Ints strides(dims.size(), 1);
  for (std::size_t k = dims.size(); k-- > 1;) strides[k - 1] = strides[k] * dims[k];
  return strides;
}

// diagonal(x, offset, dim1, dim2, out): the diagonal is the last axis.
Status diagonal(Op& op) {
  const TensorSpec* x = TRY(op.spec(0));
  const std::size_t rank = x->dims.size();
  const std::int64_t offset = TRY(op.integer(1));
  const auto a = static_cast<std::size_t>(TRY(axis_of(op, 2, rank))),
             c = static_cast<std::size_t>(TRY(axis_of(op, 3, rank)));
  if (a == c || rank < 2) return corrupt("a diagonal of one axis");
  const Ints all = strides_of_dims(x->dims);
  const Dims& dims = TRY(op.spec(last(op)))->dims;
  Ints strides;
  for (std::size_t k = 0; k < rank; ++k)
    if (k != a && k != c) strides.push_back(all[k]);
  strides.push_back(all[a] + all[c]);
  if (strides.size() != dims.size()) return corrupt("a diagonal of other axes");
  const std::int64_t first = offset >= 0 ? offset * all[c] : -offset * all[a];
  return gather_places(op, TRY(places_of(dims, strides, first, TRY(count_of(x->dims)))), dims);
}

// unfold(x, dim, size, step, out): windows of an axis; what is in them is the last axis.
Status unfold(Op& op) {
  const TensorSpec* x = TRY(op.spec(0));
  const auto axis = static_cast<std::size_t>(TRY(axis_of(op, 1, x->dims.size())));
  Ints strides = strides_of_dims(x->dims);
  const Dims& dims = TRY(op.spec(last(op)))->dims;
  if (axis >= strides.size() || dims.size() != x->dims.size() + 1) return corrupt("no such axis");
  strides.push_back(strides[axis]);
  const std::int64_t step = TRY(op.integer(3));
  if (step < 1 || step > INT32_MAX) return corrupt(fmt::format("a step of {}", step));
  strides[axis] *= step;
  return gather_places(op, TRY(places_of(dims, strides, 0, TRY(count_of(x->dims)))), dims);
}

Status tril(Op& op) {
  Emitter& b = op.b();
  return op.give(last(op), b.emit("Trilu", {TRY(op.in(0)), b.integer(TRY(op.integer(1)))},
                                  {{"upper", std::int64_t{op.name == "aten::triu.out"}}}));
}

Status shuffle(Op& op) {
  Emitter& b = op.b();
  const bool is_up = op.name == "aten::pixel_shuffle.out";
  const std::int64_t factor = TRY(op.integer(1));
  const Dims dims = TRY(op.spec(0))->dims;
  const std::size_t rank = dims.size();
  if (rank < 3 || factor < 1 || factor > 1024) return corrupt("no picture");
  const auto r = static_cast<std::int64_t>(rank);
  ValueId x = TRY(op.in(0));
  Ints apart(dims.begin(), dims.end() - 3), order;
  for (std::int64_t k = 0; k < r - 3; ++k) order.push_back(k);
  const std::int64_t c = dims[rank - 3], h = dims[rank - 2], w = dims[rank - 1];
  const Ints split = is_up ? Ints{c / factor / factor, factor, factor, h, w}
                           : Ints{c, h / factor, factor, w / factor, factor};
  const Ints moved = is_up ? Ints{0, 3, 1, 4, 2} : Ints{0, 2, 4, 1, 3};
  apart.insert(apart.end(), split.begin(), split.end());
  for (const std::int64_t each : moved) order.push_back(r - 3 + each);
  x = b.transposed(b.emit("Reshape", {x, b.integers(apart)}), order);
  return op.give(last(op), b.emit("Reshape", {x, b.integers(TRY(op.spec(last(op)))->dims)}));
}

constexpr Kernel kernels[] = {
    {"aten::view_copy.out", view},
    {"aten::_unsafe_view.out", view},
    {"aten::reshape.out", view},
    {"executorch_prim::et_view.default", et_view},
    {"aten::permute_copy.out", permute},
    {"aten::transpose_copy.int_out", transpose},
    {"aten::t_copy.out", transpose},
    {"aten::unsqueeze_copy.out", unsqueeze},
    {"aten::squeeze_copy.dim_out", squeeze},
    {"aten::squeeze_copy.dims_out", squeeze},
    {"aten::expand_copy.out", expand},
    {"aten::slice_copy.Tensor_out", slice},
    {"aten::slice_scatter.out", slice_scatter},
    {"aten::narrow_copy.out", narrow},
    {"aten::select_copy.int_out", select},
    {"aten::select_scatter.out", select_scatter},
    {"aten::split_copy.Tensor_out", split},
    {"aten::split_with_sizes_copy.out", split},
    {"aten::unbind_copy.int_out", unbind},
    {"aten::cat.out", cat},
    {"aten::stack.out", stack},
    {"aten::repeat.out", repeat},
    {"aten::flip.out", flip},
    {"aten::roll.out", roll},
    {"aten::as_strided_copy.out", as_strided},
    {"aten::diagonal_copy.out", diagonal},
    {"aten::unfold_copy.out", unfold},
    {"aten::tril.out", tril},
    {"aten::triu.out", tril},
    {"aten::pixel_shuffle.out", shuffle},
    {"aten::pixel_unshuffle.out", shuffle},
};

}  // namespace

std::span<const Kernel> shape_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
