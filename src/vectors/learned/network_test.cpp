#include "vectors/learned/network.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "base/bytes.h"
#include "base/files.h"
#include "vectors/learned/drift.h"

using namespace hearth;
using namespace hearth::vectors;

namespace {

Table random_table(std::size_t rows, std::size_t columns, std::uint64_t& seed) {
  Table t(rows, columns);
  for (float& value : t.values) value = next_uniform(seed);
  return t;
}

}  // namespace

TEST_CASE("products agree with plain loops at every shape") {
  std::uint64_t seed = 3;
  const struct {
    std::size_t m, k, n;
  } shapes[] = {{1, 1, 1}, {3, 5, 2}, {16, 16, 16}, {17, 33, 31}, {5, 600, 40}, {130, 7, 1}};
  for (const auto& shape : shapes) {
    CAPTURE(shape.m);
    CAPTURE(shape.k);
    CAPTURE(shape.n);
    const Table a = random_table(shape.m, shape.k, seed), b = random_table(shape.k, shape.n, seed);
    const Table c = product(a, b), d = product_transposed(a, transposed(b));
    for (std::size_t i = 0; i < shape.m; ++i)
      for (std::size_t j = 0; j < shape.n; ++j) {
        double want = 0;
        for (std::size_t k = 0; k < shape.k; ++k) want += double{a.row(i)[k]} * double{b.row(k)[j]};
        CHECK(std::abs(c.row(i)[j] - want) < 1e-4);
        CHECK(std::abs(d.row(i)[j] - want) < 1e-4);
      }
  }
}

TEST_CASE("gradients agree with finite differences") {
  std::uint64_t seed = 5;
  Autoencoder net(6, 9, 5, 2);
  const Table a = random_table(7, 6, seed), p = random_table(7, 6, seed),
              n = random_table(7, 6, seed);
  const LossOptions options{.margin = 0.4f, .reconstruction = 0.3f};
  std::vector<std::vector<float>> gradients;
  triplet_losses(net, a, p, n, options, &gradients);
  const auto parameters = net.parameters();
  REQUIRE(gradients.size() == parameters.size());
  constexpr float step = 2e-3f;
  int checked = 0;
  for (std::size_t t = 0; t < parameters.size(); ++t)
    for (std::size_t i = 0; i < parameters[t].size(); i += 3) {
      CAPTURE(t);
      CAPTURE(i);
      const float was = parameters[t][i];
      parameters[t][i] = was + step;
      const double above = double{triplet_losses(net, a, p, n, options, nullptr).total(options)};
      parameters[t][i] = was - step;
      const double below = double{triplet_losses(net, a, p, n, options, nullptr).total(options)};
      parameters[t][i] = was;
      const double slope = (above - below) / (2 * double{step});
      CHECK(std::abs(slope - double{gradients[t][i]}) < 2e-3);
      ++checked;
    }
  CHECK(checked > 60);
}

TEST_CASE("training follows PyTorch's") {
  constexpr std::size_t inputs = 10, hidden = 12, outputs = 8, rows = 16;
  const auto file = read_file("tests/golden/vectors/triplets.bin", 1u << 20);
  REQUIRE(file.ok());
  ByteReader in(bytes_of(*file));
  Autoencoder net(inputs, hidden, outputs, 7);
  std::uint64_t seed = 8;
  const Table a = random_table(rows, inputs, seed), p = random_table(rows, inputs, seed),
              n = random_table(rows, inputs, seed);
  Adam adam(0.001f);
  std::vector<std::vector<float>> gradients;
  const auto steps = *in.value<std::uint32_t>();
  REQUIRE(steps == 25);
  for (std::uint32_t step = 0; step < steps; ++step) {
    CAPTURE(step);
    const Losses losses = triplet_losses(net, a, p, n, {}, &gradients);
    CHECK(losses.triplet == doctest::Approx(*in.value<float>()).epsilon(1e-4));
    CHECK(losses.reconstruction == doctest::Approx(*in.value<float>()).epsilon(1e-4));
    adam.step(net.parameters(), gradients);
  }
  REQUIRE(*in.value<std::uint32_t>() > 0);
  double worst = 0;
  for (const auto& values : net.parameters())
    for (const float value : values)
      worst = std::max(worst, std::abs(double{value} - double{*in.value<float>()}));
  CHECK(worst < 2e-4);
  CHECK(in.remaining() == 0);
}

TEST_CASE("drift is small between samples of one kind and large between two") {
  std::uint64_t seed = 9;
  const Table before = random_table(300, 8, seed), same = random_table(200, 8, seed);
  Table moved = random_table(200, 8, seed);
  for (float& value : moved.values) value += 0.6f;
  const Drift none = measure_drift(before, same), much = measure_drift(before, moved);
  CHECK(none.mmd < 0.02f);
  CHECK(none.kl < 0.05f);
  CHECK(much.mmd > 0.1f);
  CHECK(much.kl > 0.1f);
  CHECK(measure_drift(before, Table(1, 8)).kl == 0);
}
