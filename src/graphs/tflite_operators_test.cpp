// TFLite files of one operator each give what LiteRT's own interpreter gives
// (scripts/golden_tflite.py); StableHLO's with graphs of scalars what JAX gives, lookups and sounds
// what LiteRT does (scripts/golden_stablehlo.py).
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <map>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/executor.h"
#include "graphs/infer.h"
#include "graphs/npy.h"
#include "graphs/tflite/import.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

struct Case {
  Tensor model;
  std::map<std::size_t, Tensor> inputs, outputs;  // by place
};

std::map<std::string, Case> read_cases(const std::string& archive) {
  std::map<std::string, Case> cases;
  const std::string text = read_file("tests/golden/graphs/" + archive, 8u << 20).value();
  auto arrays = read_npz(bytes_of(text));
  REQUIRE_MESSAGE(arrays.ok(), arrays.error().message());
  for (auto& [key, tensor] : *arrays) {
    const std::size_t slash = key.find('/');
    Case& each = cases[key.substr(0, slash)];
    const std::string rest = key.substr(slash + 1);
    if (rest == "model") each.model = tensor;
    if (rest.starts_with("in/")) each.inputs.emplace(std::stoul(rest.substr(3)), tensor);
    if (rest.starts_with("out/")) each.outputs.emplace(std::stoul(rest.substr(4)), tensor);
  }
  return cases;
}

// "" when equal but for rounding; numbers that stand for others may be one off.
std::string difference(const Tensor& want, const Tensor& got) {
  if (want.dims != got.dims || want.type != got.type)
    return fmt::format("{} {} instead of {} {}", name_of(got.type), to_text(got.dims),
                       name_of(want.type), to_text(want.dims));
  const bool is_step = want.type == Element::i8 || want.type == Element::u8;
  const Numbers<double> a(want), b(got);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double most = is_step ? 1 : is_float(want.type) ? 2e-5 * (1 + std::fabs(a[i])) : 0;
    if (a[i] != b[i] && !(std::fabs(a[i] - b[i]) <= most))
      return fmt::format("[{}]: {} instead of {}", i, b[i], a[i]);
  }
  return "";
}

// What is wrong with a case; "" for nothing.
std::string verdict(ops::Context& ctx, const Case& each) {
  auto program = import_tflite(MappedFile::of_program(each.model.span()));
  if (!program) return program.error().message();
  Graph described = *program->graph;
  infer_shapes(described);
  program->graph = std::make_shared<const Graph>(std::move(described));
  const Runner runner(std::move(*program));
  const Graph& graph = *runner.program().graph;
  std::map<std::string, Value, std::less<>> inputs;
  for (const auto& [place, tensor] : each.inputs)
    inputs.emplace(graph.values[static_cast<std::size_t>(graph.inputs.at(place))].name, tensor);
  const auto got = runner.run(ctx, inputs);
  if (!got) return got.error().message();
  for (const auto& [place, want] : each.outputs)
    if (const auto text = difference(want, got->at(place).tensor); !text.empty())
      return fmt::format("output {}: {}", place, text);
  return "";
}

void check_all(const std::string& archive, std::size_t least) {
  ThreadPool pool(2);
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  ctx.pool = &pool;
  const auto cases = read_cases(archive);
  CHECK(cases.size() >= least);
  for (const auto& [name, each] : cases) {
    CAPTURE(name);
    const std::string wrong = verdict(ctx, each);
    CHECK(wrong == "");
  }
}

}  // namespace

TEST_CASE("TFLite's operators give what LiteRT's interpreter gives") {
  check_all("tflite.npz", 140);
}

TEST_CASE("StableHLO's operators give what JAX gives, lookups and sounds what LiteRT gives") {
  check_all("stablehlo.npz", 46);
}

}  // namespace hearth::graphs
