// What the tests of several indexes share: deterministic data, and recall against exact search.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/files.h"
#include "vectors/index.h"
#include "vectors/mixture.h"

namespace hearth::vectors::testing {

inline std::vector<float> mixture(std::size_t n, std::size_t dim, unsigned seed) {
  constexpr Mixture clustered{
      .clusters = 24, .inner = 6, .mean = 0, .centres = 2, .spread = 1, .noise = 0.3f};
  return sample(clustered, n, dim, seed);
}

inline std::vector<Row> rows_from(Row first, std::size_t n) {
  std::vector<Row> rows(n);
  for (std::size_t i = 0; i < n; ++i) rows[i] = first + static_cast<Row>(i);
  return rows;
}

// The share of what `exact` answers that `index` answers too.  queries: [n, dim].
inline double recall(const Index& index, const Index& exact, std::span<const float> queries,
                     std::size_t dim, const SearchOptions& options) {
  std::size_t found = 0, wanted = 0;
  for (std::size_t i = 0; i + dim <= queries.size(); i += dim) {
    const auto got = index.search(queries.subspan(i, dim), options);
    const auto want = exact.search(queries.subspan(i, dim), options);
    if (!got || !want) return -1;
    wanted += want->size();
    for (const Hit& hit : *want)
      found +=
          std::any_of(got->begin(), got->end(), [&](const Hit& h) { return h.row == hit.row; });
  }
  return wanted == 0 ? 1 : static_cast<double>(found) / static_cast<double>(wanted);
}

struct TestFolder {
  TestFolder() {
    char name[] = "/tmp/hearth_vectors_XXXXXX";
    path = ::mkdtemp(name) != nullptr ? name : "/nonexistent";
  }
  ~TestFolder() {
    const auto names = list_folder(path);
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>{})
      std::remove(file(name).c_str());
    std::remove(path.c_str());
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string file(const std::string& name) const { return path + "/" + name; }
  std::string path;
};

}  // namespace hearth::vectors::testing
