// Spectra of real numbers in the arithmetic of small machines: whole numbers of 16 or 32 bits that
// are halved before each sum, rounded the way that TFLite Micro's signal operators round.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hearth::graphs {

// T: std::int16_t, std::int32_t or float.
template <typename T>
struct RealFft {
  // size: a power of two of at least 2.
  explicit RealFft(std::size_t size);

  // size samples to size / 2 + 1 complex numbers, [re, im].
  void forward(std::span<const T> samples, std::span<T> spectrum);

 private:
  struct Complex {
    T re, im;
  };
  static Complex times(Complex a, Complex b);
  static Complex divided(Complex a, int by);
  void transform(Complex* out, const Complex* in, std::size_t n, std::size_t stride) const;

  std::size_t half_;
  std::vector<Complex> twiddles_;       // of the complex transform of half the size
  std::vector<Complex> last_twiddles_;  // which part it into that of real numbers
  std::vector<Complex> pairs_, mixed_;
};

extern template struct RealFft<std::int16_t>;
extern template struct RealFft<std::int32_t>;
extern template struct RealFft<float>;

}  // namespace hearth::graphs
