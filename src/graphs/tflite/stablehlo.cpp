// StableHLO's operators in TFLite files, in terms of the canonical ones.
// Source: StableHLO specification; TFLite, schema.fbs.
#include "graphs/tflite/stablehlo.h"

#include <fmt/core.h>

#include <algorithm>

#include "graphs/call.h"

namespace hearth::graphs::tflite {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

std::int64_t in(const Operator& op, std::size_t i) {
  return i < op.inputs.size() ? op.inputs[i] : -1;
}
std::int64_t out(const Operator& op) { return op.outputs.empty() ? -1 : op.outputs[0]; }

Result<Ints> list(const Operator& op, unsigned slot) {
  return op.more_options.numbers<std::int64_t>(slot);
}

// One operator of ours with the same operands in the same order.
struct Same {
  int code;
  std::string_view name, of_whole_numbers = {};  // where that is another one
};
constexpr Same same[] = {{162, "Sigmoid"},
                         {163, "Add"},
                         {164, "Div"},
                         {165, "Mul"},
                         {166, "Max"},
                         {175, "Abs"},
                         {176, "And", "BitwiseAnd"},
                         {177, "Cos"},
                         {178, "Exp"},
                         {179, "Floor"},
                         {180, "Log"},
                         {181, "Min"},
                         {182, "Neg"},
                         {183, "Or", "BitwiseOr"},
                         {184, "Pow"},
                         {185, "Mod"},
                         {186, "hearth.Rsqrt"},
                         {187, "Where"},
                         {188, "Sub"},
                         {189, "Tanh"}};

Status elementwise(Builder& b, const Operator& op, const Same& row) {
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) inputs.push_back(TRY(b.real(in(op, i))));
  const Element type = TRY(b.info(out(op)))->type;
  const bool is_whole = is_integer(type) && !row.of_whole_numbers.empty();
  Attributes attributes;
  if (row.name == "Mod") attributes["fmod"] = std::int64_t{1};  // the sign of the dividend
  return b.give_real(out(op), b.emit(is_whole ? row.of_whole_numbers : row.name, std::move(inputs),
                                     std::move(attributes)));
}

Status compare(Builder& b, const Operator& op) {
  constexpr std::string_view names[] = {"Equal",   "hearth.NotEqual", "GreaterOrEqual",
                                        "Greater", "LessOrEqual",     "Less"};
  const auto direction = op.more_options.number<std::uint32_t>(0, 0);
  if (direction >= std::size(names)) return corrupt(fmt::format("direction {}", direction));
  return b.give_raw(out(op),
                    b.emit(names[direction], {TRY(b.real(in(op, 0))), TRY(b.real(in(op, 1)))}));
}

// The real root, of negative numbers too.
Status cube_root(Builder& b, const Operator& op) {
  const ValueId x = TRY(b.real(in(op, 0)));
  const ValueId size = b.emit("Pow", {b.emit("Abs", {x}), b.scalar(1.0f / 3)});
  return b.give_real(out(op), b.emit("Mul", {b.emit("Sign", {x}), size}));
}

Status shift(Builder& b, const Operator& op, std::string_view direction) {
  return b.give_raw(out(op), b.emit("BitShift", {TRY(b.raw(in(op, 0))), TRY(b.raw(in(op, 1)))},
                                    {{"direction", std::string(direction)}}));
}

// low, x, high
Status clamp(Builder& b, const Operator& op) {
  const ValueId above = b.emit("Max", {TRY(b.real(in(op, 1))), TRY(b.real(in(op, 0)))});
  return b.give_real(out(op), b.emit("Min", {above, TRY(b.real(in(op, 2)))}));
}

Status concatenate(Builder& b, const Operator& op) {
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) inputs.push_back(TRY(b.raw(in(op, i))));
  return b.give_raw(out(op), b.emit("Concat", std::move(inputs),
                                    {{"axis", op.more_options.number<std::int64_t>(0, 0)}}));
}

// Axis i of the operand becomes axis dims[i] of the result; the rest are repeated.
Status broadcast_in_dim(Builder& b, const Operator& op) {
  const Ints places = TRY(list(op, 0));
  const Dims from = TRY(known_dims(b, in(op, 0))), to = TRY(known_dims(b, out(op)));
  Ints shape(to.size(), 1);
  if (places.size() != from.size()) return corrupt("other axes than the operand's");
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] < 0 || std::cmp_greater_equal(places[i], to.size()))
      return corrupt(fmt::format("axis {} of {}", places[i], to.size()));
    shape[static_cast<std::size_t>(places[i])] = from[i];
  }
  const ValueId placed = b.emit("Reshape", {TRY(b.raw(in(op, 0))), b.integers(shape)});
  return b.give_raw(out(op), b.emit("Expand", {placed, b.integers(to)}));
}

Ints count_up(std::size_t n) {
  Ints axes;
  for (std::size_t i = 0; i < n; ++i) axes.push_back(static_cast<std::int64_t>(i));
  return axes;
}

Status slice(Builder& b, const Operator& op) {
  const Ints starts = TRY(list(op, 0)), ends = TRY(list(op, 1)), steps = TRY(list(op, 2));
  return b.give_raw(out(op),
                    b.emit("Slice", {TRY(b.raw(in(op, 0))), b.integers(starts), b.integers(ends),
                                     b.integers(count_up(starts.size())), b.integers(steps)}));
}

// i64 [n] of the scalars from input `first` on, moved to where `size` fits into `dims`.
Result<ValueId> starts_of(Builder& b, const Operator& op, std::size_t first, const Dims& dims,
                          const Ints& size) {
  if (op.inputs.size() != first + dims.size() || size.size() != dims.size())
    return corrupt("as many starts as axes");
  std::vector<ValueId> parts;
  Ints room;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const ValueId start = b.emit("Reshape", {TRY(b.raw(in(op, first + i))), b.integers({1})});
    parts.push_back(b.cast(start, Element::i64));
    room.push_back(dims[i] - size[i]);
  }
  const ValueId given = b.emit("Concat", std::move(parts), {{"axis", std::int64_t{0}}});
  return b.emit("Max", {b.emit("Min", {given, b.integers(room)}), b.integers({0})});
}

Status dynamic_slice(Builder& b, const Operator& op) {
  const Ints size = TRY(list(op, 0));
  const ValueId start = TRY(starts_of(b, op, 1, TRY(known_dims(b, in(op, 0))), size));
  const ValueId end = b.emit("Add", {start, b.integers(size)});
  return b.give_raw(out(op), b.emit("Slice", {TRY(b.raw(in(op, 0))), start, end}));
}

Status dynamic_update_slice(Builder& b, const Operator& op) {
  const Dims size = TRY(known_dims(b, in(op, 1)));
  const ValueId start = TRY(starts_of(b, op, 2, TRY(known_dims(b, in(op, 0))), size));
  const ValueId end = b.emit("Add", {start, b.integers(size)});
  return b.give_raw(out(op), b.emit("hearth.SliceUpdate",
                                    {TRY(b.raw(in(op, 0))), TRY(b.raw(in(op, 1))), start, end}));
}

Result<ValueId> one_number(Builder& b, std::int64_t index) {
  return b.emit("Reshape", {TRY(b.raw(index)), b.integers({})});
}

Status pad(Builder& b, const Operator& op) {
  Dims dims = TRY(known_dims(b, in(op, 0)));
  const ValueId value = TRY(one_number(b, in(op, 1)));
  Ints amounts = TRY(list(op, 0));
  const Ints high = TRY(list(op, 1));
  const ValueId x = TRY(spread(b, TRY(b.raw(in(op, 0))), dims, TRY(list(op, 2)), value));
  amounts.insert(amounts.end(), high.begin(), high.end());
  return b.give_raw(out(op), b.emit("Pad", {x, b.integers(amounts), value}));
}

// inputs: x, a step for each axis, the number between.
Status dilate(Builder& b, const Operator& op) {
  Dims dims = TRY(known_dims(b, in(op, 0)));
  Ints gaps = TRY(b.constant_integers(in(op, 1)));
  for (std::int64_t& gap : gaps) --gap;
  const ValueId value = TRY(one_number(b, in(op, 2)));
  return b.give_raw(out(op), TRY(spread(b, TRY(b.raw(in(op, 0))), dims, gaps, value)));
}

// Numbers that count up along one axis.
Status iota(Builder& b, const Operator& op) {
  const Dims dims = TRY(known_dims(b, out(op)));
  const auto axis = op.more_options.number<std::int64_t>(0, 0);
  if (axis < 0 || std::cmp_greater_equal(axis, dims.size()))
    return corrupt(fmt::format("axis {} of {}", axis, dims.size()));
  Ints shape(dims.size(), 1);
  const std::int64_t n = shape[static_cast<std::size_t>(axis)] =
      dims[static_cast<std::size_t>(axis)];
  const ValueId counted = b.emit("Range", {b.integer(0), b.integer(n), b.integer(1)});
  const ValueId row = b.cast(counted, TRY(b.info(out(op)))->type);
  const ValueId placed = b.emit("Reshape", {row, b.integers(shape)});
  return b.give_raw(out(op), b.emit("Expand", {placed, b.integers(dims)}));
}

// Axes that both have (batching), that are summed over (contracting), and the rest: left, then
// right.
Status dot_general(Builder& b, const Operator& op) {
  Ints batch[2], summed[2];
  for (unsigned side = 0; side < 2; ++side) {
    batch[side] = TRY(list(op, side));
    summed[side] = TRY(list(op, 2 + side));
  }
  if (batch[0].size() != batch[1].size() || summed[0].size() != summed[1].size())
    return corrupt("other axes on the left than on the right");
  std::string names[2], result;
  char next = 'a';
  for (std::size_t side = 0; side < 2; ++side) {
    const std::size_t rank = TRY(b.info(in(op, side)))->dims.size();
    if (rank > 12) return corrupt(fmt::format("{} axes", rank));
    names[side].assign(rank, ' ');
  }
  const auto share = [&](const Ints(&axes)[2], bool is_result) -> Status {
    for (std::size_t i = 0; i < axes[0].size(); ++i, ++next) {
      for (std::size_t side = 0; side < 2; ++side) {
        const std::int64_t axis = axes[side][i];
        if (axis < 0 || std::cmp_greater_equal(axis, names[side].size()))
          return corrupt(fmt::format("axis {} of {}", axis, names[side].size()));
        names[side][static_cast<std::size_t>(axis)] = next;
      }
      if (is_result) result += next;
    }
    return Done{};
  };
  TRY(share(batch, true));
  TRY(share(summed, false));
  for (std::string& name : names)
    for (char& axis : name)
      if (axis == ' ') {
        axis = next++;
        result += axis;
      }
  const ValueId left = TRY(b.real(in(op, 0))), right = TRY(b.real(in(op, 1)));
  const std::string equation = fmt::format("{},{}->{}", names[0], names[1], result);
  return b.give_real(out(op), b.emit("Einsum", {left, right}, {{"equation", equation}}));
}

Status transpose(Builder& b, const Operator& op) {
  return b.give_raw(out(op), b.transposed(TRY(b.raw(in(op, 0))), TRY(list(op, 0))));
}

Status reshape(Builder& b, const Operator& op) {
  const Dims dims = TRY(known_dims(b, out(op)));
  return b.give_raw(out(op), b.emit("Reshape", {TRY(b.raw(in(op, 0))), b.integers(dims)},
                                    {{"allowzero", std::int64_t{1}}}));
}

}  // namespace

Result<Dims> known_dims(Builder& b, std::int64_t index) {
  const TensorInfo* t = TRY(b.info(index));
  if (!t->is_known)
    return Error(ErrorKind::unsupported, fmt::format("tensor '{}': of unknown shape", t->name));
  return t->dims;
}

Result<ValueId> spread(Builder& b, ValueId x, Dims& dims, const Ints& gaps, ValueId value) {
  if (gaps.size() != dims.size()) return corrupt("as many gaps as axes");
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    constexpr std::int64_t most_gap = 1 << 20;
    if (gaps[axis] < 0 || gaps[axis] > most_gap)
      return corrupt(fmt::format("a gap of {}", gaps[axis]));
    if (gaps[axis] == 0 || dims[axis] < 2) continue;
    const auto place = static_cast<std::int64_t>(axis);
    Ints pads(2 * (dims.size() + 1), 0);
    pads[dims.size() + 1 + axis + 1] = gaps[axis];
    const ValueId apart = b.emit("Unsqueeze", {x, b.integers({place + 1})});
    const ValueId padded = b.emit("Pad", {apart, b.integers(pads), value});
    Dims whole = dims;
    whole[axis] *= gaps[axis] + 1;
    const ValueId joined = b.emit("Reshape", {padded, b.integers(whole)});
    dims[axis] = whole[axis] - gaps[axis];
    x = b.emit("Slice", {joined, b.integers({0}), b.integers({dims[axis]}), b.integers({place})});
  }
  return x;
}

Status add_stablehlo_operator(Builder& b, const Operator& op) {
  const auto* const row = std::ranges::find(same, op.code, &Same::code);
  if (row != std::end(same)) return elementwise(b, op, *row);
  switch (op.code) {
    case 161:
      return shift(b, op, "RIGHT");
    case 167:
      return reshape(b, op);
    case 168:
      return clamp(b, op);
    case 169:
      return concatenate(b, op);
    case 170:
      return broadcast_in_dim(b, op);
    case 171:
      return add_convolution(b, op);
    case 172:
      return slice(b, op);
    case 191:
      return compare(b, op);
    case 192:
      return b.give_raw(out(op), b.cast(TRY(b.real(in(op, 0))), TRY(b.info(out(op)))->type));
    case 193:
      return dynamic_slice(b, op);
    case 194:
      return dynamic_update_slice(b, op);
    case 195:
      return pad(b, op);
    case 196:
      return iota(b, op);
    case 197:
      return dot_general(b, op);
    case 201:
      return add_gather(b, op);
    case 202:
      return transpose(b, op);
    case 203:
      return dilate(b, op);
    case 207:
      return shift(b, op, "LEFT");
    case 208:
      return cube_root(b, op);
    default:
      return Error(ErrorKind::unsupported, "");
  }
}

}  // namespace hearth::graphs::tflite
