// Transpositions move behind operators that treat all elements alike, until they meet their
// inverse: what is left of a graph that was written for another order of axes.
#include <algorithm>
#include <map>
#include <optional>

#include "graphs/fuse.h"
#include "graphs/operators.h"

namespace hearth::graphs {
namespace {

using Order = std::vector<std::int64_t>;

constexpr std::string_view passable[] = {"QuantizeLinear",
                                         "DequantizeLinear",
                                         "Relu",
                                         "Clip",
                                         "hearth.Relu6",
                                         "Sigmoid",
                                         "Tanh",
                                         "HardSwish",
                                         "Gelu",
                                         "Swish",
                                         "LeakyRelu",
                                         "HardSigmoid",
                                         "Add",
                                         "Sub",
                                         "Mul",
                                         "Div",
                                         "Max",
                                         "Min"};

struct Turned {
  ValueId from;
  Order order;
};

class Mover {
 public:
  Mover(Graph& graph, std::span<const Value> constants) : graph_(graph), constants_(constants) {}

  void run() {
    for (Node& node : graph_.nodes) {
      for (auto* list : {&node.inputs, &node.captured})
        for (ValueId& id : *list)
          if (const auto found = alias_.find(id); found != alias_.end()) id = found->second;
      if (node.op->name == "Transpose")
        turn(std::move(node));
      else
        pass(std::move(node));
    }
    graph_.nodes = std::move(done_);
    drop_unread(graph_);
  }

 private:
  bool is_scalar(ValueId id) const {
    const auto i = static_cast<std::size_t>(id);
    return i < constants_.size() && constants_[i].kind == Value::Kind::tensor &&
           constants_[i].tensor.count == 1 && constants_[i].tensor.rank() <= 1;
  }

  static std::optional<Order> order_of(const Node& node) {
    const auto found = node.attributes.find("perm");
    const auto* order =
        found == node.attributes.end() ? nullptr : std::get_if<Order>(&found->second);
    if (order == nullptr) return std::nullopt;
    Order sorted = *order;
    std::ranges::sort(sorted);
    for (std::size_t i = 0; i < sorted.size(); ++i)
      if (sorted[i] != static_cast<std::int64_t>(i)) return std::nullopt;
    return *order;
  }

  void turn(Node node) {
    auto order = order_of(node);
    if (!order) {
      done_.push_back(std::move(node));
      return;
    }
    ValueId from = node.inputs[0];
    const auto before = turned_.find(from);
    if (before != turned_.end() && before->second.order.size() == order->size()) {
      for (std::int64_t& axis : *order) axis = before->second.order[static_cast<std::size_t>(axis)];
      from = before->second.from;
    }
    const ValueId to = node.outputs[0];
    const bool stays = std::ranges::is_sorted(*order);
    if (stays && std::ranges::find(graph_.outputs, to) == graph_.outputs.end()) {
      alias_[to] = from;
      return;
    }
    node.inputs[0] = from;
    node.attributes.insert_or_assign("perm", *order);
    turned_[to] = {from, *std::move(order)};
    done_.push_back(std::move(node));
  }

  void pass(Node node) {
    const Turned* first = nullptr;
    bool passes = node.bodies.empty() && node.outputs.size() == 1 && node.outputs[0] != absent &&
                  std::ranges::find(passable, node.op->name) != std::end(passable);
    for (const ValueId id : node.inputs) {
      if (!passes || id == absent || is_scalar(id)) continue;
      const auto found = turned_.find(id);
      passes = found != turned_.end() && (first == nullptr || first->order == found->second.order);
      if (passes && first == nullptr) first = &found->second;
    }
    if (!passes || first == nullptr) {
      done_.push_back(std::move(node));
      return;
    }
    const Order order = first->order;
    for (ValueId& id : node.inputs)
      if (const auto found = turned_.find(id); found != turned_.end()) id = found->second.from;
    const ValueId to = node.outputs[0];
    const ValueId made = value_before(to, order);
    node.outputs[0] = made;
    Node transpose;
    transpose.op = find_operator("Transpose");
    transpose.inputs = {made};
    transpose.outputs = {to};
    transpose.attributes.emplace("perm", order);
    done_.push_back(std::move(node));
    done_.push_back(std::move(transpose));
    turned_[to] = {made, order};
  }

  // What is `id` after a transposition by `order`.
  ValueId value_before(ValueId id, const Order& order) {
    ValueInfo info = graph_.values[static_cast<std::size_t>(id)];
    info.name.clear();
    if (info.has_shape && info.shape.size() == order.size()) {
      const std::vector<Extent> after = info.shape;
      for (std::size_t i = 0; i < order.size(); ++i)
        info.shape[static_cast<std::size_t>(order[i])] = after[i];
    } else {
      info.has_shape = false;
    }
    graph_.values.push_back(std::move(info));
    return static_cast<ValueId>(graph_.values.size() - 1);
  }

  Graph& graph_;
  std::span<const Value> constants_;
  std::vector<Node> done_;
  std::map<ValueId, Turned> turned_;
  std::map<ValueId, ValueId> alias_;
};

}  // namespace

void move_transposes(Graph& graph, std::span<const Value> constants) {
  Mover(graph, constants).run();
}

}  // namespace hearth::graphs
