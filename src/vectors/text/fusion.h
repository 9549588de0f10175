// Answers of several searches made into one, and answers that differ from each other.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <unordered_map>
#include <utility>
#include <vector>

#include "vectors/store/collection.h"

namespace hearth::vectors {

// Reciprocal rank fusion: a row scores the sum of 1 / (60 + its rank) over the lists that have it.
// The best first; equal ones by row.  Source: Cormack, Clarke, Buettcher 2009.
template <typename T, typename RowOf>
std::vector<std::pair<Row, double>> fuse_ranks(std::initializer_list<std::vector<T>> lists,
                                               RowOf row_of) {
  constexpr double offset = 60;
  std::unordered_map<Row, double> scores;
  for (const std::vector<T>& list : lists)
    for (std::size_t rank = 0; rank < list.size(); ++rank)
      scores[row_of(list[rank])] += 1 / (offset + static_cast<double>(rank + 1));
  std::vector<std::pair<Row, double>> fused(scores.begin(), scores.end());
  std::sort(fused.begin(), fused.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return fused;
}

// k of the matches, one after the other: near to the query, far from those chosen before.
// lambda: 1: nearness alone; 0: difference alone.  The matches have their vectors.
// Source: Carbonell and Goldstein 1998, maximal marginal relevance.
std::vector<Match> choose_varied(std::vector<Match> matches, double lambda, std::size_t k,
                                 Metric metric);

}  // namespace hearth::vectors
