// pyglass: an HNSW graph over bytes (SQ8U), refined by f32.
// g++ -std=c++20 -O3 -march=native -fopenmp -I PYGLASS -I PYGLASS/third_party/helpa glass.cpp
#include "peer.h"
//
#include <omp.h>

#include "glass/hnsw/hnsw.hpp"
#include "glass/searcher/graph_searcher.hpp"

int main(int argc, char** argv) {
  omp_set_num_threads(1);
  const std::string what = argc > 3 ? argv[1] : "";
  if (what == "build") {
    const auto rows = peer::read<float>(argv[2]);
    const double start = peer::cpu_seconds();
    auto graph =
        glass::create_hnsw("L2", "SQ8U", 32, 200)
            ->Build(rows.values.data(), static_cast<int>(rows.count), static_cast<int>(rows.dim));
    std::printf("\n{\"build_cpu_s\": %.1f}\n", peer::cpu_seconds() - start);
    graph.save(argv[3]);
    return 0;
  }
  if (what != "search" || argc < 6) return 2;
  const auto queries = peer::read<float>(argv[4]);
  const auto truth = peer::read<std::int32_t>(argv[5]);
  const double before = peer::memory_mb();
  glass::Graph<int> graph;
  graph.load(argv[2], "glass");
  auto searcher = glass::create_searcher(std::move(graph), "L2", "SQ8U", "FP32");
  {
    const auto rows = peer::read<float>(argv[3]);
    searcher->SetData(rows.values.data(), static_cast<int>(rows.count), static_cast<int>(rows.dim));
  }
  searcher->Optimize(1);
  peer::curve(
      {10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384}, queries, truth, peer::memory_mb() - before,
      [&](int ef) { searcher->SetEf(ef); },
      [&](const float* query, std::uint32_t* hits) {
        searcher->Search(query, 10, reinterpret_cast<std::int32_t*>(hits));
      });
}
