// hnswlib: a graph of f32 rows, M 16.  g++ -std=c++17 -O3 -march=native -I HNSWLIB hnswlib.cpp
#include "peer.h"
//
#include "hnswlib/hnswlib.h"

int main(int argc, char** argv) {
  const std::string what = argc > 3 ? argv[1] : "";
  if (what == "build") {
    const auto rows = peer::read<float>(argv[2]);
    const double start = peer::cpu_seconds();
    hnswlib::L2Space space(rows.dim);
    hnswlib::HierarchicalNSW<float> graph(&space, rows.count, 16, 200);
    for (std::size_t i = 0; i < rows.count; ++i) graph.addPoint(rows.at(i), i);
    std::printf("\n{\"build_cpu_s\": %.1f}\n", peer::cpu_seconds() - start);
    graph.saveIndex(argv[3]);
    return 0;
  }
  if (what != "search" || argc < 6) return 2;
  const auto queries = peer::read<float>(argv[4]);
  const auto truth = peer::read<std::int32_t>(argv[5]);
  const double before = peer::memory_mb();
  hnswlib::L2Space space(queries.dim);
  hnswlib::HierarchicalNSW<float> graph(&space, argv[2]);
  peer::curve(
      {10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384}, queries, truth, peer::memory_mb() - before,
      [&](int ef) { graph.setEf(static_cast<size_t>(ef)); },
      [&](const float* query, std::uint32_t* hits) {
        auto found = graph.searchKnn(query, 10);
        for (std::size_t i = 10; i-- > 0; found.pop())
          hits[i] = found.empty() ? ~0u : static_cast<std::uint32_t>(found.top().second);
      });
}
