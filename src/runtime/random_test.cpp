#include "runtime/random.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

using namespace hearth;

TEST_CASE("philox: the known answers of its authors") {
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform numbers lie in [0, 1), differ by place and spread evenly") {
  std::set<double> seen;
  double sum = 0;
  for (std::uint64_t seed : {0ull, 1ull, 1ull << 40})
    for (std::uint32_t stream : {0u, 1u, 7u})
      for (std::uint64_t index = 0; index < 1000; ++index) {
        const double u = uniform({.seed = seed, .stream = stream, .index = index});
        CHECK((u >= 0 && u < 1));
        seen.insert(u);
        sum += u;
      }
  CHECK(seen.size() == 9000);
  CHECK(std::abs(sum / 9000 - 0.5) < 0.01);
}
