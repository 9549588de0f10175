#include "graphs/picture.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace hearth::graphs {
namespace {

constexpr std::int64_t most_points = std::int64_t{1} << 28;

Result<Picture> sized(std::int64_t width, std::int64_t height) {
  if (width < 1 || height < 1 || width > most_points || height > most_points / width)
    return Error(ErrorKind::exhausted, fmt::format("a picture of {} by {}", width, height));
  Picture picture{width, height, {}};
  picture.rgb.resize(static_cast<std::size_t>(width * height * 3));
  return picture;
}

struct Span1 {
  std::int64_t first;
  std::vector<float> weights;
};

// Triangles around each centre, as wide as the reduction.
std::vector<Span1> spans(std::int64_t in, std::int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out),
               reach = std::max(scale, 1.0);
  std::vector<Span1> result;
  for (std::int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - reach + 0.5));
    const auto last = std::min(in, static_cast<std::int64_t>(centre + reach + 0.5));
    Span1 span{first, {}};
    float sum = 0;
    for (std::int64_t k = first; k < last; ++k) {
      const auto weight = static_cast<float>(
          std::max(0.0, 1 - std::fabs(static_cast<double>(k) + 0.5 - centre) / reach));
      span.weights.push_back(weight);
      sum += weight;
    }
    for (float& weight : span.weights) weight /= sum;
    result.push_back(std::move(span));
  }
  return result;
}

}  // namespace

Result<Picture> resized(const Picture& picture, std::int64_t width, std::int64_t height) {
  if (width == picture.width && height == picture.height) return picture;
  Picture result = TRY(sized(width, height));
  const auto across = spans(picture.width, width), down = spans(picture.height, height);
  std::vector<float> lines(static_cast<std::size_t>(picture.height * width * 3));
  for (std::int64_t y = 0; y < picture.height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) {
        const Span1& span = across[static_cast<std::size_t>(x)];
        float sum = 0;
        for (std::size_t k = 0; k < span.weights.size(); ++k)
          sum +=
              span.weights[k] *
              picture
                  .rgb[static_cast<std::size_t>((y * picture.width + span.first) * 3 + c) + k * 3];
        lines[static_cast<std::size_t>((y * width + x) * 3 + c)] = sum;
      }
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t i = 0; i < width * 3; ++i) {
      const Span1& span = down[static_cast<std::size_t>(y)];
      float sum = 0;
      for (std::size_t k = 0; k < span.weights.size(); ++k)
        sum +=
            span.weights[k] *
            lines[(static_cast<std::size_t>(span.first) + k) * static_cast<std::size_t>(width * 3) +
                  static_cast<std::size_t>(i)];
      result.rgb[static_cast<std::size_t>(y * width * 3 + i)] =
          static_cast<std::uint8_t>(std::clamp(sum + 0.5f, 0.0f, 255.0f));
    }
  return result;
}

}  // namespace hearth::graphs
