// What tests of operations share.
#pragma once

#include <cmath>
#include <random>
#include <span>
#include <vector>

#include "kernels/test_tables.h"
#include "ops/context.h"

namespace hearth::ops {

inline std::vector<float> random_floats(std::size_t n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// The largest error, as a share of the root mean square of what is wanted.
inline double error_of(std::span<const float> got, std::span<const float> wanted) {
  double worst = 0, squares = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - wanted[i]);
    worst = error <= worst ? worst : error;
    squares += static_cast<double>(wanted[i]) * wanted[i];
  }
  return worst / std::sqrt(squares / static_cast<double>(got.size()) + 1e-30);
}

// The root mean square of the errors, as the same share.
inline double typical_error_of(std::span<const float> got, std::span<const float> wanted) {
  double errors = 0, squares = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    errors += (static_cast<double>(got[i]) - wanted[i]) * (static_cast<double>(got[i]) - wanted[i]);
    squares += static_cast<double>(wanted[i]) * wanted[i];
  }
  return std::sqrt(errors / (squares + 1e-30));
}

// Calls f(ctx) for every table that runs here and every tier.
template <typename F>
void each_context(F f, int threads = 3) {
  ThreadPool pool(threads);
  for (const kernels::Candidate& candidate : kernels::tables_to_test()) {
    if (!candidate.supported()) continue;
    for (const Tier tier : {Tier::accurate, Tier::exact, Tier::turbo}) {
      Context ctx{.kernels = candidate.table, .pool = &pool, .tier = tier};
      f(ctx);
    }
  }
}

}  // namespace hearth::ops
