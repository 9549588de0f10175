// Rows of tables that are looked up by keys, or weighed and added up.
// Source: TFLite, comments of its operator definitions.
#include <fmt/core.h>

#include <cstring>

#include "graphs/tflite/builder.h"

namespace hearth::graphs::tflite {
namespace {

using Ints = std::vector<std::int64_t>;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

const Attributes dropped{{"keepdims", std::int64_t{0}}};

// keys wanted [n], keys there are [m], values [m, ...]: the values of the former, 0 where there is
// none; whether there was one.
Status by_key(Builder& b, const Operator& op) {
  if (op.inputs.size() != 3 || op.outputs.size() != 2) return corrupt("needs keys and values");
  const ValueId wanted = b.emit("Unsqueeze", {TRY(b.raw(op.inputs[0])), b.integers({1})});
  const ValueId is_it = b.cast(b.emit("Equal", {wanted, TRY(b.raw(op.inputs[1]))}), Element::i32);
  const ValueId hits = b.emit("ReduceMax", {is_it, b.integers({1})}, dropped);
  const ValueId places =
      b.emit("ArgMax", {is_it}, {{"axis", std::int64_t{1}}, {"keepdims", std::int64_t{0}}});
  const ValueId found = b.emit("Gather", {TRY(b.raw(op.inputs[2])), places});
  const TensorInfo* values = TRY(b.info(op.inputs[2]));
  Tensor none = TRY(make_tensor(values->type, {}));
  if (values->type != Element::text) std::memset(none.bytes, 0, none.byte_count());
  Ints shape(values->dims.size(), 1);
  if (!shape.empty()) shape[0] = -1;
  const ValueId is_there = b.emit("Reshape", {b.cast(hits, Element::boolean), b.integers(shape)});
  TRY(b.give_raw(op.outputs[0], b.emit("Where", {is_there, found, b.constant(std::move(none))})));
  return b.give_raw(op.outputs[1], b.cast(hits, Element::u8));
}

// rows wanted [n], where each goes [n, axes + 1], the shape of that, a weight of each, the table.
// Those that go to the same place are added up, and by the option divided.
Status weighed(Builder& b, const Operator& op) {
  if (op.inputs.size() != 5) return corrupt(fmt::format("{} inputs; needs 5", op.inputs.size()));
  Ints shape = TRY(b.constant_integers(op.inputs[2]));
  const TensorInfo* table = TRY(b.info(op.inputs[4]));
  if (shape.empty() || table->dims.empty()) return corrupt("a shape without axes");
  shape.pop_back();
  const auto axes = static_cast<std::int64_t>(shape.size());
  Ints whole = shape, one(table->dims.size(), 1), beside = shape;
  for (std::size_t i = 1; i < table->dims.size(); ++i) {
    whole.push_back(table->dims[i]);
    beside.push_back(1);
  }
  one[0] = -1;
  const ValueId places = b.emit("Slice", {b.cast(TRY(b.raw(op.inputs[1])), Element::i64),
                                          b.integers({0}), b.integers({axes}), b.integers({1})});
  const ValueId weights = TRY(b.real(op.inputs[3]));
  const auto sum = [&](const Ints& dims, ValueId each) {
    const ValueId zeros = b.emit("hearth.Fill", {b.integers(dims), b.scalar(0)});
    return b.emit("ScatterND", {zeros, places, each}, {{"reduction", std::string("add")}});
  };
  const ValueId rows = b.emit("Gather", {TRY(b.real(op.inputs[4])), TRY(b.raw(op.inputs[0]))});
  const ValueId y =
      sum(whole, b.emit("Mul", {rows, b.emit("Reshape", {weights, b.integers(one)})}));
  const int combiner = op.options.number<std::int8_t>(0, 0);
  if (combiner == 0) return b.give_real(op.outputs[0], y);
  if (combiner > 2) return corrupt(fmt::format("combiner {}", combiner));
  ValueId total = sum(shape, combiner == 1 ? weights : b.emit("hearth.Square", {weights}));
  if (combiner == 2) total = b.emit("Sqrt", {total});
  const ValueId is_none = b.emit("Equal", {total, b.scalar(0)});
  const ValueId divisor = b.emit("Where", {is_none, b.scalar(1), total});
  return b.give_real(op.outputs[0],
                     b.emit("Div", {y, b.emit("Reshape", {divisor, b.integers(beside)})}));
}

// Classes drawn by their scores [batch, classes]; how many.
Status draw(Builder& b, const Operator& op) {
  if (op.inputs.size() != 2) return corrupt(fmt::format("{} inputs; needs 2", op.inputs.size()));
  const Ints count = TRY(b.constant_integers(op.inputs[1]));
  if (count.size() != 1 || count[0] < 1) return corrupt("a number of draws");
  const Element type = TRY(b.info(op.outputs[0]))->type;
  const ValueId drawn =
      b.emit("Multinomial", {TRY(b.real(op.inputs[0]))},
             {{"sample_size", count[0]}, {"dtype", static_cast<std::int64_t>(type)}});
  return b.give_raw(op.outputs[0], drawn);
}

}  // namespace

Status add_lookup_operator(Builder& b, const Operator& op) {
  if (op.outputs.empty()) return Error(ErrorKind::unsupported, "");
  switch (op.code) {
    case 10:
      return by_key(b, op);
    case 33:
      return weighed(b, op);
    case 149:
      return draw(b, op);
    default:
      return Error(ErrorKind::unsupported, "");
  }
}

}  // namespace hearth::graphs::tflite
