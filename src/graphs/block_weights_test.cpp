// Products with weights in blocks: packed ones give what the plain loop over rows gives.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>

#include "base/thread_pool.h"
#include "graphs/sketch.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

struct Case {
  std::string what;
  std::int64_t m, n, k, block, bits;
  bool has_zeros, has_bias;
  float scale;
  std::int64_t accuracy;
};
const Case cases[] = {
    {"one row", 1, 48, 256, 32, 4, false, false, 0.01f, 0},
    {"several rows", 9, 33, 128, 64, 4, false, true, 0.01f, 0},
    {"zero points", 5, 40, 192, 32, 4, true, true, 0.02f, 0},
    {"eight bits", 3, 24, 256, 128, 8, false, false, 0.001f, 0},
    {"eight bits with zero points", 3, 24, 256, 128, 8, true, false, 0.001f, 0},
    {"two bits", 2, 20, 128, 32, 2, false, false, 0.05f, 0},
    {"blocks of 16", 4, 20, 64, 16, 4, false, false, 0.02f, 0},
    {"a row that ends within a block", 4, 20, 80, 32, 4, false, false, 0.02f, 0},
    {"scales that no half holds", 4, 20, 64, 32, 4, false, false, 1e-7f, 0},
    {"activations of a byte", 7, 64, 256, 32, 4, false, false, 0.01f, 4},
};

ValueId scales_of(Sketch& s, std::int64_t count, float scale) {
  Tensor tensor = make_tensor(Element::f32, {count}).value();
  for (std::int64_t i = 0; i < count; ++i)
    tensor.data<float>()[i] = scale * (1 + 0.1f * static_cast<float>(i % 7));
  return s.constant(std::move(tensor));
}

void check(const Case& c) {
  Sketch s;
  const std::int64_t blocks = (c.k + c.block - 1) / c.block;
  const ValueId x = s.input("x", {1, c.m, c.k});
  const ValueId codes =
      s.constant(s.bytes(Element::u8, {c.n, blocks, c.block * c.bits / 8}, 0, 255));
  std::vector<ValueId> from{x, codes, scales_of(s, c.n * blocks, c.scale)};
  if (c.has_zeros || c.has_bias)
    from.push_back(c.has_zeros
                       ? s.constant(s.bytes(Element::u8, {c.n, (blocks * c.bits + 7) / 8}, 0, 255))
                       : absent);
  if (c.has_bias) {
    from.push_back(absent);
    from.push_back(s.weights({c.n}));
  }
  const ValueId y = s.op("com.microsoft.MatMulNBits", from,
                         {{"N", c.n},
                          {"K", c.k},
                          {"block_size", c.block},
                          {"bits", c.bits},
                          {"accuracy_level", c.accuracy}});
  const Program program = s.program({y});
  const Runner slow(program, {.optimise = false}), quick(program);
  CHECK(quick.program().graph->nodes[0].op->name == "hearth.MatMulNBits");
  ops::Context plain;
  const auto want = slow.run(plain, s.inputs);
  REQUIRE_MESSAGE(want.ok(), (want.ok() ? "" : want.error().message()));
  const Tensor& expected = (*want)[0].tensor;
  float most = 0;
  for (std::int64_t i = 0; i < expected.count; ++i)
    most = std::max(most, std::abs(expected.data<float>()[i]));
  for (const kernels::Candidate& candidate : kernels::candidates()) {
    if (!candidate.supported()) continue;
    INFO(std::string(candidate.table->name));
    ThreadPool pool(2);
    ops::Context ctx;
    ctx.kernels = candidate.table;
    ctx.pool = &pool;
    for (int run = 0; run < 2; ++run) {  // the second finds the weights packed
      const auto got = quick.run(ctx, s.inputs);
      REQUIRE_MESSAGE(got.ok(), (got.ok() ? "" : got.error().message()));
      const Tensor& result = (*got)[0].tensor;
      REQUIRE(result.dims == expected.dims);
      float away = 0;
      for (std::int64_t i = 0; i < expected.count; ++i)
        away = std::max(away, std::abs(result.data<float>()[i] - expected.data<float>()[i]));
      CHECK(away <= (c.accuracy == 4 ? 2e-2f : 1e-3f) * most);
    }
  }
}

}  // namespace

TEST_CASE("packed blocks of weights give what rows of floats give") {
  for (const Case& c : cases) {
    CAPTURE(c.what);
    check(c);
  }
}

}  // namespace hearth::graphs
