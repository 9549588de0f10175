// Operators of StableHLO that have a subgraph of scalars within: reduce, reduce_window, sort,
// scatter.  The subgraph is written out over whole tensors.
// Source: StableHLO specification; TFLite, schema.fbs.
#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "graphs/tflite/model.h"
#include "graphs/tflite/stablehlo.h"

namespace hearth::graphs::tflite {
namespace {

using Values = std::vector<ValueId>;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }
Error unsupported(std::string message) { return Error(ErrorKind::unsupported, std::move(message)); }

// What a subgraph of scalars does where it is one operator of its inputs.
struct Sole {
  int code = -1;               // -1: something else; -2: gives an input
  Ints inputs;                 // which of the subgraph's
  std::int64_t direction = 0;  // of a comparison
};

Result<Sole> sole_operator(const Model& model, std::int64_t index) {
  if (index < 0 || std::cmp_greater_equal(index, model.subgraphs.size()))
    return corrupt(fmt::format("graph {} of {}", index, model.subgraphs.size()));
  const FlatTable& graph = model.subgraphs[static_cast<std::size_t>(index)];
  const auto inputs = TRY(graph.numbers<std::int32_t>(1)),
             outputs = TRY(graph.numbers<std::int32_t>(2));
  const auto operators = TRY(graph.tables(3));
  Sole sole;
  const auto place = [&](std::int32_t tensor) {
    return std::int64_t{std::ranges::find(inputs, tensor) - inputs.begin()};
  };
  if (outputs.size() != 1 || operators.size() > 1) return sole;
  if (operators.empty()) {
    sole.inputs = {place(outputs[0])};
    if (std::cmp_less(sole.inputs[0], inputs.size())) sole.code = -2;
    return sole;
  }
  const FlatTable& op = operators[0];
  const auto code = op.number<std::uint32_t>(0, 0);
  const auto made = TRY(op.numbers<std::int32_t>(2));
  if (made != outputs || code >= model.codes.builtin.size()) return sole;
  for (const std::int32_t tensor : TRY(op.numbers<std::int32_t>(1))) {
    sole.inputs.push_back(place(tensor));
    if (std::cmp_equal(sole.inputs.back(), inputs.size())) return sole;  // a constant
  }
  constexpr unsigned more_options = 12;
  const FlatTable options = TRY(op.table(more_options));
  if (options.exists()) sole.direction = options.number<std::uint32_t>(0, 0);
  sole.code = model.codes.builtin[code];
  return sole;
}

// An operator that makes one of two, in any order.
struct Kind {
  int stablehlo, tflite;
  std::string_view reduce, scatter;
};
constexpr Kind kinds[] = {{163, 0, "ReduceSum", "add"},
                          {165, 18, "ReduceProd", "mul"},
                          {181, 57, "ReduceMin", "min"},
                          {166, 55, "ReduceMax", "max"}};

const Kind* kind_of(const Sole& sole) {
  if (sole.inputs != Ints{0, 1} && sole.inputs != Ints{1, 0}) return nullptr;
  for (const Kind& each : kinds)
    if (sole.code == each.stablehlo || sole.code == each.tflite) return &each;
  return nullptr;
}

// Makes one list of values of two, elements with those in the same places.
using Both = std::function<Result<Values>(const Values&, const Values&)>;

Values sliced(Builder& b, const Values& values, std::int64_t axis, std::int64_t from,
              std::int64_t to) {
  Values parts;
  for (const ValueId id : values)
    parts.push_back(
        b.emit("Slice", {id, b.integers({from}), b.integers({to}), b.integers({axis})}));
  return parts;
}

// Every `size` elements along an axis, `gap` apart, are made one.  n: the axis now; gives what is
// left of it.  Elements are joined in pairs, those in pairs, and so on.
Result<std::int64_t> fold_axis(Builder& b, const Both& both, Values& values, std::int64_t axis,
                               std::int64_t n, std::int64_t size, std::int64_t gap) {
  const std::int64_t left = n - (size - 1) * gap;
  Values result, joined = values;
  std::int64_t done = 0;
  for (std::int64_t width = 1, length = n; width <= size; width *= 2) {
    if ((size & width) != 0) {
      const Values part = sliced(b, joined, axis, done * gap, done * gap + left);
      result = done == 0 ? part : TRY(both(result, part));
      done += width;
    }
    if (width * 2 > size) break;
    length -= width * gap;
    joined = TRY(both(sliced(b, joined, axis, 0, length),
                      sliced(b, joined, axis, width * gap, width * gap + length)));
  }
  values = result;
  return left;
}

Both body_of(Model& model, Builder& b, std::int64_t body) {
  return [&model, &b, body](const Values& x, const Values& y) {
    Values both = x;
    both.insert(both.end(), y.begin(), y.end());
    return add_lifted(model, b, body, both);
  };
}

// Tensors, then as many numbers that they begin with.
struct Folded {
  Values values, first;
  Dims dims;
};
Result<Folded> read_folded(Builder& b, const Operator& op, std::size_t n) {
  if (n == 0 || op.inputs.size() < 2 * n || op.outputs.size() != n)
    return corrupt(fmt::format("{} inputs, {} outputs", op.inputs.size(), op.outputs.size()));
  Folded folded;
  for (std::size_t i = 0; i < n; ++i) {
    folded.values.push_back(TRY(b.raw(op.inputs[i])));
    folded.first.push_back(b.emit("Reshape", {TRY(b.raw(op.inputs[n + i])), b.integers({})}));
    const Dims dims = TRY(known_dims(b, op.inputs[i]));
    TRY(count_of(dims));
    if (i > 0 && dims != folded.dims) return corrupt("tensors of different shapes");
    folded.dims = dims;
  }
  return folded;
}

// 0 the axes, 1 what makes one of two.
Status reduce(Model& model, Builder& b, const Operator& op) {
  const auto axes = TRY(op.more_options.numbers<std::int64_t>(0));
  const std::int64_t body = op.more_options.number<std::int32_t>(1, -1);
  Folded folded = TRY(read_folded(b, op, op.inputs.size() / 2));
  const Both both = body_of(model, b, body);
  const Sole sole = TRY(sole_operator(model, body));
  const Kind* kind = op.outputs.size() == 1 ? kind_of(sole) : nullptr;
  bool is_empty = false;
  for (const std::int64_t axis : axes) {
    if (axis < 0 || std::cmp_greater_equal(axis, folded.dims.size()))
      return corrupt(fmt::format("axis {} of {}", axis, folded.dims.size()));
    is_empty = is_empty || folded.dims[static_cast<std::size_t>(axis)] == 0;
  }
  if (!is_empty && kind != nullptr && !axes.empty()) {
    folded.values[0] = b.emit(kind->reduce, {folded.values[0], b.integers(axes)});
  } else if (!is_empty) {
    for (const std::int64_t axis : axes) {
      std::int64_t& n = folded.dims[static_cast<std::size_t>(axis)];
      n = TRY(fold_axis(b, both, folded.values, axis, n, n, 1));
    }
  }
  const Values results = is_empty ? folded.first : TRY(both(folded.first, folded.values));
  for (std::size_t i = 0; i < results.size(); ++i) {
    const ValueId shape = b.integers(TRY(known_dims(b, op.outputs[i])));
    TRY(b.give_raw(op.outputs[i], b.emit(is_empty ? "Expand" : "Reshape", {results[i], shape})));
  }
  return Done{};
}

// How windows lie over a tensor, each list of as many numbers as axes.
struct WindowsOver {
  Ints size, step, base_gap, gap, pads;  // pads: before each axis, then after each
};

Status check(const WindowsOver& w, std::size_t rank) {
  constexpr std::int64_t most = 1 << 30;
  for (const Ints* list : {&w.size, &w.step, &w.base_gap, &w.gap}) {
    if (list->size() != rank)
      return corrupt(fmt::format("{} numbers for {} axes", list->size(), rank));
    for (const std::int64_t n : *list)
      if (n < 1 || n > most) return corrupt(fmt::format("a window's {}", n));
  }
  for (const std::int64_t pad : w.pads)
    if (pad < -most || pad > most) return corrupt(fmt::format("a pad of {}", pad));
  return Done{};
}

Status fold_windows(Builder& b, const Operator& op, const Both& both, Folded folded,
                    const WindowsOver& w) {
  const std::size_t rank = folded.dims.size();
  TRY(check(w, rank));
  Ints gaps = w.base_gap;
  for (std::int64_t& gap : gaps) --gap;
  Dims dims;
  for (std::size_t i = 0; i < folded.values.size(); ++i) {
    dims = folded.dims;
    const ValueId apart = TRY(spread(b, folded.values[i], dims, gaps, folded.first[i]));
    folded.values[i] = b.emit("Pad", {apart, b.integers(w.pads), folded.first[i]});
  }
  Ints axes, begin, end, steps;
  for (std::size_t i = 0; i < rank; ++i) {
    dims[i] += w.pads[i] + w.pads[rank + i];
    if ((w.size[i] - 1) * w.gap[i] >= dims[i])
      return unsupported(fmt::format("windows over {} elements", dims[i]));
    const auto axis = static_cast<std::int64_t>(i);
    dims[i] = TRY(fold_axis(b, both, folded.values, axis, dims[i], w.size[i], w.gap[i]));
    axes.push_back(axis);
    begin.push_back(0);
    end.push_back(dims[i]);
    steps.push_back(w.step[i]);
  }
  const Values results = TRY(both(folded.first, folded.values));
  for (std::size_t i = 0; i < results.size(); ++i)
    TRY(b.give_raw(op.outputs[i], b.emit("Slice", {results[i], b.integers(begin), b.integers(end),
                                                   b.integers(axes), b.integers(steps)})));
  return Done{};
}

// 0 sizes, 1 steps, 2 gaps of the tensor, 3 gaps within a window, 4 pads in pairs, 5 the body.
Status reduce_window(Model& model, Builder& b, const Operator& op) {
  const FlatTable& o = op.more_options;
  Folded folded = TRY(read_folded(b, op, op.inputs.size() / 2));
  const std::size_t rank = folded.dims.size();
  WindowsOver w;
  w.size = TRY(o.numbers<std::int64_t>(0));
  Ints* const lists[] = {&w.step, &w.base_gap, &w.gap};
  for (unsigned i = 0; i < 3; ++i) {
    *lists[i] = TRY(o.numbers<std::int64_t>(i + 1));
    if (lists[i]->empty()) lists[i]->assign(rank, 1);
  }
  Ints pairs = TRY(o.numbers<std::int64_t>(4));
  if (pairs.empty()) pairs.assign(2 * rank, 0);
  if (pairs.size() != 2 * rank)
    return corrupt(fmt::format("{} pads for {} axes", pairs.size(), rank));
  for (std::size_t side = 0; side < 2; ++side)
    for (std::size_t i = 0; i < rank; ++i) w.pads.push_back(pairs[2 * i + side]);
  return fold_windows(b, op, body_of(model, b, o.number<std::int32_t>(5, -1)), std::move(folded),
                      w);
}

// The same of TFLite: tensor, first number, sizes, steps, gaps within a window; an option says
// which operator.
Status reduce_window_by_name(Builder& b, const Operator& op) {
  constexpr std::string_view names[] = {"", "Add", "Mul", "Min", "Max", "And", "Or"};
  const auto which = op.more_options.number<std::int32_t>(0, 0);
  if (which < 1 || std::cmp_greater_equal(which, std::size(names)))
    return corrupt(fmt::format("function {}", which));
  if (op.inputs.size() != 5) return corrupt(fmt::format("{} inputs; needs 5", op.inputs.size()));
  const Both both = [&](const Values& x, const Values& y) -> Result<Values> {
    return Values{b.emit(names[which], {x[0], y[0]})};
  };
  WindowsOver w;
  w.size = TRY(b.constant_integers(op.inputs[2]));
  w.step = TRY(b.constant_integers(op.inputs[3]));
  w.gap = TRY(b.constant_integers(op.inputs[4]));
  Folded folded = TRY(read_folded(b, op, 1));
  w.base_gap.assign(folded.dims.size(), 1);
  w.pads.assign(2 * folded.dims.size(), 0);
  return fold_windows(b, op, both, std::move(folded), w);
}

// Where along `axis` the elements of each row come to stand: i64 as the tensors.  By one tensor
// where the subgraph compares two of its elements.
Result<ValueId> order_by_key(Builder& b, ValueId keys, bool falls, std::int64_t axis,
                             std::int64_t n) {
  return b.emit_many("TopK", {keys, b.integers({n})}, 2,
                     {{"axis", axis}, {"largest", std::int64_t{falls ? 1 : 0}}})[1];
}

// Otherwise each element is compared with every other one.
Result<ValueId> order_by_pairs(Model& model, Builder& b, const Values& values, const Dims& dims,
                               std::int64_t axis, std::int64_t body) {
  constexpr std::int64_t most_pairs = 1 << 24;
  const std::int64_t n = dims[static_cast<std::size_t>(axis)];
  std::int64_t pairs = n;
  for (const std::int64_t extent : dims) {
    if (extent > 0 && pairs > most_pairs / extent)
      return unsupported(fmt::format("of {} by a comparison of its own", to_text(dims)));
    pairs *= extent;
  }
  Ints order;
  Dims square;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (std::cmp_equal(i, axis)) continue;
    order.push_back(static_cast<std::int64_t>(i));
    square.push_back(dims[i]);
  }
  order.push_back(axis);
  square.insert(square.end(), {n, n});
  Values given;
  for (const ValueId id : values) {
    const ValueId rows = b.transposed(id, order);
    given.push_back(b.emit("Unsqueeze", {rows, b.integers({-1})}));
    given.push_back(b.emit("Unsqueeze", {rows, b.integers({-2})}));
  }
  const Values answers = TRY(add_lifted(model, b, body, given));
  if (answers.size() != 1) return corrupt("a comparison of other than one value");
  // comes[i, j]: i stands before j.
  const ValueId comes = b.emit("Expand", {answers[0], b.integers(square)});
  Ints turn;
  for (std::size_t i = 0; i < square.size(); ++i) turn.push_back(static_cast<std::int64_t>(i));
  std::swap(turn[turn.size() - 1], turn[turn.size() - 2]);
  const ValueId follows = b.transposed(comes, turn);
  const ValueId equal = b.emit("Not", {b.emit("Or", {comes, follows})});
  const ValueId places = b.emit("Range", {b.integer(0), b.integer(n), b.integer(1)});
  const ValueId is_later =
      b.emit("Greater", {b.emit("Reshape", {places, b.integers({-1, 1})}), places});
  const ValueId behind = b.emit("Or", {follows, b.emit("And", {equal, is_later})});
  const ValueId ranks = b.emit("ReduceSum", {b.cast(behind, Element::i64), b.integers({-1})},
                               {{"keepdims", std::int64_t{0}}});
  const ValueId sorted = TRY(order_by_key(b, ranks, false, -1, n));
  Ints back(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    back[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  return b.transposed(sorted, back);
}

// 0 the axis, 2 whether one element stands before another; elements that are equal stay in order.
Status sort(Model& model, Builder& b, const Operator& op) {
  const auto axis = op.more_options.number<std::int64_t>(0, 0);
  const std::int64_t body = op.more_options.number<std::int32_t>(2, -1);
  if (op.inputs.empty() || op.inputs.size() != op.outputs.size())
    return corrupt(fmt::format("{} inputs, {} outputs", op.inputs.size(), op.outputs.size()));
  const Dims dims = TRY(known_dims(b, op.inputs[0]));
  if (axis < 0 || std::cmp_greater_equal(axis, dims.size()))
    return corrupt(fmt::format("axis {} of {}", axis, dims.size()));
  Values values;
  for (const std::int32_t index : op.inputs) {
    if (TRY(known_dims(b, index)) != dims) return corrupt("tensors of different shapes");
    values.push_back(TRY(b.raw(index)));
  }
  const Sole sole = TRY(sole_operator(model, body));
  constexpr int stablehlo_compare = 191, less = 58, greater = 61;
  constexpr std::int64_t is_greater = 3, is_less = 5;
  const bool rises =
                 sole.code == less || (sole.code == stablehlo_compare && sole.direction == is_less),
             falls = sole.code == greater ||
                     (sole.code == stablehlo_compare && sole.direction == is_greater);
  const bool is_pair =
      (rises || falls) && sole.inputs.size() == 2 && sole.inputs[0] / 2 == sole.inputs[1] / 2 &&
      sole.inputs[0] != sole.inputs[1] && std::cmp_less(sole.inputs[0] / 2, values.size());
  const bool is_turned = is_pair && sole.inputs[0] > sole.inputs[1];
  const ValueId places =
      is_pair ? TRY(order_by_key(b, values[static_cast<std::size_t>(sole.inputs[0] / 2)],
                                 falls != is_turned, axis, dims[static_cast<std::size_t>(axis)]))
              : TRY(order_by_pairs(model, b, values, dims, axis, body));
  for (std::size_t i = 0; i < values.size(); ++i)
    TRY(b.give_raw(op.outputs[i], b.emit("GatherElements", {values[i], places}, {{"axis", axis}})));
  return Done{};
}

Status scatter(Model& model, Builder& b, const Operator& op) {
  const Sole sole = TRY(sole_operator(model, op.more_options.number<std::int32_t>(6, -1)));
  if (sole.code == -2 && sole.inputs[0] == 1) return add_scatter(b, op, "none");
  const Kind* kind = kind_of(sole);
  if (kind == nullptr)
    return unsupported("an update that is no sum, product, minimum, maximum or replacement");
  return add_scatter(b, op, kind->scatter);
}

}  // namespace

Result<bool> add_folding(Model& model, Builder& b, const Operator& op) {
  switch (op.code) {
    case 174:
      TRY(reduce(model, b, op));
      return true;
    case 190:
      TRY(scatter(model, b, op));
      return true;
    case 198:
      TRY(reduce_window(model, b, op));
      return true;
    case 199:
      TRY(sort(model, b, op));
      return true;
    case 205:
      TRY(reduce_window_by_name(b, op));
      return true;
    default:
      return false;
  }
}

}  // namespace hearth::graphs::tflite
