// StepCost: what one more row costs a step that generates, learned from steps.
#pragma once

#include <cstddef>

namespace hearth {

// Steps take so long as if their time were a + b * rows: what is read for all rows, and what each
// adds.  The latest steps count most.
class StepCost {
 public:
  void saw(std::size_t rows, double seconds);

  // What a row adds, as a share of a step of `rows` rows.
  double of_row(std::size_t rows) const;
  // Seconds of a step of `rows` rows; 0: none was seen.
  double of_step(std::size_t rows) const;

 private:
  struct Line {
    double slope = 0, mean_rows = 0, mean_seconds = 0;
  };
  Line line() const;

  double weight_ = 0, rows_ = 0, seconds_ = 0;  // sums, forgotten slowly
  double squares_ = 0, products_ = 0;           // of rows, and rows times seconds
};

}  // namespace hearth
