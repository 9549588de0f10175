#include "graphs/fuse.h"

#include <algorithm>
#include <cmath>

#include "graphs/operators/finish.h"

namespace hearth::graphs {

std::vector<std::size_t> uses_of(const Graph& graph) {
  std::vector<std::size_t> counts(graph.values.size(), 0);
  for (const Node& node : graph.nodes)
    for (const auto* list : {&node.inputs, &node.captured})
      for (const ValueId id : *list)
        if (id != absent) ++counts[static_cast<std::size_t>(id)];
  for (const ValueId id : graph.outputs) counts[static_cast<std::size_t>(id)] += 2;
  return counts;
}

void drop_unread(Graph& graph) {
  for (bool again = true; again;) {
    const auto counts = uses_of(graph);
    const std::size_t before = graph.nodes.size();
    std::erase_if(graph.nodes, [&](const Node& node) {
      return std::ranges::all_of(node.outputs, [&](ValueId id) {
        return id == absent || counts[static_cast<std::size_t>(id)] == 0;
      });
    });
    again = graph.nodes.size() != before;
  }
}

namespace {

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

const std::vector<std::int64_t>* list_of(const Node& node, std::string_view name) {
  return find_attribute<std::vector<std::int64_t>>(node.attributes, name);
}

class Fuser {
 public:
  Fuser(Graph& graph, std::span<const Value> constants) : graph_(graph), constants_(constants) {}

  void run() {
    for (const auto pass : {&Fuser::join_sigmoids, &Fuser::join_layer_norms, &Fuser::join_attention,
                            &Fuser::join_products}) {
      link();
      (this->*pass)();
      clean();
    }
  }

 private:
  void link() {
    counts_ = uses_of(graph_);
    maker_.assign(graph_.values.size(), -1);
    reader_.assign(graph_.values.size(), -1);
    gone_.assign(graph_.nodes.size(), false);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (const ValueId id : graph_.nodes[i].outputs)
        if (id != absent) maker_[at(id)] = static_cast<std::ptrdiff_t>(i);
      for (const ValueId id : graph_.nodes[i].inputs)
        if (id != absent) reader_[at(id)] = static_cast<std::ptrdiff_t>(i);
    }
  }

  void clean() {
    std::vector<Node> kept;
    for (std::size_t i = 0; i < gone_.size(); ++i)
      if (!gone_[i]) kept.push_back(std::move(graph_.nodes[i]));
    graph_.nodes = std::move(kept);
    drop_unread(graph_);
  }

  const Tensor* constant(ValueId id) const {
    if (id == absent || at(id) >= constants_.size() ||
        constants_[at(id)].kind != Value::Kind::tensor)
      return nullptr;
    return &constants_[at(id)].tensor;
  }
  const Tensor* constant_floats(ValueId id) const {
    const Tensor* found = constant(id);
    return found != nullptr && found->type == Element::f32 ? found : nullptr;
  }
  const float* scalar(ValueId id) const {
    const Tensor* found = constant_floats(id);
    return found != nullptr && found->count == 1 ? found->data<float>() : nullptr;
  }

  Node* maker(ValueId id, std::string_view name) {
    if (id == absent || maker_[at(id)] < 0) return nullptr;
    Node& node = graph_.nodes[static_cast<std::size_t>(maker_[at(id)])];
    return node.op->name == name ? &node : nullptr;
  }
  // The only reader of a value; -1: there are more, or none.
  std::ptrdiff_t only_reader(ValueId id) const {
    return id == absent || counts_[at(id)] != 1 ? -1 : reader_[at(id)];
  }
  Node* only_reader(ValueId id, std::string_view name) {
    const std::ptrdiff_t i = only_reader(id);
    if (i < 0 || gone_[static_cast<std::size_t>(i)]) return nullptr;
    Node& node = graph_.nodes[static_cast<std::size_t>(i)];
    return node.op->name == name ? &node : nullptr;
  }
  static ValueId beside(const Node& node, ValueId id) {
    if (node.inputs.size() != 2 || node.inputs[0] == node.inputs[1]) return absent;
    return node.inputs[0] == id ? node.inputs[1] : node.inputs[1] == id ? node.inputs[0] : absent;
  }

  // Both shapes are known, and one and the same.
  bool same_shape(ValueId a, ValueId b) const {
    const ValueInfo &x = graph_.values[at(a)], &y = graph_.values[at(b)];
    if (!x.has_shape || !y.has_shape || x.shape.size() != y.shape.size()) return false;
    for (std::size_t i = 0; i < x.shape.size(); ++i) {
      const Extent &p = x.shape[i], &q = y.shape[i];
      if (p.value != q.value || (p.value < 0 && (p.name.empty() || p.name != q.name))) return false;
    }
    return true;
  }

  // x * sigmoid(x) is Swish.
  void join_sigmoids() {
    const Operator* swish = find_operator("Swish");
    for (Node& node : graph_.nodes) {
      if (node.op->name != "Mul" || node.inputs.size() != 2) continue;
      for (const std::size_t side : {0u, 1u}) {
        const Node* sigmoid = maker(node.inputs[side], "Sigmoid");
        if (sigmoid == nullptr || sigmoid->inputs[0] != node.inputs[1 - side]) continue;
        node.op = swish;
        node.inputs = {sigmoid->inputs[0]};
        node.attributes.clear();
        node.version = 0;
        break;
      }
    }
  }

  // The axes of a mean are the last one alone.
  bool is_last_axis(const Node& mean) const {
    const std::vector<std::int64_t>* axes = list_of(mean, "axes");
    std::int64_t axis = 0;
    if (axes != nullptr && axes->size() == 1) {
      axis = (*axes)[0];
    } else {
      const Tensor* given = mean.inputs.size() > 1 ? constant(mean.inputs[1]) : nullptr;
      if (given == nullptr || given->count != 1 || given->type != Element::i64) return false;
      axis = given->data<std::int64_t>()[0];
    }
    const ValueInfo& info = graph_.values[at(mean.inputs[0])];
    return integer_of(mean.attributes, "keepdims", 1) != 0 &&
           (axis == -1 ||
            (info.has_shape && axis + 1 == static_cast<std::int64_t>(info.shape.size())));
  }

  bool is_vector(ValueId id) const {
    const Tensor* found = constant_floats(id);
    return found != nullptr && found->rank() == 1;
  }

  // (x - mean) / sqrt(mean((x - mean)^2) + eps) * scale + shift.
  void join_layer_norms() {
    for (Node& div : graph_.nodes) {
      if (div.op->name != "Div" || div.inputs.size() != 2) continue;
      const Node* difference = maker(div.inputs[0], "Sub");
      const Node* root = maker(div.inputs[1], "Sqrt");
      const Node* sum = root == nullptr ? nullptr : maker(root->inputs[0], "Add");
      if (difference == nullptr || sum == nullptr || difference->inputs.size() != 2) continue;
      const bool left = scalar(sum->inputs[1]) != nullptr;
      const float* eps = scalar(sum->inputs[left ? 1 : 0]);
      const Node* variance = maker(sum->inputs[left ? 0 : 1], "ReduceMean");
      const Node* mean = maker(difference->inputs[1], "ReduceMean");
      if (eps == nullptr || variance == nullptr || mean == nullptr ||
          mean->inputs[0] != difference->inputs[0] || !is_last_axis(*mean) ||
          !is_last_axis(*variance) || !squares(variance->inputs[0], div.inputs[0]))
        continue;
      Node* scaled = only_reader(div.outputs[0], "Mul");
      if (scaled == nullptr) continue;
      const ValueId scale = beside(*scaled, div.outputs[0]);
      Node* shifted = only_reader(scaled->outputs[0], "Add");
      const ValueId shift = shifted == nullptr ? absent : beside(*shifted, scaled->outputs[0]);
      if (!is_vector(scale) || !is_vector(shift)) continue;
      shifted->op = find_operator("LayerNormalization");
      shifted->version = 0;
      shifted->inputs = {difference->inputs[0], scale, shift};
      shifted->attributes.clear();
      shifted->attributes.emplace("axis", std::int64_t{-1});
      shifted->attributes.emplace("epsilon", static_cast<double>(*eps));
    }
  }

  // `id` is x squared.
  bool squares(ValueId id, ValueId x) {
    if (const Node* power = maker(id, "Pow")) {
      const float* exponent = scalar(power->inputs[1]);
      return power->inputs[0] == x && exponent != nullptr && *exponent == 2;
    }
    const Node* product = maker(id, "Mul");
    return product != nullptr && product->inputs[0] == x && product->inputs[1] == x;
  }

  // What a transposition by `order` was made from; absent: it is none, or of another order.
  ValueId before_transpose(ValueId id, const std::vector<std::int64_t>& order) {
    const Node* transpose = maker(id, "Transpose");
    if (transpose == nullptr) return absent;
    const std::vector<std::int64_t>* perm = list_of(*transpose, "perm");
    return perm != nullptr && *perm == order ? transpose->inputs[0] : absent;
  }

  bool has_rank(ValueId id, std::size_t rank) const {
    return graph_.values[at(id)].has_shape && graph_.values[at(id)].shape.size() == rank;
  }

  // The parts of softmax(q * k * scale + mask), from the softmax backwards.
  struct Scores {
    const Node* product = nullptr;
    ValueId mask = absent;
    double scale = 1;
  };
  Scores scores_of(ValueId id) {
    Scores scores;
    for (int steps = 0; steps < 3; ++steps) {
      if (counts_[at(id)] != 1 || maker_[at(id)] < 0) return {};
      const Node& node = graph_.nodes[static_cast<std::size_t>(maker_[at(id)])];
      const std::string_view name = node.op->name;
      if (name == "MatMul") {
        scores.product = &node;
        return scores;
      }
      if (node.inputs.size() != 2) return {};
      const float* right = scalar(node.inputs[1]);
      if ((name == "Div" || name == "Mul") && right != nullptr && *right != 0) {
        scores.scale *=
            name == "Div" ? 1.0 / static_cast<double>(*right) : static_cast<double>(*right);
        id = node.inputs[0];
      } else if (name == "Add" && scores.mask == absent && steps == 0) {
        const bool first = maker(node.inputs[0], "MatMul") != nullptr ||
                           maker(node.inputs[0], "Div") != nullptr ||
                           maker(node.inputs[0], "Mul") != nullptr;
        scores.mask = node.inputs[first ? 1 : 0];
        id = node.inputs[first ? 0 : 1];
      } else {
        return {};
      }
    }
    return {};
  }

  void join_attention() {
    for (Node& node : graph_.nodes) {
      if (node.op->name != "MatMul" || counts_[at(node.inputs[0])] != 1) continue;
      const Node* softmax = maker(node.inputs[0], "Softmax");
      if (softmax == nullptr) continue;
      const bool old = softmax->version != 0 && softmax->version < 13;
      const std::int64_t axis = integer_of(softmax->attributes, "axis", old ? 1 : -1);
      if (axis != 3 && axis != -1) continue;
      const Scores scores = scores_of(softmax->inputs[0]);
      if (scores.product == nullptr) continue;
      std::int64_t order = 0;
      const auto rows_first = [&](ValueId id, std::int64_t bit) {
        const ValueId before = before_transpose(id, {0, 2, 1, 3});
        if (before != absent) order |= bit;
        return before != absent ? before : id;
      };
      ValueId k = before_transpose(scores.product->inputs[1], {0, 2, 3, 1});
      if (k != absent)
        order |= 2;
      else if (k = before_transpose(scores.product->inputs[1], {0, 1, 3, 2}); k != absent)
        k = rows_first(k, 2);
      if (k == absent) continue;
      const ValueId q = rows_first(scores.product->inputs[0], 1), v = rows_first(node.inputs[1], 4);
      if (((order & 1) == 0 && !has_rank(q, 4)) || ((order & 4) == 0 && !has_rank(v, 4))) continue;
      node.op = find_operator("hearth.Attention");
      node.inputs = {q, k, v};
      if (scores.mask != absent) node.inputs.push_back(scores.mask);
      Node* turned = only_reader(node.outputs[0], "Transpose");
      if (turned != nullptr) {
        const std::vector<std::int64_t>* perm = list_of(*turned, "perm");
        if (perm != nullptr && *perm == std::vector<std::int64_t>{0, 2, 1, 3}) {
          order |= 8;
          node.outputs = turned->outputs;
          gone_[static_cast<std::size_t>(turned - graph_.nodes.data())] = true;
        }
      }
      node.attributes.clear();
      node.attributes.emplace("rows_first", order);
      node.attributes.emplace("scale", scores.scale);
    }
  }

  void join_products() {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (gone_[i]) continue;
      Node& node = graph_.nodes[i];
      if (has_constant_blocks(node)) node.op = find_operator("hearth.MatMulNBits");
      const bool is_conv = node.op->name == "Conv";
      if (is_conv ? !becomes_conv(node) : !becomes_matmul(node)) continue;
      node.inputs.resize(4, absent);
      node.version = 0;
      extend(i, is_conv);
      while (node.inputs.back() == absent) node.inputs.pop_back();
    }
  }

  // A product whose weights lie in constant blocks.
  bool has_constant_blocks(const Node& node) const {
    if (node.op->name != "com.microsoft.MatMulNBits") return false;
    for (std::size_t i = 1; i < node.inputs.size(); ++i)
      if (node.inputs[i] != absent && constant(node.inputs[i]) == nullptr) return false;
    return true;
  }

  bool becomes_conv(Node& node) {
    const Tensor* w = node.inputs.size() < 2 ? nullptr : constant_floats(node.inputs[1]);
    const ValueId bias = node.inputs.size() > 2 ? node.inputs[2] : absent;
    if (w == nullptr || w->rank() < 3 || (bias != absent && constant_floats(bias) == nullptr))
      return false;
    node.op = find_operator("hearth.Conv");
    return true;
  }

  bool becomes_matmul(Node& node) {
    const std::string_view name = node.op->name;
    if (name != "MatMul" && name != "Gemm") return false;
    const Tensor* w = node.inputs.size() < 2 ? nullptr : constant_floats(node.inputs[1]);
    const ValueInfo& x = graph_.values[at(node.inputs[0])];
    if (w == nullptr || w->rank() != 2 || w->count == 0 || constant(node.inputs[0]) != nullptr)
      return false;
    if (name == "MatMul") {
      if (x.has_shape && x.shape.empty()) return false;
      node.op = find_operator("hearth.MatMul");
      node.attributes.clear();
      return true;
    }
    const auto one = [&](std::string_view what) {
      const auto found = node.attributes.find(what);
      const double* value =
          found == node.attributes.end() ? nullptr : std::get_if<double>(&found->second);
      return value == nullptr || *value == 1;
    };
    const bool turned = integer_of(node.attributes, "transB", 0) != 0;
    const ValueId c = node.inputs.size() > 2 ? node.inputs[2] : absent;
    const Tensor* bias = constant_floats(c);
    const bool by_column = bias != nullptr && bias->count == w->dims[turned ? 0 : 1] &&
                           bias->rank() >= 1 && bias->dims.back() == bias->count;
    if (integer_of(node.attributes, "transA", 0) != 0 || !one("alpha") || !one("beta") ||
        (c != absent && !by_column))
      return false;
    node.op = find_operator("hearth.MatMul");
    node.attributes.clear();
    node.attributes.emplace("transB", std::int64_t{turned ? 1 : 0});
    return true;
  }

  // One number for each column of a product, or each filter of a convolution.
  bool is_bias(const Node& node, ValueId id, bool is_conv) const {
    const Tensor* found = constant_floats(id);
    const Tensor* w = constant(node.inputs[1]);
    if (found == nullptr || found->rank() == 0) return false;
    const std::size_t axis = is_conv ? found->rank() - (w->rank() - 1) : found->rank() - 1;
    const std::int64_t n =
        is_conv ? w->dims[0] : w->dims[integer_of(node.attributes, "transB", 0) != 0 ? 0 : 1];
    return found->count == n && axis < found->rank() && found->dims[axis] == n;
  }

  // Takes in what follows node i: a bias, a sum with another value, a finish; in this order.
  void extend(std::size_t i, bool is_conv) {
    Node& node = graph_.nodes[i];
    for (bool done = false; !done;) {
      const ValueId id = node.outputs[0];
      const std::ptrdiff_t next = only_reader(id);
      if (next < 0 || gone_[static_cast<std::size_t>(next)]) return;
      Node& reader = graph_.nodes[static_cast<std::size_t>(next)];
      if (!reader.bodies.empty() || reader.outputs.size() != 1) return;
      const ValueId other = reader.op->name == "Add" ? beside(reader, id) : absent;
      if (other != absent) {
        if (reader.version != 0 && reader.version < 7) return;
        if (node.inputs[2] == absent && node.inputs[3] == absent && is_bias(node, other, is_conv))
          node.inputs[2] = other;
        else if (node.inputs[3] == absent && same_shape(id, other) &&
                 maker_[at(other)] < static_cast<std::ptrdiff_t>(i))
          node.inputs[3] = other;
        else
          return;
      } else {
        const auto known = [&](std::size_t k) { return constant(reader.inputs[k]); };
        if (reader.inputs[0] != id || !take_finish(reader, known, node)) return;
        done = true;
      }
      gone_[static_cast<std::size_t>(next)] = true;
      node.outputs = reader.outputs;
      maker_[at(node.outputs[0])] = static_cast<std::ptrdiff_t>(i);
    }
  }

  Graph& graph_;
  std::span<const Value> constants_;
  std::vector<std::size_t> counts_;
  std::vector<std::ptrdiff_t> maker_, reader_;  // of each value: a node, or -1
  std::vector<bool> gone_;
};

}  // namespace

void fuse(Graph& graph, std::span<const Value> constants) { Fuser(graph, constants).run(); }

}  // namespace hearth::graphs
