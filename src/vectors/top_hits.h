// The nearest of many hits: at most k, nearest first, equal distances by row.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "vectors/index.h"

namespace hearth::vectors {

inline bool nearer(const Hit& a, const Hit& b) {
  return a.distance < b.distance || (a.distance == b.distance && a.row < b.row);
}

class TopHits {
 public:
  TopHits(std::size_t k, std::optional<float> max_distance)
      : k_(k), limit_(max_distance.value_or(std::numeric_limits<float>::infinity())) {}

  // A hit farther than this would be dropped.
  float limit() const { return limit_; }
  bool is_full() const { return hits_.size() == k_; }

  void offer(Row row, float distance) {
    if (!(distance <= limit_) || k_ == 0) return;
    const Hit hit{row, distance};
    if (is_full()) {
      if (!nearer(hit, hits_.front())) return;
      std::pop_heap(hits_.begin(), hits_.end(), nearer);
      hits_.back() = hit;
    } else {
      hits_.push_back(hit);
    }
    std::push_heap(hits_.begin(), hits_.end(), nearer);
    if (is_full()) limit_ = hits_.front().distance;
  }

  std::vector<Hit> take() && {
    std::sort_heap(hits_.begin(), hits_.end(), nearer);
    return std::move(hits_);
  }

 private:
  std::size_t k_;
  float limit_;
  std::vector<Hit> hits_;  // a heap, the farthest first
};

}  // namespace hearth::vectors
