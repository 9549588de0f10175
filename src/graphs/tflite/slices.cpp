// SLICE and STRIDED_SLICE of TFLite, of places that are constants or computed.
// Source: TFLite, schema.fbs and the comments of its operator definitions.
#include <fmt/core.h>

#include "graphs/call.h"
#include "graphs/tflite/builder.h"

namespace hearth::graphs::tflite {
namespace {

using Ints = std::vector<std::int64_t>;

// The integers of input i: [n], computed or not.
Result<ValueId> list_of(Builder& b, const Operator& op, std::size_t i) {
  return b.cast(TRY(b.raw(op.inputs[i])), Element::i64);
}

bool is_known(Builder& b, const Operator& op, std::size_t i) {
  const auto info = b.info(op.inputs[i]);
  return info && (*info)->constant;
}

// The bits of a mask of STRIDED_SLICE, by its slot among the options.
enum : unsigned { from_start = 0, to_end = 1, ellipsis = 2, new_axis = 3, one_place = 4 };

std::uint32_t mask_of(const Operator& op, unsigned slot) {
  return static_cast<std::uint32_t>(op.options.number<std::int32_t>(slot, 0));
}

constexpr std::int64_t past_end = INT32_MAX, before_start = INT64_MIN / 2;

// Where each axis begins and ends, of integers that are computed: what masks say goes before them.
Status computed_strided_slice(Builder& b, const Operator& op, const Ints& step) {
  Ints from, to, from_given, to_given, one, axes, gone;
  for (std::size_t i = 0; i < step.size(); ++i) {
    const auto is_set = [&](unsigned slot) { return (mask_of(op, slot) >> i & 1) != 0; };
    axes.push_back(static_cast<std::int64_t>(i));
    from.push_back(step[i] > 0 ? 0 : past_end);
    to.push_back(step[i] > 0 ? past_end : before_start);
    from_given.push_back(is_set(from_start) ? 0 : 1);
    to_given.push_back(is_set(to_end) ? 0 : 1);
    one.push_back(is_set(one_place) ? 1 : 0);
    if (is_set(one_place)) gone.push_back(axes.back());
  }
  const auto chosen = [&](const Ints& flags, ValueId yes, ValueId no) {
    return b.emit("Where", {b.cast(b.integers(flags), Element::boolean), yes, no});
  };
  const ValueId begin = chosen(from_given, TRY(list_of(b, op, 1)), b.integers(from));
  const ValueId is_last = b.emit("Equal", {begin, b.integer(-1)});
  const ValueId next =
      b.emit("Where", {is_last, b.integer(past_end), b.emit("Add", {begin, b.integer(1)})});
  const ValueId end = chosen(one, next, chosen(to_given, TRY(list_of(b, op, 2)), b.integers(to)));
  ValueId y =
      b.emit("Slice", {TRY(b.raw(op.inputs[0])), begin, end, b.integers(axes), b.integers(step)});
  if (!gone.empty()) y = b.emit("Squeeze", {y, b.integers(gone)});
  return b.give_raw(op.outputs[0], y);
}

Status strided_slice(Builder& b, const Operator& op) {
  const Ints step = TRY(b.constant_integers(op.inputs[3]));
  if (mask_of(op, ellipsis) != 0 || mask_of(op, new_axis) != 0)
    return Error(ErrorKind::unsupported, "an ellipsis or a new axis");
  if (step.size() > 32) return Error(ErrorKind::corrupt, "strides of over 32 axes");
  const bool adds_start = op.options.number<std::uint8_t>(5, 0) != 0;
  if (!adds_start && (!is_known(b, op, 1) || !is_known(b, op, 2)))
    return computed_strided_slice(b, op, step);
  const Ints begin = TRY(b.constant_integers(op.inputs[1])),
             end = TRY(b.constant_integers(op.inputs[2]));
  if (begin.size() != end.size() || begin.size() != step.size())
    return Error(ErrorKind::corrupt, "begin, end and strides of different lengths");
  Ints starts = begin, ends = end, axes, gone;
  for (std::size_t i = 0; i < begin.size(); ++i) {
    const auto is_set = [&](unsigned slot) { return (mask_of(op, slot) >> i & 1) != 0; };
    const auto axis = static_cast<std::int64_t>(i);
    axes.push_back(axis);
    if (is_set(from_start)) starts[i] = step[i] > 0 ? 0 : past_end;
    if (is_set(to_end)) ends[i] = step[i] > 0 ? past_end : before_start;
    if (adds_start && !is_set(to_end)) ends[i] += starts[i];
    if (is_set(one_place)) {
      gone.push_back(axis);
      ends[i] = starts[i] == -1 ? past_end : starts[i] + 1;
    }
  }
  ValueId y = b.emit("Slice", {TRY(b.raw(op.inputs[0])), b.integers(starts), b.integers(ends),
                               b.integers(axes), b.integers(step)});
  if (!gone.empty()) y = b.emit("Squeeze", {y, b.integers(gone)});
  return b.give_raw(op.outputs[0], y);
}

Status computed_slice(Builder& b, const Operator& op) {
  const ValueId begin = TRY(list_of(b, op, 1)), size = TRY(list_of(b, op, 2));
  const ValueId all = b.emit("Less", {size, b.integer(0)});
  const ValueId ends = b.emit("Where", {all, b.integer(INT32_MAX), b.emit("Add", {begin, size})});
  return b.give_raw(op.outputs[0], b.emit("Slice", {TRY(b.raw(op.inputs[0])), begin, ends}));
}

Status slice(Builder& b, const Operator& op) {
  if (!is_known(b, op, 1) || !is_known(b, op, 2)) return computed_slice(b, op);
  const Ints begin = TRY(b.constant_integers(op.inputs[1])),
             size = TRY(b.constant_integers(op.inputs[2]));
  if (begin.size() != size.size())
    return Error(ErrorKind::corrupt, "begin and size of different lengths");
  Ints ends;
  for (std::size_t i = 0; i < begin.size(); ++i)
    ends.push_back(size[i] < 0 ? INT32_MAX : begin[i] + size[i]);
  return b.give_raw(op.outputs[0], b.emit("Slice", {TRY(b.raw(op.inputs[0])), b.integers(begin),
                                                    b.integers(ends)}));
}

}  // namespace

Status add_slice(Builder& b, const Operator& op) {
  constexpr int strided = 45;
  const std::size_t needed = op.code == strided ? 4 : 3;
  if (op.inputs.size() < needed || op.outputs.empty())
    return Error(ErrorKind::corrupt, fmt::format("{} inputs", op.inputs.size()));
  return op.code == strided ? strided_slice(b, op) : slice(b, op);
}

}  // namespace hearth::graphs::tflite
