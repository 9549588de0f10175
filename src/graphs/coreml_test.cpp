// Core ML programs of one operator each give what coremltools, PyTorch or NumPy say they must
// (scripts/golden_coreml.py); the list of operators is covered.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/coreml/import.h"
#include "graphs/coreml/mil.h"
#include "graphs/executor.h"
#include "graphs/npy.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

struct Bench {
  ThreadPool pool{2};
  ops::Context ctx;
  Bench() {
    ctx.kernels = kernels::choose("").value();
    ctx.pool = &pool;
  }
};

struct Case {
  Tensor model, weights;
  std::map<std::string, Value, std::less<>> inputs;
  std::map<std::string, Tensor> outputs;
};

std::map<std::string, Case> read_cases(const std::string& path) {
  std::map<std::string, Case> cases;
  const std::string text = read_file(path, 8u << 20).value();
  auto arrays = read_npz(bytes_of(text));
  REQUIRE(arrays.ok());
  for (auto& [key, tensor] : *arrays) {
    const std::size_t slash = key.find('/');
    Case& each = cases[key.substr(0, slash)];
    const std::string rest = key.substr(slash + 1);
    if (rest == "model") each.model = tensor;
    if (rest == "weights") each.weights = tensor;
    if (rest.starts_with("in/")) each.inputs.emplace(rest.substr(3), tensor);
    if (rest.starts_with("out/")) each.outputs.emplace(rest.substr(4), tensor);
  }
  return cases;
}

// "" when equal but for rounding.
std::string difference(const Tensor& want, const Tensor& got, double tolerance) {
  if (want.dims != got.dims)
    return fmt::format("{} instead of {}", to_text(got.dims), to_text(want.dims));
  for (std::int64_t i = 0; i < want.count; ++i) {
    double a, b;
    load(Work::f64, &a, want.type, want.bytes + i * static_cast<std::int64_t>(size_of(want.type)),
         1);
    load(Work::f64, &b, got.type, got.bytes + i * static_cast<std::int64_t>(size_of(got.type)), 1);
    if (!(std::fabs(a - b) <= tolerance * (1 + std::fabs(a))))
      return fmt::format("[{}]: {} instead of {}", i, b, a);
  }
  return "";
}

// A map's values, in the order of its keys; of anything else the tensor.
const Tensor& numbers_of(const Value& value) {
  return value.kind == Value::Kind::map ? (*value.items)[1].tensor : value.tensor;
}

// What is wrong with a case; "" for nothing.
std::string verdict(Bench& bench, const Case& each) {
  const auto weights = MappedFile::of_program(each.weights.span());
  auto program = import_coreml(MappedFile::of_program(each.model.span()), weights);
  if (!program) return program.error().message();
  const Runner runner(std::move(*program));
  const auto got = runner.run(bench.ctx, each.inputs);
  if (!got) return got.error().message();
  const Graph& graph = *runner.program().graph;
  std::size_t found = 0;
  for (std::size_t i = 0; i < got->size(); ++i) {
    const std::string& name = graph.values[static_cast<std::size_t>(graph.outputs[i])].name;
    const auto want = each.outputs.find(name);
    if (want == each.outputs.end()) continue;
    ++found;
    if (const auto text = difference(want->second, numbers_of((*got)[i]), 2e-5); !text.empty())
      return fmt::format("{}: {}", name, text);
  }
  return found == each.outputs.size() ? "" : "outputs are missing";
}

const std::string golden = "tests/golden/graphs/coreml/";

void check_all(const std::string& archive, std::size_t least) {
  Bench bench;
  const auto cases = read_cases(golden + archive);
  CHECK(cases.size() >= least);
  for (const auto& [name, each] : cases) {
    const std::string text = verdict(bench, each);
    CHECK_MESSAGE(text.empty(), name << ": " << text);
  }
}

TEST_CASE("every operator of ML programs gives what it must") { check_all("operators.npz", 244); }

TEST_CASE("every layer of neural networks gives what it must") { check_all("networks.npz", 213); }

TEST_CASE("classic models say what scikit-learn says") { check_all("classic.npz", 26); }

}  // namespace
}  // namespace hearth::graphs
