#include "models/vision/resample.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/check.h"

namespace hearth::models {
namespace {

constexpr int most_weight_bits = 22;  // 32, less those of a byte and two for weights beyond one

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

// Source: Keys 1981, with a = -1/2; Duchon 1979.
double value_of(Filter filter, double x) {
  x = std::abs(x);
  switch (filter) {
    case Filter::bilinear:
    case Filter::bilinear16:
      return x < 1 ? 1 - x : 0;
    case Filter::bicubic:
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    case Filter::lanczos:
      return x < 3 ? sinc(x) * sinc(x / 3) : 0;
  }
  return 0;
}

double reach_of(Filter filter) {
  return filter == Filter::bicubic ? 2 : filter == Filter::lanczos ? 3 : 1;
}

// Which points of a line make one of the result, and with what weights.
struct Taps {
  std::int64_t first;
  std::vector<double> shares;
  std::vector<std::int32_t> weights;
};

// Those of a line, whose weights are shares of 1 << bits.
struct Line {
  std::vector<Taps> taps;
  int bits = most_weight_bits;

  std::int32_t half() const { return 1 << (bits - 1); }
  std::uint8_t byte_of(std::int32_t sum) const {
    return static_cast<std::uint8_t>(std::clamp(sum >> bits, 0, 255));
  }
};

// As many bits as the largest weight leaves of 16.
int bits_of_16(const std::vector<Taps>& all) {
  double most = 0;
  for (const Taps& taps : all)
    for (const double share : taps.shares) most = std::max(most, share);
  int bits = 1;
  while (bits < most_weight_bits && 0.5 + most * (1 << (bits + 1)) < 1 << 15) ++bits;
  return bits;
}

Line taps_of(std::int64_t in, std::int64_t out, Filter filter) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double stretch = std::max(scale, 1.0), reach = reach_of(filter) * stretch;
  Line line;
  line.taps.reserve(static_cast<std::size_t>(out));
  for (std::int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - reach + 0.5));
    const auto last = std::min(in, static_cast<std::int64_t>(centre + reach + 0.5));
    std::vector<double> values;
    double sum = 0;
    for (std::int64_t x = first; x < last; ++x) {
      values.push_back(value_of(filter, (static_cast<double>(x) - centre + 0.5) / stretch));
      sum += values.back();
    }
    for (double& value : values)
      if (sum != 0) value /= sum;
    line.taps.push_back({first, std::move(values), {}});
  }
  if (filter == Filter::bilinear16) line.bits = bits_of_16(line.taps);
  for (Taps& taps : line.taps)
    for (const double share : taps.shares) {
      const double value = share * (1 << line.bits);
      taps.weights.push_back(static_cast<std::int32_t>(value < 0 ? value - 0.5 : value + 0.5));
    }
  return line;
}

Picture across(const Picture& from, std::int64_t width, Filter filter) {
  const Line made = taps_of(from.width, width, filter);
  Picture to{width, from.height, {}};
  to.rgb.resize(static_cast<std::size_t>(width * from.height * 3));
  for (std::int64_t y = 0; y < from.height; ++y) {
    const std::uint8_t* line = from.rgb.data() + y * from.width * 3;
    std::uint8_t* out = to.rgb.data() + y * width * 3;
    for (const Taps& tap : made.taps) {
      std::int32_t sums[3] = {made.half(), made.half(), made.half()};
      const std::uint8_t* at = line + tap.first * 3;
      for (const std::int32_t weight : tap.weights)
        for (int c = 0; c < 3; ++c) sums[c] += *at++ * weight;
      for (const std::int32_t sum : sums) *out++ = made.byte_of(sum);
    }
  }
  return to;
}

Picture down(const Picture& from, std::int64_t height, Filter filter) {
  const Line made = taps_of(from.height, height, filter);
  const auto line = static_cast<std::size_t>(from.width * 3);
  Picture to{from.width, height, {}};
  to.rgb.resize(line * static_cast<std::size_t>(height));
  std::vector<std::int32_t> sums(line);
  std::uint8_t* out = to.rgb.data();
  for (const Taps& tap : made.taps) {
    std::ranges::fill(sums, made.half());
    const std::uint8_t* at = from.rgb.data() + static_cast<std::size_t>(tap.first) * line;
    for (const std::int32_t weight : tap.weights) {
      for (std::size_t i = 0; i < line; ++i) sums[i] += at[i] * weight;
      at += line;
    }
    for (const std::int32_t sum : sums) *out++ = made.byte_of(sum);
  }
  return to;
}

}  // namespace

Picture resample(const Picture& picture, std::int64_t width, std::int64_t height, Filter filter) {
  HEARTH_CHECK(width > 0 && height > 0 && picture.width > 0 && picture.height > 0);
  const bool down_first =
      width > picture.width && height < picture.height && filter != Filter::bilinear16;
  Picture result = down_first ? down(picture, height, filter) : picture;
  if (width != result.width) result = across(result, width, filter);
  if (height != result.height) result = down(result, height, filter);
  return result;
}

}  // namespace hearth::models
