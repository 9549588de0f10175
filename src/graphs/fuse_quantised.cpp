// Convolutions and products between DequantizeLinear and QuantizeLinear, and the operators that are
// quantised themselves, become products of whole numbers.
#include <algorithm>

#include "graphs/fuse.h"
#include "graphs/operators/bytes.h"
#include "graphs/operators/finish.h"

namespace hearth::graphs {
namespace {

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

class QuantisedFuser {
 public:
  QuantisedFuser(Graph& graph, std::span<const Value> constants)
      : graph_(graph), constants_(constants), counts_(uses_of(graph)) {
    maker_.assign(graph.values.size(), -1);
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
      for (const ValueId id : graph.nodes[i].outputs)
        if (id != absent) maker_[at(id)] = static_cast<std::ptrdiff_t>(i);
  }

  void run() {
    for (Node& node : graph_.nodes) {
      const std::string_view name = node.op->name;
      if (name == "QuantizeLinear" || name == "com.microsoft.QuantizeLinear") join(node);
      if (name == "QLinearConv" && node.inputs.size() >= 8 && fits_conv(node, node)) {
        if (all_constant(node)) become(node, "hearth.QConv");
      } else if (name == "QLinearMatMul" && node.inputs.size() == 8 && all_constant(node)) {
        const Tensor* b = constant(node.inputs[3]);
        const Tensor* zero = constant(node.inputs[5]);
        const Tensor* scale = constant(node.inputs[4]);
        if (b->rank() == 2 && is_one(node.inputs[1]) && is_one(node.inputs[2]) &&
            is_one(node.inputs[6]) && is_one(node.inputs[7]) && is_byte(node.inputs[7]) &&
            (scale->count == 1 || scale->count == b->dims[1]) && are_bytes(*b, zero, 1))
          become(node, "hearth.QMatMul");
      } else if (name == "MatMulInteger") {
        const Tensor* b = constant(node.inputs[1]);
        const ValueId zero = node.inputs.size() > 3 ? node.inputs[3] : absent;
        if (b != nullptr && b->rank() == 2 && (zero == absent || constant(zero) != nullptr) &&
            are_bytes(*b, constant(zero), 1))
          become(node, "hearth.MatMulInteger");
      }
    }
    drop_unread(graph_);
  }

 private:
  const Tensor* constant(ValueId id) const {
    if (id == absent || at(id) >= constants_.size() ||
        constants_[at(id)].kind != Value::Kind::tensor)
      return nullptr;
    return &constants_[at(id)].tensor;
  }
  bool is_one(ValueId id) const {
    const Tensor* found = constant(id);
    return found != nullptr && found->count == 1;
  }
  bool is_byte(ValueId id) const {
    const Tensor* found = constant(id);
    return found != nullptr && (found->type == Element::i8 || found->type == Element::u8);
  }
  const Node* maker(ValueId id) const {
    return id == absent || maker_[at(id)] < 0
               ? nullptr
               : &graph_.nodes[static_cast<std::size_t>(maker_[at(id)])];
  }
  // The node that makes a value which nothing else reads.
  const Node* own_maker(ValueId id) const { return counts_[at(id)] == 1 ? maker(id) : nullptr; }

  static void become(Node& node, std::string_view name) {
    node.op = find_operator(name);
    node.version = 0;
  }

  bool all_constant(const Node& node) const {
    for (std::size_t i = 1; i < node.inputs.size(); ++i)
      if (node.inputs[i] != absent && constant(node.inputs[i]) == nullptr) return false;
    return true;
  }

  // Inputs in the order of QLinearConv; `conv`: who has its attributes.
  bool fits_conv(const Node& node, const Node& conv) const {
    const Tensor* w = constant(node.inputs[3]);
    const Tensor* scale = constant(node.inputs[4]);
    if (w == nullptr || scale == nullptr || (w->rank() != 3 && w->rank() != 4) || w->dims[0] < 1 ||
        (scale->count != 1 && scale->count != w->dims[0]))
      return false;
    const std::int64_t groups = integer_of(conv.attributes, "group", 1), each = w->dims[0] / groups;
    const bool by_channel = w->dims[1] == 1 && each == 1;
    const bool by_blocks = w->dims[1] % block_channels == 0 && each % block_channels == 0;
    return (groups == 1 || by_channel || by_blocks) && is_one(node.inputs[1]) &&
           is_one(node.inputs[2]) && is_byte(node.inputs[2]) && is_one(node.inputs[6]) &&
           is_one(node.inputs[7]) && is_byte(node.inputs[7]) &&
           are_bytes(*w, constant(node.inputs[5]), 0);
  }

  static bool dequantises(const Node* node) {
    return node != nullptr &&
           (node->op->name == "DequantizeLinear" ||
            node->op->name == "com.microsoft.DequantizeLinear") &&
           node->inputs.size() == 3 && integer_of(node->attributes, "block_size", 0) == 0;
  }

  // A product between two nodes: a convolution, or a product with a bias or none.
  struct Product {
    const Node* node = nullptr;
    ValueId bias = absent;
  };
  Product product_of(ValueId id) const {
    const Node* node = own_maker(id);
    if (node == nullptr) return {};
    const std::string_view name = node->op->name;
    if (name == "Conv") return {node, node->inputs.size() > 2 ? node->inputs[2] : absent};
    if (name == "MatMul") return {node, absent};
    if (name == "Gemm" && integer_of(node->attributes, "transA", 0) == 0 &&
        !node->attributes.contains("alpha") && !node->attributes.contains("beta"))
      return {node, node->inputs.size() > 2 ? node->inputs[2] : absent};
    if (name == "Add" && node->inputs.size() == 2)
      for (const std::size_t side : {0u, 1u}) {
        const Node* inner = own_maker(node->inputs[side]);
        if (inner != nullptr && inner->op->name == "MatMul" &&
            constant(node->inputs[1 - side]) != nullptr)
          return {inner, node->inputs[1 - side]};
      }
    return {};
  }

  void join(Node& quantise) {
    if (quantise.inputs.size() != 3 || !is_one(quantise.inputs[1]) || !is_one(quantise.inputs[2]) ||
        !is_byte(quantise.inputs[2]))
      return;
    Node made;
    ValueId id = quantise.inputs[0];
    if (const Node* last = own_maker(id)) {
      const auto known = [&](std::size_t k) { return constant(last->inputs[k]); };
      if (take_finish(*last, known, made)) {
        if (made.attributes.contains("curve")) return;
        id = last->inputs[0];
      }
    }
    const Product product = product_of(id);
    if (product.node == nullptr) return;
    const Node* x = maker(product.node->inputs[0]);
    const Node* w = maker(product.node->inputs[1]);
    const Tensor* bias = constant(product.bias);
    if (!dequantises(x) || !dequantises(w) || constant(w->inputs[0]) == nullptr ||
        constant(w->inputs[1]) == nullptr || constant(w->inputs[2]) == nullptr ||
        (product.bias != absent && (bias == nullptr || bias->type != Element::f32)))
      return;
    made.inputs = {x->inputs[0], x->inputs[1],       x->inputs[2],       w->inputs[0], w->inputs[1],
                   w->inputs[2], quantise.inputs[1], quantise.inputs[2], product.bias};
    const std::int64_t axis = integer_of(w->attributes, "axis", 1);
    const bool is_single = constant(w->inputs[1])->count == 1;
    if (product.node->op->name == "Conv") {
      if ((!is_single && axis != 0) || !fits_conv(made, *product.node)) return;
      for (const auto& [name, value] : product.node->attributes)
        made.attributes.emplace(name, value);
      made.op = find_operator("hearth.QConv");
    } else {
      const bool turned = integer_of(product.node->attributes, "transB", 0) != 0;
      const Tensor* matrix = constant(w->inputs[0]);
      const std::size_t columns = turned ? 0 : 1;
      if (matrix->rank() != 2 || !is_one(x->inputs[1]) || !is_one(x->inputs[2]) ||
          !is_byte(x->inputs[2]) ||
          (!is_single && (axis < 0 ? axis + 2 : axis) != static_cast<std::int64_t>(columns)) ||
          (bias != nullptr && bias->count != matrix->dims[columns]) ||
          !are_bytes(*matrix, constant(w->inputs[2]), columns))
        return;
      made.attributes.emplace("transB", std::int64_t{turned ? 1 : 0});
      made.op = find_operator("hearth.QMatMul");
    }
    if (product.bias == absent) made.inputs.pop_back();
    made.name = quantise.name;
    made.outputs = quantise.outputs;
    quantise = std::move(made);
  }

  Graph& graph_;
  std::span<const Value> constants_;
  std::vector<std::size_t> counts_;
  std::vector<std::ptrdiff_t> maker_;
};

}  // namespace

void fuse_quantised(Graph& graph, std::span<const Value> constants) {
  QuantisedFuser(graph, constants).run();
}

}  // namespace hearth::graphs
