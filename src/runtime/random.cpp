#include "runtime/random.h"

namespace hearth {
namespace {

constexpr std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
constexpr std::uint32_t high(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

double uniform(const RandomPlace& place) {
  const auto bits = philox({low(place.index), high(place.index), place.stream, 0},
                           {low(place.seed), high(place.seed)});
  const std::uint64_t joined = std::uint64_t{bits[0]} << 32 | bits[1];
  return static_cast<double>(joined >> 11) * 0x1p-53;
}

}  // namespace hearth
