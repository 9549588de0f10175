#include "ops/elementwise.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "ops/test_support.h"

using namespace hearth;
using namespace hearth::ops;

TEST_CASE("rotation turns the first dims of every head by position times frequency") {
  const float frequencies[] = {1.0f, 0.1f};
  const std::uint32_t positions[] = {0, 7};
  for (const bool interleaved : {false, true}) {
    const RopeTable table{.rotary_dims = 4,
                          .interleaved = interleaved,
                          .inverse_frequencies = frequencies,
                          .magnitude = 2};
    const auto start = random_floats(2 * 12, 3);
    each_context([&](Context& ctx) {
      auto x = start;
      rope(ctx, View(x.data(), 2, 12), 6, positions, table);
      for (std::size_t row = 0; row < 2; ++row)
        for (std::size_t head = 0; head < 2; ++head)
          for (std::size_t pair = 0; pair < 2; ++pair) {
            const std::size_t base = row * 12 + head * 6;
            const std::size_t a = base + (interleaved ? 2 * pair : pair);
            const std::size_t b = interleaved ? a + 1 : a + 2;
            const float angle = static_cast<float>(positions[row]) * frequencies[pair];
            CHECK(x[a] ==
                  doctest::Approx(2 * (start[a] * std::cos(angle) - start[b] * std::sin(angle)))
                      .epsilon(1e-5));
            CHECK(x[b] ==
                  doctest::Approx(2 * (start[a] * std::sin(angle) + start[b] * std::cos(angle)))
                      .epsilon(1e-5));
            CHECK(x[base + 4] == start[base + 4]);
          }
    });
  }
}

TEST_CASE("operations cover every element of rows with strides, long and short") {
  for (const std::size_t dim : {5, 40000}) {
    const auto a = random_floats(2 * (dim + 3), 1), b = random_floats(2 * (dim + 3), 2);
    const auto view = [&](std::vector<float>& v) { return View(v.data(), 2, dim, dim + 3); };
    each_context([&](Context& ctx) {
      INFO(std::string(ctx.kernels->name), ", dim ", dim);
      auto x = a, y = b, z = a;
      add(ctx, view(x), view(y));
      scale(ctx, view(x), 0.5f);
      activate(ctx, view(x), Activation::relu);
      add_bias(ctx, view(x), std::span(b).first(dim));
      activate_mul(ctx, view(y), view(x), Activation::sigmoid);
      softcap(ctx, view(z), 2);
      swiglu_clamped(ctx, view(x), view(z), 1.702f, 1);
      double worst = 0;
      for (std::size_t row = 0; row < 2; ++row)
        for (std::size_t i = 0; i < dim + 3; ++i) {
          const std::size_t at = row * (dim + 3) + i;
          if (i >= dim) {
            CHECK(x[at] == a[at]);
            continue;
          }
          const double biased = std::max(0.0, (a[at] + b[at]) * 0.5) + static_cast<double>(b[i]);
          const double gate = biased / (1 + std::exp(-b[at])), capped = 2 * std::tanh(a[at] / 2);
          const double g = std::min(1.0, biased), up = std::min(1.0, std::max(-1.0, capped));
          const double glu = g / (1 + std::exp(-1.702 * g)) * (up + 1);
          // y = sigmoid(b) * biased.
          worst = std::max<double>(
              {worst, std::abs(y[at] - gate), std::abs(z[at] - capped), std::abs(x[at] - glu)});
        }
      CHECK(worst < 1e-5);
    });
  }
}

TEST_CASE("every activation reaches its kernel") {
  const double x = 0.7, cubic = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
  const double wanted[] = {x / (1 + std::exp(-x)),
                           0.5 * x * (1 + std::erf(x / std::sqrt(2.0))),
                           0.5 * x * (1 + std::tanh(cubic)),
                           x / (1 + std::exp(-1.702 * x)),
                           x,
                           x * x,
                           std::tanh(x),
                           1 / (1 + std::exp(-x))};
  each_context([&](Context& ctx) {
    for (int f = 0; f <= std::to_underlying(Activation::sigmoid); ++f) {
      float value = 0.7f;
      activate(ctx, View(&value, 1, 1), static_cast<Activation>(f));
      CHECK(value == doctest::Approx(wanted[f]).epsilon(1e-5));
    }
  });
}

TEST_CASE("norms and softmax work row by row") {
  const auto a = random_floats(3 * 100, 1), w = random_floats(100, 2);
  each_context([&](Context& ctx) {
    auto x = a;
    std::vector<float> y(300), n(300);
    rms_norm(ctx, View(y.data(), 3, 100), View(x.data(), 3, 100), w, 1e-6f);
    layer_norm(ctx, View(n.data(), 3, 100), View(x.data(), 3, 100), {}, w, 1e-6f);
    l2_norm(ctx, View(n.data(), 2, 100), View(x.data(), 2, 100), 1e-6f);
    softmax(ctx, View(x.data(), 3, 100));
    for (std::size_t row = 0; row < 3; ++row) {
      double squares = 0, sum = 0, length = 0, lifted = 0;
      for (std::size_t i = row * 100; i < row * 100 + 100; ++i) {
        squares += static_cast<double>(a[i]) * a[i];
        sum += static_cast<double>(x[i]);
        length += static_cast<double>(n[i]) * n[i];
        lifted += n[i] - w[i % 100];
      }
      CHECK(sum == doctest::Approx(1).epsilon(1e-5));
      CHECK(y[row * 100 + 5] ==
            doctest::Approx(a[row * 100 + 5] * w[5] / std::sqrt(squares / 100)).epsilon(1e-5));
      if (row < 2) CHECK(length == doctest::Approx(1).epsilon(1e-5));
      if (row == 2) CHECK(std::abs(lifted) < 1e-4);
    }
  });
}
