// Random numbers without state: the same (seed, stream, index) gives the same number, in whatever
// order numbers are asked for.  So a sampled answer does not depend on what else is scheduled.
#pragma once

#include <array>
#include <cstdint>

namespace hearth {

// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", Philox4x32-10.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key);

struct RandomPlace {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;  // which of n answers
  std::uint64_t index = 0;   // which token of the answer
};

// Uniform in [0, 1), 53 bits.
double uniform(const RandomPlace& place);

}  // namespace hearth
