// GuessCosts: what guessing the next tokens of a sequence costs its step.
#pragma once

#include <cstddef>

namespace hearth {

struct GuessCosts {
  double row = 0;           // what a row adds, as a share of a step
  double step_seconds = 0;  // 0: not known
  // Right guesses before a wrong one are computed again in the next step (of models with states).
  bool takes_back = false;

  // Rows expected to be computed again, where `right` of so many guesses are expected to be right,
  // and all of them with this chance.
  double rows_again(std::size_t guesses, double right, double all) const {
    return takes_back ? right - static_cast<double>(guesses) * all : 0;
  }
};

}  // namespace hearth
