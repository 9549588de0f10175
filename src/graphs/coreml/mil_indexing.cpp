// Taking and putting elements by index; sorting; choosing boxes.
// Source: Core ML Tools, MIL operator reference.
#include <fmt/core.h>

#include <algorithm>
#include <climits>
#include <numeric>

#include "graphs/coreml/mil.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// Axes [from, from + n) come to place `to`, the others keep their order.
Ints moved(std::size_t rank, std::size_t from, std::size_t n, std::size_t to) {
  Ints order;
  for (std::size_t i = 0; i < rank; ++i)
    if (i < from || i >= from + n) order.push_back(static_cast<std::int64_t>(i));
  for (std::size_t i = 0; i < n; ++i)
    order.insert(order.begin() + static_cast<std::ptrdiff_t>(to + i),
                 static_cast<std::int64_t>(from + i));
  return order;
}
Ints inverse(const Ints& order) {
  Ints back(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    back[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  return back;
}

// With leading axes in common: x's axis comes right after them, blocks are taken, and what stood
// before the axis goes back before the indices' own.
Result<ValueId> gather_batched(MilOp& op, std::size_t axis, std::size_t batches) {
  const std::size_t rank = TRY(op.rank("x")), places = TRY(op.rank("indices"));
  if (batches > axis || batches > places) return corrupt(fmt::format("batch_dims {}", batches));
  const ValueId x = op.b.transposed(TRY(op.in("x")), moved(rank, axis, 1, batches));
  const ValueId index =
      op.b.emit("Unsqueeze", {op.b.cast(TRY(op.in("indices")), Element::i64), op.b.integers({-1})});
  const ValueId y =
      op.b.emit("GatherND", {x, index}, {{"batch_dims", static_cast<std::int64_t>(batches)}});
  // y: batches, the indices' own, x's between the batches and the axis, the rest.
  return op.b.transposed(y, moved(rank + places - batches - 1, batches, places - batches, axis));
}

Status gather(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", 0, "x"));
  const std::int64_t batches = TRY(op.integer("batch_dims", 0));
  if (batches < 0) return corrupt(fmt::format("batch_dims {}", batches));
  if (batches > 0)
    return op.give(
        TRY(gather_batched(op, static_cast<std::size_t>(axis), static_cast<std::size_t>(batches))));
  return op.give(op.b.emit("Gather", {TRY(op.in("x")), TRY(op.in("indices"))}, {{"axis", axis}}));
}

Status gather_along_axis(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", 0, "x"));
  return op.give(
      op.b.emit("GatherElements", {TRY(op.in("x")), TRY(op.in("indices"))}, {{"axis", axis}}));
}

Status gather_nd(MilOp& op) {
  const ValueId index = op.b.cast(TRY(op.in("indices")), Element::i64);
  return op.give(op.b.emit("GatherND", {TRY(op.in("x")), index},
                           {{"batch_dims", TRY(op.integer("batch_dims", 0))}}));
}

struct Update {
  ValueId updates;
  std::string reduction;
};
// MIL's modes as ours: taking away is adding the negative, dividing is multiplying.
Result<Update> update_of(MilOp& op) {
  const std::string mode = TRY(op.text("mode", "add"));
  Update update{TRY(op.in("updates")), mode};
  if (mode == "update") update.reduction = "none";
  if (mode == "sub") update = {op.b.emit("Neg", {update.updates}), "add"};
  if (mode == "div") {
    if (!is_float(TRY(op.type("updates"))->element))
      return Error(ErrorKind::unsupported, "division of integers");
    update = {op.b.emit("Reciprocal", {update.updates}), "mul"};
  }
  constexpr std::string_view known[] = {"none", "add", "mul", "max", "min"};
  if (std::ranges::find(known, update.reduction) == std::end(known))
    return Error(ErrorKind::unsupported, fmt::format("mode '{}'", mode));
  return update;
}

// The axis comes first, where whole blocks are put by number.
Status scatter(MilOp& op) {
  const auto axis = static_cast<std::size_t>(TRY(op.axis("axis", 0, "data")));
  const std::size_t rank = TRY(op.rank("data")), places = TRY(op.rank("indices"));
  const Update update = TRY(update_of(op));
  const ValueId index =
      op.b.emit("Unsqueeze", {op.b.cast(TRY(op.in("indices")), Element::i64), op.b.integers({-1})});
  ValueId data = TRY(op.in("data")), updates = update.updates;
  const Ints order = moved(rank, axis, 1, 0);
  if (axis != 0) {
    data = op.b.transposed(data, order);
    updates = op.b.transposed(updates, moved(rank + places - 1, axis, places, 0));
  }
  ValueId y = op.b.emit("ScatterND", {data, index, updates}, {{"reduction", update.reduction}});
  if (axis != 0) y = op.b.transposed(y, inverse(order));
  return op.give(y);
}

Status scatter_along_axis(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", 0, "data"));
  const Update update = TRY(update_of(op));
  return op.give(op.b.emit("ScatterElements",
                           {TRY(op.in("data")), TRY(op.in("indices")), update.updates},
                           {{"axis", axis}, {"reduction", update.reduction}}));
}

Status scatter_nd(MilOp& op) {
  const Update update = TRY(update_of(op));
  const ValueId index = op.b.cast(TRY(op.in("indices")), Element::i64);
  return op.give(op.b.emit("ScatterND", {TRY(op.in("data")), index, update.updates},
                           {{"reduction", update.reduction}}));
}

// What slice_by_index and slice_update say, as our Slice wants it.
struct SliceInputs {
  ValueId starts, ends, steps;
  Ints gone;  // axes that the slice does without
};

// `to` where a mask is set, the given number elsewhere.
ValueId masked(MilOp& op, ValueId numbers, const std::vector<bool>& mask, const Ints& to) {
  if (std::ranges::find(mask, true) == mask.end()) return numbers;
  auto flags = make_tensor(Element::boolean, {static_cast<std::int64_t>(mask.size())}).value();
  for (std::size_t i = 0; i < mask.size(); ++i) flags.data<bool>()[i] = mask[i];
  return op.b.emit("Where", {op.b.constant(std::move(flags)), op.b.integers(to), numbers});
}

Result<std::vector<bool>> mask_of(MilOp& op, std::string_view name, std::size_t n) {
  std::vector<bool> mask(n, false);
  if (!op.has(name)) return mask;
  const Ints given = TRY(op.ints(name));
  if (given.size() != n) return corrupt(fmt::format("'{}': {} of {}", name, given.size(), n));
  for (std::size_t i = 0; i < n; ++i) mask[i] = given[i] != 0;
  return mask;
}

Result<SliceInputs> slice_inputs(MilOp& op) {
  const std::size_t n = TRY(op.rank("x"));
  const Ints steps = TRY(op.ints("stride", Ints(n, 1)));
  if (steps.size() != n) return corrupt(fmt::format("'stride': {} of {}", steps.size(), n));
  const auto open_begin = TRY(mask_of(op, "begin_mask", n)),
             open_end = TRY(mask_of(op, "end_mask", n)), gone = TRY(mask_of(op, "squeeze_mask", n));
  SliceInputs s;
  Ints first(n), last(n), used = steps;
  std::vector<bool> begins = open_begin, ends = open_end;
  for (std::size_t i = 0; i < n; ++i) {
    first[i] = steps[i] > 0 ? 0 : INT_MAX;
    last[i] = steps[i] > 0 ? INT_MAX : INT64_MIN / 2;
    if (!gone[i]) continue;
    s.gone.push_back(static_cast<std::int64_t>(i));
    begins[i] = ends[i] = false;
    used[i] = 1;
  }
  const ValueId begin = TRY(op.int_list("begin"));
  s.starts = masked(op, begin, begins, first);
  s.ends = masked(op, TRY(op.int_list("end")), ends, last);
  if (!s.gone.empty()) {
    // One element: up to the next one, which after the last is the end.
    const ValueId next = op.b.emit("Add", {begin, op.b.integer(1)});
    const ValueId is_last = op.b.emit("Equal", {next, op.b.integer(0)});
    const ValueId after = op.b.emit("Where", {is_last, op.b.integer(INT_MAX), next});
    auto flags = make_tensor(Element::boolean, {static_cast<std::int64_t>(n)}).value();
    for (std::size_t i = 0; i < n; ++i) flags.data<bool>()[i] = gone[i];
    s.ends = op.b.emit("Where", {op.b.constant(std::move(flags)), after, s.ends});
  }
  s.steps = op.b.integers(used);
  return s;
}

Ints every_axis(std::size_t rank) {
  Ints axes(rank);
  std::iota(axes.begin(), axes.end(), std::int64_t{0});
  return axes;
}

Status slice_by_index(MilOp& op) {
  const SliceInputs s = TRY(slice_inputs(op));
  const ValueId axes = op.b.integers(every_axis(TRY(op.rank("x"))));
  ValueId y = op.b.emit("Slice", {TRY(op.in("x")), s.starts, s.ends, axes, s.steps});
  if (!s.gone.empty()) y = op.b.emit("Squeeze", {y, op.b.integers(s.gone)});
  return op.give(y);
}

Status slice_update(MilOp& op) {
  const SliceInputs s = TRY(slice_inputs(op));
  const ValueId axes = op.b.integers(every_axis(TRY(op.rank("x"))));
  return op.give(op.b.emit("hearth.SliceUpdate", {TRY(op.in("x")), TRY(op.in("update")), s.starts,
                                                  s.ends, axes, s.steps}));
}

Status topk(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", -1, "x"));
  const std::int64_t ascending = TRY(op.flag("ascending", false)) ? 1 : 0;
  const ValueId x = TRY(op.in("x"));
  ValueId k;
  if (!op.has("k"))
    k = op.b.integers({1});
  else if (!op.is_constant("k") || TRY(op.integer("k", 1)) >= 0)
    k = TRY(op.int_list("k"));
  else  // all of them
    k = op.b.emit("Gather", {op.shape_of(x), op.b.integers({axis})});
  const auto made = op.b.emit_many("TopK", {x, k}, 2, {{"axis", axis}, {"largest", 1 - ascending}});
  TRY(op.give(0, made[0]));
  return op.give_cast(1, made[1]);
}

Status argsort(MilOp& op) {
  const std::int64_t axis = TRY(op.axis("axis", -1, "x"));
  const std::int64_t ascending = TRY(op.flag("ascending", false)) ? 1 : 0;
  const ValueId x = TRY(op.in("x"));
  const ValueId k = op.b.emit("Gather", {op.shape_of(x), op.b.integers({axis})});
  const auto made = op.b.emit_many("TopK", {x, k}, 2, {{"axis", axis}, {"largest", 1 - ascending}});
  return op.give_cast(0, made[1]);
}

Status non_zero(MilOp& op) {
  const ValueId places = op.b.emit("NonZero", {TRY(op.in("x"))});
  return op.give_cast(0, op.b.transposed(places, {1, 0}));
}

Status one_hot(MilOp& op) {
  const ValueId depth = TRY(op.int_list("one_hot_vector_size"));
  const ValueId on = op.has("on_value") ? TRY(op.in("on_value")) : op.b.integer(1);
  const ValueId off = op.has("off_value") ? TRY(op.in("off_value")) : op.b.integer(0);
  const auto flat = [&](ValueId id) {
    return op.b.emit("Reshape", {op.b.cast(id, op.out().element), op.b.integers({1})});
  };
  const ValueId values = op.b.emit("Concat", {flat(off), flat(on)}, {{"axis", std::int64_t{0}}});
  return op.give(op.b.emit("OneHot", {TRY(op.in("indices")), depth, values},
                           {{"axis", TRY(op.integer("axis", -1))}}));
}

Status non_maximum_suppression(MilOp& op) {
  const auto number = [&](std::string_view name, double fallback) -> Result<ValueId> {
    if (op.has(name)) return op.in(name);
    return op.b.scalar(static_cast<float>(fallback));
  };
  const ValueId boxes = TRY(op.in("boxes")), scores = TRY(op.in("scores"));
  const ValueId overlap = TRY(number("iou_threshold", 0));
  // Without a threshold (iOS 17) every box may stay.
  const ValueId least = TRY(number("score_threshold", -3.4e38));
  const ValueId most = TRY(op.int_list("max_boxes"));
  const std::int64_t per_class = TRY(op.flag("per_class_suppression", false)) ? 1 : 0;
  const auto made = op.b.emit_many("hearth.SelectBoxes", {boxes, scores, overlap, least, most}, 4,
                                   {{"per_class", per_class}, {"keeps_one", std::int64_t{1}}});
  TRY(op.give(0, made[0]));
  TRY(op.give(1, made[1]));
  TRY(op.give_cast(2, made[2]));
  return op.give_cast(3, made[3]);
}

constexpr MilRow rows[] = {
    {"gather", gather},
    {"gather_along_axis", gather_along_axis},
    {"gather_nd", gather_nd},
    {"scatter", scatter},
    {"scatter_along_axis", scatter_along_axis},
    {"scatter_nd", scatter_nd},
    {"slice_by_index", slice_by_index},
    {"slice_update", slice_update},
    {"topk", topk},
    {"argsort", argsort},
    {"non_zero", non_zero},
    {"one_hot", one_hot},
    {"non_maximum_suppression", non_maximum_suppression},
};

}  // namespace

std::span<const MilRow> indexing_rows() { return rows; }

}  // namespace hearth::graphs::coreml
