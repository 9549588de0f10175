// Every table against the reference, at all lengths and alignments.
#include "kernels/kernels.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/test_tables.h"

using namespace hearth::kernels;

namespace {

const Kernels& want = reference();

std::vector<float> random_floats(std::size_t n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// Calls f(table) for every table that runs here.
template <typename F>
void each_table(F f) {
  for (const Candidate& candidate : tables_to_test()) {
    if (!candidate.supported()) continue;
    INFO(std::string(candidate.table->name));
    f(*candidate.table);
  }
}

constexpr std::size_t lengths[] = {0,  1,  3,  7,  8,  9,   15,  16,  17,  31, 32,
                                   33, 63, 64, 65, 96, 127, 128, 255, 256, 300};

// |got - wanted| <= absolute + relative * |wanted|, for all of them.
void check_near(std::span<const float> got, std::span<const float> wanted, float absolute,
                float relative) {
  REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const float error = std::abs(got[i] - wanted[i]);
    if (!(error <= absolute + relative * std::abs(wanted[i]))) {
      CAPTURE(i);
      CAPTURE(got[i]);
      CAPTURE(wanted[i]);
      CHECK(error <= absolute + relative * std::abs(wanted[i]));
      return;
    }
  }
}

// Runs f(table, x, y, n) on copies with every length and some offsets, and compares x and y.
template <typename F>
void agree(float absolute, float relative, F f, float spread = 1) {
  const std::vector<float> a = random_floats(320, 7, spread), b = random_floats(320, 8);
  each_table([&](const Kernels& table) {
    for (std::size_t n : lengths)
      for (std::size_t offset : {0, 1, 3}) {
        INFO("n ", n, ", offset ", offset);
        std::vector<float> x = a, y = b, wanted_x = a, wanted_y = b;
        f(table, x.data() + offset, y.data() + offset, n);
        f(want, wanted_x.data() + offset, wanted_y.data() + offset, n);
        check_near(x, wanted_x, absolute, relative);
        check_near(y, wanted_y, absolute, relative);
      }
  });
}

}  // namespace

TEST_CASE("dot products agree") {
  agree(1e-3f, 0, [](const Kernels& table, float* x, float* y, std::size_t n) {
    const float result = table.dot(x, y, n);
    x[0] = result;
  });
}

TEST_CASE("norms agree") {
  agree(1e-5f, 1e-5f, [](const Kernels& table, float* x, float* y, std::size_t n) {
    if (n == 0) return;
    table.rms_norm(x, x, y, n, 1e-5f);
    table.rms_norm(y, y, nullptr, n, 1e-5f);
  });
  agree(3e-5f, 1e-5f, [](const Kernels& table, float* x, float* y, std::size_t n) {
    if (n == 0) return;
    table.layer_norm(x, x, y, nullptr, n, 1e-3f);
    table.layer_norm(y, x, nullptr, nullptr, n, 1e-5f);
    table.l2_norm(x, y, n, 1e-6f);
  });
}

TEST_CASE("a norm with weights and biases, apart from its input") {
  const auto x = random_floats(100, 1), w = random_floats(100, 2), b = random_floats(100, 3);
  std::vector<float> got(100), wanted(100);
  want.layer_norm(wanted.data(), x.data(), w.data(), b.data(), 100, 1e-5f);
  each_table([&](const Kernels& table) {
    table.layer_norm(got.data(), x.data(), w.data(), b.data(), 100, 1e-5f);
    check_near(got, wanted, 1e-5f, 1e-5f);
  });
}

TEST_CASE("rotations agree") {
  const auto angles = random_floats(200, 3, 10);
  std::vector<float> cosines, sines;
  for (float angle : angles) {
    cosines.push_back(std::cos(angle));
    sines.push_back(std::sin(angle));
  }
  agree(1e-5f, 1e-5f, [&](const Kernels& table, float* x, float* y, std::size_t n) {
    table.rope_halves(x, cosines.data(), sines.data(), n / 2);
    table.rope_pairs(y, cosines.data(), sines.data(), n / 2);
  });
}

TEST_CASE("activations agree, also far out") {
  for (float spread : {0.01f, 1.0f, 30.0f, 200.0f})
    for (std::size_t curve = 0; curve < curves; ++curve) {
      INFO("curve ", curve, ", spread ", spread);
      // 1 + erf and 1 + tanh lose what is small beside 1.
      const bool sums_to_one = curve == static_cast<std::size_t>(Curve::gelu) ||
                               curve == static_cast<std::size_t>(Curve::gelu_tanh);
      agree(
          sums_to_one ? 1e-6f : 1e-7f, sums_to_one ? 1e-5f : 3e-6f,
          [=](const Kernels& table, float* x, float*, std::size_t n) {
            table.activate[curve](x, n);
          },
          spread);
      agree(
          sums_to_one ? 1e-5f : 1e-6f, sums_to_one ? 1e-5f : 3e-6f,
          [=](const Kernels& table, float* x, float* y, std::size_t n) {
            table.activate_mul[curve](x, y, n);
          },
          spread);
    }
}

TEST_CASE("tanh keeps its relative accuracy near zero, and so does the softcap") {
  const float tiny[] = {1e-6f, 3e-5f, 1e-3f, 0.01f, 0.1f, 0.34f, 0.35f, 1, 5, 20, 1e4f};
  each_table([&](const Kernels& table) {
    for (float value : tiny) {
      float x = value, capped = value, negative = -value;
      table.activate[static_cast<std::size_t>(Curve::tanh)](&x, 1);
      table.activate[static_cast<std::size_t>(Curve::tanh)](&negative, 1);
      table.softcap(&capped, 30, 1);
      CHECK(x == doctest::Approx(std::tanh(static_cast<double>(value))).epsilon(2e-6));
      CHECK(negative == doctest::Approx(-x).epsilon(2e-6));
      CHECK(capped == doctest::Approx(30 * std::tanh(value / 30.0)).epsilon(2e-6));
    }
  });
}

TEST_CASE("clamped gates, sums, scales, caps and softmax agree") {
  agree(1e-6f, 3e-6f, [](const Kernels& table, float* x, float* y, std::size_t n) {
    table.swiglu_clamped(x, y, n, 1.702f, 1.5f);
    table.add(x, y, n);
    table.scale(y, 0.37f, n);
    table.softcap(y, 0.5f, n);
  });
  for (float spread : {1.0f, 40.0f})
    agree(
        1e-7f, 3e-6f,
        [](const Kernels& table, float* x, float*, std::size_t n) {
          if (n > 0) table.softmax(x, n);
        },
        spread);
}

TEST_CASE("softmax of what is hidden is zero") {
  each_table([&](const Kernels& table) {
    std::vector<float> x(20, -std::numeric_limits<float>::infinity());
    x[3] = 1;
    table.softmax(x.data(), x.size());
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == (i == 3 ? 1.0f : 0.0f));
  });
}

TEST_CASE("halves are rounded exactly") {
  std::vector<float> x = random_floats(4000, 5);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::ldexp(x[i], static_cast<int>(i % 50) - 30);
  for (float special : {0.0f, -0.0f, 65504.0f, 65519.9f, 65520.0f, 1e30f, 5.9604645e-8f, 2.9e-8f,
                        2.98023224e-8f, 2.98023259e-8f, 6.097555e-5f, 6.1e-5f, 1.00048828125f,
                        1.00146484375f, std::numeric_limits<float>::infinity()}) {
    x.push_back(special);
    x.push_back(-special);
  }
  std::vector<std::uint16_t> got(x.size()), wanted(x.size());
  want.to_half(wanted.data(), x.data(), x.size());
  each_table([&](const Kernels& table) {
    for (std::size_t n : {x.size(), x.size() - 5, std::size_t{3}}) {
      table.to_half(got.data(), x.data(), n);
      CHECK(std::memcmp(got.data(), wanted.data(), 2 * n) == 0);
    }
  });
}

// Bytes of a page in a form, whatever they are, as long as scales and floats are small numbers.
std::vector<std::uint8_t> random_page(KvForm form, std::size_t dim) {
  std::mt19937 random(12);
  std::vector<std::uint8_t> page(kv_head_bytes(form, dim));
  for (std::uint8_t& byte : page) byte = static_cast<std::uint8_t>(random());
  const auto values = random_floats(kv_tokens * dim, 12, has_scales(form) ? 0.01f : 1);
  const std::size_t scales = kv_tokens * kv_blocks(dim);
  if (form == KvForm::f32) std::memcpy(page.data(), values.data(), page.size());
  std::vector<std::uint16_t> halves(std::max(values.size(), scales), 0x2000);  // 2^-7
  want.to_half(halves.data(), values.data(), values.size());
  if (form == KvForm::bf16)
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, &values[i], 4);
      halves[i] = static_cast<std::uint16_t>(bits >> 16);
    }
  const std::size_t taken = has_scales(form) ? scales : form == KvForm::f32 ? 0 : values.size();
  std::memcpy(page.data(), halves.data(), 2 * taken);
  return page;
}

TEST_CASE("attention: scores and mixes agree for all forms of pages, rows and widths") {
  const auto q = random_floats(20 * 300, 11);
  const auto factors = random_floats(20, 13), p = random_floats(20 * 32, 14);
  for (std::size_t form = 0; form < kv_forms; ++form)
    for (std::size_t dim : {1, 4, 8, 20, 64, 80, 100, 128, 256}) {
      const auto page = random_page(static_cast<KvForm>(form), dim);
      for (std::size_t rows : {1, 2, 3, 4, 5, 7, 8, 9, 17}) {
        std::vector<float> wanted(rows * 32), wanted_out = random_floats(rows * 257, 15);
        const std::vector<float> before = wanted_out;
        want.scores[form](wanted.data(), q.data(), 257, page.data(), rows, dim);
        want.mix[form](wanted_out.data(), 257, factors.data(), p.data(), page.data(), rows, dim, 3,
                       30);
        each_table([&](const Kernels& table) {
          INFO("form ", form, ", rows ", rows, ", dim ", dim);
          std::vector<float> got(rows * 32), out = before;
          table.scores[form](got.data(), q.data(), 257, page.data(), rows, dim);
          check_near(got, wanted, 1e-4f, 0);
          table.mix[form](out.data(), 257, factors.data(), p.data(), page.data(), rows, dim, 3, 30);
          check_near(out, wanted_out, 1e-4f, 0);
        });
      }
    }
}

TEST_CASE("attention: a row of many is computed as it is alone") {
  constexpr std::size_t rows = 17, dim = 96;
  const auto q = random_floats(rows * dim, 16), p = random_floats(rows * 32, 17);
  const std::vector<float> factors(rows, 0.5f);
  each_table([&](const Kernels& table) {
    for (std::size_t form = 0; form < kv_forms; ++form) {
      INFO("form ", form);
      const auto page = random_page(static_cast<KvForm>(form), dim);
      std::vector<float> s(rows * 32), out(rows * dim, 1), one(32), row(dim, 1);
      table.scores[form](s.data(), q.data(), dim, page.data(), rows, dim);
      table.mix[form](out.data(), dim, factors.data(), p.data(), page.data(), rows, dim, 0, 32);
      table.scores[form](one.data(), &q[9 * dim], dim, page.data(), 1, dim);
      table.mix[form](row.data(), dim, &factors[9], &p[9 * 32], page.data(), 1, dim, 0, 32);
      CHECK(std::memcmp(one.data(), &s[9 * 32], 32 * sizeof(float)) == 0);
      CHECK(std::memcmp(row.data(), &out[9 * dim], dim * sizeof(float)) == 0);
    }
  });
}

TEST_CASE("attention: the running softmax agrees, whatever lies where nobody looks") {
  constexpr std::size_t most_rows = 6;
  const auto scores = random_floats(32 * most_rows, 21, 20);
  const SoftmaxStep steps[] = {
      {.scale = 0.125f, .softcap = 0, .slope = 0, .self = 31, .first = 0, .last = 32},
      {.scale = 1, .softcap = 30, .slope = 0, .self = 40, .first = 5, .last = 6},
      {.scale = 1, .softcap = 0, .slope = 0.25f, .self = 10, .first = 1, .last = 31},
      {.scale = 0.125f, .softcap = 0, .slope = 0, .self = 31, .first = 0, .last = 32},
      {.scale = 2, .softcap = 5, .slope = 0.5f, .self = -3, .first = 0, .last = 17}};
  each_table([&](const Kernels& table) {
    for (std::size_t rows = 1; rows <= most_rows; ++rows) {
      std::vector<float> max(rows, -std::numeric_limits<float>::infinity()), sums(rows);
      std::vector<float> wanted_max = max, wanted_sums = sums, factors(rows), wanted_factors(rows);
      for (const SoftmaxStep& step : steps) {
        std::vector<float> s(scores.begin(), scores.begin() + static_cast<long>(32 * rows));
        std::vector<float> wanted = s;
        for (std::size_t i = 0; i < s.size(); ++i)
          if (i % 32 >= step.last) s[i] = std::numeric_limits<float>::quiet_NaN();
        table.softmax_step(s.data(), max.data(), sums.data(), factors.data(), rows, &step);
        want.softmax_step(wanted.data(), wanted_max.data(), wanted_sums.data(),
                          wanted_factors.data(), rows, &step);
        check_near(s, wanted, 1e-7f, 1e-5f);
        check_near(factors, wanted_factors, 1e-7f, 1e-5f);
        check_near(max, wanted_max, 0, 1e-5f);
        check_near(sums, wanted_sums, 0, 1e-5f);
      }
    }
  });
}
