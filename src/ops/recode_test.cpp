#include "ops/recode.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/half.h"
#include "ops/dequantise.h"

using namespace hearth;

namespace {

// Where the scale of the whole block is; every other bit pattern is a block.
std::size_t scale_offset(Dtype dtype) {
  switch (dtype) {
    case Dtype::q3_k:
      return 108;
    case Dtype::tq1_0:
      return 52;
    case Dtype::tq2_0:
      return 64;
    default:
      return 0;
  }
}

}  // namespace

TEST_CASE("recoded blocks hold the same numbers") {
  std::size_t recoded = 0;
  for (const DtypeInfo& row : dtypes()) {
    const ops::Recoding* recoding = ops::recoding_of(row.dtype);
    if (recoding == nullptr) continue;
    ++recoded;
    CAPTURE(std::string(row.name));
    constexpr std::size_t blocks = 40, columns = 256 * blocks;
    std::mt19937 random(3);
    std::vector<std::byte> stored(blocks * row.block_bytes);
    for (std::byte& byte : stored) byte = static_cast<std::byte>(random());
    for (std::size_t b = 0; b < blocks; ++b) {
      // No fraction that subnormal numbers could not hold a half of.
      const float scale = std::ldexp(static_cast<float>(random() % 1024 + 1024), -20);
      const std::uint16_t half = f32_to_f16(b % 2 == 0 ? scale : -scale);
      std::memcpy(&stored[b * row.block_bytes + scale_offset(row.dtype)], &half, sizeof half);
    }
    std::vector<std::byte> made(blocks * info(ops::recoded_type).block_bytes);
    recoding->recode(made.data(), stored.data(), blocks);
    const auto want = ops::dequantise(row.dtype, stored, columns);
    const auto got = ops::dequantise(ops::recoded_type, made, columns);
    REQUIRE(want);
    REQUIRE(got);
    CHECK(*got == *want);
  }
  CHECK(recoded == 5);
}
