#include "vectors/graph/breadth_table.h"

#include <algorithm>
#include <cmath>

namespace hearth::vectors {
namespace {

// Before anything is measured: what graphs of clustered data of about a million rows need.
float guess(float target) { return target <= 0.9f ? 48.0f : target <= 0.97f ? 96.0f : 256.0f; }

}  // namespace

float BreadthTable::breadth_at(std::size_t count, float target) const {
  const auto& recall = recall_[count];
  if (recall.back() == 0) return guess(target) * (count == 0 ? 1.0f : 2.5f);
  for (std::size_t i = 0; i < breadths.size(); ++i) {
    const float reached = recall[i];
    if (reached < target) continue;
    const auto here = static_cast<float>(breadths[i]);
    if (i == 0) return here;
    const float before = recall[i - 1], from = static_cast<float>(breadths[i - 1]);
    return from + (here - from) * (target - before) / std::max(reached - before, 1e-6f);
  }
  return static_cast<float>(breadths.back()) * (target > 0.9999f ? 4.0f : 2.0f);
}

std::size_t BreadthTable::breadth_for(std::size_t k, float target) const {
  const float few = breadth_at(0, target);
  float breadth = few;
  if (k > counts[0]) {
    const float many = std::max(breadth_at(1, target), few);
    const float share = std::log(static_cast<float>(k) / 10) / std::log(10.0f);
    breadth = share <= 1 ? few * std::pow(many / few, share)
                         : many * static_cast<float>(k) / static_cast<float>(counts[1]);
  }
  return std::max(static_cast<std::size_t>(std::ceil(breadth)), k);
}

void BreadthTable::set(std::size_t count, const std::array<float, breadths.size()>& recall) {
  for (std::size_t i = 0; i < recall.size(); ++i) recall_[count][i] = recall[i];
}

std::array<float, BreadthTable::breadths.size()> BreadthTable::recall(std::size_t count) const {
  std::array<float, breadths.size()> recall;
  for (std::size_t i = 0; i < recall.size(); ++i) recall[i] = recall_[count][i];
  return recall;
}

}  // namespace hearth::vectors
