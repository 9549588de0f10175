// Operator graphs (ONNX, TFLite, Core ML, ExecuTorch) from C++: a thin layer over hearth.h.  C++17.
// Failures are thrown as hearth::Failure.
#pragma once

#include <cstring>
#include <type_traits>

#include "hearth/hearth.hpp"

namespace hearth {

namespace detail {
template <typename T>
struct Dtype;
template <hearth_dtype dtype>
using Is = std::integral_constant<hearth_dtype, dtype>;
template <>
struct Dtype<float> : Is<HEARTH_F32> {};
template <>
struct Dtype<double> : Is<HEARTH_F64> {};
template <>
struct Dtype<std::int8_t> : Is<HEARTH_I8> {};
template <>
struct Dtype<std::int16_t> : Is<HEARTH_I16> {};
template <>
struct Dtype<std::int32_t> : Is<HEARTH_I32> {};
template <>
struct Dtype<std::int64_t> : Is<HEARTH_I64> {};
template <>
struct Dtype<std::uint8_t> : Is<HEARTH_U8> {};
template <>
struct Dtype<std::uint16_t> : Is<HEARTH_U16> {};
template <>
struct Dtype<std::uint32_t> : Is<HEARTH_U32> {};
template <>
struct Dtype<std::uint64_t> : Is<HEARTH_U64> {};
}  // namespace detail

// A dense array, row after row.  Of what a graph says of itself, open extents are -1 and there are
// no elements.
struct GraphTensor {
  std::string name;
  hearth_dtype dtype = HEARTH_F32;
  std::vector<std::int64_t> shape;
  std::vector<unsigned char> bytes;
  std::vector<std::string> texts;  // the elements of HEARTH_TEXT, which has no bytes
  std::string json;                // of a result that is HEARTH_OTHER: a sequence, a map

  template <typename T>
  static GraphTensor of(std::string name, std::vector<std::int64_t> shape,
                        const std::vector<T>& numbers) {
    GraphTensor tensor{std::move(name), detail::Dtype<T>::value, std::move(shape), {}, {}, {}};
    tensor.bytes.resize(numbers.size() * sizeof(T));
    if (!numbers.empty()) std::memcpy(tensor.bytes.data(), numbers.data(), tensor.bytes.size());
    return tensor;
  }
  static GraphTensor of(std::string name, std::vector<std::int64_t> shape,
                        const std::vector<std::string>& texts) {
    return {std::move(name), HEARTH_TEXT, std::move(shape), {}, texts, {}};
  }

  // The elements, which are of the type that T stands for: float, std::int64_t, ...
  template <typename T>
  std::vector<T> as() const {
    std::vector<T> numbers(bytes.size() / sizeof(T));
    if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(T));
    return numbers;
  }
};

// A graph, ready to run.  Movable.  Several threads may call it; runs take turns.
class Graph {
 public:
  // method: of a file of several graphs; empty: its own choice.
  explicit Graph(const std::string& path, std::int32_t threads = 0, const std::string& method = "")
      : graph_(open(path, threads, method), hearth_graph_close) {}

  std::vector<GraphTensor> inputs() const {
    return all(hearth_graph_inputs(graph_.get()), hearth_graph_input);
  }
  std::vector<GraphTensor> outputs() const {
    return all(hearth_graph_outputs(graph_.get()), hearth_graph_output);
  }

  std::vector<GraphTensor> run(const std::vector<GraphTensor>& inputs) {
    std::vector<hearth_tensor> raw;
    std::vector<std::vector<const char*>> texts;
    for (const GraphTensor& tensor : inputs) {
      raw.push_back({tensor.name.empty() ? nullptr : tensor.name.c_str(), tensor.dtype,
                     static_cast<std::int32_t>(tensor.shape.size()), tensor.shape.data(),
                     tensor.bytes.data(), tensor.bytes.size()});
      if (tensor.dtype != HEARTH_TEXT) continue;
      texts.emplace_back();
      for (const std::string& text : tensor.texts) texts.back().push_back(text.c_str());
      raw.back().data = texts.back().data();
      raw.back().bytes = texts.back().size() * sizeof(const char*);
    }
    detail::Check check;
    hearth_tensors* given = nullptr;
    check(hearth_graph_run(graph_.get(), raw.data(), raw.size(), &given, &check.error));
    const std::unique_ptr<hearth_tensors, void (*)(hearth_tensors*)> results(given,
                                                                             hearth_tensors_free);
    std::vector<GraphTensor> outputs;
    for (std::size_t i = 0; i < hearth_tensors_count(given); ++i) {
      outputs.push_back(copy(*hearth_tensors_at(given, i)));
      if (outputs.back().dtype == HEARTH_OTHER) outputs.back().json = hearth_tensors_json(given, i);
    }
    return outputs;
  }

 private:
  static GraphTensor copy(const hearth_tensor& from) {
    GraphTensor tensor{from.name ? from.name : "", from.dtype, {}, {}, {}, {}};
    if (from.rank > 0) tensor.shape.assign(from.shape, from.shape + from.rank);
    if (from.dtype == HEARTH_TEXT) {
      const auto* texts = static_cast<const char* const*>(from.data);
      for (std::size_t i = 0; texts && i < from.bytes / sizeof *texts; ++i)
        tensor.texts.emplace_back(texts[i]);
      return tensor;
    }
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

  static hearth_graph* open(const std::string& path, std::int32_t threads,
                            const std::string& method) {
    hearth_graph_options options = HEARTH_GRAPH_OPTIONS_INIT;
    options.threads = threads;
    if (!method.empty()) options.method = method.c_str();
    detail::Check check;
    hearth_graph* graph = nullptr;
    check(hearth_graph_open(path.c_str(), &options, &graph, &check.error));
    return graph;
  }

  std::unique_ptr<hearth_graph, void (*)(hearth_graph*)> graph_;
};

}  // namespace hearth
