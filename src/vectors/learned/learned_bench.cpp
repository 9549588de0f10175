// Recall, speed and memory of the learned index on data that look like embeddings: unit vectors of
// many dimensions around the centres of a mixture.
// learned_bench [ROWS] [DIM] [SAMPLE_ROWS]
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>

#include "vectors/flat/flat.h"
#include "vectors/graph/hnsw.h"
#include "vectors/learned/learned.h"
#include "vectors/mixture.h"

namespace {

using namespace hearth;
using namespace hearth::vectors;

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

constexpr Mixture embedding_like{
    .clusters = 500, .inner = 12, .mean = 0, .centres = 1, .spread = 0.35f, .noise = 0.2f};

void measure(const Index& index, const std::vector<float>& queries, std::size_t dim,
             const std::vector<std::vector<Hit>>& truth, float target, std::size_t breadth) {
  SearchOptions options;
  options.target_recall = target;
  options.breadth = breadth;
  std::size_t found = 0;
  const double start = cpu_seconds();
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const auto hits = index.search(std::span(queries).subspan(i * dim, dim), options);
    for (const Hit& hit : *hits)
      for (const Hit& want : truth[i]) found += hit.row == want.row;
  }
  const auto n = static_cast<double>(truth.size());
  fmt::print("  target {} breadth {}: recall {:.4f}  {:.0f} q/s\n", target, breadth,
             static_cast<double>(found) / (10 * n), n / (cpu_seconds() - start));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, std::size_t otherwise) {
    return argc > i ? static_cast<std::size_t>(std::atoll(argv[i])) : otherwise;
  };
  const std::size_t n = number(1, 50000), dim = number(2, 256), queries_n = 300;
  const std::vector<float> rows = sample(embedding_like, n, dim, 1),
                           queries = sample(embedding_like, queries_n, dim, 2);
  std::vector<Row> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<Row>(i);
  const auto flat = make_flat(dim, Metric::cosine);
  if (!flat->add(ids, rows).ok()) return 1;
  std::vector<std::vector<Hit>> truth(queries_n);
  for (std::size_t i = 0; i < queries_n; ++i)
    truth[i] = *flat->search(std::span(queries).subspan(i * dim, dim), {.max_distance = {}});

  LearnedSpec spec;
  spec.dim = dim;
  spec.metric = Metric::cosine;
  spec.sample_rows = number(3, 8192);
  spec.on_progress = [](const TrainingProgress& p) {
    fmt::print("  epoch {}: loss {:.4f}, neighbours kept {:.3f}, {:.1f} s, {:.0f} s to go\n",
               p.epoch, p.loss, p.validation, p.elapsed_seconds, p.eta_seconds);
    std::fflush(stdout);
  };
  const auto learned = *Learned::create(spec);
  double start = cpu_seconds();
  if (!learned->add(ids, rows).ok() || !learned->maintain({}).ok()) return 1;
  fmt::print("learned: {:.1f} CPU s, {:.1f} MB; {}\n", cpu_seconds() - start,
             static_cast<double>(learned->info().memory_bytes) / 1e6, learned->info().explanation);
  for (const std::size_t breadth : {100u, 400u, 1600u, 6400u})
    measure(*learned, queries, dim, truth, 0, breadth);
  for (const float target : {0.9f, 0.95f, 0.99f}) measure(*learned, queries, dim, truth, target, 0);

  const auto graph = *Hnsw::create({.dim = dim, .metric = Metric::cosine, .m = 16});
  start = cpu_seconds();
  if (!graph->add(ids, rows).ok()) return 1;
  fmt::print("hnsw: {:.1f} CPU s, {:.1f} MB\n", cpu_seconds() - start,
             static_cast<double>(graph->info().memory_bytes) / 1e6);
  for (const float target : {0.9f, 0.95f, 0.99f}) measure(*graph, queries, dim, truth, target, 0);
}
