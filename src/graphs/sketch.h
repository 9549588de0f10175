// For tests: graphs drawn by hand, with inputs to try them with.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "graphs/executor.h"
#include "graphs/infer.h"

namespace hearth::graphs {

using Inputs = std::map<std::string, Value, std::less<>>;
using Integers = std::vector<std::int64_t>;

// A graph, and the inputs to try it with.
struct Sketch {
  Graph graph;
  Inputs inputs;
  std::mt19937 random{5};

  ValueId value(std::string name = "") {
    graph.values.emplace_back();
    graph.values.back().name = std::move(name);
    return static_cast<ValueId>(graph.values.size() - 1);
  }
  Tensor numbers(Dims dims, float scale = 1) {
    Tensor tensor = make_tensor(Element::f32, std::move(dims)).value();
    std::uniform_real_distribution<float> draw(-scale, scale);
    for (std::int64_t i = 0; i < tensor.count; ++i) tensor.data<float>()[i] = draw(random);
    return tensor;
  }
  ValueId input(const std::string& name, const Dims& dims) {
    const ValueId id = value(name);
    ValueInfo& info = graph.values.back();
    info.type = Element::f32;
    info.has_shape = true;
    for (const std::int64_t extent : dims) info.shape.push_back({extent, ""});
    graph.inputs.push_back(id);
    inputs.emplace(name, numbers(dims));
    return id;
  }
  ValueId constant(Tensor tensor) {
    const ValueId id = value();
    graph.constants.push_back({id, std::move(tensor)});
    return id;
  }
  ValueId weights(Dims dims, float scale = 0.3f) {
    return constant(numbers(std::move(dims), scale));
  }
  Tensor bytes(Element type, Dims dims, int low, int high) {
    Tensor tensor = make_tensor(type, std::move(dims)).value();
    for (std::int64_t i = 0; i < tensor.count; ++i)
      tensor.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(
          low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1)));
    return tensor;
  }
  ValueId zero(Element type, int number) {
    Tensor tensor = make_tensor(type, {}).value();
    tensor.data<std::uint8_t>()[0] = static_cast<std::uint8_t>(number);
    return constant(std::move(tensor));
  }
  ValueId byte_input(const std::string& name, Element type, const Dims& dims) {
    const ValueId id = input(name, dims);
    graph.values.back().type = type;
    const bool is_signed = type == Element::i8;
    inputs.insert_or_assign(name, bytes(type, dims, is_signed ? -128 : 0, is_signed ? 127 : 255));
    return id;
  }
  ValueId scalar(float number) {
    Tensor tensor = make_tensor(Element::f32, {}).value();
    tensor.data<float>()[0] = number;
    return constant(std::move(tensor));
  }
  ValueId integers(const Integers& numbers) {
    Tensor tensor = make_tensor(Element::i64, {static_cast<std::int64_t>(numbers.size())}).value();
    std::ranges::copy(numbers, tensor.data<std::int64_t>());
    return constant(std::move(tensor));
  }
  ValueId op(std::string_view name, std::vector<ValueId> from, Attributes attributes = {}) {
    Node node;
    node.op = find_operator(name);
    REQUIRE(node.op != nullptr);
    node.inputs = std::move(from);
    node.attributes = std::move(attributes);
    const ValueId id = value();
    node.outputs = {id};
    graph.nodes.push_back(std::move(node));
    return id;
  }
  Program program(std::vector<ValueId> outputs) {
    graph.outputs = std::move(outputs);
    infer_shapes(graph);
    REQUIRE(finish(graph).ok());
    Program program;
    program.graph = std::make_shared<const Graph>(graph);
    return program;
  }
};

}  // namespace hearth::graphs
