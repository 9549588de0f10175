// Control flow and sequences.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>

#include "graphs/executor.h"
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

constexpr std::int64_t most_rows = 1 << 24;  // of what a loop collects

// A body of the node with what it captures.
struct Body {
  const Graph* graph;
  std::span<const Value* const> captured;
};

Result<Body> body_of(Call& call, std::string_view name) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < call.node.bodies.size(); ++i) {
    const Graph& graph = *call.node.bodies[i];
    if (call.node.body_names[i] == name)
      return Body{&graph, call.captured.subspan(at, graph.captures.size())};
    at += graph.captures.size();
  }
  return invalid(fmt::format("no body '{}'", name));
}

Result<bool> truth(const Value& value) {
  if (value.kind != Value::Kind::tensor || value.tensor.count != 1 ||
      value.tensor.type != Element::boolean)
    return invalid("a condition needs one bool");
  return value.tensor.data<bool>()[0];
}

Status if_operator(Call& call) {
  TRY(call.tensor(0));
  const bool chosen = TRY(truth(*call.inputs[0]));
  const Body body = TRY(body_of(call, chosen ? "then_branch" : "else_branch"));
  auto outputs = TRY(run_graph(call.machine, *body.graph, {}, body.captured));
  for (std::size_t i = 0; i < outputs.size(); ++i) call.give(i, std::move(outputs[i]));
  return Done{};
}

// Tensors of equal shape put on top of one another along a new axis.
Result<Tensor> stacked(Call& call, std::span<const Value> items, std::size_t axis,
                       bool new_axis = true) {
  std::vector<Tensor> parts;
  for (const Value& item : items) {
    if (item.kind != Value::Kind::tensor) return invalid("an item is no tensor");
    Tensor next = item.tensor;
    if (new_axis) {
      const auto place = std::min(axis, next.rank());
      next.dims.insert(next.dims.begin() + static_cast<std::ptrdiff_t>(place), 1);
    }
    parts.push_back(std::move(next));
  }
  std::vector<const Tensor*> at;
  for (const Tensor& next : parts) at.push_back(&next);
  if (at.empty()) return call.scratch(Element::f32, {0});
  if (axis >= at[0]->rank()) return invalid(fmt::format("axis {}", axis));
  return joined(call, at, axis);
}

// What the body says of an output's elements, for a loop that never turns.
Result<Tensor> empty_like(Call& call, const Graph& body, std::size_t output) {
  const ValueInfo& info = body.values[static_cast<std::size_t>(body.outputs[output])];
  Dims dims{0};
  for (const Extent& extent : info.shape) dims.push_back(std::max<std::int64_t>(extent.value, 0));
  return call.scratch(info.type == Element::none ? Element::f32 : info.type, std::move(dims));
}

Status loop(Call& call) {
  const Body body = TRY(body_of(call, "body"));
  const std::int64_t trips = TRY(call.integer_input(0, INT64_MAX));
  bool goes_on = call.has(1) ? TRY(truth(*call.inputs[1])) : true;
  std::vector<Value> state;
  for (std::size_t i = 2; i < call.inputs.size(); ++i)
    state.push_back(call.has(i) ? *call.inputs[i] : Value());
  const std::size_t carried = state.size();
  if (body.graph->inputs.size() != carried + 2 || body.graph->outputs.size() < carried + 1)
    return invalid(fmt::format("a body of {} inputs and {} outputs for {} carried values",
                               body.graph->inputs.size(), body.graph->outputs.size(), carried));
  const std::size_t scans = body.graph->outputs.size() - carried - 1;
  std::vector<std::vector<Value>> rows(scans);
  for (std::int64_t trip = 0; trip < trips && goes_on; ++trip) {
    Tensor index = TRY(call.scratch(Element::i64, {})),
           condition = TRY(call.scratch(Element::boolean, {}));
    index.data<std::int64_t>()[0] = trip;
    condition.data<bool>()[0] = goes_on;
    std::vector<Value> inputs{std::move(index), std::move(condition)};
    inputs.insert(inputs.end(), std::make_move_iterator(state.begin()),
                  std::make_move_iterator(state.end()));
    auto outputs = TRY(run_graph(call.machine, *body.graph, inputs, body.captured));
    goes_on = TRY(truth(outputs[0]));
    state.assign(outputs.begin() + 1, outputs.begin() + 1 + static_cast<std::ptrdiff_t>(carried));
    for (std::size_t i = 0; i < scans; ++i) rows[i].push_back(std::move(outputs[carried + 1 + i]));
    if (scans > 0 && trip >= most_rows)
      return Error(ErrorKind::exhausted, fmt::format("results of over {} turns", most_rows));
  }
  for (std::size_t i = 0; i < carried; ++i) call.give(i, std::move(state[i]));
  for (std::size_t i = 0; i < scans; ++i)
    call.give(carried + i, rows[i].empty() ? TRY(empty_like(call, *body.graph, carried + 1 + i))
                                           : TRY(stacked(call, rows[i], 0)));
  return Done{};
}

// One step along `axis`, that axis gone.
Result<Tensor> step_of(Call& call, const Tensor& x, std::size_t axis, std::int64_t at) {
  Tensor row = TRY(part(call, x, axis, at, 1));
  row.dims.erase(row.dims.begin() + static_cast<std::ptrdiff_t>(axis));
  return row;
}

std::int64_t nth(const std::vector<std::int64_t>& list, std::size_t i) {
  return i < list.size() ? list[i] : 0;
}

Status scan(Call& call) {
  const Body body = TRY(body_of(call, "body"));
  const auto scanned = static_cast<std::size_t>(
      std::clamp<std::int64_t>(call.integer("num_scan_inputs", 0), 0, 1024));
  if (scanned == 0 || scanned > call.inputs.size()) return invalid("num_scan_inputs");
  const std::size_t carried = call.inputs.size() - scanned;
  if (body.graph->inputs.size() != call.inputs.size() || body.graph->outputs.size() < carried)
    return invalid("a body of other inputs or outputs");
  const std::size_t scans = body.graph->outputs.size() - carried;
  std::vector<std::size_t> axes;
  std::int64_t steps = -1;
  for (std::size_t i = 0; i < scanned; ++i) {
    const Tensor* x = TRY(call.tensor(carried + i));
    axes.push_back(TRY(checked_axis(nth(call.list("scan_input_axes"), i), x->rank())));
    if (steps >= 0 && steps != x->dims[axes[i]])
      return invalid("scanned inputs of different lengths");
    steps = x->dims[axes[i]];
  }
  std::vector<Value> state;
  for (std::size_t i = 0; i < carried; ++i)
    state.push_back(call.has(i) ? *call.inputs[i] : Value());
  std::vector<std::vector<Value>> rows(scans);
  for (std::int64_t step = 0; step < steps; ++step) {
    std::vector<Value> inputs = state;
    for (std::size_t i = 0; i < scanned; ++i) {
      const std::int64_t at =
          nth(call.list("scan_input_directions"), i) != 0 ? steps - 1 - step : step;
      inputs.push_back(TRY(step_of(call, *TRY(call.tensor(carried + i)), axes[i], at)));
    }
    auto outputs = TRY(run_graph(call.machine, *body.graph, inputs, body.captured));
    state.assign(outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(carried));
    for (std::size_t i = 0; i < scans; ++i) rows[i].push_back(std::move(outputs[carried + i]));
  }
  for (std::size_t i = 0; i < carried; ++i) call.give(i, std::move(state[i]));
  for (std::size_t i = 0; i < scans; ++i) {
    if (nth(call.list("scan_output_directions"), i) != 0) std::ranges::reverse(rows[i]);
    if (rows[i].empty()) {
      call.give(carried + i, TRY(empty_like(call, *body.graph, carried + i)));
      continue;
    }
    const std::size_t rank = rows[i][0].tensor.rank() + 1;
    const auto axis = TRY(checked_axis(nth(call.list("scan_output_axes"), i), rank));
    call.give(carried + i, TRY(stacked(call, rows[i], axis)));
  }
  return Done{};
}

// Version 8: [batch, ...] everywhere, the scanned axis after the batch, and sequence lengths first.
Status scan_8(Call& call) {
  const Body body = TRY(body_of(call, "body"));
  const auto scanned = static_cast<std::size_t>(
      std::clamp<std::int64_t>(call.integer("num_scan_inputs", 0), 0, 1024));
  if (scanned == 0 || call.inputs.size() < scanned + 1) return invalid("num_scan_inputs");
  const std::size_t carried = call.inputs.size() - 1 - scanned;
  if (body.graph->inputs.size() != carried + scanned || body.graph->outputs.size() < carried)
    return invalid("a body of other inputs or outputs");
  const std::size_t scans = body.graph->outputs.size() - carried;
  const Tensor* first = TRY(call.tensor(1 + carried));
  if (first->rank() < 2) return invalid("a scanned input needs [batch, steps, ...]");
  const std::int64_t batches = first->dims[0], steps = first->dims[1];
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(batches), steps);
  if (call.has(0)) lengths = TRY(call.integers(0));
  if (static_cast<std::int64_t>(lengths.size()) != batches) return invalid("sequence lengths");
  std::vector<std::vector<Value>> results(carried + scans);
  for (std::int64_t b = 0; b < batches; ++b) {
    std::vector<Value> state;
    for (std::size_t i = 0; i < carried; ++i) {
      const Tensor* x = TRY(call.tensor(1 + i));
      if (x->rank() < 1) return invalid("a state needs [batch, ...]");
      state.push_back(TRY(step_of(call, *x, 0, b)));
    }
    std::vector<std::vector<Value>> rows(scans);
    for (std::int64_t step = 0; step < std::min(steps, lengths[static_cast<std::size_t>(b)]);
         ++step) {
      std::vector<Value> inputs = state;
      for (std::size_t i = 0; i < scanned; ++i) {
        const Tensor* x = TRY(call.tensor(1 + carried + i));
        if (x->rank() < 2 || x->dims[0] != batches || x->dims[1] != steps)
          return invalid("scanned inputs of different lengths");
        const std::int64_t at = nth(call.list("directions"), i) != 0 ? steps - 1 - step : step;
        inputs.push_back(TRY(step_of(call, TRY(step_of(call, *x, 0, b)), 0, at)));
      }
      auto outputs = TRY(run_graph(call.machine, *body.graph, inputs, body.captured));
      state.assign(outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(carried));
      for (std::size_t i = 0; i < scans; ++i) rows[i].push_back(std::move(outputs[carried + i]));
    }
    for (std::size_t i = 0; i < carried; ++i) results[i].push_back(std::move(state[i]));
    for (std::size_t i = 0; i < scans; ++i)
      results[carried + i].push_back(rows[i].empty()
                                         ? Value(TRY(empty_like(call, *body.graph, carried + i)))
                                         : Value(TRY(stacked(call, rows[i], 0))));
  }
  for (std::size_t i = 0; i < results.size(); ++i) call.give(i, TRY(stacked(call, results[i], 0)));
  return Done{};
}

Status scan_operator(Call& call) {
  return call.node.version != 0 && call.node.version < 9 ? scan_8(call) : scan(call);
}

Result<const std::vector<Value>*> sequence_of(Call& call, std::size_t i) {
  if (!call.has(i) || call.inputs[i]->kind != Value::Kind::sequence)
    return invalid(fmt::format("input {}: needs a sequence", i));
  return call.inputs[i]->items.get();
}

Status sequence_construct(Call& call) {
  std::vector<Value> items;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) items.emplace_back(*TRY(call.tensor(i)));
  call.give(0, Value::sequence(std::move(items)));
  return Done{};
}

Status sequence_empty(Call& call) {
  call.give(0, Value::sequence({}));
  return Done{};
}

// Where in a sequence of n: input i, or the end; `beyond`: one past it is a place too.
Result<std::size_t> place_in(Call& call, std::size_t i, std::size_t n, bool beyond) {
  const auto extent = static_cast<std::int64_t>(n);
  std::int64_t at = TRY(call.integer_input(i, beyond ? extent : extent - 1));
  if (at < -extent || at >= extent + (beyond ? 1 : 0))
    return invalid(fmt::format("position {} of {}", at, n));
  return static_cast<std::size_t>(at < 0 ? at + extent : at);
}

Status sequence_insert(Call& call) {
  std::vector<Value> items = *TRY(sequence_of(call, 0));
  const Tensor* item = TRY(call.tensor(1));
  const std::size_t at = TRY(place_in(call, 2, items.size(), true));
  items.insert(items.begin() + static_cast<std::ptrdiff_t>(at), Value(*item));
  call.give(0, Value::sequence(std::move(items)));
  return Done{};
}

Status sequence_erase(Call& call) {
  std::vector<Value> items = *TRY(sequence_of(call, 0));
  const std::size_t at = TRY(place_in(call, 1, items.size(), false));
  items.erase(items.begin() + static_cast<std::ptrdiff_t>(at));
  call.give(0, Value::sequence(std::move(items)));
  return Done{};
}

Status sequence_at(Call& call) {
  const auto* items = TRY(sequence_of(call, 0));
  call.give(0, (*items)[TRY(place_in(call, 1, items->size(), false))]);
  return Done{};
}

// An item is replaced; one past the end is put there, with zeros of its shape before it.
void write_item(std::vector<Value>& items, std::size_t at, const Tensor& value,
                const Tensor& zeros) {
  while (items.size() <= at) items.emplace_back(zeros);
  items[at] = Value(value);
}

// inputs: a sequence, indices [] or [n], a value or n of them along the first axis.
Status list_write(Call& call) {
  constexpr std::int64_t most_items = 1 << 24;
  std::vector<Value> items = *TRY(sequence_of(call, 0));
  const auto places = TRY(call.integers(1));
  const Tensor* value = TRY(call.tensor(2));
  const bool several = TRY(call.tensor(1))->rank() > 0;
  if (several && (value->rank() == 0 || value->dims[0] != static_cast<std::int64_t>(places.size())))
    return invalid(fmt::format("{} items for {} places", to_text(value->dims), places.size()));
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] < 0 || places[i] >= most_items) return invalid(fmt::format("item {}", places[i]));
    const Tensor item =
        several ? TRY(step_of(call, *value, 0, static_cast<std::int64_t>(i))) : *value;
    Tensor zeros = TRY(call.scratch(item.type, item.dims));
    fill_zero(zeros);
    write_item(items, static_cast<std::size_t>(places[i]), item, zeros);
  }
  call.give(0, Value::sequence(std::move(items)));
  return Done{};
}

Status sequence_length(Call& call) {
  const auto* items = TRY(sequence_of(call, 0));
  Tensor* y = TRY(call.make(0, Element::i64, {}));
  y->data<std::int64_t>()[0] = static_cast<std::int64_t>(items->size());
  return Done{};
}

Status concat_from_sequence(Call& call) {
  const auto* items = TRY(sequence_of(call, 0));
  if (items->empty()) return invalid("an empty sequence");
  const bool new_axis = call.integer("new_axis", 0) != 0;
  const std::size_t rank = items->front().tensor.rank() + (new_axis ? 1 : 0);
  const auto axis = TRY(checked_axis(call.integer("axis", 0), rank));
  call.give(0, TRY(stacked(call, *items, axis, new_axis)));
  return Done{};
}

Status split_to_sequence(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto axis = TRY(checked_axis(call.integer("axis", 0), x->rank()));
  const std::int64_t extent = x->dims[axis];
  std::vector<std::int64_t> sizes;
  bool keep = true;
  if (!call.has(1)) {
    sizes.assign(static_cast<std::size_t>(extent), 1);
    keep = call.integer("keepdims", 1) != 0;
  } else if (TRY(call.tensor(1))->rank() == 0) {
    const std::int64_t each = TRY(call.integer_input(1, 1));
    if (each < 1) return invalid(fmt::format("parts of {}", each));
    for (std::int64_t at = 0; at < extent; at += each) sizes.push_back(std::min(each, extent - at));
  } else {
    sizes = TRY(call.integers(1));
  }
  std::vector<Value> items;
  std::int64_t at = 0;
  for (const std::int64_t size : sizes) {
    items.emplace_back(keep ? TRY(part(call, *x, axis, at, size))
                            : TRY(step_of(call, *x, axis, at)));
    at += size;
  }
  if (at != extent) return invalid(fmt::format("parts of {} elements from {}", at, extent));
  call.give(0, Value::sequence(std::move(items)));
  return Done{};
}

Status sequence_map(Call& call) {
  const Body body = TRY(body_of(call, "body"));
  const auto* first = TRY(sequence_of(call, 0));
  std::vector<std::vector<Value>> results(body.graph->outputs.size());
  for (std::size_t at = 0; at < first->size(); ++at) {
    std::vector<Value> inputs;
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
      if (!call.has(i)) return invalid(fmt::format("input {}: absent", i));
      const Value& value = *call.inputs[i];
      if (value.kind != Value::Kind::sequence) {
        inputs.push_back(value);
        continue;
      }
      if (value.items->size() != first->size()) return invalid("sequences of different lengths");
      inputs.push_back((*value.items)[at]);
    }
    auto outputs = TRY(run_graph(call.machine, *body.graph, inputs, body.captured));
    for (std::size_t i = 0; i < outputs.size(); ++i) results[i].push_back(std::move(outputs[i]));
  }
  for (std::size_t i = 0; i < results.size(); ++i)
    call.give(i, Value::sequence(std::move(results[i])));
  return Done{};
}

Status optional(Call& call) {
  if (call.has(0)) call.give(0, *call.inputs[0]);
  return Done{};
}

Status optional_has_element(Call& call) {
  Tensor* y = TRY(call.make(0, Element::boolean, {}));
  y->data<bool>()[0] = call.has(0) && call.inputs[0]->kind != Value::Kind::nothing;
  return Done{};
}

Status optional_get_element(Call& call) {
  if (!call.has(0) || call.inputs[0]->kind == Value::Kind::nothing)
    return invalid("an optional without a value");
  call.give(0, *call.inputs[0]);
  return Done{};
}

constexpr Operator rows[] = {
    {"If", if_operator, nullptr, 1, 1},
    {"Loop", loop, nullptr, 2},
    {"Scan", scan_operator, nullptr, 1},
    {"SequenceConstruct", sequence_construct, nullptr, 1},
    {"SequenceEmpty", sequence_empty, nullptr, 0, 0},
    {"SequenceInsert", sequence_insert, nullptr, 2, 3},
    {"SequenceErase", sequence_erase, nullptr, 1, 2},
    {"SequenceAt", sequence_at, nullptr, 2, 2},
    {"hearth.ListWrite", list_write, nullptr, 3, 3},
    {"SequenceLength", sequence_length, nullptr, 1, 1},
    {"ConcatFromSequence", concat_from_sequence, nullptr, 1, 1},
    {"SplitToSequence", split_to_sequence, nullptr, 1, 2},
    {"SequenceMap", sequence_map, nullptr, 1},
    {"Optional", optional, nullptr, 0, 1},
    {"OptionalHasElement", optional_has_element, nullptr, 0, 1},
    {"OptionalGetElement", optional_get_element, nullptr, 1, 1},
};

}  // namespace

std::span<const Operator> control_operators() { return rows; }

}  // namespace hearth::graphs
