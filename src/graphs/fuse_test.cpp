// Graphs run quickly and node by node give the same, for every shape that the quick ways treat
// apart.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <set>

#include "base/thread_pool.h"
#include "graphs/sketch.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

std::string worst_difference(const Value& want, const Value& got) {
  if (want.tensor.dims != got.tensor.dims)
    return to_text(got.tensor.dims) + " instead of " + to_text(want.tensor.dims);
  for (std::int64_t i = 0; i < want.tensor.count; ++i) {
    const float a = want.tensor.data<float>()[i], b = got.tensor.data<float>()[i];
    if (!(std::fabs(a - b) <= 2e-4f * (1 + std::fabs(a))))
      return fmt::format("[{}]: {} instead of {}", i, b, a);
  }
  return "";
}

// Runs on every table, with one thread and with three; returns the operators of the quick graph.
std::set<std::string> check(Sketch& sketch, std::vector<ValueId> outputs) {
  const Program program = sketch.program(std::move(outputs));
  const Runner slow(program, {.optimise = false}), quick(program);
  ops::Context plain;
  const auto want = slow.run(plain, sketch.inputs);
  REQUIRE_MESSAGE(want.ok(), (want.ok() ? "" : want.error().message()));
  for (const kernels::Candidate& candidate : kernels::candidates()) {
    if (!candidate.supported()) continue;
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      ops::Context ctx;
      ctx.kernels = candidate.table;
      ctx.pool = &pool;
      INFO(std::string(candidate.table->name));
      for (int again = 0; again < 2; ++again) {  // the second run finds everything packed
        const auto got = quick.run(ctx, sketch.inputs);
        REQUIRE_MESSAGE(got.ok(), (got.ok() ? "" : got.error().message()));
        for (std::size_t i = 0; i < want->size(); ++i)
          CHECK(worst_difference((*want)[i], (*got)[i]) == "");
      }
    }
  }
  std::set<std::string> names;
  for (const Node& node : quick.program().graph->nodes) names.emplace(node.op->name);
  return names;
}

using Names = std::set<std::string>;

struct Shape {
  std::string what;
  Dims x, w;
  Integers strides, pads, dilations;
  std::int64_t groups;
};

const Shape shapes[] = {
    {"three planes, as they lie", {1, 3, 19, 23}, {20, 3, 7, 7}, {2, 2}, {3, 3, 3, 3}, {1, 1}, 1},
    {"whole blocks", {1, 32, 14, 14}, {64, 32, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"parts of blocks", {2, 21, 9, 11}, {37, 21, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"one by one", {1, 40, 13, 5}, {24, 40, 1, 1}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {"one by one in steps", {2, 16, 9, 9}, {48, 16, 1, 1}, {2, 2}, {0, 0, 0, 0}, {1, 1}, 1},
    {"uneven borders, spread", {1, 16, 12, 10}, {16, 16, 3, 2}, {2, 1}, {0, 2, 3, 1}, {2, 3}, 1},
    {"by channel", {2, 35, 10, 12}, {35, 1, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 35},
    {"by channel in steps", {1, 16, 11, 15}, {16, 1, 5, 5}, {2, 2}, {2, 2, 2, 2}, {1, 1}, 16},
    {"groups of blocks", {1, 32, 8, 8}, {64, 16, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 2},
    {"groups of few", {1, 12, 8, 8}, {8, 6, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 2},
    {"fewer places than a tile", {1, 32, 3, 3}, {40, 32, 3, 3}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {"nine places", {1, 32, 3, 3}, {40, 32, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"one axis", {2, 20, 50}, {33, 20, 5}, {2}, {2, 1}, {1}, 1},
    {"three axes", {1, 4, 5, 6, 7}, {8, 4, 3, 3, 3}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}, {1, 1, 1}, 1},
};

ValueId conv(Sketch& s, ValueId x, const Shape& shape, bool has_bias) {
  std::vector<ValueId> from{x, s.weights(shape.w)};
  if (has_bias) from.push_back(s.weights({shape.w[0]}));
  return s.op("Conv", from,
              {{"strides", shape.strides},
               {"pads", shape.pads},
               {"dilations", shape.dilations},
               {"group", shape.groups}});
}

}  // namespace

TEST_CASE("convolutions alone, with bounds, with a curve and with a sum") {
  for (const Shape& shape : shapes) {
    CAPTURE(shape.what);
    for (const int kind : {0, 1, 2, 3}) {
      CAPTURE(kind);
      Sketch s;
      const ValueId x = s.input("x", shape.x);
      ValueId y = conv(s, x, shape, kind != 1);
      if (kind == 1) y = s.op("Clip", {y, s.scalar(-0.5f), s.scalar(1)});
      if (kind == 2) y = s.op("HardSwish", {y});
      if (kind == 3) {
        const ValueId other = conv(s, x, shape, false);
        y = s.op("Relu", {s.op("Add", {other, y})});
      }
      const Names names = check(s, {y});
      CHECK(names == Names{"hearth.Conv"});
    }
  }
}

TEST_CASE("chains of convolutions pass blocks on, and others get rows") {
  const Shape first{"", {1, 3, 20, 20}, {32, 3, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1};
  const Shape second{"", {}, {48, 32, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1};
  const Shape odd{"", {}, {21, 48, 1, 1}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1};
  Sketch s;
  const ValueId a = s.op("Relu", {conv(s, s.input("x", first.x), first, true)});
  const ValueId b = conv(s, a, second, true);
  const ValueId gate = s.op("Sigmoid", {s.op("GlobalAveragePool", {b})});
  const ValueId scaled = s.op("Mul", {b, gate});
  const ValueId joined = s.op("Concat", {a, scaled}, {{"axis", std::int64_t{1}}});
  const ValueId pooled = s.op("MaxPool", {joined},
                              {{"kernel_shape", Integers{3, 3}},
                               {"strides", Integers{2, 2}},
                               {"pads", Integers{1, 1, 1, 1}}});
  const ValueId c = conv(s, b, odd, true);
  const ValueId sum = s.op("Add", {c, s.op("Sigmoid", {c})});
  const ValueId flat = s.op("Flatten", {s.op("GlobalAveragePool", {sum})});
  const ValueId means = s.op("ReduceMean", {pooled, s.integers({2, 3})});
  check(s, {flat, means, c, s.op("Transpose", {b}, {{"perm", Integers{0, 2, 3, 1}}}), pooled});
}

TEST_CASE("products with what follows them") {
  for (const std::int64_t rows : {1, 5, 130})
    for (const std::int64_t columns : {1, 24, 700}) {
      CAPTURE(rows);
      CAPTURE(columns);
      Sketch s;
      const ValueId x = s.input("x", {2, rows, 33}), other = s.input("other", {2, rows, columns});
      const ValueId y =
          s.op("Add", {s.op("MatMul", {x, s.weights({33, columns})}), s.weights({columns})});
      const ValueId z = s.op("Gelu", {s.op("Add", {other, y})});
      CHECK(check(s, {z}) == Names{"hearth.MatMul"});
      Sketch g;
      const ValueId left = g.input("x", {rows, 600});
      const ValueId sum = g.op("Gemm", {left, g.weights({columns, 600}), g.weights({columns})},
                               {{"transB", std::int64_t{1}}});
      CHECK(check(g, {g.op("Relu", {sum})}) == Names{"hearth.MatMul"});
    }
}

TEST_CASE("what is read twice, or is no bias, is not taken in") {
  Sketch s;
  const ValueId x = s.input("x", {4, 16});
  const ValueId y = s.op("MatMul", {x, s.weights({16, 16})});
  const ValueId z = s.op("Relu", {y});
  const ValueId scaled = s.op("Add", {s.op("MatMul", {z, s.weights({16, 1})}), s.weights({1, 5})});
  check(s, {s.op("Add", {y, z}), scaled});
}

TEST_CASE("attention from its parts, with rows or heads first, with a mask") {
  for (const bool masked : {false, true})
    for (const bool rows_first : {false, true})
      for (const std::int64_t rows : {1, 7, 150}) {
        CAPTURE(masked);
        CAPTURE(rows_first);
        CAPTURE(rows);
        const std::int64_t heads = 3, keys = 21, dim = 8;
        Sketch s;
        const auto operand = [&](const std::string& name, std::int64_t n) {
          const ValueId x =
              s.input(name, rows_first ? Dims{2, n, heads, dim} : Dims{2, heads, n, dim});
          return rows_first ? s.op("Transpose", {x}, {{"perm", Integers{0, 2, 1, 3}}}) : x;
        };
        const ValueId q = operand("q", rows), k = operand("k", keys), v = operand("v", keys);
        const ValueId turned = s.op("Transpose", {k}, {{"perm", Integers{0, 1, 3, 2}}});
        ValueId scores = s.op("Div", {s.op("MatMul", {q, turned}), s.scalar(2.83f)});
        if (masked) scores = s.op("Add", {scores, s.input("mask", {2, 1, 1, keys})});
        const ValueId mixed = s.op("MatMul", {s.op("Softmax", {scores}), v});
        const ValueId y = s.op("Transpose", {mixed}, {{"perm", Integers{0, 2, 1, 3}}});
        CHECK(check(s, {y}) == Names{"hearth.Attention"});
      }
}

TEST_CASE("a layer normalisation and a swish from their parts") {
  Sketch s;
  const ValueId x = s.input("x", {3, 5, 40});
  const auto mean = [&](ValueId id) { return s.op("ReduceMean", {id, s.integers({-1})}); };
  const ValueId difference = s.op("Sub", {x, mean(x)});
  const ValueId variance = mean(s.op("Pow", {difference, s.scalar(2)}));
  const ValueId root = s.op("Sqrt", {s.op("Add", {variance, s.scalar(1e-5f)})});
  const ValueId y = s.op(
      "Add", {s.op("Mul", {s.op("Div", {difference, root}), s.weights({40})}), s.weights({40})});
  CHECK(check(s, {s.op("Mul", {y, s.op("Sigmoid", {y})})}) == Names{"LayerNormalization", "Swish"});
}

TEST_CASE("the names of all operators are different") {
  std::set<std::string_view> names;
  for (const auto family : operator_families())
    for (const Operator& row : family) {
      CHECK(names.insert(row.name).second);
      // For scripts/operator_report.py.
      if (std::getenv("HEARTH_LIST_OPERATORS") != nullptr) fmt::print("+ {}\n", row.name);
    }
}

}  // namespace hearth::graphs
