#include "vectors/learned/drift.h"

#include <algorithm>
#include <cmath>

namespace hearth::vectors {
namespace {

Table squared_distances(const Table& a, const Table& b) {
  Table d = product_transposed(a, b);
  const auto norms = [](const Table& t) {
    std::vector<float> result(t.rows);
    for (std::size_t i = 0; i < t.rows; ++i)
      for (std::size_t j = 0; j < t.columns; ++j) result[i] += t.row(i)[j] * t.row(i)[j];
    return result;
  };
  const std::vector<float> na = norms(a), nb = norms(b);
  for (std::size_t i = 0; i < d.rows; ++i)
    for (std::size_t j = 0; j < d.columns; ++j)
      d.row(i)[j] = std::max(0.0f, na[i] + nb[j] - 2 * d.row(i)[j]);
  return d;
}

// The mean of the kernel over pairs; over different ones if the two sets are the same.
double mean_kernel(const Table& distances, float width, bool same) {
  double sum = 0;
  for (std::size_t i = 0; i < distances.rows; ++i)
    for (std::size_t j = 0; j < distances.columns; ++j)
      if (!same || i != j) sum += std::exp(-double{distances.row(i)[j]} / double{width});
  const auto rows = static_cast<double>(distances.rows);
  const auto columns = static_cast<double>(distances.columns);
  return sum / (rows * (same ? columns - 1 : columns));
}

struct Moments {
  double mean = 0, variance = 0;
};

Moments moments(const Table& t, std::size_t column) {
  Moments m;
  for (std::size_t i = 0; i < t.rows; ++i) m.mean += double{t.row(i)[column]};
  m.mean /= static_cast<double>(t.rows);
  for (std::size_t i = 0; i < t.rows; ++i) {
    const double d = double{t.row(i)[column]} - m.mean;
    m.variance += d * d;
  }
  m.variance = m.variance / static_cast<double>(t.rows - 1) + 1e-9;
  return m;
}

}  // namespace

Drift measure_drift(const Table& before, const Table& now) {
  if (before.rows < 2 || now.rows < 2) return {};
  const Table within = squared_distances(before, before);
  std::vector<float> pairs = within.values;
  const auto middle = pairs.begin() + static_cast<std::ptrdiff_t>(pairs.size() / 2);
  std::nth_element(pairs.begin(), middle, pairs.end());
  const float width = std::max(*middle, 1e-9f);
  Drift drift;
  drift.mmd = static_cast<float>(mean_kernel(within, width, true) +
                                 mean_kernel(squared_distances(now, now), width, true) -
                                 2 * mean_kernel(squared_distances(before, now), width, false));
  double divergence = 0;
  for (std::size_t j = 0; j < before.columns; ++j) {
    const Moments p = moments(now, j), q = moments(before, j);
    const double shift = p.mean - q.mean;
    divergence += 0.5 * (p.variance / q.variance + shift * shift / q.variance - 1 +
                         std::log(q.variance / p.variance));
  }
  drift.kl = static_cast<float>(divergence / static_cast<double>(before.columns));
  return drift;
}

}  // namespace hearth::vectors
