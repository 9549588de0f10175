// Plans for target recalls, measured on rows of the index itself.
#pragma once

#include <span>
#include <stop_token>
#include <vector>

#include "vectors/ivf/search.h"

namespace hearth::vectors {

struct TunedPlan {
  float target, reached;  // recall@10
  ProbePlan plan;
  float lists, rows;  // that a query looks at, on average
};

// Immutable.
struct Tuning {
  std::vector<TunedPlan> plans;  // by rising target; empty: not measured yet
  float typical_distance = 0;    // of the tenth hit
  std::size_t rows = 0;          // there were when it was measured

  // The plan for a target; before anything is measured one that looks far.
  ProbePlan plan_for(float target, std::size_t k, const Trained& trained) const;
};
constexpr float tuned_targets[] = {0.8f, 0.9f, 0.95f, 0.97f, 0.98f, 0.99f, 0.995f, 0.999f};

// Searches for so many rows drawn from the segments, beside the exact answers.
Tuning tune(const Trained& trained, std::span<const SegmentView> segments, std::size_t queries,
            ThreadPool* pool, std::stop_token stop);

}  // namespace hearth::vectors
