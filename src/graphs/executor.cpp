#include "graphs/executor.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <new>

#include "graphs/blocked.h"
#include "graphs/feed.h"
#include "graphs/optimize.h"

namespace hearth::graphs {

Status finish(Graph& graph) {
  std::vector<char> written(graph.values.size(), 0);
  const auto write = [&](ValueId id) -> Status {
    if (id == absent) return Done{};
    if (written[static_cast<std::size_t>(id)] != 0)
      return Error(ErrorKind::corrupt,
                   fmt::format("value '{}': written twice",
                               graph.values[static_cast<std::size_t>(id)].name));
    written[static_cast<std::size_t>(id)] = 1;
    return Done{};
  };
  const auto read = [&](ValueId id) -> Status {
    if (id == absent || written[static_cast<std::size_t>(id)] != 0) return Done{};
    return Error(ErrorKind::corrupt, fmt::format("value '{}': read before it is written",
                                                 graph.values[static_cast<std::size_t>(id)].name));
  };
  for (const Constant& constant : graph.constants) TRY(write(constant.id));
  for (const ValueId id : graph.captures) TRY(write(id));
  for (const ValueId id : graph.inputs)
    if (written[static_cast<std::size_t>(id)] == 0) TRY(write(id));  // else: it has a default
  std::vector<std::int64_t> last(graph.values.size(), -1);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    for (const auto* list : {&node.inputs, &node.captured})
      for (const ValueId id : *list) {
        TRY(read(id));
        if (id != absent) last[static_cast<std::size_t>(id)] = static_cast<std::int64_t>(i);
      }
    for (const ValueId id : node.outputs) {
      TRY(write(id));
      if (id != absent) last[static_cast<std::size_t>(id)] = static_cast<std::int64_t>(i);
    }
  }
  for (const ValueId id : graph.outputs) {
    if (id == absent) return Error(ErrorKind::corrupt, "an output without a name");
    TRY(read(id));
    last[static_cast<std::size_t>(id)] = -1;
  }
  for (Node& node : graph.nodes) node.releases.clear();
  for (std::size_t id = 0; id < last.size(); ++id)
    if (last[id] >= 0)
      graph.nodes[static_cast<std::size_t>(last[id])].releases.push_back(static_cast<ValueId>(id));
  return Done{};
}

std::vector<ValueId> wanted_inputs(const Graph& graph) {
  std::vector<ValueId> ids;
  for (const ValueId id : graph.inputs)
    if (std::ranges::find(graph.constants, id, &Constant::id) == graph.constants.end())
      ids.push_back(id);
  return ids;
}

namespace {

std::string place_of(const Node& node) {
  return node.name.empty() ? std::string(node.op->name)
                           : fmt::format("{} '{}'", node.op->name, node.name);
}

struct Frame {
  std::vector<Value> own;          // what nodes of this run have made
  std::vector<const Value*> at;    // every value, wherever it lies; nullptr: not there
  std::map<ValueId, Value> plain;  // blocked ones of this run as rows, once somebody asked
};

bool is_blocked(const Value* value) { return value != nullptr && value->tensor.is_blocked; }

// A value as those see it who do not take blocks.
Result<const Value*> plain_value(Machine& machine, Frame& frame, ValueId id) {
  const Value* value = frame.at[static_cast<std::size_t>(id)];
  if (value == nullptr || !value->tensor.is_blocked) return value;
  const auto found = frame.plain.find(id);
  if (found != frame.plain.end()) return &found->second;
  return &frame.plain.emplace(id, TRY(to_plain(machine, value->tensor))).first->second;
}

Status run_node(Machine& machine, const Node& node, Frame& frame) {
  std::vector<const Value*> inputs, captured;
  inputs.reserve(node.inputs.size());
  for (const ValueId id : node.inputs)
    if (id == absent)
      inputs.push_back(nullptr);
    else if (node.op->blocks != Blocks::none)
      inputs.push_back(frame.at[static_cast<std::size_t>(id)]);
    else
      inputs.push_back(TRY(plain_value(machine, frame, id)));
  for (const ValueId id : node.captured) captured.push_back(TRY(plain_value(machine, frame, id)));
  std::vector<Value> apart;  // what blocked inputs of an operator that treats all alike are to it
  if (node.op->blocks == Blocks::alike && std::ranges::any_of(inputs, is_blocked)) {
    apart = physical_operands(node, inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      inputs[i] = apart.empty() ? TRY(plain_value(machine, frame, node.inputs[i])) : &apart[i];
  }
  std::vector<Value> outputs(std::max<std::size_t>(node.outputs.size(), 4));
  Call call{node, inputs, outputs, captured, machine};
  const auto given = static_cast<int>(inputs.size());
  if (given < node.op->least_inputs || given > node.op->most_inputs)
    return Error(ErrorKind::invalid, fmt::format("{} inputs", given)).within(place_of(node));
  auto status = node.op->kernel(call);
  if (!status) return std::move(status).error().within(place_of(node));
  if (machine.out_of_memory)
    return Error(ErrorKind::exhausted, "no memory to run it").within(place_of(node));
  if (!apart.empty()) outputs[0].tensor = blocked_again(std::move(outputs[0].tensor));
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const ValueId id = node.outputs[i];
    if (id == absent) continue;
    frame.own[static_cast<std::size_t>(id)] = std::move(outputs[i]);
    frame.at[static_cast<std::size_t>(id)] = &frame.own[static_cast<std::size_t>(id)];
  }
  for (const ValueId id : node.releases) {
    frame.own[static_cast<std::size_t>(id)] = Value();
    frame.plain.erase(id);
  }
  return Done{};
}

Status run_timed(Machine& machine, const Node& node, Frame& frame) {
  if (machine.times == nullptr || machine.depth > 1) return run_node(machine, node, frame);
  const auto start = std::chrono::steady_clock::now();
  auto status = run_node(machine, node, frame);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  machine.times->push_back({&node, took.count()});
  return status;
}

Result<std::vector<Value>> run_nodes(Machine& machine, const Graph& graph,
                                     std::span<const Value> inputs,
                                     std::span<const Value* const> captures) {
  if (inputs.size() > graph.inputs.size() || captures.size() != graph.captures.size())
    return invalid(fmt::format("{} inputs for a graph of {}", inputs.size(), graph.inputs.size()));
  Frame frame{std::vector<Value>(graph.values.size()),
              std::vector<const Value*>(graph.values.size(), nullptr),
              {}};
  for (const Constant& constant : graph.constants)
    frame.at[static_cast<std::size_t>(constant.id)] = &constant.value;
  for (std::size_t i = 0; i < captures.size(); ++i)
    frame.at[static_cast<std::size_t>(graph.captures[i])] = captures[i];
  for (std::size_t i = 0; i < inputs.size(); ++i)
    frame.at[static_cast<std::size_t>(graph.inputs[i])] = &inputs[i];
  const auto go_on = [&]() -> Status {
    if (machine.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    return Done{};
  };
  TRY(go_on());  // a body may have no nodes
  for (const Node& node : graph.nodes) {
    TRY(go_on());
    TRY(run_timed(machine, node, frame));
  }
  std::vector<Value> outputs;
  for (const ValueId id : graph.outputs) {
    const Value* value = TRY(plain_value(machine, frame, id));
    outputs.push_back(value == nullptr ? Value() : *value);
  }
  return outputs;
}

}  // namespace

Result<std::vector<Value>> run_graph(Machine& machine, const Graph& graph,
                                     std::span<const Value> inputs,
                                     std::span<const Value* const> captures) {
  if (machine.depth >= max_body_depth)
    return Error(ErrorKind::exhausted, fmt::format("bodies nested {} deep", max_body_depth));
  ++machine.depth;
  auto outputs = run_nodes(machine, graph, inputs, captures);
  --machine.depth;
  return outputs;
}

struct Runner::State {
  Program program;
  std::mutex turn;
  std::shared_ptr<BufferPool> buffers = std::make_shared<BufferPool>();
};

Runner::Runner(Program program, const RunnerOptions& options) : state_(std::make_unique<State>()) {
  state_->program = std::move(program);
  if (options.optimise) state_->program.graph = optimised(*state_->program.graph);
}
Runner::~Runner() = default;
const Program& Runner::program() const { return state_->program; }

namespace {

Status check_input(const ValueInfo& info, const Value& value) {
  if (value.kind != Value::Kind::tensor || info.kind != Value::Kind::tensor) return Done{};
  const Tensor& tensor = value.tensor;
  if (info.type != Element::none && tensor.type != info.type)
    return invalid(fmt::format("input '{}': {}; needs {}", info.name, name_of(tensor.type),
                               name_of(info.type)));
  if (!info.has_shape) return Done{};
  bool fits = tensor.rank() == info.shape.size();
  std::string wanted;
  for (std::size_t i = 0; i < info.shape.size(); ++i) {
    const Extent& extent = info.shape[i];
    fits = fits && (extent.value < 0 || extent.value == tensor.dims[i]);
    wanted += fmt::format("{}{}", i == 0 ? "" : ", ",
                          extent.value >= 0     ? fmt::format("{}", extent.value)
                          : extent.name.empty() ? "?"
                                                : extent.name);
  }
  if (!fits)
    return invalid(
        fmt::format("input '{}': {}; needs [{}]", info.name, to_text(tensor.dims), wanted));
  return Done{};
}

}  // namespace

Result<std::vector<Value>> Runner::run(ops::Context& ctx,
                                       const std::map<std::string, Value, std::less<>>& inputs,
                                       const RunOptions& options) const {
  const Graph& graph = *state_->program.graph;
  std::vector<Value> given;
  std::size_t used = 0;
  for (const ValueId id : graph.inputs) {
    const ValueInfo& info = graph.values[static_cast<std::size_t>(id)];
    const auto found = inputs.find(info.name);
    if (found != inputs.end()) {
      TRY(check_input(info, found->second));
      given.push_back(found->second);
      ++used;
      continue;
    }
    const auto constant = std::ranges::find(graph.constants, id, &Constant::id);
    if (constant != graph.constants.end())
      given.push_back(constant->value);
    else
      return invalid(fmt::format("input '{}': not given; needs {}", info.name, describe(info)));
  }
  if (used != inputs.size())
    for (const auto& [name, value] : inputs)
      if (std::ranges::none_of(graph.inputs, [&](ValueId id) {
            return graph.values[static_cast<std::size_t>(id)].name == name;
          }))
        return invalid(fmt::format("input '{}': the graph has none of that name", name));
  const std::lock_guard lock(state_->turn);
  Machine machine;
  machine.ctx = &ctx;
  machine.buffers = state_->buffers;
  machine.buffers->limit(options.most_bytes);
  machine.strings = std::make_shared<StringPool>();
  machine.random.seed(static_cast<std::uint32_t>(options.seed));
  machine.stop = options.stop;
  machine.times = options.times;
  try {
    return run_graph(machine, graph, given, {});
  } catch (const std::bad_alloc&) {
    return Error(ErrorKind::exhausted, "no memory to run the graph");
  } catch (const std::exception& e) {
    return Error(ErrorKind::invalid, e.what());
  }
}

}  // namespace hearth::graphs
