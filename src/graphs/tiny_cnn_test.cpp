// One network in every format of graphs gives the same (scripts/golden_tiny_cnn.py): what plain
// loops over the same weights give.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/executor.h"
#include "graphs/npy.h"
#include "graphs/open.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

const std::string folder = "tests/golden/graphs/tiny_cnn";

// x: [1, channels, height, width], as an input of `info` wants it: of its type, its shape, and with
// channels last where that is its order.
Tensor as_wanted(const Tensor& x, const ValueInfo& info) {
  Dims dims;
  for (const Extent& extent : info.shape) dims.push_back(extent.value);
  const std::int64_t channels = x.dims[1], plane = x.dims[2] * x.dims[3];
  const bool is_last = dims.size() == 4 && dims[3] == channels;
  std::vector<float> numbers(static_cast<std::size_t>(x.count));
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t i = 0; i < plane; ++i)
      numbers[static_cast<std::size_t>(is_last ? i * channels + c : c * plane + i)] =
          x.data<float>()[c * plane + i];
  Tensor y = make_tensor(info.type, dims).value();
  put(y, std::span<const float>(numbers));
  return y;
}

// The largest distance of a file's results from those expected.
double distance(ops::Context& ctx, const std::string& file) {
  const std::string text = read_file(join_path(folder, "expected.npz"), 1u << 20).value();
  auto arrays = read_npz(bytes_of(text)).value();
  auto program = open_graph(join_path(folder, file));
  REQUIRE_MESSAGE(program.ok(), program.error().message());
  const Runner runner(std::move(*program));
  const Graph& graph = *runner.program().graph;
  const ValueInfo& info = graph.values[static_cast<std::size_t>(graph.inputs.at(0))];
  double most = 0;
  for (int i = 0; i < 4; ++i) {
    const auto got =
        runner.run(ctx, {{info.name, Value(as_wanted(arrays.at(fmt::format("in/{}", i)), info))}});
    REQUIRE_MESSAGE(got.ok(), got.error().message());
    const Numbers<double> a(arrays.at(fmt::format("out/{}", i))), b(got->at(0).tensor);
    REQUIRE(a.size() == b.size());
    for (std::size_t k = 0; k < a.size(); ++k) most = std::max(most, std::fabs(a[k] - b[k]));
  }
  return most;
}

}  // namespace

TEST_CASE("one network in every format gives the same") {
  ThreadPool pool(2);
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  ctx.pool = &pool;
  const struct {
    const char* file;
    double most;
  } rows[] = {
      {"tiny.onnx", 1e-5},        {"tiny.tflite", 1e-5}, {"tiny.mlmodel", 1e-5},
      {"tiny.mlpackage", 1e-5},   {"tiny.pte", 1e-5},    {"tiny_xnnpack.pte", 1e-5},
      {"tiny_int8.tflite", 0.01},  // whole numbers of 8 bits
  };
  for (const auto& row : rows) {
    CAPTURE(row.file);
    CHECK(distance(ctx, row.file) <= row.most);
  }
}

}  // namespace hearth::graphs
