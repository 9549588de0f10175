// Source: Kiss FFT 1.3.1's arithmetic: radix 4, then 2, each operand divided before its butterfly.
#include "graphs/operators/real_fft.h"

#include <cmath>
#include <concepts>
#include <limits>
#include <numbers>
#include <type_traits>

namespace hearth::graphs {
namespace {

template <typename T>
constexpr int fraction_bits = std::numeric_limits<T>::digits;  // 15, 31

// The sum of two products of fractions before it is rounded.
template <typename T>
using Wide = std::conditional_t<std::is_same_v<T, std::int16_t>, std::int64_t,
                                std::conditional_t<std::integral<T>, __int128, float>>;

template <typename T>
T rounded(Wide<T> product) {
  if constexpr (std::integral<T>)
    return static_cast<T>((product + (Wide<T>{1} << (fraction_bits<T> - 1))) >> fraction_bits<T>);
  else
    return product;
}

// Sums of the same width wrap around.
template <typename T>
T sum(T a, T b) {
  if constexpr (std::integral<T>) {
    using Bits = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<Bits>(static_cast<Bits>(a) + static_cast<Bits>(b)));
  } else {
    return a + b;
  }
}
template <typename T>
T difference(T a, T b) {
  if constexpr (std::integral<T>) {
    using Bits = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<Bits>(static_cast<Bits>(a) - static_cast<Bits>(b)));
  } else {
    return a - b;
  }
}
template <typename T>
T half_of(Wide<T> x) {
  if constexpr (std::integral<T>)
    return static_cast<T>(x >> 1);
  else
    return x * 0.5f;
}

template <typename T>
T fraction(double x) {
  if constexpr (std::integral<T>)
    return static_cast<T>(std::floor(0.5 + std::numeric_limits<T>::max() * x));
  else
    return static_cast<T>(x);
}

}  // namespace

template <typename T>
auto RealFft<T>::times(Complex a, Complex b) -> Complex {
  const auto re = static_cast<Wide<T>>(a.re), im = static_cast<Wide<T>>(a.im);
  return {rounded<T>(re * b.re - im * b.im), rounded<T>(re * b.im + im * b.re)};
}

template <typename T>
auto RealFft<T>::divided(Complex a, int by) -> Complex {
  if constexpr (std::integral<T>) {
    const Wide<T> factor = std::numeric_limits<T>::max() / by;
    return {rounded<T>(a.re * factor), rounded<T>(a.im * factor)};
  } else {
    return a;
  }
}

template <typename T>
RealFft<T>::RealFft(std::size_t size)
    : half_(size / 2), twiddles_(half_), last_twiddles_(half_ / 2), pairs_(half_), mixed_(half_) {
  const auto unit = [](double phase) {
    return Complex{fraction<T>(std::cos(phase)), fraction<T>(std::sin(phase))};
  };
  for (std::size_t i = 0; i < half_; ++i)
    twiddles_[i] =
        unit(-2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(half_));
  for (std::size_t i = 0; i < half_ / 2; ++i)
    last_twiddles_[i] =
        unit(-std::numbers::pi * (static_cast<double>(i + 1) / static_cast<double>(half_) + 0.5));
}

// n numbers that lie `stride` apart, decimated in time.
template <typename T>
void RealFft<T>::transform(Complex* out, const Complex* in, std::size_t n,
                           std::size_t stride) const {
  if (n == 1) {
    *out = *in;
    return;
  }
  const std::size_t radix = n % 4 == 0 ? 4 : 2, m = n / radix;
  for (std::size_t part = 0; part < radix; ++part)
    transform(out + part * m, in + part * stride, m, stride * radix);
  for (std::size_t k = 0; k < m; ++k) {
    Complex* at = out + k;
    if (radix == 2) {
      const Complex a = divided(at[0], 2), b = times(divided(at[m], 2), twiddles_[k * stride]);
      at[m] = {difference(a.re, b.re), difference(a.im, b.im)};
      at[0] = {sum(a.re, b.re), sum(a.im, b.im)};
      continue;
    }
    Complex a = divided(at[0], 4);
    const Complex b = times(divided(at[m], 4), twiddles_[k * stride]),
                  c = times(divided(at[2 * m], 4), twiddles_[2 * k * stride]),
                  d = times(divided(at[3 * m], 4), twiddles_[3 * k * stride]);
    const Complex less{difference(a.re, c.re), difference(a.im, c.im)};
    a = {sum(a.re, c.re), sum(a.im, c.im)};
    const Complex both{sum(b.re, d.re), sum(b.im, d.im)},
        apart{difference(b.re, d.re), difference(b.im, d.im)};
    at[2 * m] = {difference(a.re, both.re), difference(a.im, both.im)};
    at[0] = {sum(a.re, both.re), sum(a.im, both.im)};
    at[m] = {sum(less.re, apart.im), difference(less.im, apart.re)};
    at[3 * m] = {difference(less.re, apart.im), sum(less.im, apart.re)};
  }
}

template <typename T>
void RealFft<T>::forward(std::span<const T> samples, std::span<T> spectrum) {
  for (std::size_t i = 0; i < half_; ++i) pairs_[i] = {samples[2 * i], samples[2 * i + 1]};
  transform(mixed_.data(), pairs_.data(), half_, 1);
  const auto put = [&](std::size_t i, T re, T im) {
    spectrum[2 * i] = re;
    spectrum[2 * i + 1] = im;
  };
  const Complex first = divided(mixed_[0], 2);
  put(0, sum(first.re, first.im), 0);
  put(half_, difference(first.re, first.im), 0);
  for (std::size_t k = 1; k <= half_ / 2; ++k) {
    const Complex other = mixed_[half_ - k];
    const Complex a = divided(mixed_[k], 2), b = divided({other.re, difference<T>(0, other.im)}, 2);
    const Complex even{sum(a.re, b.re), sum(a.im, b.im)};
    const Complex odd =
        times({difference(a.re, b.re), difference(a.im, b.im)}, last_twiddles_[k - 1]);
    using W = Wide<T>;
    put(k, half_of<T>(W{even.re} + odd.re), half_of<T>(W{even.im} + odd.im));
    put(half_ - k, half_of<T>(W{even.re} - odd.re), half_of<T>(W{odd.im} - even.im));
  }
}

template struct RealFft<std::int16_t>;
template struct RealFft<std::int32_t>;
template struct RealFft<float>;

}  // namespace hearth::graphs
