// The graph of an XNNPACK payload.
// Source: ExecuTorch, backends/xnnpack/serialization/{schema,runtime_schema}.fbs; XNNPACK,
// xnnpack.h: what the nodes compute.
#pragma once

#include "graphs/executorch/quanta.h"

namespace hearth::graphs::executorch {

// One tensor of the graph.  Pictures are [n, h, w, c].
struct XnnTensor {
  enum class Store : std::uint8_t { real, bytes, channels, four_bits, four_bit_groups, rows };
  Store store = Store::real;  // rows: as real numbers that have been rounded by rows
  Element type = Element::f32;
  Dims dims;
  float scale = 1;
  std::int64_t zero = 0;
  std::vector<float> scales;
  std::int64_t axis = 0, group = 0, row_axes = 1;
  Bytes constant;  // empty: computed
  std::uint32_t external = UINT32_MAX;
  ValueId stored = absent, real = absent;
};

class XnnGraph {
 public:
  // Errors: corrupt, unsupported.
  static Result<XnnGraph> read(const File& file, Bytes payload);

  Emitter* b = nullptr;
  Flow* flow = nullptr;
  std::vector<XnnTensor> tensors;
  std::vector<FlatTable> nodes;
  std::vector<std::uint32_t> inputs, outputs;

  Result<XnnTensor*> tensor(std::uint32_t id);
  Result<ValueId> stored(std::uint32_t id);
  Result<ValueId> real(std::uint32_t id);  // f32
  // Real weights with their axes in this order; those of 8 bits as a DequantizeLinear.
  Result<ValueId> weights(std::uint32_t id, const Ints& order);
  Status give_real(std::uint32_t id, ValueId real);
  Status give_stored(std::uint32_t id, ValueId stored);

 private:
  Status read_tensor(const FlatTable& table, const std::vector<Bytes>& data);
  Status read_scales(const FlatTable& params, const std::vector<Bytes>& data, bool half,
                     XnnTensor& tensor);
  Result<Tensor> as_tensor(const XnnTensor& t) const;
};

// Adds the nodes of one of the graph's.  Errors: unsupported (a node of the future).
Status add_node(XnnGraph& graph, const FlatTable& node);

}  // namespace hearth::graphs::executorch
