// Scratch memory of one thread, kept from one operation to the next.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::ops {

// A buffer for each use that may overlap another on the same thread.
enum class Scratch : std::uint8_t { shared, worker, gathered, sums, panels };
constexpr std::size_t scratch_uses = 5;

// At least `bytes`, 64-byte aligned, contents undefined; valid until this thread asks for the same
// one again.  Running out of memory here ends the program: operations cannot fail.
std::byte* scratch(Scratch which, std::size_t bytes);

inline float* float_scratch(Scratch which, std::size_t count) {
  return reinterpret_cast<float*>(scratch(which, count * sizeof(float)));
}

}  // namespace hearth::ops
