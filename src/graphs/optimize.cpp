#include "graphs/optimize.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>

#include "graphs/call.h"
#include "graphs/fuse.h"

namespace hearth::graphs {
namespace {

constexpr std::size_t most_folded_bytes = 64u << 20;  // of one value
constexpr std::size_t most_growth = 256u << 20;       // of all folded values together

class Optimiser {
 public:
  explicit Optimiser(Graph& graph) : graph_(graph), constants_(graph.values.size()) {
    for (const Constant& constant : graph.constants) constants_[at(constant.id)] = constant.value;
    // A default may be replaced by what a person gives.
    for (const ValueId id : graph.inputs) constants_[at(id)] = Value();
    machine_.buffers = std::make_shared<BufferPool>();
    machine_.buffers->limit(2 * most_growth);
    machine_.strings = std::make_shared<StringPool>();
  }

  void run() {
    fold_all(true);
    move_transposes(graph_, constants_);
    fuse_quantised(graph_, constants_);
    constants_.resize(graph_.values.size());
    fold_all(false);
    take_in_normalisations();
    recognise_gelus();
    fuse(graph_, constants_);
  }

 private:
  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }
  const Tensor* constant(ValueId id) const {
    if (id == absent || constants_[at(id)].kind != Value::Kind::tensor) return nullptr;
    return &constants_[at(id)].tensor;
  }
  void add(ValueId id, Value value) {
    constants_[at(id)] = value;
    graph_.constants.push_back({id, std::move(value)});
  }

  // What hangs on constants alone; 8-bit weights may stay as they are.
  void fold_all(bool keeps_bytes) {
    std::vector<Node> kept;
    for (Node& node : graph_.nodes) {
      const Tensor* first = node.inputs.empty() ? nullptr : constant(node.inputs[0]);
      const bool is_bytes = first != nullptr && first->rank() > 1 &&
                            (first->type == Element::i8 || first->type == Element::u8);
      const bool stays = keeps_bytes && is_bytes && node.op->name.ends_with("DequantizeLinear");
      if (stays || !fold(node)) kept.push_back(std::move(node));
    }
    graph_.nodes = std::move(kept);
  }

  bool fold(const Node& node) {
    if (std::chrono::steady_clock::now() > end_) return false;
    if (!node.bodies.empty() || node.op->is_random || node.inputs.empty()) return false;
    std::vector<const Value*> inputs;
    for (const ValueId id : node.inputs) {
      if (id != absent && constants_[at(id)].kind == Value::Kind::nothing) return false;
      inputs.push_back(id == absent ? nullptr : &constants_[at(id)]);
    }
    const auto given = static_cast<int>(inputs.size());
    if (given < node.op->least_inputs || given > node.op->most_inputs) return false;
    std::vector<Value> outputs(std::max<std::size_t>(node.outputs.size(), 4));
    Call call{node, inputs, outputs, {}, machine_};
    try {
      if (!node.op->kernel(call)) return false;
    } catch (const std::exception&) {  // memory; the run will say so
      return false;
    }
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] != absent && outputs[i].kind == Value::Kind::nothing) return false;
      bytes += outputs[i].tensor.byte_count();
    }
    if (bytes > most_folded_bytes || grown_ + bytes > most_growth) return false;
    grown_ += bytes;
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != absent) add(node.outputs[i], std::move(outputs[i]));
    return true;
  }

  // `dims` by value: what it is of may move when a constant is added.
  ValueId constant_of(Dims dims, const std::vector<float>& numbers) {
    auto made = make_tensor(Element::f32, std::move(dims));
    if (!made) return absent;
    std::ranges::copy(numbers, made->data<float>());
    graph_.values.emplace_back();
    constants_.emplace_back();
    const auto id = static_cast<ValueId>(graph_.values.size() - 1);
    add(id, std::move(*made));
    return id;
  }

  // y = (w * x + b - mean) * rate * scale + shift, as one convolution.
  bool take_in(Node& conv, const Node& norm) {
    const Tensor* w = constant(conv.inputs[1]);
    const Tensor* b = conv.inputs.size() > 2 ? constant(conv.inputs[2]) : nullptr;
    const Tensor* p[4];
    for (std::size_t i = 0; i < 4; ++i) p[i] = constant(norm.inputs[i + 1]);
    const std::int64_t n = w == nullptr || w->rank() == 0 ? 0 : w->dims[0];
    if (n == 0 || w->type != Element::f32 ||
        (conv.inputs.size() > 2 && conv.inputs[2] != absent && b == nullptr))
      return false;
    for (const Tensor* each : p)
      if (each == nullptr || each->type != Element::f32 || each->count != n) return false;
    if (b != nullptr && (b->type != Element::f32 || b->count != n)) return false;
    const auto eps = norm.attributes.find("epsilon");
    const double* given =
        eps == norm.attributes.end() ? nullptr : std::get_if<double>(&eps->second);
    std::vector<float> weights(w->data<float>(), w->data<float>() + w->count), bias;
    const std::int64_t each = w->count / n;
    for (std::int64_t f = 0; f < n; ++f) {
      const double factor = p[0]->data<float>()[f] /
                            std::sqrt(p[3]->data<float>()[f] + (given == nullptr ? 1e-5 : *given));
      for (std::int64_t i = f * each; i < (f + 1) * each; ++i)
        weights[static_cast<std::size_t>(i)] *= static_cast<float>(factor);
      const double old = b == nullptr ? 0 : b->data<float>()[f];
      bias.push_back(
          static_cast<float>((old - p[2]->data<float>()[f]) * factor + p[1]->data<float>()[f]));
    }
    const Dims by_filter = p[1]->dims;
    const ValueId new_w = constant_of(w->dims, weights), new_b = constant_of(by_filter, bias);
    if (new_w == absent || new_b == absent) return false;
    conv.inputs.resize(3, absent);
    conv.inputs[1] = new_w;
    conv.inputs[2] = new_b;
    conv.outputs = {norm.outputs[0]};
    return true;
  }

  void take_in_normalisations() {
    const auto counts = uses_of(graph_);
    std::vector<std::ptrdiff_t> made_by(graph_.values.size(), -1);
    std::vector<bool> gone(graph_.nodes.size(), false);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      Node& node = graph_.nodes[i];
      const ValueId x = node.inputs.empty() ? absent : node.inputs[0];
      const std::ptrdiff_t from = x == absent || at(x) >= made_by.size() ? -1 : made_by[at(x)];
      const bool plain = node.op->name == "BatchNormalization" && node.inputs.size() == 5 &&
                         node.outputs.size() == 1 && !node.attributes.contains("training_mode");
      if (plain && from >= 0 && counts[at(x)] == 1) {
        Node& conv = graph_.nodes[static_cast<std::size_t>(from)];
        gone[i] = conv.op->name == "Conv" && conv.inputs.size() >= 2 && take_in(conv, node);
        if (gone[i]) continue;
      }
      for (const ValueId id : node.outputs)
        if (id != absent && at(id) < made_by.size())
          made_by[at(id)] = static_cast<std::ptrdiff_t>(i);
    }
    std::vector<Node> kept;
    for (std::size_t i = 0; i < gone.size(); ++i)
      if (!gone[i]) kept.push_back(std::move(graph_.nodes[i]));
    graph_.nodes = std::move(kept);
  }

  bool is_number(ValueId id, double number) const {
    const Tensor* t = constant(id);
    if (t == nullptr || t->count != 1 || t->type != Element::f32) return false;
    return std::fabs(t->data<float>()[0] - number) < 1e-6 * std::fabs(number);
  }

  // The other operand of a node of two, when `id` is one of them; else absent.
  static ValueId beside(const Node& node, ValueId id) {
    if (node.inputs.size() != 2) return absent;
    return node.inputs[0] == id ? node.inputs[1] : node.inputs[1] == id ? node.inputs[0] : absent;
  }

  // x * 0.5 * (1 + erf(x / sqrt 2)), with its products in any order.
  void recognise_gelus() {
    const auto counts = uses_of(graph_);
    std::vector<Node*> maker(graph_.values.size(), nullptr), reader(graph_.values.size(), nullptr);
    for (Node& node : graph_.nodes) {
      for (const ValueId id : node.outputs)
        if (id != absent) maker[at(id)] = &node;
      for (const ValueId id : node.inputs)
        if (id != absent) reader[at(id)] = &node;
    }
    // The only reader of a node's result, when it is a `name`.
    const auto next = [&](const Node& node, std::string_view name) -> Node* {
      const ValueId id = node.outputs.size() == 1 ? node.outputs[0] : absent;
      Node* found = id == absent || counts[at(id)] != 1 ? nullptr : reader[at(id)];
      return found != nullptr && found->op->name == name ? found : nullptr;
    };
    for (Node& erf : graph_.nodes) {
      if (erf.op->name != "Erf" || erf.inputs.size() != 1 || erf.inputs[0] == absent) continue;
      const Node* inside = maker[at(erf.inputs[0])];
      if (inside == nullptr || inside->inputs.size() != 2) continue;
      const bool divides =
          inside->op->name == "Div" && is_number(inside->inputs[1], std::sqrt(2.0));
      const bool multiplies =
          inside->op->name == "Mul" && is_number(inside->inputs[1], std::sqrt(0.5));
      const ValueId x = inside->inputs[0];
      Node* sum = next(erf, "Add");
      if ((!divides && !multiplies) || sum == nullptr ||
          !is_number(beside(*sum, erf.outputs[0]), 1))
        continue;
      Node* first = next(*sum, "Mul");
      if (first == nullptr) continue;
      const ValueId other = beside(*first, sum->outputs[0]);
      const Node* halved = other == absent ? nullptr : maker[at(other)];
      Node* last = nullptr;
      if (other == x || is_number(other, 0.5)) {
        last = next(*first, "Mul");
        const ValueId rest = last == nullptr ? absent : beside(*last, first->outputs[0]);
        if (rest == absent || (other == x ? !is_number(rest, 0.5) : rest != x)) last = nullptr;
      } else if (halved != nullptr && halved->op->name == "Mul" &&
                 is_number(beside(*halved, x), 0.5)) {
        last = first;
      }
      if (last == nullptr) continue;
      last->op = find_operator("Gelu");
      last->inputs = {x};
      last->attributes.clear();
    }
    drop_unread(graph_);
  }

  Graph& graph_;
  std::vector<Value> constants_;
  Machine machine_;
  std::size_t grown_ = 0;
  // What takes longer is computed in each run, which somebody may stop.
  const std::chrono::steady_clock::time_point end_ =
      std::chrono::steady_clock::now() + std::chrono::seconds(10);
};

// Has the operands that its operator cannot do without, and a result.  Those of other domains leave
// out what they have packed together.
bool is_whole(const Node& node) {
  const auto given = static_cast<int>(node.inputs.size());
  if (given < node.op->least_inputs || given > node.op->most_inputs) return false;
  if (node.outputs.empty() || node.outputs[0] == absent) return false;
  const bool is_standard = node.op->name.find('.') == std::string_view::npos;
  const int needed = std::min(node.op->least_inputs, is_standard ? given : 1);
  return !node.bodies.empty() ||
         std::ranges::find(node.inputs.begin(), node.inputs.begin() + needed, absent) ==
             node.inputs.begin() + needed;
}

}  // namespace

std::shared_ptr<const Graph> optimised(const Graph& graph) {
  // What is wrong with others a run says.
  if (!std::ranges::all_of(graph.nodes, is_whole)) return std::make_shared<const Graph>(graph);
  auto copy = std::make_shared<Graph>(graph);
  Optimiser(*copy).run();
  if (!finish(*copy)) return std::make_shared<const Graph>(graph);
  return copy;
}

}  // namespace hearth::graphs
