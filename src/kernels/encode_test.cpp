// Encoders: what comes back is near what went in, on every table, and better where more bits or a
// measured importance say so.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/encode_select.h"
#include "kernels/quants.h"

namespace hearth::kernels {
namespace {

using Decode = void (*)(const void* blocks, float* out, std::size_t n);

struct Row {
  std::string name;
  EncodeRow Encoders::* plain;
  EncodeRow GridEncoders::* grid;
  Decode decode;
  std::size_t block_elements, block_bytes;
  double most_error;  // root mean square, of a normal distribution's deviation
};

const Row rows[] = {
    {"q4_0", &Encoders::q4_0, nullptr, dequantise_q4_0, 32, 18, 0.095},
    {"q4_1", &Encoders::q4_1, nullptr, dequantise_q4_1, 32, 20, 0.085},
    {"q5_0", &Encoders::q5_0, nullptr, dequantise_q5_0, 32, 22, 0.048},
    {"q5_1", &Encoders::q5_1, nullptr, dequantise_q5_1, 32, 24, 0.042},
    {"q8_0", &Encoders::q8_0, nullptr, dequantise_q8_0, 32, 34, 0.006},
    {"q2_k", &Encoders::q2_k, nullptr, dequantise_q2_k, 256, 84, 0.32},
    {"q3_k", &Encoders::q3_k, nullptr, dequantise_q3_k, 256, 110, 0.20},
    {"q4_k", &Encoders::q4_k, nullptr, dequantise_q4_k, 256, 144, 0.085},
    {"q5_k", &Encoders::q5_k, nullptr, dequantise_q5_k, 256, 176, 0.043},
    {"q6_k", &Encoders::q6_k, nullptr, dequantise_q6_k, 256, 210, 0.023},
    {"iq4_nl", &Encoders::iq4_nl, nullptr, dequantise_iq4_nl, 32, 18, 0.085},
    {"iq4_xs", &Encoders::iq4_xs, nullptr, dequantise_iq4_xs, 256, 136, 0.088},
    {"mxfp4", &Encoders::mxfp4, nullptr, dequantise_mxfp4, 32, 17, 0.13},
    {"nvfp4", &Encoders::nvfp4, nullptr, dequantise_nvfp4, 64, 36, 0.12},
    {"tq1_0", &Encoders::tq1_0, nullptr, dequantise_tq1_0, 256, 54, 0.95},
    {"tq2_0", &Encoders::tq2_0, nullptr, dequantise_tq2_0, 256, 66, 0.95},
    {"q1_0", &Encoders::q1_0, nullptr, dequantise_q1_0, 128, 18, 0.65},
    {"q2_0", &Encoders::q2_0, nullptr, dequantise_q2_0, 64, 18, 0.90},
    {"iq1_s", nullptr, &GridEncoders::iq1_s, dequantise_iq1_s, 256, 50, 0.55},
    {"iq1_m", nullptr, &GridEncoders::iq1_m, dequantise_iq1_m, 256, 56, 0.52},
    {"iq2_xxs", nullptr, &GridEncoders::iq2_xxs, dequantise_iq2_xxs, 256, 66, 0.42},
    {"iq2_xs", nullptr, &GridEncoders::iq2_xs, dequantise_iq2_xs, 256, 74, 0.38},
    {"iq2_s", nullptr, &GridEncoders::iq2_s, dequantise_iq2_s, 256, 82, 0.34},
    {"iq3_xxs", nullptr, &GridEncoders::iq3_xxs, dequantise_iq3_xxs, 256, 98, 0.24},
    {"iq3_s", nullptr, &GridEncoders::iq3_s, dequantise_iq3_s, 256, 110, 0.20},
};

EncodeRow encoder_of(const Row& row, const EncodeCandidate& candidate) {
  return row.plain ? candidate.plain->*row.plain : candidate.grids->*row.grid;
}

std::vector<float> normal(std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> values;
  std::vector<float> x(n);
  for (float& value : x) value = values(random);
  return x;
}

std::vector<float> there_and_back(const Row& row, EncodeRow encode, const std::vector<float>& x,
                                  const float* importance) {
  std::vector<std::uint8_t> blocks(x.size() / row.block_elements * row.block_bytes + 1);
  std::vector<float> y(x.size());
  encode(x.data(), importance, blocks.data() + 1, x.size());  // any alignment
  row.decode(blocks.data() + 1, y.data(), x.size());
  return y;
}

double error_of(const std::vector<float>& x, const std::vector<float>& y,
                const std::vector<float>& w) {
  double sum = 0, all = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum += static_cast<double>(w[i]) * (x[i] - y[i]) * (x[i] - y[i]);
    all += w[i];
  }
  return std::sqrt(sum / all);
}

template <typename F>
void each_table(F f) {
  for (const EncodeCandidate& candidate : encode_candidates())
    if (candidate.supported())
      for (const Row& row : rows) {
        CAPTURE(std::string(candidate.plain->name));
        CAPTURE(row.name);
        f(row, encoder_of(row, candidate));
      }
}

TEST_CASE("normal values come back within each type's error") {
  const auto x = normal(1280, 5);
  const std::vector<float> alike(x.size(), 1.0f);
  each_table([&](const Row& row, EncodeRow encode) {
    const double error = error_of(x, there_and_back(row, encode, x, nullptr), alike);
    CHECK(error < row.most_error);
  });
}

TEST_CASE("tables choose alike") {
  const auto x = normal(512, 6);
  const EncodeCandidate& portable = encode_candidates().back();
  const std::vector<float> alike(x.size(), 1.0f);
  each_table([&](const Row& row, EncodeRow encode) {
    const double wanted =
        error_of(x, there_and_back(row, encoder_of(row, portable), x, nullptr), alike);
    const double error = error_of(x, there_and_back(row, encode, x, nullptr), alike);
    CHECK(std::abs(error - wanted) <= 0.03 * wanted);
  });
}

TEST_CASE("an importance lowers the error where it counts") {
  const auto x = normal(2048, 7);
  auto importance = normal(x.size(), 8);
  for (float& value : importance) value = std::exp(2 * value);
  each_table([&](const Row& row, EncodeRow encode) {
    const double without = error_of(x, there_and_back(row, encode, x, nullptr), importance);
    const double with = error_of(x, there_and_back(row, encode, x, importance.data()), importance);
    CHECK(with <= without * 1.001);
  });
}

TEST_CASE("zeros stay zeros; one value, tiny and huge ones stay finite") {
  each_table([&](const Row& row, EncodeRow encode) {
    std::vector<float> x(256, 0.0f);
    for (const float value : there_and_back(row, encode, x, nullptr)) CHECK(value == 0.0f);
    for (const float size : {1e-30f, 1e-6f, 1.0f, 1e4f}) {
      CAPTURE(size);
      x[17] = -size;
      for (const float value : there_and_back(row, encode, x, nullptr)) {
        CHECK(std::isfinite(value));
        CHECK(std::abs(value) <= 3 * size + 1e-6f);
      }
    }
  });
}

}  // namespace
}  // namespace hearth::kernels
