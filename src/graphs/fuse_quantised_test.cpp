// Quantised graphs in whole numbers and node by node give the same, but for results that lie
// halfway between two numbers.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstdlib>
#include <set>

#include "base/thread_pool.h"
#include "graphs/sketch.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

using Names = std::set<std::string>;

std::int64_t whole_at(const Tensor& t, std::int64_t i) {
  std::int64_t number;
  load(Work::i64, &number, t.type, t.bytes + i * static_cast<std::int64_t>(size_of(t.type)), 1);
  return number;
}

// At most one number in fifty may be another, and then by one.
Names check(Sketch& sketch, ValueId output, bool is_exact = false) {
  const Program program = sketch.program({output});
  const Runner slow(program, {.optimise = false}), quick(program);
  ops::Context plain;
  const auto want = slow.run(plain, sketch.inputs);
  REQUIRE_MESSAGE(want.ok(), (want.ok() ? "" : want.error().message()));
  const Tensor& expected = (*want)[0].tensor;
  for (const kernels::Candidate& candidate : kernels::candidates()) {
    if (!candidate.supported()) continue;
    INFO(std::string(candidate.table->name));
    ThreadPool pool(3);
    ops::Context ctx;
    ctx.kernels = candidate.table;
    ctx.pool = &pool;
    const auto got = quick.run(ctx, sketch.inputs);
    REQUIRE_MESSAGE(got.ok(), (got.ok() ? "" : got.error().message()));
    const Tensor& result = (*got)[0].tensor;
    REQUIRE(result.dims == expected.dims);
    REQUIRE(result.type == expected.type);
    std::int64_t others = 0, worst = 0;
    for (std::int64_t i = 0; i < expected.count; ++i) {
      const std::int64_t away = std::llabs(whole_at(expected, i) - whole_at(result, i));
      others += away != 0 ? 1 : 0;
      worst = std::max<std::int64_t>(worst, away);
    }
    CHECK(worst <= (is_exact ? 0 : 1));
    CHECK(others * 50 <= expected.count);
  }
  Names names;
  for (const Node& node : quick.program().graph->nodes) names.emplace(node.op->name);
  return names;
}

struct Shape {
  std::string what;
  Dims x, w;
  Integers strides, pads;
  std::int64_t groups;
};
const Shape shapes[] = {
    {"three channels", {1, 3, 17, 19}, {20, 3, 3, 3}, {2, 2}, {1, 1, 1, 1}, 1},
    {"blocks", {2, 32, 9, 9}, {48, 32, 3, 3}, {1, 1}, {1, 1, 1, 1}, 1},
    {"parts of blocks", {1, 21, 8, 7}, {37, 21, 3, 3}, {1, 1}, {0, 1, 1, 0}, 1},
    {"one by one", {1, 24, 6, 6}, {40, 24, 1, 1}, {1, 1}, {0, 0, 0, 0}, 1},
    {"by channel", {1, 35, 9, 11}, {35, 1, 3, 3}, {1, 1}, {1, 1, 1, 1}, 35},
    {"by channel in steps", {1, 32, 9, 11}, {32, 1, 3, 3}, {2, 2}, {1, 1, 1, 1}, 32},
    {"groups of blocks", {1, 32, 6, 6}, {32, 16, 3, 3}, {1, 1}, {1, 1, 1, 1}, 2},
    {"few places", {1, 32, 3, 1}, {17, 32, 1, 1}, {1, 1}, {0, 0, 0, 0}, 1},
    {"one axis", {1, 20, 33}, {18, 20, 5}, {2}, {2, 2}, 1},
};

ValueId scales(Sketch& s, std::int64_t n) {
  Tensor tensor = make_tensor(Element::f32, {n}).value();
  for (std::int64_t i = 0; i < n; ++i)
    tensor.data<float>()[i] = 0.002f + 0.0005f * static_cast<float>(i % 5);
  return s.constant(std::move(tensor));
}
ValueId zeros(Sketch& s, std::int64_t n) {
  Tensor tensor = make_tensor(Element::i8, {n}).value();
  std::fill_n(tensor.data<std::int8_t>(), n, std::int8_t{0});
  return s.constant(std::move(tensor));
}

}  // namespace

TEST_CASE("a convolution between rounded numbers") {
  for (const Shape& shape : shapes)
    for (const Element type : {Element::u8, Element::i8})
      for (const bool bounded : {false, true}) {
        CAPTURE(shape.what);
        CAPTURE(bounded);
        const int zero = type == Element::i8 ? -7 : 121;
        Sketch s;
        const std::int64_t n = shape.w[0];
        const ValueId x = s.op("DequantizeLinear", {s.byte_input("x", type, shape.x),
                                                    s.scalar(0.02f), s.zero(type, zero)});
        const ValueId w =
            s.op("DequantizeLinear",
                 {s.constant(s.bytes(Element::i8, shape.w, -127, 127)), scales(s, n), zeros(s, n)},
                 {{"axis", std::int64_t{0}}});
        ValueId y =
            s.op("Conv", {x, w, s.weights({n}, 0.5f)},
                 {{"strides", shape.strides}, {"pads", shape.pads}, {"group", shape.groups}});
        if (bounded) y = s.op("Clip", {y, s.scalar(0), s.scalar(2)});
        y = s.op("QuantizeLinear", {y, s.scalar(0.031f), s.zero(type, zero + 3)});
        CHECK(check(s, y) == Names{"hearth.QConv"});
      }
}

TEST_CASE("chains of them stay in blocks, and sums of two go between") {
  Sketch s;
  const auto quantised = [&](ValueId id) {
    return s.op("QuantizeLinear", {id, s.scalar(0.03f), s.zero(Element::u8, 120)});
  };
  const auto real = [&](ValueId id) {
    return s.op("DequantizeLinear", {id, s.scalar(0.03f), s.zero(Element::u8, 120)});
  };
  const auto conv = [&](ValueId x, std::int64_t from, std::int64_t to) {
    const ValueId w = s.op("DequantizeLinear",
                           {s.constant(s.bytes(Element::i8, {to, from, 3, 3}, -127, 127)),
                            scales(s, to), zeros(s, to)},
                           {{"axis", std::int64_t{0}}});
    return quantised(s.op("Conv", {real(x), w}, {{"pads", Integers{1, 1, 1, 1}}}));
  };
  const ValueId a = conv(s.byte_input("x", Element::u8, {1, 16, 8, 8}), 16, 32);
  const ValueId b = conv(a, 32, 32);
  const ValueId sum = quantised(s.op("Relu", {s.op("Add", {real(a), real(b)})}));
  CHECK(check(s, sum).contains("hearth.QConv"));
}

TEST_CASE("products between rounded numbers, with a bias, bounds, either way round") {
  for (const std::int64_t rows : {1, 5, 40})
    for (const std::int64_t k : {3, 16, 50}) {
      CAPTURE(rows);
      CAPTURE(k);
      for (const bool turned : {false, true}) {
        const std::int64_t n = 37;
        Sketch s;
        const ValueId x = s.op("DequantizeLinear", {s.byte_input("x", Element::i8, {rows, k}),
                                                    s.scalar(0.02f), s.zero(Element::i8, 4)});
        const ValueId w =
            s.op("DequantizeLinear",
                 {s.constant(s.bytes(Element::i8, turned ? Dims{n, k} : Dims{k, n}, -127, 127)),
                  scales(s, n), zeros(s, n)},
                 {{"axis", std::int64_t{turned ? 0 : 1}}});
        ValueId y = turned ? s.op("Gemm", {x, w, s.weights({n})}, {{"transB", std::int64_t{1}}})
                           : s.op("Add", {s.op("MatMul", {x, w}), s.weights({n})});
        y = s.op("QuantizeLinear", {s.op("Relu", {y}), s.scalar(0.02f), s.zero(Element::i8, -128)});
        CHECK(check(s, y) == Names{"hearth.QMatMul"});
      }
      Sketch s;
      const ValueId b = s.constant(s.bytes(Element::u8, {k, 21}, 60, 180));
      const ValueId y = s.op("MatMulInteger", {s.byte_input("x", Element::u8, {2, rows, k}), b,
                                               s.zero(Element::u8, 100), s.zero(Element::u8, 120)});
      CHECK(check(s, y, true) == Names{"hearth.MatMulInteger"});
    }
}

TEST_CASE("transpositions meet their inverse behind what treats all elements alike") {
  Sketch s;
  const auto last = [&](ValueId id) {
    return s.op("Transpose", {id}, {{"perm", Integers{0, 2, 3, 1}}});
  };
  const auto first = [&](ValueId id) {
    return s.op("Transpose", {id}, {{"perm", Integers{0, 3, 1, 2}}});
  };
  const auto conv = [&](ValueId id) { return s.op("Conv", {id, s.weights({16, 16, 1, 1})}); };
  const ValueId a = last(conv(first(s.input("x", {1, 5, 5, 16}))));
  const ValueId b = s.op("Relu", {a});
  const ValueId c = s.op("Add", {b, last(conv(first(b)))});
  const ValueId y = s.op("QuantizeLinear", {c, s.scalar(0.1f), s.zero(Element::u8, 100)});
  const Program program = s.program({y});
  const Runner quick(program);
  std::size_t transposes = 0;
  for (const Node& node : quick.program().graph->nodes)
    transposes += node.op->name == "Transpose" ? 1 : 0;
  CHECK(transposes == 2);
  check(s, y);
}

}  // namespace hearth::graphs
