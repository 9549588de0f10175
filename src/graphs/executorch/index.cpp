// Operators that read and write at places that tensors say.
// Source: PyTorch, torch, "Indexing, Slicing, Joining, Mutating Ops"; ExecuTorch,
// kernels/portable/functions.yaml.
#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "graphs/executorch/flow.h"

namespace hearth::graphs::executorch {
namespace {

std::size_t last(const Op& op) { return op.count() - 1; }

Status embedding(Op& op) {
  return op.give(
      last(op), op.b().emit("Gather", {TRY(op.in(0)), TRY(op.in(1))}, {{"axis", std::int64_t{0}}}));
}

Status gather(Op& op) {
  return op.give(last(op), op.b().emit("GatherElements", {TRY(op.in(0)), TRY(op.in(2))},
                                       {{"axis", TRY(op.integer(1))}}));
}

Status index_select(Op& op) {
  return op.give(last(op), op.b().emit("Gather", {TRY(op.in(0)), TRY(op.in(2))},
                                       {{"axis", TRY(op.integer(1))}}));
}

// scatter.src(x, dim, index, src, out), scatter.value(x, dim, index, value, out), scatter_add
Status scatter(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(0));
  const ValueId index = TRY(op.in(2));
  ValueId source = absent;
  if (op.is_tensor(3)) {
    // Of a source that is larger than the index only a part is read.
    source = TRY(op.in(3, type));
    const Dims &of = TRY(op.spec(3))->dims, &places = TRY(op.spec(2))->dims;
    if (of != places && of.size() == places.size()) {
      Ints axes(of.size());
      std::iota(axes.begin(), axes.end(), std::int64_t{0});
      source = b.emit("Slice", {source, b.integers(Ints(of.size(), 0)), b.emit("Shape", {index}),
                                b.integers(axes)});
    }
  } else {
    source =
        b.emit("Expand", {TRY(op.flow.number(TRY(op.arg(3)), type)), b.emit("Shape", {index})});
  }
  Attributes attributes{{"axis", TRY(op.integer(1))}};
  if (op.name == "aten::scatter_add.out") attributes["reduction"] = std::string("add");
  return op.give(last(op),
                 b.emit("ScatterElements", {TRY(op.in(0)), index, source}, std::move(attributes)));
}

// What x[i, j, ...] names: which axes have indices, and those, as whole numbers that broadcast.
struct Places {
  std::vector<std::size_t> axes;
  std::vector<ValueId> indices;
  std::size_t rank = 0;       // of what the indices broadcast to
  std::size_t mask_rank = 0;  // of a single mask, whose places are computed
};

Result<Places> places_of(Op& op, std::size_t i) {
  Emitter& b = op.b();
  Places made;
  std::size_t axis = 0;
  const auto listed = TRY(op.tensors(i));
  for (const std::int64_t place : listed) {
    if (place < 0 || TRY(op.flow.value(place))->kind == EValue::Kind::null) {
      ++axis;
      continue;
    }
    const TensorSpec* t = TRY(op.flow.spec(place));
    const ValueId id = TRY(op.flow.read(place));
    if (t->type == Element::boolean || t->type == Element::u8) {
      if (t->dims.empty()) return Error(ErrorKind::unsupported, "a mask without axes");
      // A mask stands for as many index tensors as it has axes.
      const ValueId found =
          b.emit("NonZero", {t->type == Element::u8 ? b.cast(id, Element::boolean) : id});
      const auto rows = b.emit_many(
          "Split", {found}, t->dims.size(),
          {{"axis", std::int64_t{0}}, {"num_outputs", static_cast<std::int64_t>(t->dims.size())}});
      for (const ValueId row : rows) {
        made.axes.push_back(axis++);
        made.indices.push_back(b.emit("Reshape", {row, b.integers({-1})}));
      }
      made.rank = std::max<std::size_t>(made.rank, 1);
      made.mask_rank = std::max(made.mask_rank, t->dims.size());
      continue;
    }
    made.axes.push_back(axis++);
    made.indices.push_back(t->type == Element::i64 ? id : b.cast(id, Element::i64));
    made.rank = std::max(made.rank, t->dims.size());
  }
  return made;
}

// Index tensors beside one another in a last axis: [..., axes].
ValueId joined(Emitter& b, const Places& places) {
  ValueId shape = b.emit("Shape", {places.indices[0]});
  if (places.indices.size() > 1) {
    // The shape they broadcast to, from zeros of each.
    ValueId zeros = b.emit("Mul", {places.indices[0], b.integer(0)});
    for (std::size_t i = 1; i < places.indices.size(); ++i)
      zeros = b.emit("Add", {zeros, b.emit("Mul", {places.indices[i], b.integer(0)})});
    shape = b.emit("Shape", {zeros});
  }
  std::vector<ValueId> parts;
  for (const ValueId each : places.indices)
    parts.push_back(b.emit("Unsqueeze", {b.emit("Expand", {each, shape}), b.integers({-1})}));
  return b.emit("Concat", std::move(parts), {{"axis", std::int64_t{-1}}});
}

// The order in which the axes with indices come first.
Ints first_order(const Places& places, std::size_t rank) {
  Ints order;
  for (const std::size_t axis : places.axes) order.push_back(static_cast<std::int64_t>(axis));
  for (std::size_t k = 0; k < rank; ++k)
    if (std::ranges::find(places.axes, k) == places.axes.end())
      order.push_back(static_cast<std::int64_t>(k));
  return order;
}

Ints inverse(const Ints& order) {
  Ints back(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    back[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  return back;
}

// Where the axes of the indices come among the others: in the place of the first of them when they
// stand side by side, and first otherwise.
Ints result_order(const Places& places, std::size_t rank) {
  const bool is_together = places.axes.back() - places.axes.front() + 1 == places.axes.size();
  const std::size_t before = is_together ? places.axes.front() : 0;
  const std::size_t others = rank - places.axes.size();
  Ints order;  // of [indices..., others...]
  for (std::size_t k = 0; k < before; ++k)
    order.push_back(static_cast<std::int64_t>(places.rank + k));
  for (std::size_t k = 0; k < places.rank; ++k) order.push_back(static_cast<std::int64_t>(k));
  for (std::size_t k = before; k < others; ++k)
    order.push_back(static_cast<std::int64_t>(places.rank + k));
  return order;
}

bool is_plain(const Ints& order) { return std::ranges::is_sorted(order); }

Status index(Op& op) {
  Emitter& b = op.b();
  const std::size_t rank = TRY(op.rank(0));
  const Places places = TRY(places_of(op, 1));
  ValueId x = TRY(op.in(0));
  if (places.axes.empty()) return op.give(last(op), b.emit("Identity", {x}));
  if (places.axes.back() >= rank) return corrupt(fmt::format("{} indices", places.axes.size()));
  if (places.axes.size() == 1)
    return op.give(last(op), b.emit("Gather", {x, places.indices[0]},
                                    {{"axis", static_cast<std::int64_t>(places.axes[0])}}));
  const Ints order = first_order(places, rank);
  if (!is_plain(order)) x = b.transposed(x, order);
  ValueId y = b.emit("GatherND", {x, joined(b, places)});
  const Ints back = result_order(places, rank);
  if (!is_plain(back)) y = b.transposed(y, back);
  return op.give(last(op), y);
}

// index_put(x, indices, values, accumulate, out); index_put_ writes x itself.
Status index_put(Op& op) {
  Emitter& b = op.b();
  const std::size_t rank = TRY(op.rank(0));
  const Element type = TRY(op.type(0));
  const Places places = TRY(places_of(op, 1));
  ValueId x = TRY(op.in(0)), values = TRY(op.in(2, type));
  if (places.axes.empty() || places.axes.back() >= rank)
    return corrupt(fmt::format("{} indices", places.axes.size()));
  const Ints order = first_order(places, rank);
  if (!is_plain(order)) x = b.transposed(x, order);
  const ValueId at = joined(b, places);
  // Values are as the result of reading these places would be, or broadcast to it.
  const ValueId part = b.emit("GatherND", {x, at});
  const Ints seen = result_order(places, rank);
  ValueId shape = b.emit("Shape", {part});
  if (!is_plain(seen))
    shape = b.emit("Gather", {shape, b.integers(seen)}, {{"axis", std::int64_t{0}}});
  values = b.emit("Expand", {values, shape});
  if (!is_plain(seen)) values = b.transposed(values, inverse(seen));
  Attributes attributes;
  if (TRY(op.flag(3))) attributes["reduction"] = std::string("add");
  ValueId y = b.emit("ScatterND", {x, at, values}, std::move(attributes));
  if (!is_plain(order)) y = b.transposed(y, inverse(order));
  if (op.name == "aten::index_put_") {
    TRY(op.give(0, y));
    if (TRY(op.arg(0)) == TRY(op.arg(last(op)))) return Done{};
    if (!op.is_tensor(last(op))) return Done{};
  }
  return op.give(last(op), y);
}

// masked_scatter(x, mask, source, out): the next number of the source wherever the mask is true.
Status masked_scatter(Op& op) {
  Emitter& b = op.b();
  const Element type = TRY(op.type(0));
  const ValueId x = TRY(op.in(0));
  const ValueId mask = b.emit("Expand", {TRY(op.in(1, Element::boolean)), b.emit("Shape", {x})});
  const ValueId flat = b.emit("Reshape", {b.cast(mask, Element::i64), b.integers({-1})});
  const ValueId turn = b.emit(
      "Max", {b.emit("Sub", {b.emit("CumSum", {flat, b.integer(0)}), b.integer(1)}), b.integer(0)});
  const ValueId source = b.emit("Reshape", {TRY(op.in(2, type)), b.integers({-1})});
  const ValueId found = b.emit("Gather", {source, turn}, {{"axis", std::int64_t{0}}});
  const ValueId whole = b.emit("Reshape", {found, b.emit("Shape", {x})});
  return op.give(last(op), b.emit("Where", {mask, whole, x}));
}

Status masked_select(Op& op) {
  Emitter& b = op.b();
  const ValueId x = TRY(op.in(0)), mask = TRY(op.in(1, Element::boolean));
  const ValueId both = b.emit("Expand", {mask, b.emit("Shape", {x})});
  const ValueId wide = b.emit("Expand", {x, b.emit("Shape", {both})});
  const ValueId flat = b.emit("Reshape", {wide, b.integers({-1})});
  const ValueId chosen = b.emit("Reshape", {both, b.integers({-1})});
  return op.give(last(op), b.emit("Compress", {flat, chosen}, {{"axis", std::int64_t{0}}}));
}

Status nonzero(Op& op) {
  Emitter& b = op.b();
  return op.give(last(op), b.transposed(b.emit("NonZero", {TRY(op.in(0))}), {1, 0}), Element::i64);
}

// repeat_interleave(repeats, output_size?, out): place i as often as repeats[i] says.  Place t is
// the number of ends at or before it.
Status repeat_interleave(Op& op) {
  Emitter& b = op.b();
  const ValueId repeats = TRY(op.in(0, Element::i64));
  const ValueId ends = b.emit("CumSum", {repeats, b.integer(0)});
  const ValueId all = b.emit("ReduceSum", {repeats}, {{"keepdims", std::int64_t{0}}});
  const ValueId places = b.emit("Range", {b.integer(0), all, b.integer(1)});
  const ValueId row = b.emit("Unsqueeze", {places, b.integers({1})});
  const ValueId passed = b.cast(b.emit("GreaterOrEqual", {row, ends}), Element::i64);
  const ValueId y = b.emit("ReduceSum", {passed, b.integers({1})}, {{"keepdims", std::int64_t{0}}});
  return op.give(last(op), y, Element::i64);
}

// et_copy_index(to, from, index): row `index` of `to` is `from`; rows after it are gone.
Status copy_index(Op& op) {
  Emitter& b = op.b();
  const ValueId row = b.emit("Unsqueeze", {TRY(op.in(1)), b.integers({0})});
  const Number index = TRY(op.flow.number_of(TRY(op.arg(2))));
  if (index.integer && *index.integer == 0) return op.give(0, row);
  const ValueId before =
      b.emit("Slice", {TRY(op.in(0)), b.integers({0}), TRY(op.whole(2)), b.integers({0})});
  return op.give(0, b.emit("Concat", {before, row}, {{"axis", std::int64_t{0}}}));
}

constexpr Kernel kernels[] = {
    {"aten::embedding.out", embedding},
    {"aten::gather.out", gather},
    {"aten::index_select.out", index_select},
    {"aten::scatter.src_out", scatter},
    {"aten::scatter.value_out", scatter},
    {"aten::scatter_add.out", scatter},
    {"aten::index.Tensor_out", index},
    {"aten::index_put.out", index_put},
    {"aten::index_put_", index_put},
    {"aten::masked_scatter.out", masked_scatter},
    {"aten::masked_select.out", masked_select},
    {"aten::nonzero.out", nonzero},
    {"aten::repeat_interleave.Tensor_out", repeat_interleave},
    {"executorch_prim::et_copy_index.tensor", copy_index},
};

}  // namespace

std::span<const Kernel> index_kernels() { return kernels; }

}  // namespace hearth::graphs::executorch
