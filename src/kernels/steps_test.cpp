#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/steps_select.h"

using namespace hearth::kernels;

TEST_CASE("every table of step kernels agrees with the reference at every count and size") {
  std::mt19937 random(11);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (const std::size_t bytes : {64u, 128u, 192u, 768u}) {
    const std::size_t stride = bytes + 64, rows = 40;
    std::vector<std::uint8_t> data(rows * stride), code(bytes), query(bytes);
    for (auto& x : data) x = static_cast<std::uint8_t>(below(128));
    for (auto& x : code) x = static_cast<std::uint8_t>(below(128));
    for (auto& x : query) x = static_cast<std::uint8_t>(below(255) - 127);
    code[0] = 127;
    data[0] = 0;
    for (const StepCandidate& candidate : step_candidates()) {
      if (!candidate.supported()) continue;
      for (std::size_t n = 0; n <= 21; ++n) {
        CAPTURE(std::string(candidate.table->name));
        CAPTURE(bytes);
        CAPTURE(n);
        std::vector<std::uint32_t> ids(n);
        for (auto& id : ids) id = static_cast<std::uint32_t>(below(static_cast<int>(rows)));
        std::vector<std::int32_t> got(n + 1, 7), want(n + 1, 7);
        candidate.table->squares_at(got.data(), code.data(), data.data(), stride, ids.data(), n,
                                    bytes);
        step_reference().squares_at(want.data(), code.data(), data.data(), stride, ids.data(), n,
                                    bytes);
        CHECK(got == want);
        candidate.table->products_at(got.data(), query.data(), data.data(), stride, ids.data(), n,
                                     bytes);
        step_reference().products_at(want.data(), query.data(), data.data(), stride, ids.data(), n,
                                     bytes);
        CHECK(got == want);
      }
    }
  }
}
