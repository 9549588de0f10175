// SymphonyQG of the RaBitQ library: a graph of 32 neighbours, their codes of one bit beside each
// node.  g++ -std=c++17 -O3 -march=native -fopenmp -I RABITQ/include symqg.cpp
#include "peer.h"
//
#include <omp.h>

#include "rabitqlib/index/symqg/qg.hpp"
#include "rabitqlib/index/symqg/qg_builder.hpp"

int main(int argc, char** argv) {
  using Graph = rabitqlib::symqg::QuantizedGraph<float>;
  const std::string what = argc > 3 ? argv[1] : "";
  if (what == "build") {
    const auto rows = peer::read<float>(argv[2]);
    const double start = peer::cpu_seconds();
    Graph graph(rows.count, rows.dim, 32, rabitqlib::METRIC_L2);
    rabitqlib::symqg::QGBuilder builder(graph, 200, rows.values.data(), 1);
    builder.build();
    std::printf("\n{\"build_cpu_s\": %.1f}\n", peer::cpu_seconds() - start);
    graph.save(argv[3]);
    return 0;
  }
  if (what != "search" || argc < 6) return 2;
  const auto queries = peer::read<float>(argv[4]);
  const auto truth = peer::read<std::int32_t>(argv[5]);
  const double before = peer::memory_mb();
  Graph graph;
  graph.load(argv[2]);
  peer::curve(
      {10, 20, 30, 40, 60, 80, 120, 160, 240, 320, 500, 800}, queries, truth,
      peer::memory_mb() - before, [&](int ef) { graph.set_ef(static_cast<size_t>(ef)); },
      [&](const float* query, std::uint32_t* hits) { graph.search(query, 10, hits); });
}
