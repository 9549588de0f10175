// Runs an operator graph on ones and prints what comes out: graph MODEL.onnx
#include <hearth/graph.hpp>

#include <iostream>

int main(int count, char** words) {
  if (count < 2) {
    std::cerr << "usage: graph MODEL.onnx\n";
    return 2;
  }
  try {
    hearth::Graph graph(words[1]);
    std::vector<hearth::GraphTensor> inputs;
    for (const hearth::GraphTensor& input : graph.inputs()) {
      std::vector<std::int64_t> shape = input.shape;
      std::size_t elements = 1;
      for (std::int64_t& extent : shape) {
        if (extent < 0) extent = 1;  // open: any
        elements *= static_cast<std::size_t>(extent);
      }
      inputs.push_back(
          hearth::GraphTensor::of(input.name, shape, std::vector<float>(elements, 1.0f)));
    }
    for (const hearth::GraphTensor& output : graph.run(inputs)) {
      std::cout << output.name << ":";
      for (const float number : output.as<float>()) std::cout << ' ' << number;
      std::cout << '\n';
    }
  } catch (const hearth::Failure& failure) {
    std::cerr << failure.what() << '\n';
    return 1;
  }
}
