// Operator graphs (ONNX, TFLite) from C++: a thin layer over hearth.h.  C++17.  Failures are thrown
// as hearth::Failure.
#pragma once

#include <cstring>

#include "hearth/hearth.hpp"

namespace hearth {

// A dense array, row after row.  Of what a graph says of itself, open extents are -1 and there are
// no bytes.
struct GraphTensor {
  std::string name;
  hearth_dtype dtype = HEARTH_F32;
  std::vector<std::int64_t> shape;
  std::vector<unsigned char> bytes;

  static GraphTensor of(std::string name, std::vector<std::int64_t> shape,
                        const std::vector<float>& numbers) {
    return of(std::move(name), HEARTH_F32, std::move(shape), numbers);
  }
  static GraphTensor of(std::string name, std::vector<std::int64_t> shape,
                        const std::vector<std::int64_t>& numbers) {
    return of(std::move(name), HEARTH_I64, std::move(shape), numbers);
  }
  static GraphTensor of(std::string name, std::vector<std::int64_t> shape,
                        const std::vector<std::uint8_t>& numbers) {
    return of(std::move(name), HEARTH_U8, std::move(shape), numbers);
  }

  // The elements, which are of the type that T stands for: float, std::int64_t, ...
  template <typename T>
  std::vector<T> as() const {
    std::vector<T> numbers(bytes.size() / sizeof(T));
    if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(T));
    return numbers;
  }

 private:
  template <typename T>
  static GraphTensor of(std::string name, hearth_dtype dtype, std::vector<std::int64_t> shape,
                        const std::vector<T>& numbers) {
    GraphTensor tensor{std::move(name), dtype, std::move(shape), {}};
    tensor.bytes.resize(numbers.size() * sizeof(T));
    if (!numbers.empty()) std::memcpy(tensor.bytes.data(), numbers.data(), tensor.bytes.size());
    return tensor;
  }
};

// A graph, ready to run.  Movable.  Several threads may call it; runs take turns.
class Graph {
 public:
  explicit Graph(const std::string& path, std::int32_t threads = 0)
      : graph_(open(path, threads), hearth_graph_close) {}

  std::vector<GraphTensor> inputs() const {
    return all(hearth_graph_inputs(graph_.get()), hearth_graph_input);
  }
  std::vector<GraphTensor> outputs() const {
    return all(hearth_graph_outputs(graph_.get()), hearth_graph_output);
  }

  std::vector<GraphTensor> run(const std::vector<GraphTensor>& inputs) {
    std::vector<hearth_tensor> raw;
    for (const GraphTensor& tensor : inputs)
      raw.push_back({tensor.name.empty() ? nullptr : tensor.name.c_str(), tensor.dtype,
                     static_cast<std::int32_t>(tensor.shape.size()), tensor.shape.data(),
                     tensor.bytes.data(), tensor.bytes.size()});
    detail::Check check;
    hearth_tensors* given = nullptr;
    check(hearth_graph_run(graph_.get(), raw.data(), raw.size(), &given, &check.error));
    const std::unique_ptr<hearth_tensors, void (*)(hearth_tensors*)> results(given,
                                                                             hearth_tensors_free);
    std::vector<GraphTensor> outputs;
    for (std::size_t i = 0; i < hearth_tensors_count(given); ++i)
      outputs.push_back(copy(*hearth_tensors_at(given, i)));
    return outputs;
  }

 private:
  static GraphTensor copy(const hearth_tensor& from) {
    GraphTensor tensor{from.name ? from.name : "", from.dtype, {}, {}};
    if (from.rank > 0) tensor.shape.assign(from.shape, from.shape + from.rank);
    const auto* bytes = static_cast<const unsigned char*>(from.data);
    if (bytes) tensor.bytes.assign(bytes, bytes + from.bytes);
    return tensor;
  }

  std::vector<GraphTensor> all(std::size_t count,
                               hearth_status (*describe)(const hearth_graph*, std::size_t,
                                                         hearth_tensor*)) const {
    std::vector<GraphTensor> list;
    for (std::size_t i = 0; i < count; ++i) {
      hearth_tensor tensor;
      if (describe(graph_.get(), i, &tensor) == HEARTH_OK) list.push_back(copy(tensor));
    }
    return list;
  }

  static hearth_graph* open(const std::string& path, std::int32_t threads) {
    hearth_graph_options options = HEARTH_GRAPH_OPTIONS_INIT;
    options.threads = threads;
    detail::Check check;
    hearth_graph* graph = nullptr;
    check(hearth_graph_open(path.c_str(), &options, &graph, &check.error));
    return graph;
  }

  std::unique_ptr<hearth_graph, void (*)(hearth_graph*)> graph_;
};

}  // namespace hearth
