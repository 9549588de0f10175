// Operator graphs through the C API and the C++ one: arrays, text, maps, methods, what is refused.
#include <doctest/doctest.h>

#include <cstring>

#include "hearth/graph.hpp"

namespace {

using hearth::Graph;
using hearth::GraphTensor;

const std::string small = "tests/golden/graphs/small.onnx";

TEST_CASE("a graph says what it takes and gives, and runs") {
  Graph graph(small, 2);
  const auto inputs = graph.inputs();
  REQUIRE(inputs.size() == 1);
  CHECK(inputs[0].name == "x");
  CHECK(inputs[0].dtype == HEARTH_F32);
  CHECK(inputs[0].shape == std::vector<std::int64_t>{-1, 4});
  const auto outputs = graph.run({GraphTensor::of("", {1, 4}, std::vector<float>{1, 1, 1, 1})});
  REQUIRE(outputs.size() == 1);
  CHECK(outputs[0].shape == std::vector<std::int64_t>{1, 3});
  CHECK(outputs[0].as<float>()[1] == doctest::Approx(0.866813).epsilon(1e-5));
}

TEST_CASE("text and dictionaries come out of a classifier") {
  Graph graph("src/graphs/coreml_fuzz_corpus/tree_classifier.mlmodel");
  std::vector<GraphTensor> given;
  for (const GraphTensor& input : graph.inputs()) {
    std::size_t count = 1;
    std::vector<std::int64_t> shape = input.shape;
    for (std::int64_t& extent : shape) count *= static_cast<std::size_t>(extent < 0 ? 1 : extent);
    REQUIRE(input.dtype == HEARTH_F64);
    given.push_back(GraphTensor::of(input.name, shape, std::vector<double>(count, 0.5)));
  }
  bool has_map = false, has_label = false;
  for (const GraphTensor& output : graph.run(given)) {
    has_map = has_map || output.json.find("keys") != std::string::npos;
    has_label = has_label || !output.texts.empty() || output.dtype == HEARTH_I64;
  }
  CHECK(has_map);
  CHECK(has_label);
}

TEST_CASE("one of several methods") {
  const std::string path = "src/graphs/executorch_fuzz_corpus/methods_first.pte";
  CHECK(Graph(path).inputs().size() >= 1);
  try {
    Graph(path, 1, "no such method");
    FAIL("opened");
  } catch (const hearth::Failure& failure) {
    CHECK(failure.status() == HEARTH_NOT_FOUND);
    CHECK(std::string(failure.what()).find("no such method") != std::string::npos);
  }
}

TEST_CASE("what is wrong with an input is said") {
  Graph graph(small);
  const auto refused = [&](const GraphTensor& tensor) -> std::string {
    try {
      graph.run({tensor});
    } catch (const hearth::Failure& failure) {
      CHECK(failure.status() == HEARTH_INVALID);
      return failure.what();
    }
    return "";
  };
  const std::vector<float> four(4, 1.0f);
  CHECK(refused(GraphTensor::of("z", {1, 4}, four)).find("'x': not given") != std::string::npos);
  CHECK(refused(GraphTensor::of("x", {1, 5}, four)).find("16 bytes") != std::string::npos);
  CHECK(refused(GraphTensor::of("x", {2, 2}, four)).find("[2, 2]") != std::string::npos);
  CHECK(refused(GraphTensor::of("x", {1, 4}, std::vector<std::int32_t>(4))).find("int32") !=
        std::string::npos);
  CHECK(refused(GraphTensor::of("x", {1}, std::vector<std::string>{"a"})).find("string") !=
        std::string::npos);
}

TEST_CASE("an older, shorter options struct keeps the defaults") {
  hearth_graph_options options = HEARTH_GRAPH_OPTIONS_INIT;
  options.size = offsetof(hearth_graph_options, method);
  options.method = reinterpret_cast<const char*>(1);  // behind what the caller knows
  hearth_graph* graph = nullptr;
  CHECK(hearth_graph_open(small.c_str(), &options, &graph, nullptr) == HEARTH_OK);
  hearth_tensors* outputs = nullptr;
  CHECK(hearth_graph_run(graph, nullptr, 1, &outputs, nullptr) == HEARTH_INVALID);
  CHECK(hearth_tensors_json(nullptr, 0) == nullptr);
  hearth_graph_close(graph);
}

}  // namespace
