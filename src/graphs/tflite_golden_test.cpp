// TFLite Micro's SEANet tests: one operator each, 16-bit numbers, equal to the last bit.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstdlib>
#include <map>

#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/executor.h"
#include "graphs/open.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

Result<Tensor> read_numbers(const std::string& path, Element type, Dims dims) {
  const std::string text = TRY(read_file(path, 1 << 26));
  Tensor tensor = TRY(make_tensor(type, std::move(dims)));
  const char* at = text.c_str();
  for (std::int64_t i = 0; i < tensor.count; ++i) {
    char* end = nullptr;
    const std::int64_t number = std::strtoll(at, &end, 10);
    if (end == at) return Error(ErrorKind::corrupt, fmt::format("{}: {} numbers", path, i));
    store(type, tensor.bytes + i * static_cast<std::int64_t>(size_of(type)), Work::i64, &number, 1);
    at = end + (*end == ',' ? 1 : 0);
  }
  return tensor;
}

// The file of one operand: NAME_input0_int16.csv, NAME_golden_int32.csv.
std::string numbers_of(const std::string& stem, const std::string& what, Element type) {
  return fmt::format("{}_{}_{}.csv", stem, what, name_of(type));
}

Result<std::string> run_case(ops::Context& ctx, const std::string& stem) {
  const Runner runner(TRY(open_graph(stem + ".tflite")));
  const Graph& graph = *runner.program().graph;
  std::map<std::string, Value, std::less<>> inputs;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const ValueInfo& info = graph.values[static_cast<std::size_t>(graph.inputs[i])];
    Dims dims;
    for (const Extent& extent : info.shape) dims.push_back(extent.value);
    inputs.emplace(info.name,
                   TRY(read_numbers(numbers_of(stem, fmt::format("input{}", i), info.type),
                                    info.type, std::move(dims))));
  }
  const auto outputs = TRY(runner.run(ctx, inputs));
  const Tensor& got = outputs.at(0).tensor;
  const Tensor want = TRY(read_numbers(numbers_of(stem, "golden", got.type), got.type, got.dims));
  std::int64_t others = 0;
  for (std::int64_t i = 0; i < got.count * static_cast<std::int64_t>(size_of(got.type)); ++i)
    others += got.bytes[i] != want.bytes[i] ? 1 : 0;
  if (others == 0) return std::string();
  return fmt::format("{} of {} bytes differ", others, got.byte_count());
}

}  // namespace

TEST_CASE("the SEANet operators give their golden numbers exactly") {
  const char* set = std::getenv("HEARTH_DATA");
  const std::string root =
      join_path(set != nullptr ? set : "../shared/data", "conformance/tflite/seanet");
  const auto folders = list_folder(root);
  if (!folders) {
    fmt::print("skipped: {} is not here\n", root);
    return;
  }
  ThreadPool pool(2);
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  ctx.pool = &pool;
  int passed = 0;
  for (const std::string& folder : *folders) {
    const auto names = list_folder(join_path(root, folder));
    REQUIRE(names.ok());
    for (const std::string& name : *names) {
      if (!name.ends_with(".tflite")) continue;
      const std::string stem = join_path(join_path(root, folder), name.substr(0, name.size() - 7));
      const auto found = run_case(ctx, stem);
      CHECK_MESSAGE(found.ok(), (found.ok() ? "" : found.error().message()));
      if (found) CHECK_MESSAGE(found->empty(), fmt::format("{}: {}", name, *found));
      passed += found && found->empty() ? 1 : 0;
    }
  }
  fmt::print("{}: {} passed\n", root, passed);
}

}  // namespace hearth::graphs
