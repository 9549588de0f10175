// Whether new rows still look like those a model was trained on.
#pragma once

#include "vectors/learned/products.h"

namespace hearth::vectors {

struct Drift {
  float mmd = 0;  // squared maximum mean discrepancy, Gaussian kernel of the median distance
  float kl = 0;   // Kullback-Leibler divergence, new from old, mean over components, in nats
};

// before, now: embeddings, [n, dim] and [m, dim], at least two rows each; else zeros.
// Source: Gretton et al. 2012, equation 3; components are taken for Gaussians in the divergence.
Drift measure_drift(const Table& before, const Table& now);

}  // namespace hearth::vectors
