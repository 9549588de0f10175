#include "speech/mel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace hearth::speech {
namespace {

constexpr std::size_t n = window_samples, frequencies = n / 2 + 1;
constexpr std::array<std::size_t, 4> factors = {4, 4, 5, 5};
static_assert(4 * 4 * 5 * 5 == n);

struct Complex {
  double re, im;
};
Complex operator*(Complex a, Complex b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }

struct Tables {
  std::array<Complex, n> roots;  // exp(-2 pi i k / n)
  std::array<double, n> window;  // Hann's, periodic
  Tables() {
    for (std::size_t k = 0; k < n; ++k) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(k) / n;
      roots[k] = {std::cos(angle), -std::sin(angle)};
      window[k] = 0.5 - 0.5 * std::cos(angle);
    }
  }
};
const Tables& tables() {
  static const Tables made;
  return made;
}

// out = the transform of every `stride`-th of `in`, `size` of them.
// Source: Cooley and Tukey 1965, decimation in time.
void transform(const Complex* in, std::size_t stride, Complex* out, std::size_t size,
               const std::size_t* radix) {
  if (size == 1) {
    out[0] = in[0];
    return;
  }
  const std::size_t parts = *radix, each = size / parts, step = n / size;
  for (std::size_t r = 0; r < parts; ++r)
    transform(in + r * stride, stride * parts, out + r * each, each, radix + 1);
  const auto& roots = tables().roots;
  for (std::size_t k = 0; k < each; ++k) {
    std::array<Complex, 5> turned;
    for (std::size_t r = 0; r < parts; ++r) turned[r] = out[r * each + k] * roots[r * k * step];
    for (std::size_t q = 0; q < parts; ++q) {
      Complex sum = turned[0];
      for (std::size_t r = 1; r < parts; ++r)
        sum = sum + turned[r] * roots[r * q * (n / parts) % n];
      out[q * each + k] = sum;
    }
  }
}

// One triangle: its weights of the frequencies from `first` on.
struct Filter {
  std::size_t first = 0;
  std::vector<double> weights;
};

double mel_of(double hertz) {
  return hertz < 1000 ? 3 * hertz / 200 : 15 + std::log(hertz / 1000) * 27 / std::log(6.4);
}
double hertz_of(double mel) {
  return mel < 15 ? 200 * mel / 3 : 1000 * std::exp(std::log(6.4) / 27 * (mel - 15));
}

std::vector<Filter> filters_of(std::size_t bins) {
  constexpr double highest = 8000;
  std::vector<double> edges(bins + 2);
  for (std::size_t i = 0; i < edges.size(); ++i)
    edges[i] = hertz_of(mel_of(highest) * static_cast<double>(i) / static_cast<double>(bins + 1));
  std::vector<Filter> filters(bins);
  for (std::size_t b = 0; b < bins; ++b) {
    const double area = 2 / (edges[b + 2] - edges[b]);
    for (std::size_t f = 0; f < frequencies; ++f) {
      const double hertz = highest * static_cast<double>(f) / (frequencies - 1);
      const double up = (hertz - edges[b]) / (edges[b + 1] - edges[b]);
      const double down = (edges[b + 2] - hertz) / (edges[b + 2] - edges[b + 1]);
      const double weight = std::min(up, down) * area;
      if (weight <= 0 && filters[b].weights.empty()) continue;
      if (weight <= 0) break;
      if (filters[b].weights.empty()) filters[b].first = f;
      filters[b].weights.push_back(weight);
    }
  }
  return filters;
}

// The sample at a place that may lie before the first or behind the last: mirrored there.
double sample_at(std::span<const float> samples, std::ptrdiff_t place) {
  const auto count = static_cast<std::ptrdiff_t>(samples.size());
  if (place < 0) place = -place;
  if (place >= count) place = 2 * count - 2 - place;
  return place >= 0 && place < count ? samples[static_cast<std::size_t>(place)] : 0.0f;
}

float level(const Filter& filter, const std::array<double, frequencies>& power) {
  double sum = 0;
  for (std::size_t i = 0; i < filter.weights.size(); ++i)
    sum += filter.weights[i] * power[filter.first + i];
  return static_cast<float>(std::log10(std::max(sum, 1e-10)));
}

// Two frames at once: one as the real part, one as the imaginary.
void two_frames(std::span<const float> samples, std::size_t first, bool has_second,
                std::span<const Filter> filters, float* out) {
  std::array<Complex, n> in, spectrum;
  const auto at =
      static_cast<std::ptrdiff_t>(first * hop_samples) - static_cast<std::ptrdiff_t>(n / 2);
  for (std::size_t i = 0; i < n; ++i) {
    const auto place = at + static_cast<std::ptrdiff_t>(i);
    const double window = tables().window[i];
    in[i] = {window * sample_at(samples, place),
             has_second ? window * sample_at(samples, place + hop_samples) : 0};
  }
  transform(in.data(), 1, spectrum.data(), n, factors.data());
  std::array<double, frequencies> a, b;
  for (std::size_t f = 0; f < frequencies; ++f) {
    const Complex x = spectrum[f], y = spectrum[(n - f) % n];
    const double are = (x.re + y.re) / 2, aim = (x.im - y.im) / 2;
    const double bre = (x.im + y.im) / 2, bim = (y.re - x.re) / 2;
    a[f] = are * are + aim * aim;
    b[f] = bre * bre + bim * bim;
  }
  for (std::size_t i = 0; i < filters.size(); ++i) {
    out[i] = level(filters[i], a);
    if (has_second) out[filters.size() + i] = level(filters[i], b);
  }
}

}  // namespace

Mel log_mel(ThreadPool& pool, std::span<const float> samples, std::size_t bins) {
  Mel mel{bins, {}};
  const std::size_t frames = samples.size() <= n / 2 ? 0 : samples.size() / hop_samples;
  mel.values.resize(frames * bins);
  if (frames == 0) return mel;
  const std::vector<Filter> filters = filters_of(bins);
  pool.parallel_for((frames + 1) / 2, 32, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i)
      two_frames(samples, 2 * i, 2 * i + 1 < frames, filters, mel.values.data() + 2 * i * bins);
  });
  const float floor = *std::ranges::max_element(mel.values) - 8;
  for (float& value : mel.values) value = (std::max(value, floor) + 4) / 4;
  return mel;
}

}  // namespace hearth::speech
