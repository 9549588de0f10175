#include "ops/recode.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/half.h"
#include "kernels/kernels.h"
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
    case Dtype::iq1_m:  // four nibbles here and there
      return {};
    default:
      return {0};
  }
}

// What a panel of one row made of the blocks stands for.
std::vector<float> unpacked(const ops::Recoding& recoding, const std::vector<std::byte>& blocks,
                            std::size_t columns) {
  std::vector<std::byte> panel(kernels::panel_bytes(recoding.panel, columns));
  kernels::pack_panel(recoding.panel, panel.data(), blocks.data(), blocks.size(), 1, columns);
  std::vector<float> all(columns * kernels::panel_rows), first(columns);
  kernels::reference().plain->unpack(recoding.panel, all.data(), panel.data(), 0, columns);
  for (std::size_t i = 0; i < columns; ++i) first[i] = all[i * kernels::panel_rows];
  return first;
}

}  // namespace

TEST_CASE("recoded blocks and what is added to them are the same numbers") {
  std::size_t recoded = 0;
  for (const DtypeInfo& row : dtypes()) {
    const ops::Recoding* recoding = ops::recoding_of(row.dtype);
    if (recoding == nullptr) continue;
    ++recoded;
    CHECK(ops::growth_of(row.dtype) > 1);
    CHECK(ops::growth_of(row.dtype) < 4.6);
    CAPTURE(std::string(row.name));
    constexpr std::size_t blocks = 40;
    const std::size_t columns = row.block_elements * blocks, group = recoding->group_columns;
    std::mt19937 random(3);
    std::vector<std::byte> stored(blocks * row.block_bytes);
    for (std::byte& byte : stored) byte = static_cast<std::byte>(random());
    for (std::size_t b = 0; b < blocks && row.dtype == Dtype::iq1_m; ++b) {
      std::byte& top = stored[b * row.block_bytes + 55];  // an ordinary number
      top = (top & std::byte{15}) | std::byte{0x20};
    }
    for (std::size_t b = 0; b < blocks; ++b)
      for (const std::size_t offset : halves_of(row.dtype)) {
        // No fraction that subnormal numbers could not hold a half of.
        const float scale = std::ldexp(static_cast<float>(random() % 1024 + 1024), -20);
        const std::uint16_t half = f32_to_f16(b % 2 == 0 ? scale : -scale);
        std::memcpy(&stored[b * row.block_bytes + offset], &half, sizeof half);
      }
    std::vector<std::byte> made(blocks * recoding->block_bytes);
    std::vector<float> minima(group > 0 ? columns / group : 0);
    recoding->recode(made.data(), minima.data(), stored.data(), blocks);
    const auto want = ops::dequantise(row.dtype, stored, columns);
    REQUIRE(want);
    const std::vector<float> got = unpacked(*recoding, made, columns);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < columns; ++i) {
      const float sum = got[i] + (group > 0 ? minima[i / group] : 0);
      const float size = std::abs(got[i]) + std::abs((*want)[i]);
      wrong += group > 0 ? std::abs(sum - (*want)[i]) > 1e-6f * size : sum != (*want)[i];
    }
    CHECK(wrong == 0);
  }
  CHECK(recoded == 13);
}

TEST_CASE("what a type takes in memory beside its file") {
  CHECK(ops::growth_of(Dtype::q4_k) == 1);
  CHECK(ops::growth_of(Dtype::iq2_xxs) == doctest::Approx(146.0 / 66));
  CHECK(ops::growth_of(Dtype::q4_1) == doctest::Approx((18.0 + 4) / 20));
}
