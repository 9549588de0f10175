// The messages of an ONNX file as views over its bytes.
// Source: ONNX, onnx.proto (IR version 14); ONNX Runtime, ort.fbs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/flatbuffer.h"
#include "base/protobuf.h"
#include "graphs/external.h"
#include "graphs/graph.h"

namespace hearth::graphs::onnx {

using Bytes = std::span<const std::byte>;

// A message within the file: its bytes, or in ONNX Runtime's own format its table.
struct Message {
  Message() = default;
  Message(Bytes of) : bytes(of) {}
  Message(const FlatTable& of) : table(of) {}
  bool is_table() const { return table.exists(); }
  Bytes bytes;
  FlatTable table;
};

struct RawAttribute {
  std::string_view name, ref;  // ref: the function's attribute that stands here
  std::int64_t type = 0;
  float f = 0;
  std::int64_t i = 0;
  std::string_view s;
  Message tensor, graph, sparse;
  std::vector<float> floats;
  std::vector<std::int64_t> ints;
  std::vector<std::string_view> strings;
  std::vector<Message> tensors, graphs;
};

struct RawNode {
  std::vector<std::string_view> inputs, outputs;
  std::string_view name, op_type, domain, overload;
  std::vector<RawAttribute> attributes;
};

using Versions = std::map<std::string, std::int64_t, std::less<>>;  // domain -> operator set

struct RawFunction {
  std::string_view name, domain, overload;
  std::vector<std::string_view> inputs, outputs;
  std::vector<RawNode> nodes;
  std::vector<RawAttribute> defaults;
  Versions versions;
};

struct RawGraph {
  std::string_view name;
  std::vector<RawNode> nodes;
  std::vector<Message> initializers, sparse_initializers;
  std::vector<ValueInfo> inputs, outputs, infos;
};

struct RawModel {
  std::int64_t ir_version = 0, model_version = 0;
  std::string_view producer, producer_version, description;
  Versions versions;
  Message graph;
  bool has_graph = false, has_training = false;
  std::vector<RawFunction> functions;
  std::map<std::string, std::string> metadata;
};

Result<RawModel> read_model(Bytes bytes);
Result<RawGraph> read_graph(Bytes bytes);
// The same of ONNX Runtime's format, where lists may share their bytes: so many may be read.
Result<RawModel> read_ort_model(Bytes bytes, std::uint64_t& budget);
Result<RawGraph> read_ort_graph(const FlatTable& graph, std::uint64_t& budget);
Element element_of(std::int64_t data_type);  // none: not a type of tensors
Result<ValueInfo> read_value_info(Bytes bytes);

struct NamedTensor {
  std::string_view name;
  Tensor tensor;
};
// owner keeps `bytes` alive; elements are used where they lie when their alignment allows.
Result<NamedTensor> read_tensor(const Message& message, const std::shared_ptr<const void>& owner,
                                ExternalData& external);
// A tensor of zeros with the given values in their places.
Result<NamedTensor> read_sparse(const Message& message, const std::shared_ptr<const void>& owner,
                                ExternalData& external);

}  // namespace hearth::graphs::onnx
