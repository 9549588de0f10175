#include "vectors/ivf/rotation.h"

#include <bit>
#include <cmath>
#include <random>

namespace hearth::vectors {

Rotation::Rotation(std::size_t dim, std::uint64_t seed, const kernels::SearchKernels& kernels)
    : dim_(dim),
      padded_((dim + kernels::panel_step - 1) / kernels::panel_step * kernels::panel_step),
      width_(std::bit_floor(padded_)),
      kernels_(kernels) {
  const float unit = 1 / std::sqrt(static_cast<float>(width_));
  even_.assign(width_, unit);
  signs_.resize(rounds * width_);
  std::mt19937_64 random(seed);
  for (float& sign : signs_) sign = (random() & 1) != 0 ? unit : -unit;
}

void Rotation::apply(float* x) const {
  for (std::size_t r = 0; r < rounds; ++r) kernels_.hadamard(x + first(r), signs(r), width_);
}

void Rotation::undo(float* x) const {
  for (std::size_t r = rounds; r-- > 0;) {
    float* window = x + first(r);
    kernels_.hadamard(window, even_.data(), width_);
    for (std::size_t i = 0; i < width_; ++i)
      if (signs(r)[i] < 0) window[i] = -window[i];
  }
}

}  // namespace hearth::vectors
