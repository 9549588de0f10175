// Shape inference: what is known of values before a run.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "graphs/graph.h"

namespace hearth::graphs {

// One node as its rule sees it.  A rule fills in outputs; what it leaves is unknown.
struct Inference {
  const Node& node;
  std::span<const ValueInfo* const> inputs;  // nullptr: absent
  std::span<const Tensor* const> constants;  // of inputs that are known already; else nullptr
  std::span<ValueInfo> outputs;

  const ValueInfo* shaped(std::size_t i) const;  // nullptr: absent or of no known shape
  std::optional<std::vector<std::int64_t>> integers(std::size_t i) const;  // of a constant
  std::int64_t integer(std::string_view name, std::int64_t fallback) const;
  std::optional<std::vector<std::int64_t>> list(std::string_view name) const;
};

// Fills in what the rules know of a graph's values and leaves what its file said.
void infer_shapes(Graph& graph);

void infer_same(Inference& at);  // as input 0
void infer_boolean(Inference& at);
void infer_broadcast(Inference& at);
void infer_compare(Inference& at);
void infer_where(Inference& at);
void infer_cast(Inference& at);
void infer_dequantize(Inference& at);
void infer_reshape(Inference& at);
void infer_flatten(Inference& at);
void infer_squeeze(Inference& at);
void infer_unsqueeze(Inference& at);
void infer_shape(Inference& at);
void infer_transpose(Inference& at);
void infer_expand(Inference& at);
void infer_concat(Inference& at);
void infer_split(Inference& at);
void infer_slice(Inference& at);
void infer_gather(Inference& at);
void infer_reduce(Inference& at);
void infer_matmul(Inference& at);
void infer_gemm(Inference& at);
void infer_conv(Inference& at);
void infer_conv_integer(Inference& at);
void infer_pool(Inference& at);
void infer_global_pool(Inference& at);

}  // namespace hearth::graphs
