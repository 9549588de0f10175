// Recall against speed of the graph index, on clustered data of low intrinsic dimension.
// hnsw_bench [ROWS] [DIM] [M] [EF_CONSTRUCTION] [FOLDER]: with FOLDER the data are left there as
// u32 rows, u32 dim, f32s.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <vector>

#include "vectors/graph/hnsw.h"
#include "vectors/mixture.h"

namespace {

using namespace hearth;
using namespace hearth::vectors;

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// As SIFT's.
constexpr Mixture sift_like{.clusters = 1000,
                            .inner = 20,
                            .mean = 25,
                            .centres = 32,
                            .spread = 6,
                            .noise = 4,
                            .least = 0,
                            .most = 218};

void write(const std::string& path, std::uint32_t n, std::uint32_t dim, const void* data) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return;
  std::fwrite(&n, 4, 1, file);
  std::fwrite(&dim, 4, 1, file);
  std::fwrite(data, 4, std::size_t{n} * dim, file);
  std::fclose(file);
}

void curve(const Index& index, const std::vector<float>& queries, std::size_t dim,
           const std::vector<std::vector<Hit>>& truth, SearchOptions options, const char* label) {
  const auto run = [&] {
    double best = 1e9;
    std::size_t found = 0;
    for (int turn = 0; turn < 3; ++turn) {
      found = 0;
      double spent = 0;
      for (std::size_t i = 0; i < truth.size(); ++i) {
        const double start = cpu_seconds();
        const auto hits = index.search(std::span(queries).subspan(i * dim, dim), options);
        spent += cpu_seconds() - start;
        for (const Hit& hit : *hits)
          for (const Hit& want : truth[i]) found += hit.row == want.row;
      }
      best = std::min(best, spent);
    }
    const auto n = static_cast<double>(truth.size());
    fmt::print("{} recall {:.4f}  {:.0f} q/s\n", label, static_cast<double>(found) / (10 * n),
               n / best);
    std::fflush(stdout);
  };
  if (options.filter != nullptr) return run();
  for (const std::size_t ef : {12u, 16u, 24u, 32u, 40u, 56u, 80u, 112u, 160u, 224u, 320u}) {
    options.breadth = ef;
    fmt::print("ef {:4} ", ef);
    run();
  }
  options.breadth = 0;
  for (const float target : {0.9f, 0.95f, 0.99f}) {
    options.target_recall = target;
    fmt::print("target {} ", target);
    run();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, std::size_t otherwise) {
    return argc > i ? static_cast<std::size_t>(std::atoll(argv[i])) : otherwise;
  };
  const std::size_t n = number(1, 100000), dim = number(2, 128), queries_n = 500;
  const std::vector<float> rows = sample(sift_like, n, dim, 1),
                           queries = sample(sift_like, queries_n, dim, 2);
  HnswSpec spec{.dim = dim,
                .metric = Metric::l2,
                .m = number(3, 16),
                .ef_construction = number(4, 128),
                .threads = 1};
  auto index = *Hnsw::create(spec);
  std::vector<Row> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<Row>(i);
  const double start = cpu_seconds();
  if (!index->add(ids, rows).ok()) return 1;
  fmt::print("built {} x {} in {:.1f} CPU s, {:.0f} MB\n", n, dim, cpu_seconds() - start,
             static_cast<double>(index->info().memory_bytes) / 1e6);
  fmt::print("{}\n", index->info().explanation);

  std::vector<std::vector<Hit>> truth(queries_n);
  std::vector<std::uint64_t> every(n / 64 + 1, ~0ull);
  const RowFilter all{every, 1};  // said to be few: every row is looked at
  for (std::size_t i = 0; i < queries_n; ++i)
    truth[i] = *index->search(std::span(queries).subspan(i * dim, dim),
                              {.k = 10, .max_distance = {}, .filter = &all});
  if (argc > 5) {
    const std::string folder = argv[5];
    std::vector<Row> near;
    for (const auto& hits : truth)
      for (const Hit& hit : hits) near.push_back(hit.row);
    write(folder + "/base.bin", static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(dim),
          rows.data());
    write(folder + "/query.bin", queries_n, static_cast<std::uint32_t>(dim), queries.data());
    write(folder + "/truth.bin", queries_n, 10, near.data());
  }
  curve(*index, queries, dim, truth, {}, "");
  std::mt19937 random(5);
  for (const double share : {0.5, 0.1, 0.01, 0.001}) {
    std::vector<std::uint64_t> words(n / 64 + 1);
    RowFilter filter{words, 0};
    for (std::size_t i = 0; i < n; ++i)
      if (static_cast<double>(random()) < share * 4294967296.0) {
        words[i / 64] |= 1ull << (i % 64);
        ++filter.allowed_rows;
      }
    const RowFilter exactly{words, 1};
    for (std::size_t i = 0; i < queries_n; ++i)
      truth[i] = *index->search(std::span(queries).subspan(i * dim, dim),
                                {.k = 10, .max_distance = {}, .filter = &exactly});
    curve(*index, queries, dim, truth, {.k = 10, .max_distance = {}, .filter = &exactly},
          fmt::format("filter {:5}: scan ", share).c_str());
    curve(*index, queries, dim, truth, {.k = 10, .max_distance = {}, .filter = &filter},
          fmt::format("filter {:5}:      ", share).c_str());
  }
}
