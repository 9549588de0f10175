#include "graphs/executorch/flow.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "base/utf8.h"
#include "graphs/borrowed.h"
#include "graphs/call.h"

namespace hearth::graphs::executorch {
namespace {

constexpr std::size_t most_steps = 1u << 18;                  // instructions followed
constexpr std::uint64_t most_state = std::uint64_t{1} << 32;  // bytes of all buffers that stay

// A memory of its own for a value that has no place in a planned one.
constexpr std::uint64_t own_memory = std::uint64_t{1} << 32;

Error unsupported_part(std::string message) {
  return Error(ErrorKind::unsupported, std::move(message));
}

// Memory that is not touched before somebody uses it: sizes come from the file.
Result<Tensor> zeros(const TensorSpec& spec) {
  const std::shared_ptr<void> memory(std::calloc(std::max<std::size_t>(spec.byte_count, 1), 1),
                                     std::free);
  if (!memory) return Error(ErrorKind::exhausted, "no memory for a buffer");
  const std::span bytes(static_cast<const std::byte*>(memory.get()), spec.byte_count);
  return borrowed(spec.type, spec.dims, TRY(count_of(spec.dims)), bytes, memory);
}

Dims in_order(const Dims& dims, const std::vector<std::uint8_t>& order) {
  Dims lying;
  for (const std::uint8_t axis : order) lying.push_back(dims[axis]);
  return order.empty() ? dims : lying;
}

}  // namespace

Ints inverse_of(const std::vector<std::uint8_t>& order) {
  Ints inverse(order.size());
  for (std::size_t k = 0; k < order.size(); ++k) inverse[order[k]] = static_cast<std::int64_t>(k);
  return inverse;
}

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

Flow::Flow(const File& file, const Plan& plan, Graph& graph)
    : file_(file),
      plan_(plan),
      root_(std::make_unique<Scope>(Scope{Emitter(graph), nullptr, 0, {}, {}})),
      scope_(root_.get()),
      constants_(plan.values.size(), absent) {
  state_.slots.resize(plan.values.size());
}

Result<const EValue*> Flow::value(std::int64_t index) const {
  if (index < 0 || static_cast<std::size_t>(index) >= plan_.values.size())
    return corrupt(fmt::format("value {} of {}", index, plan_.values.size()));
  return &plan_.values[static_cast<std::size_t>(index)];
}

Result<const TensorSpec*> Flow::spec(std::int64_t index) const {
  const EValue* v = TRY(value(index));
  if (v->kind != EValue::Kind::tensor) return corrupt(fmt::format("value {}: no tensor", index));
  return &v->tensor;
}

Region Flow::region_of(std::size_t index) const {
  const TensorSpec& spec = plan_.values[index].tensor;
  if (state_.slots[index].shared) return *state_.slots[index].shared;
  // What has no bytes has no memory to share either.
  if (!spec.place || spec.byte_count == 0)
    return {own_memory + index, 0, std::max<std::uint64_t>(spec.byte_count, 1)};
  return {spec.place->memory, spec.place->offset, spec.place->offset + spec.byte_count};
}

void Flow::describe(ValueId id, const TensorSpec& spec, const std::string& name) {
  ValueInfo& info = scope_->b.graph.values[static_cast<std::size_t>(id)];
  if (!name.empty()) info.name = name;
  info.type = spec.type;
  if (info.has_shape) return;
  info.has_shape = true;
  for (const std::int64_t extent : spec.dims) {
    const bool is_open = spec.is_dynamic && extent > 1;
    info.shape.push_back(
        {is_open ? -1 : extent, is_open ? fmt::format("1..{}", extent) : std::string()});
  }
}

// ---- values of other scopes

ValueId Flow::capture(Scope& scope, Held held) {
  if (held.depth >= scope.depth) return held.id;
  const ValueId outside = capture(*scope.around, held);
  const auto [found, is_new] = scope.captures.try_emplace(outside, absent);
  if (is_new) {
    found->second = scope.b.new_value();
    scope.b.graph.values.back() = scope.around->b.graph.values[static_cast<std::size_t>(outside)];
    scope.b.graph.captures.push_back(found->second);
    scope.captured.push_back(outside);
  }
  return found->second;
}

Result<ValueId> Flow::local(Held held) {
  if (held.id == absent) return corrupt("a value that is read before it is written");
  return capture(*scope_, held);
}

Result<ValueId> Flow::constant_id(std::size_t index, const TensorSpec& spec) {
  if (constants_[index] == absent) {
    Bytes bytes;
    if (spec.is_external)
      bytes = TRY(file_.named(spec.name));
    else
      bytes = TRY(file_.constant(spec.data, spec.byte_count));
    constants_[index] = root_->b.constant(TRY(file_.tensor(spec, bytes)));
    ValueInfo& info = root_->b.graph.values.back();
    info.name = spec.name;
    info.type = spec.type;
    info.has_shape = true;
    for (const std::int64_t extent : spec.dims) info.shape.push_back({extent, {}});
  }
  return local({constants_[index], 0});
}

Result<std::optional<Tensor>> Flow::constant(std::int64_t index) {
  const TensorSpec* t = TRY(spec(index));
  const auto at = static_cast<std::size_t>(index);
  const bool is_constant = (t->data != 0 && !t->place) || t->is_external;
  if (!is_constant || state_.slots[at].held.id != absent) return std::optional<Tensor>();
  TRY(constant_id(at, *t));
  for (const Constant& each : root_->b.graph.constants)
    if (each.id == constants_[at]) return std::optional<Tensor>(each.value.tensor);
  return std::optional<Tensor>();
}

// A buffer that is read before anybody wrote it: what the call before left in it.
Result<ValueId> Flow::begin_state(std::size_t index, const TensorSpec& spec) {
  Graph& graph = root_->b.graph;
  std::uint64_t all = std::min(spec.byte_count, most_state + 1);
  for (const std::size_t other : states_) all += plan_.values[other].tensor.byte_count;
  if (all > most_state) return Error(ErrorKind::exhausted, fmt::format("buffers of {} bytes", all));
  Tensor first;
  if (spec.data != 0)
    first = TRY(file_.tensor(spec, TRY(file_.initial(spec))));
  else
    first = TRY(zeros(spec));
  const ValueId id = root_->b.new_value();
  const std::string name = spec.name.empty() ? fmt::format("state_{}", states_.size()) : spec.name;
  ValueInfo& info = graph.values.back();
  info.name = name;
  info.type = spec.type;
  info.has_shape = true;
  for (const std::int64_t extent : spec.dims) info.shape.push_back({extent, {}});
  graph.inputs.push_back(id);
  graph.constants.push_back({id, Value(std::move(first))});
  states_.push_back(index);
  first_states_.push_back(id);
  state_names_.push_back(name);
  state_.slots[index].held = {id, 0};
  state_.memory.write(region_of(index), index);
  return local({id, 0});
}

// Value `index` as the bytes that value `owner` wrote.
Result<ValueId> Flow::viewed(std::size_t index, std::size_t owner) {
  const TensorSpec &to = plan_.values[index].tensor, &from = plan_.values[owner].tensor;
  if (to.is_dynamic || from.is_dynamic) {
    if (to.type != from.type || to.dims != from.dims || to.order != from.order)
      return unsupported_part("a view of a tensor of a dynamic shape");
    return local(state_.slots[owner].held);
  }
  Emitter& b = scope_->b;
  ValueId id = TRY(local(state_.slots[owner].held));
  if (!from.order.empty()) id = b.transposed(id, Ints(from.order.begin(), from.order.end()));
  if (to.type != from.type)
    id = b.emit("BitCast", {id}, {{"to", static_cast<std::int64_t>(to.type)}});
  const Dims lying = in_order(to.dims, to.order);
  if (lying != in_order(from.dims, from.order))
    id = b.emit("Reshape", {id, b.integers(lying)}, {{"allowzero", std::int64_t{1}}});
  if (!to.order.empty()) id = b.transposed(id, inverse_of(to.order));
  describe(id, to, "");
  return id;
}

Result<ValueId> Flow::read(std::int64_t index) {
  const TensorSpec* t = TRY(spec(index));
  const auto at = static_cast<std::size_t>(index);
  if (t->type == Element::none)
    return unsupported_part(fmt::format("value {}: of a type that Hearth does not know", index));
  if (((t->data != 0 && !t->place) || t->is_external) && state_.slots[at].held.id == absent)
    return constant_id(at, *t);
  const auto owner = state_.memory.owner(region_of(at));
  if (!owner) return Error(owner.error()).within(fmt::format("value {}", index));
  if (!*owner) {
    if (!t->place && t->byte_count > 0)
      return corrupt(fmt::format("value {}: read before it is written", index));
    return begin_state(at, *t);
  }
  if (**owner == at) return local(state_.slots[at].held);
  auto seen = viewed(at, **owner);
  if (!seen) return std::move(seen).error().within(fmt::format("value {}", index));
  return seen;
}

Status Flow::write(std::int64_t index, ValueId id) {
  const TensorSpec* t = TRY(spec(index));
  const auto at = static_cast<std::size_t>(index);
  describe(id, *t, "");
  state_.slots[at].held = {id, scope_->depth};
  state_.memory.write(region_of(at), at);
  touch(at);
  return Done{};
}

Status Flow::share(std::int64_t index, std::int64_t of, ValueId id) {
  TRY(spec(of));
  TRY(spec(index));
  const auto at = static_cast<std::size_t>(index), root = static_cast<std::size_t>(of);
  state_.slots[at].held = {id, scope_->depth};
  state_.slots[at].shared = region_of(root);
  state_.memory.write(region_of(at), at);
  touch(at);
  return Done{};
}

// ---- numbers

Result<Number> Flow::number_of(std::int64_t index) const {
  const EValue* v = TRY(value(index));
  const Slot& slot = state_.slots[static_cast<std::size_t>(index)];
  if (slot.number) return *slot.number;
  Number number;
  if (v->kind == EValue::Kind::real) {
    number.real = v->real;
  } else if (v->kind == EValue::Kind::integer || v->kind == EValue::Kind::boolean) {
    number.integer = v->integer;
    number.real = static_cast<double>(v->integer);
    if (v->kind == EValue::Kind::boolean) number.type = Element::boolean;
  } else {
    return corrupt(fmt::format("value {}: no number", index));
  }
  return number;
}

Result<ValueId> Flow::number(std::int64_t index, Element type) {
  const Number number = TRY(number_of(index));
  if (number.real) {
    Tensor tensor = TRY(make_tensor(type, {}));
    if (number.integer && !is_float(type))
      store(type, tensor.bytes, Work::i64, &*number.integer, 1);
    else
      store(type, tensor.bytes, Work::f64, &*number.real, 1);
    return scope_->b.constant(std::move(tensor));
  }
  const ValueId id = TRY(local(state_.slots[static_cast<std::size_t>(index)].held));
  return number.type == type ? id : scope_->b.cast(id, type);
}

Status Flow::set_number(std::int64_t index, ValueId id, Element type) {
  TRY(value(index));
  Slot& slot = state_.slots[static_cast<std::size_t>(index)];
  slot.held = {id, scope_->depth};
  slot.number = Number{{}, {}, type};
  touch(static_cast<std::size_t>(index));
  return Done{};
}

Status Flow::set_number(std::int64_t index, const Number& number) {
  TRY(value(index));
  Slot& slot = state_.slots[static_cast<std::size_t>(index)];
  slot.held = {};
  slot.number = number;
  touch(static_cast<std::size_t>(index));
  return Done{};
}

// ---- instructions

Status Flow::add_inputs() {
  std::size_t made = 0;
  for (const std::int32_t index : plan_.inputs) {
    const EValue* v = TRY(value(index));
    const std::size_t place = made++;
    if (v->kind != EValue::Kind::tensor) continue;  // a number that the export has fixed
    const ValueId id = scope_->b.new_value();
    TRY(write(index, id));
    scope_->b.graph.values[static_cast<std::size_t>(id)].name = fmt::format("input_{}", place);
    scope_->b.graph.inputs.push_back(id);
  }
  return Done{};
}

Status Flow::add_outputs() {
  Graph& graph = scope_->b.graph;
  const auto give = [&](ValueId id, const std::string& name) {
    const ValueId out = scope_->b.emit("Identity", {id});
    graph.values[static_cast<std::size_t>(out)] = graph.values[static_cast<std::size_t>(id)];
    graph.values[static_cast<std::size_t>(out)].name = name;
    graph.outputs.push_back(out);
  };
  for (std::size_t i = 0; i < plan_.outputs.size(); ++i) {
    const std::int32_t index = plan_.outputs[i];
    const EValue* v = TRY(value(index));
    const std::string name = fmt::format("output_{}", i);
    if (v->kind == EValue::Kind::tensor) {
      give(TRY(read(index)), name);
    } else if (v->kind == EValue::Kind::integer || v->kind == EValue::Kind::boolean ||
               v->kind == EValue::Kind::real) {
      const Number number = TRY(number_of(index));
      const Element type = number.type != Element::none ? number.type
                           : number.integer             ? Element::i64
                                                        : Element::f32;
      give(TRY(this->number(index, type)), name);
    }
  }
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const ValueId now = TRY(read(static_cast<std::int64_t>(states_[i])));
    if (now != first_states_[i]) give(now, state_names_[i]);
  }
  if (graph.outputs.empty()) return corrupt("a method without outputs");
  return Done{};
}

Status Flow::run() {
  TRY(add_inputs());
  TRY(follow(0, plan_.instructions.size()));
  return add_outputs();
}

Status Flow::follow(std::size_t begin, std::size_t end) {
  for (std::size_t at = begin; at < end;) {
    if (++steps_ > most_steps)
      return Error(ErrorKind::exhausted, fmt::format("more than {} instructions", most_steps));
    const Instruction& each = plan_.instructions[at];
    auto done = each.kind == Instruction::Kind::jump_false ? branch(at, end) : step(each);
    if (!done) return std::move(done).error().within(fmt::format("instruction {}", at));
    if (each.kind != Instruction::Kind::jump_false) ++at;
  }
  return Done{};
}

Status Flow::step(const Instruction& at) {
  switch (at.kind) {
    case Instruction::Kind::kernel:
      return call_kernel(at);
    case Instruction::Kind::delegate:
      return call_delegate(at);
    case Instruction::Kind::move:
      return move(at.index, at.to);
    default:
      return Done{};  // memory is given back by itself
  }
}

Status Flow::move(std::int32_t from, std::int32_t to) {
  const EValue *source = TRY(value(from)), *target = TRY(value(to));
  if (source->kind == EValue::Kind::tensor) {
    if (target->kind != EValue::Kind::tensor || source->tensor.type != target->tensor.type)
      return corrupt(fmt::format("value {} moved to {}: of another kind", from, to));
    return write(to, scope_->b.emit("Identity", {TRY(read(from))}));
  }
  const Number number = TRY(number_of(from));
  if (number.real) return set_number(to, number);
  return set_number(to, TRY(this->number(from, number.type)), number.type);
}

Status Flow::call_kernel(const Instruction& at) {
  if (at.index < 0 || static_cast<std::size_t>(at.index) >= plan_.operators.size())
    return corrupt(fmt::format("operator {} of {}", at.index, plan_.operators.size()));
  const std::string& name = plan_.operators[static_cast<std::size_t>(at.index)];
  const Kernel* kernel = find_kernel(name);
  if (kernel == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("operators that Hearth does not know: {}", name));
  Op op{*this, name, at.args};
  auto done = kernel->add(op);
  if (!done) return std::move(done).error().within(name);
  return Done{};
}

namespace {

// Which delegates there are, and what runs what they hold.
struct Known {
  std::string_view id, needs;
};
constexpr Known delegates[] = {
    {"CoreMLBackend", "Core ML on a system of Apple's, or the .mlpackage it was made of"},
    {"MPSBackend", "Metal Performance Shaders on a system of Apple's"},
    {"MetalBackend", "Metal on a system of Apple's"},
    {"MLXBackend", "MLX on a system of Apple's"},
    {"VulkanBackend", "the Vulkan delegate of ExecuTorch"},
    {"QnnBackend", "Qualcomm's QNN libraries and a Hexagon processor"},
    {"EthosUBackend", "an Arm Ethos-U processor"},
    {"ArmBackend", "an Arm Ethos-U processor"},
    {"VgfBackend", "Arm's ML extensions for Vulkan"},
    {"NeuropilotBackend", "a MediaTek APU"},
    {"NeutronBackend", "an NXP Neutron processor"},
    {"EnnBackend", "a Samsung Exynos NPU"},
    {"OpenvinoBackend", "Intel's OpenVINO"},
    {"CudaBackend", "an NVIDIA GPU and AOTInductor's code"},
    {"AotiBackend", "AOTInductor's code for the machine it was made on"},
    {"TensorRTBackend", "an NVIDIA GPU and TensorRT"},
    {"CadenceBackend", "a Cadence processor"},
    {"WebGPUBackend", "the WebGPU delegate of ExecuTorch"},
};

}  // namespace

Status Flow::call_delegate(const Instruction& at) {
  if (at.index < 0 || static_cast<std::size_t>(at.index) >= plan_.delegates.size())
    return corrupt(fmt::format("delegate {} of {}", at.index, plan_.delegates.size()));
  const Delegate& delegate = plan_.delegates[static_cast<std::size_t>(at.index)];
  if (delegate.id == "XnnpackBackend") {
    auto done = add_xnnpack(*this, delegate.payload, at.args);
    if (!done) return std::move(done).error().within(fmt::format("XNNPACK payload {}", at.index));
    return Done{};
  }
  const auto known = std::ranges::find(delegates, delegate.id, &Known::id);
  return Error(
      ErrorKind::unsupported,
      fmt::format("delegate {}: its payload runs only with {}; export the model without "
                  "it, or with XNNPACK",
                  delegate.id, known == std::end(delegates) ? "its own runtime" : known->needs));
}

}  // namespace hearth::graphs::executorch
