#include "server/graph_pool.h"

#include <doctest/doctest.h>

#include "base/store_files.h"

namespace hearth::server {
namespace {

using Inputs = std::map<std::string, graphs::Value, std::less<>>;

LocalModel small() {
  LocalModel model;
  model.name = "small";
  model.path = "tests/golden/graphs/small.onnx";
  model.identity = file_identity(model.path).value();
  return model;
}

Inputs ones(std::int64_t rows) {
  graphs::Tensor x = graphs::make_tensor(graphs::Element::f32, {rows, 4}).value();
  std::fill_n(x.data<float>(), x.count, 1.0f);
  return {{"x", x}};
}

}  // namespace

TEST_CASE("a graph is opened once, and again when its file is another") {
  GraphPool pool(2);
  LocalModel model = small();
  const auto first = pool.open(model).value();
  CHECK(pool.open(model).value() == first);
  model.identity.modified_ns += 1;
  CHECK(pool.open(model).value() != first);
  model.path = "tests/golden/graphs/absent.onnx";
  CHECK(pool.open(model).error().kind() == ErrorKind::not_found);
}

TEST_CASE("a run is bounded in memory and ends when its client leaves") {
  GraphPool pool(2);
  const auto runner = pool.open(small()).value();
  const struct {
    std::uint64_t memory_bytes;
    bool is_enough;
  } rows[] = {{1 << 10, false}, {1 << 16, true}, {0, true}};
  for (const auto& row : rows) {
    CAPTURE(row.memory_bytes);
    const auto outputs = pool.run(*runner, ones(100), {.memory_bytes = row.memory_bytes}, {});
    CHECK(outputs.ok() == row.is_enough);
    if (!outputs) CHECK(outputs.error().kind() == ErrorKind::exhausted);
  }
  std::stop_source left;
  left.request_stop();
  const auto outputs = pool.run(*runner, ones(1), {}, left.get_token());
  REQUIRE(!outputs);
  CHECK(outputs.error().kind() == ErrorKind::cancelled);
}

}  // namespace hearth::server
