#include "graphs/emit.h"

#include <algorithm>

#include "graphs/operators.h"

namespace hearth::graphs {

ValueId Emitter::new_value() {
  graph.values.emplace_back();
  return static_cast<ValueId>(graph.values.size() - 1);
}

ValueId Emitter::constant(Tensor tensor) {
  const ValueId id = new_value();
  graph.constants.push_back({id, Value(std::move(tensor))});
  return id;
}

ValueId Emitter::integers(const std::vector<std::int64_t>& values) {
  Tensor tensor = make_tensor(Element::i64, {static_cast<std::int64_t>(values.size())}).value();
  std::ranges::copy(values, tensor.data<std::int64_t>());
  return constant(std::move(tensor));
}

ValueId Emitter::integer(std::int64_t value) {
  Tensor tensor = make_tensor(Element::i64, {}).value();
  tensor.data<std::int64_t>()[0] = value;
  return constant(std::move(tensor));
}

ValueId Emitter::scalar(float value) {
  Tensor tensor = make_tensor(Element::f32, {}).value();
  tensor.data<float>()[0] = value;
  return constant(std::move(tensor));
}

std::vector<ValueId> Emitter::emit_many(std::string_view op, std::vector<ValueId> inputs,
                                        std::size_t outputs, Attributes attributes) {
  Node node;
  node.op = find_operator(op);
  HEARTH_CHECK(node.op != nullptr);
  node.inputs = std::move(inputs);
  while (!node.inputs.empty() && node.inputs.back() == absent) node.inputs.pop_back();
  node.attributes = std::move(attributes);
  for (std::size_t i = 0; i < outputs; ++i) node.outputs.push_back(new_value());
  const std::vector<ValueId> made = node.outputs;
  graph.nodes.push_back(std::move(node));
  return made;
}

ValueId Emitter::emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes) {
  return emit_many(op, std::move(inputs), 1, std::move(attributes))[0];
}

ValueId Emitter::transposed(ValueId id, std::vector<std::int64_t> order) {
  return emit("Transpose", {id}, {{"perm", std::move(order)}});
}

ValueId Emitter::cast(ValueId id, Element to) {
  return emit("Cast", {id}, {{"to", static_cast<std::int64_t>(to)}});
}

}  // namespace hearth::graphs
