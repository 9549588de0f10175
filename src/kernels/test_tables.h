// The tables that tests hold to the reference: those of the program and those made for testing.
#pragma once

#include <vector>

#include "kernels/select.h"

namespace hearth::kernels {

inline std::vector<Candidate> tables_to_test() {
  const auto list = candidates();
  return {list.begin(), list.end()};
}

}  // namespace hearth::kernels
