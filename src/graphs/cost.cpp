#include "graphs/cost.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>

#include "graphs/operators.h"

namespace hearth::graphs {
namespace {

constexpr std::uint64_t most = std::uint64_t{1} << 63;

std::uint64_t times(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? most : std::min(product, most);
}

using Sizes = std::vector<std::uint64_t>;

std::uint64_t product_of(std::span<const std::uint64_t> sizes) {
  std::uint64_t product = 1;
  for (const std::uint64_t size : sizes) product = times(product, size);
  return product;
}

class Counter {
 public:
  explicit Counter(const Graph& graph) : graph_(graph), held_(graph.values.size(), nullptr) {
    for (const Constant& constant : graph.constants)
      if (constant.value.kind == Value::Kind::tensor)
        held_[static_cast<std::size_t>(constant.id)] = &constant.value.tensor;
  }

  Cost count() {
    for (const Node& node : graph_.nodes) {
      for (const auto& body : node.bodies) add(cost_of(*body));
      const Rule* rule = find(node.op->name);
      if (rule == nullptr) continue;
      const auto product = rule->count(*this, node, *rule);
      cost_.unknown += product ? 0 : 1;
      cost_.multiplications = std::min(most, cost_.multiplications + product.value_or(0));
    }
    return cost_;
  }

 private:
  // How an operator multiplies, and where its operands stand.
  struct Rule {
    std::string_view name;
    std::optional<std::uint64_t> (*count)(Counter&, const Node&, const Rule&);
    std::size_t x = 0, w = 1;
  };
  static const Rule* find(std::string_view name);

  void add(const Cost& body) {
    cost_.multiplications = std::min(most, cost_.multiplications + body.multiplications);
    cost_.unknown += body.unknown;
    cost_.has_open = cost_.has_open || body.has_open;
  }

  std::optional<Sizes> sizes(ValueId id) {
    if (id == absent) return {};
    Sizes result;
    if (const Tensor* tensor = held_[static_cast<std::size_t>(id)]) {
      for (const std::int64_t extent : tensor->dims)
        result.push_back(static_cast<std::uint64_t>(extent));
      return result;
    }
    const ValueInfo& info = graph_.values[static_cast<std::size_t>(id)];
    if (!info.has_shape) return {};
    for (const Extent& extent : info.shape) {
      cost_.has_open = cost_.has_open || extent.value < 0;
      result.push_back(extent.value < 0 ? 1 : static_cast<std::uint64_t>(extent.value));
    }
    return result;
  }
  std::optional<Sizes> input(const Node& node, std::size_t i) {
    return i < node.inputs.size() ? sizes(node.inputs[i]) : std::nullopt;
  }
  std::optional<Sizes> output(const Node& node) {
    return node.outputs.empty() ? std::nullopt : sizes(node.outputs[0]);
  }
  static bool is_set(const Node& node, std::string_view name) {
    return integer_of(node.attributes, name, 0) != 0;
  }

  // Every result is a sum over all of a filter but its first axis.
  static std::optional<std::uint64_t> by_filter(Counter& at, const Node& node, const Rule& rule) {
    const auto y = at.output(node), w = at.input(node, rule.w);
    if (!y || !w || w->empty()) return {};
    return times(product_of(*y), product_of(std::span(*w).subspan(1)));
  }
  // Every number of the image is spread over all of a filter but its first axis.
  static std::optional<std::uint64_t> by_image(Counter& at, const Node& node, const Rule& rule) {
    const auto x = at.input(node, rule.x), w = at.input(node, rule.w);
    if (!x || !w || w->empty()) return {};
    return times(product_of(*x), product_of(std::span(*w).subspan(1)));
  }
  // Every point of the image is spread by all filters, whose last axis it shares.
  static std::optional<std::uint64_t> by_point(Counter& at, const Node& node, const Rule& rule) {
    const auto x = at.input(node, rule.x), w = at.input(node, rule.w);
    if (!x || !w || x->empty()) return {};
    return times(product_of(std::span(*x).first(x->size() - 1)), product_of(*w));
  }
  // Every result is a sum over the axis that both matrices share.
  static std::optional<std::uint64_t> by_matrix(Counter& at, const Node& node, const Rule& rule) {
    const auto a = at.input(node, rule.x), b = at.input(node, rule.w);
    if (!a || !b || a->empty() || b->empty()) return {};
    const bool turns_a = is_set(node, "transA"), turns_b = is_set(node, "transB");
    const std::uint64_t columns = b->size() == 1 ? 1 : turns_b ? (*b)[b->size() - 2] : b->back();
    const std::uint64_t rows = a->size() < 2 ? 1 : turns_a ? a->back() : (*a)[a->size() - 2];
    const std::uint64_t depth = turns_a && a->size() > 1 ? (*a)[a->size() - 2] : a->back();
    const auto leading = [](const Sizes& sizes) {
      return product_of(std::span(sizes).first(std::max<std::size_t>(sizes.size(), 2) - 2));
    };
    const std::uint64_t batch =
        std::max(a->size() > 2 ? leading(*a) : 1, b->size() > 2 ? leading(*b) : 1);
    return times(times(batch, times(rows, depth)), columns);
  }
  // Blocks of packed weights: attributes K and N.
  static std::optional<std::uint64_t> by_blocks(Counter& at, const Node& node, const Rule& rule) {
    const auto a = at.input(node, rule.x);
    const std::int64_t columns = integer_of(node.attributes, "N", -1);
    if (!a || columns < 0) return {};
    return times(product_of(*a), static_cast<std::uint64_t>(columns));
  }
  // Queries [.., rows, size] by keys and by values, of as many rows as the keys have.
  static std::optional<std::uint64_t> by_attention(Counter& at, const Node& node,
                                                   const Rule& rule) {
    const auto q = at.input(node, rule.x), k = at.input(node, rule.w);
    if (!q || !k || k->size() < 2) return {};
    const std::uint64_t keys = k->size() == 3 ? (*k)[1] : (*k)[k->size() - 2];
    return times(2, times(product_of(*q), keys));
  }
  // x [steps, batch, width]; w and r [directions, gates, ...], used at each step.
  static std::optional<std::uint64_t> by_steps(Counter& at, const Node& node, const Rule& rule) {
    const auto x = at.input(node, rule.x), w = at.input(node, rule.w),
               r = at.input(node, rule.w + 1);
    if (!x || !w || !r || x->size() < 3) return {};
    return times(times((*x)[0], (*x)[1]), product_of(*w) + product_of(*r));
  }

  static const Rule rules[];

  const Graph& graph_;
  std::vector<const Tensor*> held_;  // by value
  Cost cost_;
};

const Counter::Rule Counter::rules[] = {
    {"Conv", by_filter},
    {"ConvInteger", by_filter},
    {"QLinearConv", by_filter, 0, 3},
    {"DeformConv", by_filter},
    {"hearth.Conv", by_filter},
    {"hearth.FixedConv", by_filter},
    {"ConvTranspose", by_image},
    {"hearth.FixedConvTranspose", by_point},
    {"MatMul", by_matrix},
    {"MatMulInteger", by_matrix},
    {"QLinearMatMul", by_matrix, 0, 3},
    {"Gemm", by_matrix},
    {"com.microsoft.FusedMatMul", by_matrix},
    {"com.microsoft.TransposeMatMul", by_matrix},
    {"com.microsoft.MatMulNBits", by_blocks},
    {"Attention", by_attention},
    {"hearth.Attention", by_attention},
    {"com.microsoft.MultiHeadAttention", by_attention},
    {"com.microsoft.GroupQueryAttention", by_attention},
    {"LSTM", by_steps},
    {"GRU", by_steps},
    {"RNN", by_steps},
    {"hearth.ProjectedLSTM", by_steps},
};

const Counter::Rule* Counter::find(std::string_view name) {
  const auto* found = std::ranges::find(rules, name, &Rule::name);
  return found == std::end(rules) ? nullptr : found;
}

}  // namespace

Cost cost_of(const Graph& graph) { return Counter(graph).count(); }

}  // namespace hearth::graphs
