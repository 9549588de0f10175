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

// Where the block has halves; any other bits are a block.
std::vector<std::size_t> halves_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::q4_1:
    case Dtype::q5_1:
      return {0, 2};
    case Dtype::q2_k:
      return {80, 82};
    case Dtype::q3_k:
      return {108};
    case Dtype::tq1_0:
      return {52};
    case Dtype::tq2_0:
      return {64};
    default:
      return {0};
  }
}

}  // namespace

TEST_CASE("recoded blocks and what is added to them are the same numbers") {
  std::size_t recoded = 0;
  for (const DtypeInfo& row : dtypes()) {
    const ops::Recoding* recoding = ops::recoding_of(row.dtype);
    if (recoding == nullptr) continue;
    ++recoded;
    CAPTURE(std::string(row.name));
    constexpr std::size_t blocks = 40;
    const std::size_t columns = row.block_elements * blocks, group = recoding->group_columns;
    std::mt19937 random(3);
    std::vector<std::byte> stored(blocks * row.block_bytes);
    for (std::byte& byte : stored) byte = static_cast<std::byte>(random());
    for (std::size_t b = 0; b < blocks; ++b)
      for (const std::size_t offset : halves_of(row.dtype)) {
        // No fraction that subnormal numbers could not hold a half of.
        const float scale = std::ldexp(static_cast<float>(random() % 1024 + 1024), -20);
        const std::uint16_t half = f32_to_f16(b % 2 == 0 ? scale : -scale);
        std::memcpy(&stored[b * row.block_bytes + offset], &half, sizeof half);
      }
    std::vector<std::byte> made(blocks * info(recoding->to).block_bytes);
    std::vector<float> minima(group > 0 ? columns / group : 0);
    recoding->recode(made.data(), minima.data(), stored.data(), blocks);
    const auto want = ops::dequantise(row.dtype, stored, columns);
    auto got = ops::dequantise(recoding->to, made, columns);
    REQUIRE(want);
    REQUIRE(got);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < columns; ++i) {
      const float sum = (*got)[i] + (group > 0 ? minima[i / group] : 0);
      const float size = std::abs((*got)[i]) + std::abs((*want)[i]);
      wrong += group > 0 ? std::abs(sum - (*want)[i]) > 1e-6f * size : sum != (*want)[i];
    }
    CHECK(wrong == 0);
  }
  CHECK(recoded == 8);
}
