// k-means alone: CPU seconds and the error reached, as a line of JSON; bench/vectors/kmeans.py runs
// it beside faiss.
#include <fmt/core.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "base/files.h"
#include "vectors/ivf/kmeans.h"

// kmeans_bench ROWS.fvecs CLUSTERS ITERATIONS [ROWS AT MOST]
int main(int argc, char** argv) {
  using namespace hearth;
  if (argc < 4) return 2;
  const auto file = MappedFile::open(argv[1]);
  if (!file.ok()) return 1;
  const auto bytes = (*file)->bytes();
  std::int32_t dim;
  std::memcpy(&dim, bytes.data(), 4);
  const std::size_t width = static_cast<std::size_t>(dim), stride = 4 + 4 * width;
  std::size_t n = bytes.size() / stride;
  if (argc > 4) n = std::min<std::size_t>(n, static_cast<std::size_t>(std::atoll(argv[4])));
  std::vector<float> rows(n * width);
  for (std::size_t i = 0; i < n; ++i)
    std::memcpy(&rows[i * width], bytes.data() + i * stride + 4, width * sizeof(float));
  vectors::KMeansSpec spec;
  spec.clusters = static_cast<std::size_t>(std::atoll(argv[2]));
  spec.dim = width;
  spec.iterations = static_cast<std::size_t>(std::atoll(argv[3]));
  spec.tolerance = 0;
  const std::clock_t start = std::clock();
  const auto found = vectors::kmeans(spec, rows, {});
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (!found.ok()) return 1;
  fmt::print("{{\"cpu_s\": {:.2f}, \"error\": {:.4f}}}\n", seconds, found->error);
}
