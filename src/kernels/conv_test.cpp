// Every table of convolution kernels beside plain loops, for every size of tile.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernels/conv_select.h"

using namespace hearth::kernels;

namespace {

constexpr std::size_t channels = 16, tap_count = 5, image = 40 * channels;

struct Data {
  std::vector<float> x, w, bias, add;
  std::vector<std::ptrdiff_t> taps;
  std::vector<const float*> at;
};

Data data_of(std::size_t places, std::size_t blocks, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> numbers(-1, 1);
  Data d;
  d.x.resize(image);
  d.w.resize(tap_count * channels * channels * blocks);
  d.bias.resize(channels * blocks);
  d.add.resize(channels * blocks * places);
  for (auto* list : {&d.x, &d.w, &d.bias, &d.add})
    for (float& number : *list) number = numbers(random);
  for (std::size_t i = 0; i < tap_count; ++i)
    d.taps.push_back(static_cast<std::ptrdiff_t>(random() % 20 * channels));
  for (std::size_t i = 0; i < places; ++i) d.at.push_back(d.x.data() + random() % 20 * channels);
  return d;
}

float bounded(float value, float low, float high) {
  return value < low ? low : value > high ? high : value;
}

template <typename F>
void each_shape(F&& check) {
  for (const ConvCandidate& candidate : conv_candidates()) {
    if (!candidate.supported()) continue;
    for (const std::size_t places : {candidate.table->places, candidate.table->places / 2})
      for (const std::size_t blocks : {std::size_t{1}, candidate.table->wide}) {
        INFO(std::string(candidate.table->name));
        CAPTURE(places);
        CAPTURE(blocks);
        check(*candidate.table, places, blocks);
      }
  }
}

}  // namespace

TEST_CASE("tiles of convolutions are the sums they stand for") {
  each_shape([](const ConvKernels& table, std::size_t places, std::size_t blocks) {
    for (const std::size_t at_tap : {std::size_t{1}, std::size_t{3}, channels})
      for (const bool adds : {false, true}) {
        const Data d = data_of(places, blocks, 7);
        std::vector<float> y(channels * blocks * places, 99);
        table.tile({y.data(), places * channels, d.at.data(), d.taps.data(), tap_count, at_tap,
                    d.w.data(), d.bias.data(), adds ? d.add.data() : nullptr, -2, 2},
                   places, blocks);
        for (std::size_t b = 0; b < blocks; ++b)
          for (std::size_t p = 0; p < places; ++p)
            for (std::size_t f = 0; f < channels; ++f) {
              double sum = static_cast<double>(d.bias[b * channels + f]);
              for (std::size_t i = 0; i < tap_count; ++i)
                for (std::size_t c = 0; c < at_tap; ++c)
                  sum += static_cast<double>(d.at[p][d.taps[i] + static_cast<std::ptrdiff_t>(c)]) *
                         d.w[(i * at_tap + c) * channels * blocks + b * channels + f];
              const std::size_t at = (b * places + p) * channels + f;
              if (adds) sum += d.add[at];
              CHECK(std::fabs(y[at] - bounded(static_cast<float>(sum), -2, 2)) < 1e-4f);
            }
      }
  });
}

TEST_CASE("kernels of one channel each, and the largest of the taps") {
  each_shape([](const ConvKernels& table, std::size_t places, std::size_t) {
    const Data d = data_of(places, 1, 8);
    std::vector<float> y(channels * places), most(channels * places);
    const ConvTile tile{y.data(), 0,          d.at.data(),   d.taps.data(), tap_count,
                        channels, d.w.data(), d.bias.data(), nullptr,       -1,
                        1};
    table.depthwise(tile, places);
    ConvTile other = tile;
    other.y = most.data();
    other.low = -INFINITY;
    table.largest(other, places);
    for (std::size_t p = 0; p < places; ++p)
      for (std::size_t c = 0; c < channels; ++c) {
        float sum = d.bias[c], top = -INFINITY;
        for (std::size_t i = 0; i < tap_count; ++i) {
          const float x = d.at[p][d.taps[i] + static_cast<std::ptrdiff_t>(c)];
          sum += x * d.w[i * channels + c];
          top = std::fmax(top, x);
        }
        CHECK(std::fabs(y[p * channels + c] - bounded(sum, -1, 1)) < 1e-5f);
        CHECK(most[p * channels + c] == bounded(top, -INFINITY, 1));
      }
  });
}

TEST_CASE("what is no number stays none") {
  each_shape([](const ConvKernels& table, std::size_t places, std::size_t blocks) {
    Data d = data_of(places, blocks, 9);
    d.bias[3] = std::nanf("");
    std::vector<float> y(channels * blocks * places);
    table.tile({y.data(), places * channels, d.at.data(), d.taps.data(), tap_count, channels,
                d.w.data(), d.bias.data(), nullptr, 0, 6},
               places, blocks);
    CHECK(std::isnan(y[3]));
    CHECK(!std::isnan(y[4]));
  });
}

TEST_CASE("tiles of bytes are the sums they stand for") {
  each_shape([](const ConvKernels& table, std::size_t places, std::size_t blocks) {
    std::mt19937 random(10);
    std::vector<std::uint8_t> x(image), y(channels * blocks * places);
    std::vector<std::int8_t> w(tap_count * channels * channels * blocks);
    std::vector<std::int32_t> bias(channels * blocks);
    std::vector<float> scale(channels * blocks);
    for (auto& number : x) number = static_cast<std::uint8_t>(random() % 256);
    for (auto& number : w)
      number = static_cast<std::int8_t>(static_cast<int>(random() % 256) - 128);
    for (auto& number : bias) number = static_cast<std::int32_t>(random() % 20001) - 10000;
    for (auto& number : scale) number = 0.0003f * static_cast<float>(1 + random() % 9);
    std::vector<std::ptrdiff_t> taps;
    std::vector<const std::uint8_t*> at;
    for (std::size_t i = 0; i < tap_count; ++i)
      taps.push_back(static_cast<std::ptrdiff_t>(random() % 20 * channels));
    for (std::size_t i = 0; i < places; ++i) at.push_back(x.data() + random() % 20 * channels);
    std::vector<std::int32_t> sums(y.size());
    for (const std::size_t quads : {std::size_t{1}, std::size_t{4}}) {
      ByteTile tile{y.data(), nullptr,  places * channels, at.data(),    taps.data(), tap_count,
                    quads,    w.data(), bias.data(),       scale.data(), -3,          -128,
                    127};
      table.bytes(tile, places, blocks);
      tile.sums = sums.data();
      table.bytes(tile, places, blocks);
      const std::size_t wide = channels * blocks;
      for (std::size_t f = 0; f < wide; ++f)
        for (std::size_t p = 0; p < places; ++p) {
          std::int32_t sum = bias[f];
          for (std::size_t i = 0; i < tap_count; ++i)
            for (std::size_t c = 0; c < 4 * quads; ++c)
              sum += at[p][taps[i] + static_cast<std::ptrdiff_t>(c)] *
                     w[((i * quads + c / 4) * wide + f) * 4 + c % 4];
          const auto whole =
              static_cast<std::int32_t>(std::nearbyint(static_cast<float>(sum) * scale[f])) - 3;
          const std::size_t place = (f / channels * places + p) * channels + f % channels;
          CHECK(static_cast<std::int8_t>(y[place]) == std::min(127, std::max(-128, whole)));
          CHECK(sums[place] == sum);
        }
    }
  });
}
