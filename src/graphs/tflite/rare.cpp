// TFLite's rarer built-in operators in terms of the canonical ones.
// Source: TFLite, schema.fbs and the comments of its operator definitions.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "graphs/call.h"
#include "graphs/tflite/stablehlo.h"

namespace hearth::graphs::tflite {
namespace {

using Ints = std::vector<std::int64_t>;

// One operator, its operands by their places.
struct Rare {
  Builder& b;
  const Operator& op;

  std::int64_t at(std::size_t i) const { return i < op.inputs.size() ? op.inputs[i] : -1; }
  Result<ValueId> raw(std::size_t i) { return b.raw(at(i)); }
  Result<ValueId> real(std::size_t i) { return b.real(at(i)); }
  Result<Ints> integers(std::size_t i) { return b.constant_integers(at(i)); }
  Result<const TensorInfo*> info(std::size_t i) { return TRY(b.info(at(i))); }
  Result<Element> type_out(std::size_t i = 0) {
    if (i >= op.outputs.size()) return Error(ErrorKind::corrupt, "an output that is missing");
    return TRY(b.info(op.outputs[i]))->type;
  }
  Status give_raw(ValueId id, std::size_t i = 0) {
    return i < op.outputs.size() ? b.give_raw(op.outputs[i], id) : Status(Done{});
  }
  Status give_real(ValueId id) {
    if (op.outputs.empty()) return Error(ErrorKind::corrupt, "an operator without outputs");
    return b.give_real(op.outputs[0], id);
  }
  // i64 [n] of any integers.
  Result<ValueId> list(std::size_t i) {
    return b.cast(b.emit("Reshape", {TRY(raw(i)), b.integers({-1})}), Element::i64);
  }
};

// operand, update, where it begins: moved to where it fits.
Status update_slice(Rare& r) {
  Builder& b = r.b;
  const ValueId x = TRY(r.raw(0)), update = TRY(r.raw(1));
  const ValueId size = b.emit("Shape", {update});
  const ValueId room = b.emit("Sub", {b.emit("Shape", {x}), size});
  const ValueId start = b.emit("Max", {b.emit("Min", {TRY(r.list(2)), room}), b.integers({0})});
  return r.give_raw(b.emit("hearth.SliceUpdate", {x, update, start, b.emit("Add", {start, size})}));
}

struct Blocks {
  Ints size;     // of each spatial axis
  Ints amounts;  // before and after, of each spatial axis
  Dims dims;     // of the input; -1: a batch of any number
  std::size_t axes() const { return size.size(); }
};
Result<Blocks> blocks_of(Rare& r) {
  Blocks blocks;
  blocks.size = TRY(r.integers(1));
  blocks.amounts = TRY(r.integers(2));
  blocks.dims = TRY(r.info(0))->dims;
  const bool fits =
      !blocks.size.empty() && blocks.size.size() < blocks.dims.size() &&
      blocks.amounts.size() == 2 * blocks.size.size() &&
      std::ranges::all_of(
          blocks.size, [](auto n) { return n > 0 && n < (1 << 20); }) &&
      std::ranges::all_of(blocks.amounts, [](auto n) { return n >= 0 && n < (1 << 30); });
  if (!fits) return Error(ErrorKind::corrupt, "blocks that do not fit the input");
  const auto sides = std::span(blocks.dims).subspan(1);
  if (blocks.dims[0] == 0 || std::ranges::any_of(sides, [](auto n) { return n < 1; }))
    return Error(ErrorKind::unsupported, "blocks of an input of unknown shape");
  return blocks;
}

Status space_to_batch(Rare& r) {
  Builder& b = r.b;
  const Blocks blocks = TRY(blocks_of(r));
  const std::size_t m = blocks.axes(), rank = blocks.dims.size();
  Ints pads(2 * rank, 0);
  for (std::size_t i = 0; i < m; ++i) {
    pads[1 + i] = blocks.amounts[2 * i];
    pads[rank + 1 + i] = blocks.amounts[2 * i + 1];
  }
  Ints apart{blocks.dims[0]}, order, together{-1};
  for (std::size_t i = 0; i < m; ++i) {
    const std::int64_t side =
        blocks.dims[1 + i] + blocks.amounts[2 * i] + blocks.amounts[2 * i + 1];
    if (side % blocks.size[i] != 0)
      return Error(ErrorKind::corrupt, "a side of other than whole blocks");
    apart.insert(apart.end(), {side / blocks.size[i], blocks.size[i]});
    order.push_back(static_cast<std::int64_t>(2 * i + 2));
    together.push_back(side / blocks.size[i]);
  }
  order.push_back(0);
  for (std::size_t i = 0; i < m; ++i) order.push_back(static_cast<std::int64_t>(2 * i + 1));
  for (std::size_t i = m + 1; i < rank; ++i) {
    order.push_back(static_cast<std::int64_t>(apart.size()));
    apart.push_back(blocks.dims[i]);
    together.push_back(blocks.dims[i]);
  }
  const ValueId padded = b.emit("Pad", {TRY(r.real(0)), b.integers(pads)});
  const ValueId parts = b.emit("Reshape", {padded, b.integers(apart)});
  return r.give_real(b.emit("Reshape", {b.transposed(parts, order), b.integers(together)}));
}

Status batch_to_space(Rare& r) {
  Builder& b = r.b;
  const Blocks blocks = TRY(blocks_of(r));
  const std::size_t m = blocks.axes(), rank = blocks.dims.size();
  const std::int64_t each = product(blocks.size);
  const bool is_open = blocks.dims[0] < 0;
  if (!is_open && blocks.dims[0] % each != 0)
    return Error(ErrorKind::corrupt, "a batch of other than whole blocks");
  const std::int64_t batch = is_open ? -1 : blocks.dims[0] / each;
  Ints apart = blocks.size, order{static_cast<std::int64_t>(m)}, together{batch};
  apart.push_back(batch);
  Ints starts, ends, axes;
  for (std::size_t i = 0; i < m; ++i) {
    order.push_back(static_cast<std::int64_t>(apart.size()));
    order.push_back(static_cast<std::int64_t>(i));
    apart.push_back(blocks.dims[1 + i]);
    const std::int64_t side = blocks.dims[1 + i] * blocks.size[i];
    together.push_back(side);
    starts.push_back(blocks.amounts[2 * i]);
    ends.push_back(side - blocks.amounts[2 * i + 1]);
    axes.push_back(static_cast<std::int64_t>(1 + i));
  }
  for (std::size_t i = m + 1; i < rank; ++i) {
    order.push_back(static_cast<std::int64_t>(apart.size()));
    apart.push_back(blocks.dims[i]);
    together.push_back(blocks.dims[i]);
  }
  const ValueId parts = b.transposed(b.emit("Reshape", {TRY(r.raw(0)), b.integers(apart)}), order);
  const ValueId whole = b.emit("Reshape", {parts, b.integers(together)});
  return r.give_raw(
      b.emit("Slice", {whole, b.integers(starts), b.integers(ends), b.integers(axes)}));
}

Status largest(Rare& r) {
  Builder& b = r.b;
  const auto made = b.emit_many("TopK", {TRY(r.raw(0)), TRY(r.list(1))}, 2);
  TRY(r.give_raw(made[0]));
  return r.give_raw(b.cast(made[1], TRY(r.type_out(1))), 1);
}

// indices, depth, on, off
Status one_hot(Rare& r) {
  Builder& b = r.b;
  const auto one = [&](std::size_t i) -> Result<ValueId> {
    return b.emit("Reshape", {TRY(r.raw(i)), b.integers({1})});
  };
  const ValueId off = TRY(one(3)), on = TRY(one(2));
  const ValueId values = b.emit("Concat", {off, on}, {{"axis", std::int64_t{0}}});
  return r.give_raw(b.emit("OneHot", {TRY(r.raw(0)), TRY(one(1)), values},
                           {{"axis", std::int64_t{r.op.options.number<std::int32_t>(0, 0)}}}));
}

Status places_that_hold(Rare& r) {
  Builder& b = r.b;
  ValueId x = TRY(r.raw(0));
  return r.give_raw(b.cast(b.transposed(b.emit("NonZero", {x}), {1, 0}), TRY(r.type_out())));
}

Status rank(Rare& r) {
  Tensor number = TRY(make_tensor(Element::i32, {}));
  number.data<std::int32_t>()[0] = static_cast<std::int32_t>(TRY(r.info(0))->dims.size());
  return r.give_raw(r.b.emit("Identity", {r.b.constant(std::move(number))}));
}

Status root_of_pool(Rare& r) {
  Builder& b = r.b;
  const FlatTable& o = r.op.options;
  const ValueId x = TRY(r.real(0));
  const auto number = [&](unsigned slot) { return std::int64_t{o.number<std::int32_t>(slot, 1)}; };
  const ValueId mean =
      b.emit("AveragePool", {b.channels_first(b.emit("Mul", {x, x}))},
             {{"auto_pad", std::string(o.number<std::int8_t>(0, 0) == 0 ? "SAME_UPPER" : "VALID")},
              {"strides", Ints{number(2), number(1)}},
              {"kernel_shape", Ints{number(4), number(3)}}});
  const ValueId y = b.channels_last(b.emit("Sqrt", {mean}));
  return r.give_real(TRY(b.activated(y, o.number<std::int8_t>(5, 0))));
}

Status response(Rare& r) {
  Builder& b = r.b;
  const FlatTable& o = r.op.options;
  const std::int64_t size =
      2 * std::int64_t{std::clamp(o.number<std::int32_t>(0, 0), 0, 1 << 20)} + 1;
  const ValueId y = b.emit("LRN", {b.channels_first(TRY(r.real(0)))},
                           {{"size", size},
                            {"bias", double{o.number<float>(1, 0)}},
                            {"alpha", double{o.number<float>(2, 0)} * static_cast<double>(size)},
                            {"beta", double{o.number<float>(3, 0)}}});
  return r.give_real(b.channels_last(y));
}

Status different(Rare& r) {
  Builder& b = r.b;
  const auto made = b.emit_many("Unique", {TRY(r.raw(0))}, 3, {{"sorted", std::int64_t{0}}});
  TRY(r.give_raw(made[0]));
  return r.give_raw(b.cast(made[2], TRY(r.type_out(1))), 1);
}

Status reverse_sequence(Rare& r) {
  Builder& b = r.b;
  const std::int64_t time = r.op.options.number<std::int32_t>(0, 0),
                     batch = r.op.options.number<std::int32_t>(1, 0);
  if (time + batch != 1) return Error(ErrorKind::unsupported, "other than the first two axes");
  return r.give_raw(b.emit("ReverseSequence", {TRY(r.raw(0)), TRY(r.list(1))},
                           {{"time_axis", time}, {"batch_axis", batch}}));
}

Result<ValueId> filled(Rare& r, ValueId shape, Element type, double value) {
  Tensor start = TRY(make_tensor(type, {}));
  store(type, start.bytes, Work::f64, &value, 1);
  return r.b.emit("hearth.Fill", {shape, r.b.constant(std::move(start))});
}

// indices, updates, shape
Status scatter(Rare& r) {
  Builder& b = r.b;
  const Element type = TRY(r.info(1))->type;
  const ValueId start = TRY(filled(r, TRY(r.list(2)), type, 0));
  return r.give_raw(b.emit("ScatterND", {start, b.cast(TRY(r.raw(0)), Element::i64), TRY(r.raw(1))},
                           {{"reduction", std::string("add")}}));
}

// data, the segment of each of its rows, how many there are
Status segments(Rare& r, std::string_view reduction, double start) {
  Builder& b = r.b;
  const Element type = TRY(r.info(0))->type;
  const ValueId data = TRY(r.raw(0)), ids = b.cast(TRY(r.raw(1)), Element::i64);
  if (TRY(r.info(1))->dims.size() != 1)
    return Error(ErrorKind::unsupported, "segments of several axes");
  ValueId count = absent;
  if (r.op.inputs.size() > 2) {
    count = TRY(r.list(2));
  } else {
    const ValueId last = b.emit("ReduceMax", {ids}, {{"keepdims", std::int64_t{1}}});
    count = b.emit("Add", {last, b.integers({1})});
  }
  const ValueId rest =
      b.emit("Slice", {b.emit("Shape", {data}), b.integers({1}), b.integers({INT32_MAX})});
  const ValueId shape = b.emit("Concat", {count, rest}, {{"axis", std::int64_t{0}}});
  return r.give_raw(b.emit(
      "ScatterND",
      {TRY(filled(r, shape, type, start)), b.emit("Unsqueeze", {ids, b.integers({1})}), data},
      {{"reduction", std::string(reduction)}}));
}

Status broadcast_args(Rare& r) {
  Builder& b = r.b;
  const ValueId one = TRY(filled(r, TRY(r.list(0)), Element::i8, 0)),
                other = TRY(filled(r, TRY(r.list(1)), Element::i8, 0));
  const ValueId shape = b.emit("Shape", {b.emit("Add", {one, other})});
  return r.give_raw(b.cast(shape, TRY(r.type_out())));
}

// A square of which the diagonal is true.
Result<ValueId> diagonal(Rare& r, std::int64_t n) {
  if (n < 1 || n > (1 << 14)) return Error(ErrorKind::unsupported, "a diagonal of unknown length");
  Tensor eye = TRY(make_tensor(Element::boolean, {n, n}));
  std::fill_n(eye.data<std::uint8_t>(), eye.count, std::uint8_t{0});
  for (std::int64_t i = 0; i < n; ++i) eye.data<std::uint8_t>()[i * n + i] = 1;
  return r.b.constant(std::move(eye));
}

Status matrix_diagonal(Rare& r, bool has_rest) {
  Builder& b = r.b;
  const TensorInfo* x = TRY(r.info(0));
  if (x->dims.empty() ||
      (has_rest && (x->dims.size() < 2 || x->dims[x->dims.size() - 2] != x->dims.back())))
    return Error(ErrorKind::unsupported, "a matrix that is no square");
  const ValueId eye = TRY(diagonal(r, x->dims.back()));
  const ValueId column = b.emit("Unsqueeze", {TRY(r.raw(has_rest ? 1 : 0)), b.integers({-1})});
  Tensor zero = TRY(make_tensor(x->type, {}));
  std::memset(zero.bytes, 0, zero.byte_count());
  const ValueId rest = has_rest ? TRY(r.raw(0)) : b.constant(std::move(zero));
  return r.give_raw(b.emit("Where", {eye, column, rest}));
}

// x [n, d, h, w, c] by a kernel [d, h, w, channels, filters].
Status convolution_3d(Rare& r) {
  Builder& b = r.b;
  const FlatTable& o = r.op.options;
  const auto n = [&](unsigned slot) { return std::int64_t{o.number<std::int32_t>(slot, 1)}; };
  std::vector<ValueId> inputs{
      b.transposed(TRY(r.real(0)), {0, 4, 1, 2, 3}),
      b.constant(TRY(reordered(TRY(b.constant_real(r.at(1))), {4, 3, 0, 1, 2})))};
  if (r.at(2) >= 0) inputs.push_back(TRY(r.real(2)));
  const ValueId y =
      b.emit("Conv", std::move(inputs),
             {{"auto_pad", std::string(o.number<std::int8_t>(0, 0) == 0 ? "SAME_UPPER" : "VALID")},
              {"strides", Ints{n(1), n(3), n(2)}},
              {"dilations", Ints{n(5), n(7), n(6)}}});
  return r.give_real(
      TRY(b.activated(b.transposed(y, {0, 2, 3, 4, 1}), o.number<std::int8_t>(4, 0))));
}

// Rounded to steps of a scale that contains zero.
Status fake_quantised(Rare& r) {
  Builder& b = r.b;
  const FlatTable& o = r.op.options;
  const double low = o.number<float>(0, 0), high = o.number<float>(1, 0);
  const int bits = o.number<std::int32_t>(2, 0);
  if (!(low < high) || bits < 2 || bits > 16)
    return Error(ErrorKind::corrupt, "a range that is none");
  const double first = o.number<std::uint8_t>(3, 0) != 0 ? 1 : 0, last = (1 << bits) - 1;
  const double step = (high - low) / (last - first);
  const double zero = std::clamp(std::round(first - low / step), first, last);
  const double least = (first - zero) * step, most = (last - zero) * step;
  const auto number = [&](double value) { return b.scalar(static_cast<float>(value)); };
  const ValueId within = b.emit("Clip", {TRY(r.real(0)), number(least), number(most)});
  const ValueId above = b.emit("Mul", {b.emit("Sub", {within, number(least)}), number(1 / step)});
  const ValueId code = b.emit("Floor", {b.emit("Add", {above, number(0.5)})});
  return r.give_real(b.emit("Add", {b.emit("Mul", {code, number(step)}), number(least)}));
}

// The angle of (x, y), in all four quarters.
Status angle(Rare& r) {
  Builder& b = r.b;
  const ValueId y = TRY(r.real(0)), x = TRY(r.real(1)), zero = b.scalar(0);
  const auto pi = static_cast<float>(M_PI);
  const ValueId left = b.emit("Less", {x, zero}), below = b.emit("Less", {y, zero});
  const ValueId turn = b.emit("Where", {below, b.scalar(-pi), b.scalar(pi)});
  const ValueId half = b.emit("Atan", {b.emit("Div", {y, x})});
  const ValueId whole = b.emit("Add", {half, b.emit("Where", {left, turn, zero})});
  const ValueId nothing = b.emit("And", {b.emit("Equal", {x, zero}), b.emit("Equal", {y, zero})});
  return r.give_real(b.emit("Where", {nothing, zero, whole}));
}

Status in_order(Rare& r, std::string_view name) {
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < r.op.inputs.size(); ++i) inputs.push_back(TRY(r.raw(i)));
  return r.give_raw(r.b.emit(name, std::move(inputs)));
}

}  // namespace

Status add_rare_operator(Builder& b, const Operator& op) {
  Rare r{b, op};
  constexpr double most = std::numeric_limits<float>::max();
  switch (op.code) {
    case 12:
      return root_of_pool(r);
    case 13:
      return response(r);
    case 37:
      return batch_to_space(r);
    case 38:
      return space_to_batch(r);
    case 48:
      return largest(r);
    case 80:
      return fake_quantised(r);
    case 85:
      return one_hot(r);
    case 103:
      return different(r);
    case 109:
      return places_that_hold(r);
    case 110:
      return rank(r);
    case 112:
      return reverse_sequence(r);
    case 113:
    case 115:
      return matrix_diagonal(r, op.code == 115);
    case 122:
      return scatter(r);
    case 125:
    case 155:
      return segments(r, "add", 0);
    case 132:
      return convolution_3d(r);
    case 145:
      return broadcast_args(r);
    case 151:
      return update_slice(r);
    case 152:
      return r.give_real(b.emit("Clip", {TRY(r.real(0)), b.scalar(0), b.scalar(1)}));
    case 153:
      return segments(r, "mul", 1);
    case 154:
      return segments(r, "max", -most);
    case 156:
      return angle(r);
    case 157:
      return segments(r, "min", most);
    case 159:
      return r.give_raw(b.emit("BitCast", {TRY(r.raw(0))},
                               {{"to", static_cast<std::int64_t>(TRY(r.type_out()))}}));
    case 160:
      return in_order(r, "BitwiseXor");
    default:
      return op.code > 160 ? add_stablehlo_operator(b, op) : add_special_operator(b, op);
  }
}

}  // namespace hearth::graphs::tflite
