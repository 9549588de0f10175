// One model in every container.  A trained llama of 260 thousand parameters tells one story, a
// small network gives one result, whatever they lie in.  docs/formats/containers.md tells who wrote
// each, and what holds containers that lose something.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>

#include "base/bytes.h"
#include "engines/engines.h"
#include "engines/testing.h"
#include "graphs/executor.h"
#include "graphs/npy.h"
#include "graphs/open.h"
#include "kernels/select.h"
#include "models/test_support.h"

namespace hearth {
namespace {

const std::string golden = "tests/golden/";

// What the model in a container says after the first token, chosen greedily, by the engine that
// suits it best.
std::vector<Token> story(const std::string& path, std::size_t tokens) {
  const kernels::Kernels* table = *kernels::choose("");
  const auto pool = std::make_shared<ThreadPool>(1);
  const auto package = open_package(path);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  ops::Context ctx{.kernels = table, .pool = pool.get()};
  const auto model = load_with_best_engine(ctx, *package);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  RunnerOptions options;
  options.kv_budget_bytes = 1 << 20;
  const auto runner = make_runner(model->model, *table, pool, options);
  REQUIRE_MESSAGE(runner.ok(), runner.error().message());
  return testing::generated(**runner, testing::greedy({1}, static_cast<std::int64_t>(tokens)));
}

TEST_CASE("one story from every container") {
  const std::string data = models::shared_data("models/stories260K"), made = golden + "engines";
  std::vector<Token> wanted = testing::expected_tokens(made + "/litert");
  wanted.erase(wanted.begin());  // the one it begins with
  const struct {
    std::string container, folder, name;
  } rows[] = {
      {"llama2.c", data, "stories260K.bin"},
      {"PyTorch", data, "stories260K.pt"},
      {"GGUF", data, "stories260K-f32.gguf"},
      {"safetensors", data, "hf"},
      {"MLX, 8 bits", made, "mlx"},
      {"MLC-LLM, halves", made, "mlc"},
      {"ONNX", made, "optimum"},
      {"TFLite, in a bundle of LiteRT-LM", made, "litert/model.litertlm"},
      {"Core ML", made, "coreml"},
      {"ExecuTorch", made, "executorch"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.container);
    if (!row.folder.empty()) CHECK(story(join_path(row.folder, row.name), wanted.size()) == wanted);
  }
}

// x: [1, channels, height, width], as an input of `info` wants it: of its type, its shape, and with
// channels last where that is its order.
graphs::Tensor as_wanted(const graphs::Tensor& x, const graphs::ValueInfo& info) {
  graphs::Dims dims;
  for (const graphs::Extent& extent : info.shape) dims.push_back(extent.value);
  const std::int64_t channels = x.dims[1], plane = x.dims[2] * x.dims[3];
  const bool is_last = dims.size() == 4 && dims[3] == channels;
  std::vector<float> numbers(static_cast<std::size_t>(x.count));
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t i = 0; i < plane; ++i)
      numbers[static_cast<std::size_t>(is_last ? i * channels + c : c * plane + i)] =
          x.data<float>()[c * plane + i];
  graphs::Tensor y = graphs::make_tensor(info.type, dims).value();
  graphs::put(y, std::span<const float>(numbers));
  return y;
}

// The largest distance of a file's results from what plain loops over the same weights give.
double distance(ops::Context& ctx, const std::string& file) {
  const std::string folder = golden + "graphs/tiny_cnn";
  const std::string text = read_file(join_path(folder, "expected.npz"), 1u << 20).value();
  auto arrays = graphs::read_npz(bytes_of(text)).value();
  auto program = graphs::open_graph(join_path(folder, file));
  REQUIRE_MESSAGE(program.ok(), program.error().message());
  const graphs::Runner runner(std::move(*program));
  const graphs::Graph& graph = *runner.program().graph;
  const graphs::ValueInfo& info = graph.values[static_cast<std::size_t>(graph.inputs.at(0))];
  double most = 0;
  for (int i = 0; i < 4; ++i) {
    const auto got = runner.run(
        ctx, {{info.name, graphs::Value(as_wanted(arrays.at(fmt::format("in/{}", i)), info))}});
    REQUIRE_MESSAGE(got.ok(), got.error().message());
    const graphs::Numbers<double> a(arrays.at(fmt::format("out/{}", i))), b(got->at(0).tensor);
    REQUIRE(a.size() == b.size());
    for (std::size_t k = 0; k < a.size(); ++k) most = std::max(most, std::fabs(a[k] - b[k]));
  }
  return most;
}

TEST_CASE("one result of a network from every format of graphs") {
  ThreadPool pool(2);
  ops::Context ctx{.kernels = kernels::choose("").value(), .pool = &pool};
  const struct {
    const char *container, *file;
    double most;
  } rows[] = {
      {"ONNX", "tiny.onnx", 1e-5},
      {"TFLite", "tiny.tflite", 1e-5},
      {"TFLite, whole numbers of 8 bits", "tiny_int8.tflite", 0.01},
      {"Core ML, a neural network", "tiny.mlmodel", 1e-5},
      {"Core ML, a program", "tiny.mlpackage", 1e-5},
      {"ExecuTorch", "tiny.pte", 1e-5},
      {"ExecuTorch, of XNNPACK", "tiny_xnnpack.pte", 1e-5},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.container));
    CHECK(distance(ctx, row.file) <= row.most);
  }
}

}  // namespace
}  // namespace hearth
