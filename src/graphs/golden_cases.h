// For tests: models with their inputs and the outputs that a reference gives, in one .npz.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "base/bytes.h"
#include "base/files.h"
#include "graphs/executor.h"
#include "graphs/npy.h"

namespace hearth::graphs {

struct GoldenCase {
  Tensor model;                                      // its bytes
  std::map<std::string, Value, std::less<>> inputs;  // by name
  std::map<std::size_t, Tensor> outputs;             // by place
};

// By the names of cases: entries are NAME/model, NAME/in/INPUT and NAME/out/PLACE.
inline std::map<std::string, GoldenCase> read_golden_cases(const std::string& path) {
  std::map<std::string, GoldenCase> cases;
  const std::string bytes = read_file(path, 8u << 20).value();
  auto arrays = read_npz(bytes_of(bytes));
  REQUIRE_MESSAGE(arrays.ok(), arrays.error().message());
  for (auto& [key, tensor] : *arrays) {
    const std::size_t slash = key.find('/');
    GoldenCase& each = cases[key.substr(0, slash)];
    const std::string rest = key.substr(slash + 1);
    if (rest == "model") each.model = tensor;
    if (rest.starts_with("in/")) each.inputs.emplace(rest.substr(3), tensor);
    if (rest.starts_with("out/")) each.outputs.emplace(std::stoul(rest.substr(4)), tensor);
  }
  return cases;
}

}  // namespace hearth::graphs
