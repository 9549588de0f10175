// Fourier transforms, windows and mel weights.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <cmath>
#include <complex>

#include "graphs/operators/families.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

constexpr double pi = 3.14159265358979323846;
using Complex = std::complex<double>;

// In place; n a power of two.
void fast_fourier(std::vector<Complex>& x, bool inverse) {
  const std::size_t n = x.size();
  for (std::size_t i = 1, j = 0; i < n; ++i) {
    std::size_t bit = n >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(x[i], x[j]);
  }
  for (std::size_t length = 2; length <= n; length *= 2) {
    const double angle = (inverse ? 2 : -2) * pi / static_cast<double>(length);
    for (std::size_t k = 0; k < length / 2; ++k) {
      const Complex turn = std::polar(1.0, angle * static_cast<double>(k));
      for (std::size_t i = k; i < n; i += length) {
        const Complex odd = x[i + length / 2] * turn;
        x[i + length / 2] = x[i] - odd;
        x[i] += odd;
      }
    }
  }
}

// Unscaled.  Lengths that are no power of two go through a convolution of one that is.
// Source: Bluestein 1970.
std::vector<Complex> fourier(std::vector<Complex> x, bool inverse) {
  const std::size_t n = x.size();
  if (n == 0) return x;
  if ((n & (n - 1)) == 0) {
    fast_fourier(x, inverse);
    return x;
  }
  std::size_t size = 1;
  while (size < 2 * n) size *= 2;
  std::vector<Complex> chirp(n), a(size), b(size);
  for (std::size_t k = 0; k < n; ++k)
    chirp[k] = std::polar(1.0, (inverse ? 1 : -1) * pi * static_cast<double>(k * k % (2 * n)) /
                                   static_cast<double>(n));
  for (std::size_t k = 0; k < n; ++k) {
    a[k] = x[k] * chirp[k];
    b[k] = std::conj(chirp[k]);
    if (k != 0) b[size - k] = b[k];
  }
  fast_fourier(a, false);
  fast_fourier(b, false);
  for (std::size_t k = 0; k < size; ++k) a[k] *= b[k];
  fast_fourier(a, true);
  for (std::size_t k = 0; k < n; ++k) x[k] = a[k] * chirp[k] / static_cast<double>(size);
  return x;
}

constexpr std::int64_t most_length = 1 << 26;

Status dft(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const bool old = call.node.version != 0 && call.node.version < 20;
  if (x->rank() < 2 || (x->dims.back() != 1 && x->dims.back() != 2))
    return invalid("needs [..., 1 or 2]");
  const auto axis =
      TRY(checked_axis(old ? call.integer("axis", 1) : TRY(call.integer_input(2, -2)), x->rank()));
  if (axis + 1 == x->rank()) return invalid("the last axis holds the parts of numbers");
  const bool inverse = call.integer("inverse", 0) != 0, onesided = call.integer("onesided", 0) != 0;
  const bool half_in = inverse && onesided;  // the other half follows by symmetry
  const std::int64_t given = x->dims[axis], parts = x->dims.back();
  const std::int64_t n = TRY(call.integer_input(1, half_in ? 2 * (given - 1) : given));
  if (n < 1 || n > most_length) return invalid(fmt::format("a length of {}", n));
  Dims dims = x->dims;
  dims[axis] = onesided && !inverse ? n / 2 + 1 : n;
  dims.back() = half_in ? 1 : 2;
  const std::int64_t kept = dims[axis], out_parts = dims.back();
  const std::int64_t inner = product(std::span(x->dims).subspan(axis + 1)) / parts;
  const std::int64_t outer = product(std::span(x->dims).first(axis));
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  const Numbers<double> from(*x);
  std::vector<double> result(static_cast<std::size_t>(y->count));
  parallel(call.machine, outer * inner, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t o = row / inner, i = row % inner;
      std::vector<Complex> line(static_cast<std::size_t>(n));
      for (std::int64_t k = 0; k < std::min(n, given); ++k) {
        const auto at = static_cast<std::size_t>(((o * given + k) * inner + i) * parts);
        line[static_cast<std::size_t>(k)] = {from[at], parts == 2 ? from[at + 1] : 0};
      }
      if (half_in)
        for (std::int64_t k = n / 2 + 1; k < n; ++k)
          line[static_cast<std::size_t>(k)] = std::conj(line[static_cast<std::size_t>(n - k)]);
      line = fourier(std::move(line), inverse);
      for (std::int64_t k = 0; k < kept; ++k) {
        const Complex value =
            line[static_cast<std::size_t>(k)] / (inverse ? static_cast<double>(n) : 1.0);
        const auto at = static_cast<std::size_t>(((o * kept + k) * inner + i) * out_parts);
        result[at] = value.real();
        if (out_parts == 2) result[at + 1] = value.imag();
      }
    }
  });
  put(*y, std::span<const double>(result));
  return Done{};
}

Status stft(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const std::int64_t step = TRY(call.integer_input(1, 0));
  const Tensor* window = call.tensor_or_null(2);
  if (x->rank() < 2 || x->rank() > 3) return invalid("needs [batch, length, 1 or 2]");
  const std::int64_t parts = x->rank() == 3 ? x->dims[2] : 1, length = x->dims[1];
  const std::int64_t frame = TRY(call.integer_input(3, window == nullptr ? length : window->count));
  if (step < 1 || frame < 1 || frame > length || (window != nullptr && window->count != frame) ||
      (parts != 1 && parts != 2))
    return invalid(fmt::format("frames of {} each {} of {}", frame, step, length));
  const bool onesided = call.integer("onesided", 1) != 0;
  const std::int64_t frames = (length - frame) / step + 1, bins = onesided ? frame / 2 + 1 : frame;
  Tensor* y = TRY(call.make(0, x->type, {x->dims[0], frames, bins, 2}));
  const Numbers<double> from(*x), by(window == nullptr ? Tensor() : *window);
  std::vector<double> result(static_cast<std::size_t>(y->count));
  parallel(call.machine, x->dims[0] * frames, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::vector<Complex> line(static_cast<std::size_t>(frame));
      for (std::int64_t k = 0; k < frame; ++k) {
        const auto at =
            static_cast<std::size_t>((row / frames * length + row % frames * step + k) * parts);
        const double weight = window == nullptr ? 1 : by[static_cast<std::size_t>(k)];
        line[static_cast<std::size_t>(k)] =
            Complex(from[at], parts == 2 ? from[at + 1] : 0) * weight;
      }
      line = fourier(std::move(line), false);
      for (std::int64_t k = 0; k < bins; ++k) {
        const auto at = static_cast<std::size_t>((row * bins + k) * 2);
        result[at] = line[static_cast<std::size_t>(k)].real();
        result[at + 1] = line[static_cast<std::size_t>(k)].imag();
      }
    }
  });
  put(*y, std::span<const double>(result));
  return Done{};
}

// a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n).
Status cosine_window(Call& call, double a0, double a1, double a2) {
  const std::int64_t n = TRY(call.integer_input(0, 0));
  constexpr std::int64_t most = 1 << 22;
  if (n < 0 || n > most) return invalid(fmt::format("a window of {}: needs 0 to {}", n, most));
  auto type = static_cast<Element>(call.integer("output_datatype", 0));
  if (type == Element::none) type = Element::f32;
  Tensor* y = TRY(call.make(0, type, {n}));
  const double period =
      static_cast<double>(call.integer("periodic", 1) != 0 ? n : std::max<std::int64_t>(n - 1, 1));
  std::vector<double> numbers;
  for (std::int64_t i = 0; i < n; ++i) {
    const double angle = 2 * pi * static_cast<double>(i) / period;
    numbers.push_back(a0 - a1 * std::cos(angle) + a2 * std::cos(2 * angle));
  }
  put(*y, std::span<const double>(numbers));
  return Done{};
}
Status hann(Call& call) { return cosine_window(call, 0.5, 0.5, 0); }
Status hamming(Call& call) { return cosine_window(call, 25.0 / 46, 21.0 / 46, 0); }
Status blackman(Call& call) { return cosine_window(call, 0.42, 0.5, 0.08); }

double mel_of(double hertz) { return 2595 * std::log10(1 + hertz / 700); }

Status mel_weight_matrix(Call& call) {
  const std::int64_t bins = TRY(call.integer_input(0, 0)), length = TRY(call.integer_input(1, 0)),
                     rate = TRY(call.integer_input(2, 0));
  const auto low = TRY(call.reals(3)), high = TRY(call.reals(4));
  if (bins < 0 || bins > (1 << 20) || length < 0 || length > most_length || rate < 1 ||
      low.size() != 1 || high.size() != 1)
    return invalid("mel bins, length, rate or edges");
  auto type = static_cast<Element>(call.integer("output_datatype", 0));
  if (type == Element::none) type = Element::f32;
  const std::int64_t spectrum = length / 2 + 1;
  Tensor* y = TRY(call.make(0, type, {spectrum, bins}));
  std::vector<std::int64_t> edges;
  const double first = mel_of(low[0]),
               step = (mel_of(high[0]) - first) / static_cast<double>(bins + 2);
  for (std::int64_t i = 0; i < bins + 2; ++i) {
    const double hertz = 700 * (std::pow(10, (first + static_cast<double>(i) * step) / 2595) - 1);
    edges.push_back(static_cast<std::int64_t>(
        std::floor(static_cast<double>(length + 1) * hertz / static_cast<double>(rate))));
  }
  std::vector<double> weights(static_cast<std::size_t>(y->count), 0.0);
  const auto put_at = [&](std::int64_t row, std::int64_t column, double weight) {
    if (row >= 0 && row < spectrum) weights[static_cast<std::size_t>(row * bins + column)] = weight;
  };
  for (std::int64_t i = 0; i < bins; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const std::int64_t left = edges[k], middle = edges[k + 1], right = edges[k + 2];
    if (left == middle) put_at(middle, i, 1);
    for (std::int64_t j = left; left != middle && j <= std::min(middle, spectrum - 1); ++j)
      put_at(j, i, static_cast<double>(j - left) / static_cast<double>(middle - left));
    for (std::int64_t j = middle; right != middle && j < std::min(right, spectrum); ++j)
      put_at(j, i, static_cast<double>(right - j) / static_cast<double>(right - middle));
  }
  put(*y, std::span<const double>(weights));
  return Done{};
}

// Pairs of reals along a last axis as complex numbers, and back: the same memory.
Status to_complex(Call& call) {
  Tensor y = *TRY(call.typed(0, Element::f32));
  if (y.rank() == 0 || y.dims.back() != 2) return invalid(fmt::format("pairs {}", to_text(y.dims)));
  y.dims.pop_back();
  y.type = Element::c64;
  y.count /= 2;
  call.give(0, std::move(y));
  return Done{};
}
Status from_complex(Call& call) {
  Tensor y = *TRY(call.typed(0, Element::c64));
  y.dims.push_back(2);
  y.type = Element::f32;
  y.count *= 2;
  call.give(0, std::move(y));
  return Done{};
}

constexpr Operator rows[] = {
    {"hearth.ToComplex", to_complex, nullptr, 1, 1},
    {"hearth.FromComplex", from_complex, nullptr, 1, 1},
    {"DFT", dft, nullptr, 1, 3},
    {"STFT", stft, nullptr, 2, 4},
    {"HannWindow", hann, nullptr, 1, 1},
    {"HammingWindow", hamming, nullptr, 1, 1},
    {"BlackmanWindow", blackman, nullptr, 1, 1},
    {"MelWeightMatrix", mel_weight_matrix, nullptr, 5, 5},
};

}  // namespace

std::span<const Operator> signal_operators() { return rows; }

}  // namespace hearth::graphs
