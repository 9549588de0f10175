#include "graphs/infer.h"

#include <algorithm>

#include "graphs/operators.h"

namespace hearth::graphs {

const ValueInfo* Inference::shaped(std::size_t i) const {
  return i < inputs.size() && inputs[i] != nullptr && inputs[i]->has_shape ? inputs[i] : nullptr;
}

std::optional<std::vector<std::int64_t>> Inference::integers(std::size_t i) const {
  if (i >= constants.size() || constants[i] == nullptr || !is_integer(constants[i]->type))
    return {};
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(constants[i]->count));
  load(Work::i64, numbers.data(), constants[i]->type, constants[i]->bytes, numbers.size());
  return numbers;
}

std::int64_t Inference::integer(std::string_view name, std::int64_t fallback) const {
  return integer_of(node.attributes, name, fallback);
}

std::optional<std::vector<std::int64_t>> Inference::list(std::string_view name) const {
  const auto* value = find_attribute<std::vector<std::int64_t>>(node.attributes, name);
  if (value == nullptr) return {};
  return *value;
}

namespace {

using Shape = std::vector<Extent>;

Element type_of(const Inference& at, std::size_t i) {
  return i < at.inputs.size() && at.inputs[i] != nullptr ? at.inputs[i]->type : Element::none;
}

void say(Inference& at, std::size_t i, Element type, std::optional<Shape> shape) {
  if (i >= at.outputs.size()) return;
  at.outputs[i].type = type;
  at.outputs[i].has_shape = shape.has_value();
  if (shape) at.outputs[i].shape = std::move(*shape);
}

// A negative axis made positive; nothing when it lies outside.
std::optional<std::size_t> axis_in(std::int64_t axis, std::size_t rank) {
  const auto n = static_cast<std::int64_t>(rank);
  if (axis < -n || axis >= n) return {};
  return static_cast<std::size_t>(axis < 0 ? axis + n : axis);
}

Extent joined(const Extent& a, const Extent& b) {
  if (a.value == 1) return b;
  if (b.value == 1) return a;
  if (a.value >= 0) return a;
  if (b.value >= 0) return b;
  return a.name == b.name ? a : Extent{};
}

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const Extent one{1, {}};
    const Extent& x = i < a.size() ? a[a.size() - 1 - i] : one;
    const Extent& y = i < b.size() ? b[b.size() - 1 - i] : one;
    result[result.size() - 1 - i] = joined(x, y);
  }
  return result;
}

std::optional<Shape> broadcast_inputs(const Inference& at) {
  Shape shape;
  for (std::size_t i = 0; i < at.inputs.size(); ++i) {
    const ValueInfo* next = at.shaped(i);
    if (next == nullptr) return {};
    shape = broadcast_shapes(shape, next->shape);
  }
  return shape;
}

std::optional<Shape> shape_of(const Inference& at, std::size_t i) {
  const ValueInfo* info = at.shaped(i);
  if (info == nullptr) return {};
  return info->shape;
}

// Axes named by input `i` or the attribute; nothing: not known.
std::optional<std::vector<std::int64_t>> axes_named(const Inference& at, std::size_t i) {
  if (i < at.inputs.size() && at.inputs[i] != nullptr) return at.integers(i);
  const auto listed = at.list("axes");
  return listed ? *listed : std::vector<std::int64_t>();
}

}  // namespace

void infer_same(Inference& at) { say(at, 0, type_of(at, 0), shape_of(at, 0)); }
void infer_boolean(Inference& at) { say(at, 0, Element::boolean, shape_of(at, 0)); }
void infer_broadcast(Inference& at) { say(at, 0, type_of(at, 0), broadcast_inputs(at)); }
void infer_compare(Inference& at) { say(at, 0, Element::boolean, broadcast_inputs(at)); }
void infer_where(Inference& at) { say(at, 0, type_of(at, 1), broadcast_inputs(at)); }
void infer_cast(Inference& at) {
  say(at, 0, static_cast<Element>(at.integer("to", 0)), shape_of(at, 0));
}
void infer_dequantize(Inference& at) { say(at, 0, type_of(at, 1), shape_of(at, 0)); }

void infer_reshape(Inference& at) {
  const auto wanted = at.inputs.size() > 1 ? at.integers(1) : at.list("shape");
  if (!wanted) return say(at, 0, type_of(at, 0), {});
  const ValueInfo* x = at.shaped(0);
  Shape shape;
  std::int64_t known = 1, all = 1;
  bool is_known = x != nullptr;
  if (x != nullptr)
    for (const Extent& extent : x->shape) {
      is_known = is_known && extent.value >= 0 && all < (std::int64_t{1} << 40);
      all *= std::max<std::int64_t>(extent.value, 1);
    }
  std::optional<std::size_t> unknown;
  for (std::size_t i = 0; i < wanted->size(); ++i) {
    const std::int64_t extent = (*wanted)[i];
    if (extent == 0 && x != nullptr && i < x->shape.size() && at.integer("allowzero", 0) == 0)
      shape.push_back(x->shape[i]);
    else
      shape.push_back({extent > 0 ? extent : -1, {}});
    if (extent == -1) unknown = i;
    is_known =
        is_known && (extent == -1 || shape.back().value > 0) && known < (std::int64_t{1} << 40);
    known *= std::max<std::int64_t>(shape.back().value, 1);
  }
  if (unknown && is_known && all % known == 0) shape[*unknown].value = all / known;
  say(at, 0, type_of(at, 0), std::move(shape));
}

void infer_flatten(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  if (x == nullptr) return say(at, 0, type_of(at, 0), Shape(2));
  const auto rank = static_cast<std::int64_t>(x->shape.size());
  std::int64_t axis = at.integer("axis", 1);
  if (axis < 0) axis += rank;
  Shape shape{{1, {}}, {1, {}}};
  for (std::int64_t i = 0; i < rank; ++i) {
    Extent& to = shape[i < axis ? 0 : 1];
    const Extent& from = x->shape[static_cast<std::size_t>(i)];
    if (to.value == 1 && to.name.empty())
      to = from;
    else if (from.value != 1)
      to = {to.value < 0 || from.value < 0 || to.value > (1 << 30) ? -1 : to.value * from.value,
            {}};
  }
  say(at, 0, x->type, std::move(shape));
}

void infer_squeeze(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const auto axes = axes_named(at, 1);
  if (x == nullptr || !axes || axes->empty()) return say(at, 0, type_of(at, 0), {});
  std::vector<bool> gone(x->shape.size(), false);
  for (const std::int64_t axis : *axes)
    if (const auto place = axis_in(axis, x->shape.size())) gone[*place] = true;
  Shape shape;
  for (std::size_t i = 0; i < x->shape.size(); ++i)
    if (!gone[i]) shape.push_back(x->shape[i]);
  say(at, 0, x->type, std::move(shape));
}

void infer_unsqueeze(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const auto axes = axes_named(at, 1);
  if (x == nullptr || !axes || x->shape.size() + axes->size() > max_rank)
    return say(at, 0, type_of(at, 0), {});
  std::vector<bool> made(x->shape.size() + axes->size(), false);
  for (const std::int64_t axis : *axes)
    if (const auto place = axis_in(axis, made.size())) made[*place] = true;
  if (static_cast<std::size_t>(std::ranges::count(made, true)) != axes->size())
    return say(at, 0, x->type, {});
  Shape shape;
  std::size_t next = 0;
  for (const bool one : made) shape.push_back(one ? Extent{1, {}} : x->shape[next++]);
  say(at, 0, x->type, std::move(shape));
}

void infer_shape(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const bool whole = !at.node.attributes.contains("start") && !at.node.attributes.contains("end");
  const auto rank = x != nullptr && whole ? static_cast<std::int64_t>(x->shape.size()) : -1;
  say(at, 0, Element::i64, Shape{{rank, {}}});
}

void infer_transpose(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const auto order = at.list("perm");
  if (x == nullptr || at.inputs.size() > 1) return say(at, 0, type_of(at, 0), {});
  Shape shape(x->shape.rbegin(), x->shape.rend());
  if (order) {
    if (order->size() != x->shape.size()) return say(at, 0, x->type, {});
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const auto place = axis_in((*order)[i], shape.size());
      shape[i] = place ? x->shape[*place] : Extent{};
    }
  }
  say(at, 0, x->type, std::move(shape));
}

void infer_expand(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const auto wanted = at.integers(1);
  if (x == nullptr || !wanted) return say(at, 0, type_of(at, 0), {});
  Shape shape;
  for (const std::int64_t extent : *wanted)
    shape.push_back({std::max<std::int64_t>(extent, -1), {}});
  say(at, 0, x->type, broadcast_shapes(x->shape, shape));
}

void infer_concat(Inference& at) {
  const ValueInfo* first = at.shaped(0);
  if (first == nullptr) return say(at, 0, type_of(at, 0), {});
  Shape shape = first->shape;
  const auto axis = axis_in(at.integer("axis", 1), shape.size());
  if (!axis) return say(at, 0, first->type, {});
  for (std::size_t i = 1; i < at.inputs.size(); ++i) {
    const ValueInfo* next = at.shaped(i);
    if (next == nullptr || next->shape.size() != shape.size()) return say(at, 0, first->type, {});
    Extent& sum = shape[*axis];
    const std::int64_t more = next->shape[*axis].value;
    sum = {sum.value < 0 || more < 0 || more > INT32_MAX ? -1 : sum.value + more, {}};
  }
  say(at, 0, first->type, std::move(shape));
}

void infer_split(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const auto axis = x == nullptr ? std::nullopt : axis_in(at.integer("axis", 0), x->shape.size());
  const auto sizes = at.inputs.size() > 1 ? at.integers(1) : at.list("split");
  for (std::size_t i = 0; i < at.outputs.size(); ++i) {
    if (!axis) {
      say(at, i, type_of(at, 0), {});
      continue;
    }
    Shape shape = x->shape;
    const std::int64_t extent = shape[*axis].value,
                       n = static_cast<std::int64_t>(at.outputs.size());
    shape[*axis] = {sizes && i < sizes->size()                 ? (*sizes)[i]
                    : !sizes && extent >= 0 && extent % n == 0 ? extent / n
                                                               : -1,
                    {}};
    say(at, i, x->type, std::move(shape));
  }
}

void infer_slice(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  if (x == nullptr) return say(at, 0, type_of(at, 0), {});
  Shape shape = x->shape;
  const auto axes = at.inputs.size() > 3 ? at.integers(3) : at.list("axes");
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto is_axis = [&](std::int64_t axis) { return axis_in(axis, shape.size()) == i; };
    if (!axes || std::ranges::any_of(*axes, is_axis)) shape[i] = {};
  }
  say(at, 0, x->type, std::move(shape));
}

void infer_gather(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const ValueInfo* index = at.shaped(1);
  const auto axis = x == nullptr ? std::nullopt : axis_in(at.integer("axis", 0), x->shape.size());
  if (!axis || index == nullptr) return say(at, 0, type_of(at, 0), {});
  Shape shape(x->shape.begin(), x->shape.begin() + static_cast<std::ptrdiff_t>(*axis));
  shape.insert(shape.end(), index->shape.begin(), index->shape.end());
  shape.insert(shape.end(), x->shape.begin() + static_cast<std::ptrdiff_t>(*axis) + 1,
               x->shape.end());
  say(at, 0, x->type, std::move(shape));
}

void infer_reduce(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const auto axes = axes_named(at, 1);
  if (x == nullptr || !axes) return say(at, 0, type_of(at, 0), {});
  if (axes->empty() && at.integer("noop_with_empty_axes", 0) != 0) return infer_same(at);
  Shape shape;
  for (std::size_t i = 0; i < x->shape.size(); ++i) {
    const auto is_axis = [&](std::int64_t axis) { return axis_in(axis, x->shape.size()) == i; };
    if (!axes->empty() && std::ranges::none_of(*axes, is_axis))
      shape.push_back(x->shape[i]);
    else if (at.integer("keepdims", 1) != 0)
      shape.push_back({1, {}});
  }
  say(at, 0, x->type, std::move(shape));
}

void infer_matmul(Inference& at) {
  const ValueInfo* a = at.shaped(0);
  const ValueInfo* b = at.shaped(1);
  if (a == nullptr || b == nullptr || a->shape.size() < 2 || b->shape.size() < 2)
    return say(at, 0, type_of(at, 0), {});
  Shape shape = broadcast_shapes(Shape(a->shape.begin(), a->shape.end() - 2),
                                 Shape(b->shape.begin(), b->shape.end() - 2));
  shape.push_back(a->shape[a->shape.size() - 2]);
  shape.push_back(b->shape.back());
  say(at, 0, a->type, std::move(shape));
}

void infer_gemm(Inference& at) {
  const ValueInfo* a = at.shaped(0);
  const ValueInfo* b = at.shaped(1);
  if (a == nullptr || b == nullptr || a->shape.size() != 2 || b->shape.size() != 2)
    return say(at, 0, type_of(at, 0), Shape(2));
  say(at, 0, a->type,
      Shape{a->shape[at.integer("transA", 0) != 0 ? 1 : 0],
            b->shape[at.integer("transB", 0) != 0 ? 0 : 1]});
}

namespace {

std::int64_t nth(const std::optional<std::vector<std::int64_t>>& list, std::size_t i,
                 std::int64_t fallback) {
  return list && i < list->size() ? (*list)[i] : fallback;
}

// Spatial axes of windows over x, appended to shape.
void append_windows(const Inference& at, Shape& shape, const Shape& x,
                    const std::vector<std::int64_t>& kernel) {
  const auto strides = at.list("strides"), dilations = at.list("dilations"), pads = at.list("pads");
  const auto mode = at.node.attributes.find("auto_pad");
  const auto* name =
      mode == at.node.attributes.end() ? nullptr : std::get_if<std::string>(&mode->second);
  const bool same = name != nullptr && name->starts_with("SAME");
  for (std::size_t i = 2; i < x.size(); ++i) {
    const std::size_t k = i - 2, n = x.size() - 2;
    const std::int64_t stride = nth(strides, k, 1), in = x[i].value;
    const std::int64_t reach = (k < kernel.size() ? kernel[k] - 1 : 0) * nth(dilations, k, 1) + 1;
    if (in < 0 || stride < 1 || k >= kernel.size() || at.integer("ceil_mode", 0) != 0) {
      shape.push_back({});
      continue;
    }
    const std::int64_t room = in + nth(pads, k, 0) + nth(pads, n + k, 0) - reach;
    shape.push_back({same ? (in + stride - 1) / stride : room < 0 ? -1 : room / stride + 1, {}});
  }
}

}  // namespace

void infer_conv(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const ValueInfo* w = at.shaped(1);
  if (x == nullptr || w == nullptr || x->shape.size() < 3 || w->shape.size() != x->shape.size())
    return say(at, 0, type_of(at, 0), {});
  Shape shape{x->shape[0], w->shape[0]};
  std::vector<std::int64_t> kernel;
  for (std::size_t i = 2; i < w->shape.size(); ++i) kernel.push_back(w->shape[i].value);
  append_windows(at, shape, x->shape, kernel);
  say(at, 0, x->type, std::move(shape));
}

void infer_conv_integer(Inference& at) {
  infer_conv(at);
  if (!at.outputs.empty()) at.outputs[0].type = Element::i32;
}

void infer_pool(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  const auto kernel = at.list("kernel_shape");
  if (x == nullptr || x->shape.size() < 3 || !kernel) return say(at, 0, type_of(at, 0), {});
  Shape shape{x->shape[0], x->shape[1]};
  append_windows(at, shape, x->shape, *kernel);
  if (at.outputs.size() > 1) say(at, 1, Element::i64, shape);
  say(at, 0, x->type, std::move(shape));
}

void infer_global_pool(Inference& at) {
  const ValueInfo* x = at.shaped(0);
  if (x == nullptr || x->shape.size() < 2) return say(at, 0, type_of(at, 0), {});
  Shape shape(x->shape.size(), Extent{1, {}});
  shape[0] = x->shape[0];
  shape[1] = x->shape[1];
  say(at, 0, x->type, std::move(shape));
}

void infer_shapes(Graph& graph) {
  std::vector<const Tensor*> known(graph.values.size(), nullptr);
  for (const Constant& constant : graph.constants)
    if (constant.value.kind == Value::Kind::tensor)
      known[static_cast<std::size_t>(constant.id)] = &constant.value.tensor;
  for (std::size_t id = 0; id < known.size(); ++id)
    if (known[id] != nullptr) {
      graph.values[id].type = known[id]->type;
      graph.values[id].has_shape = true;
      graph.values[id].shape.clear();
      for (const std::int64_t extent : known[id]->dims)
        graph.values[id].shape.push_back({extent, {}});
    }
  for (const Node& node : graph.nodes) {
    if (node.op->infer == nullptr) continue;
    std::vector<const ValueInfo*> inputs;
    std::vector<const Tensor*> constants;
    for (const ValueId id : node.inputs) {
      inputs.push_back(id == absent ? nullptr : &graph.values[static_cast<std::size_t>(id)]);
      constants.push_back(id == absent ? nullptr : known[static_cast<std::size_t>(id)]);
    }
    std::vector<ValueInfo> outputs(node.outputs.size());
    Inference at{node, inputs, constants, outputs};
    node.op->infer(at);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (node.outputs[i] == absent) continue;
      ValueInfo& to = graph.values[static_cast<std::size_t>(node.outputs[i])];
      if (to.type == Element::none) to.type = outputs[i].type;
      if (!to.has_shape && outputs[i].has_shape) {
        to.has_shape = true;
        to.shape = std::move(outputs[i].shape);
      }
    }
  }
}

}  // namespace hearth::graphs
