// Made-up vectors for tests and benchmarks, clustered as real ones are.
#pragma once

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

namespace hearth::vectors {

// Each vector lies near one of `clusters` centres, spread along `inner` directions of the cluster's
// own, with a little of everything on top.
struct Mixture {
  std::size_t clusters, inner;
  float mean, centres, spread, noise;  // of components: mean, and standard deviations
  float least = std::numeric_limits<float>::lowest(), most = std::numeric_limits<float>::max();
};

// [n, dim]; the same for the same arguments, and clusters are the same for every seed.
inline std::vector<float> sample(const Mixture& mixture, std::size_t n, std::size_t dim,
                                 unsigned seed) {
  std::mt19937 shape(99), random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> centres(mixture.clusters * dim);
  std::vector<float> directions(mixture.clusters * mixture.inner * dim);
  for (float& x : centres) x = mixture.mean + mixture.centres * normal(shape);
  for (float& x : directions) x = mixture.spread * normal(shape);
  std::vector<float> rows(n * dim);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t cluster = random() % mixture.clusters;
    float* row = &rows[i * dim];
    std::copy_n(&centres[cluster * dim], dim, row);
    for (std::size_t j = 0; j < mixture.inner; ++j) {
      const float weight = normal(random);
      const float* direction = &directions[(cluster * mixture.inner + j) * dim];
      for (std::size_t d = 0; d < dim; ++d) row[d] += weight * direction[d];
    }
    for (std::size_t d = 0; d < dim; ++d)
      row[d] = std::clamp(row[d] + mixture.noise * normal(random), mixture.least, mixture.most);
  }
  return rows;
}

}  // namespace hearth::vectors
