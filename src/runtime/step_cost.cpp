#include "runtime/step_cost.h"

#include <algorithm>

namespace hearth {
namespace {

constexpr double forgetting = 0.98;
constexpr double first_share = 0.07;  // of a step of one row, before anything was seen
constexpr double first_weight = 20;   // how much of a variance of one row squared this counts for
constexpr double most_times = 3;      // longer than usual: something else had the processor

}  // namespace

void StepCost::saw(std::size_t rows, double seconds) {
  const auto count = static_cast<double>(rows);
  if (weight_ > 1) seconds = std::min(seconds, most_times * seconds_ / weight_);
  weight_ = weight_ * forgetting + 1;
  rows_ = rows_ * forgetting + count;
  seconds_ = seconds_ * forgetting + seconds;
  squares_ = squares_ * forgetting + count * count;
  products_ = products_ * forgetting + count * seconds;
}

StepCost::Line StepCost::line() const {
  const double mean_rows = rows_ / weight_, mean_seconds = seconds_ / weight_;
  const double first_slope = mean_seconds * first_share / (1 + first_share * (mean_rows - 1));
  const double variance = squares_ - rows_ * mean_rows;
  const double covariance = products_ - rows_ * mean_seconds;
  const double slope = (covariance + first_weight * first_slope) / (variance + first_weight);
  return {std::max(slope, 0.0), mean_rows, mean_seconds};
}

double StepCost::of_step(std::size_t rows) const {
  if (weight_ == 0 || seconds_ <= 0) return 0;
  const auto [slope, mean_rows, mean_seconds] = line();
  return std::max(0.0, mean_seconds + slope * (static_cast<double>(rows) - mean_rows));
}

double StepCost::of_row(std::size_t rows) const {
  if (weight_ == 0 || seconds_ <= 0)
    return first_share / (1 + first_share * (static_cast<double>(rows) - 1));
  const double step = of_step(rows);
  return step > 0 ? std::clamp(line().slope / step, 0.01, 1.0) : 1.0;
}

}  // namespace hearth
