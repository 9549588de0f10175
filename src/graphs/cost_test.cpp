// What graphs multiply, counted by hand.
#include "graphs/cost.h"

#include "graphs/sketch.h"

namespace hearth::graphs {
namespace {

std::uint64_t cost_after(Sketch& sketch, ValueId output) {
  const Program program = sketch.program({output});
  const Cost cost = cost_of(*program.graph);
  CHECK(cost.unknown == 0);
  CHECK_FALSE(cost.has_open);
  return cost.multiplications;
}

TEST_CASE("products are counted by their shapes") {
  {
    Sketch s;
    const ValueId x = s.input("x", {1, 4, 8, 8});
    const ValueId y = s.op("Conv", {x, s.weights({6, 2, 3, 3})}, {{"group", std::int64_t{2}}});
    CHECK(cost_after(s, y) == 6 * 6 * 6 * 2 * 9);
  }
  {
    Sketch s;
    const ValueId x = s.input("x", {5, 3, 7});
    CHECK(cost_after(s, s.op("MatMul", {x, s.weights({7, 2})})) == 5 * 3 * 7 * 2);
  }
  {
    Sketch s;
    const ValueId x = s.input("x", {7, 3});
    const ValueId y = s.op("Gemm", {x, s.weights({2, 7})},
                           {{"transA", std::int64_t{1}}, {"transB", std::int64_t{1}}});
    CHECK(cost_after(s, y) == 3 * 7 * 2);
  }
  {
    Sketch s;
    const ValueId x = s.input("x", {1, 4, 5, 5});
    CHECK(cost_after(s, s.op("ConvTranspose", {x, s.weights({4, 3, 2, 2})})) == 100 * 3 * 4);
  }
  {
    Sketch s;
    const ValueId x = s.input("x", {6, 2, 3});
    const ValueId y = s.op("LSTM", {x, s.weights({1, 16, 3}), s.weights({1, 16, 4})},
                           {{"hidden_size", std::int64_t{4}}});
    CHECK(cost_after(s, y) == 6 * 2 * (16 * 3 + 16 * 4));
  }
  {
    Sketch s;
    const ValueId q = s.input("q", {1, 2, 5, 8}), k = s.input("k", {1, 2, 9, 8});
    CHECK(cost_after(s, s.op("Attention", {q, k, k})) == 2 * 80 * 9);
  }
}

TEST_CASE("an open size counts as one, a shape that nobody knows as nothing") {
  Sketch s;
  const ValueId x = s.input("x", {1, 7});
  s.graph.values[static_cast<std::size_t>(x)].shape[0].value = -1;
  Program program = s.program({s.op("MatMul", {x, s.weights({7, 2})})});
  Cost cost = cost_of(*program.graph);
  CHECK(cost.multiplications == 14);
  CHECK(cost.has_open);
  Sketch other;
  const ValueId y = other.value("y");
  other.graph.inputs.push_back(y);
  program = other.program({other.op("MatMul", {y, other.weights({7, 2})})});
  cost = cost_of(*program.graph);
  CHECK(cost.multiplications == 0);
  CHECK(cost.unknown == 1);
}

}  // namespace
}  // namespace hearth::graphs
