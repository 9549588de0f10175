// What a program around another library's index shares: files of vectors, processor time, recall.
// Such a program is `PROGRAM build ROWS.fvecs INDEX` and `PROGRAM search INDEX ROWS.fvecs
// QUERIES.fvecs TRUTH.ivecs`; both print lines of JSON that bench/vectors/run.py reads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

namespace peer {

template <typename T>
struct Rows {
  std::size_t count = 0, dim = 0;
  std::vector<T> values;
  const T* at(std::size_t i) const { return values.data() + i * dim; }
};

// fvecs or ivecs: rows of a count and so many numbers of four bytes.
template <typename T>
Rows<T> read(const std::string& path) {
  Rows<T> rows;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::size_t bytes = static_cast<std::size_t>(file.tellg());
  std::int32_t dim = 0;
  file.seekg(0);
  file.read(reinterpret_cast<char*>(&dim), 4);
  rows.dim = static_cast<std::size_t>(dim);
  rows.count = bytes / (4 + 4 * rows.dim);
  rows.values.resize(rows.count * rows.dim);
  file.seekg(0);
  for (std::size_t i = 0; i < rows.count; ++i) {
    file.read(reinterpret_cast<char*>(&dim), 4);
    file.read(reinterpret_cast<char*>(&rows.values[i * rows.dim]),
              static_cast<std::streamsize>(4 * rows.dim));
  }
  if (!file) {
    std::fprintf(stderr, "%s: not a file of vectors\n", path.c_str());
    std::exit(1);
  }
  return rows;
}

inline double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Memory of the process that is not a file's.
inline double memory_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("RssAnon:", 0) == 0) return std::atof(line.c_str() + 8) * 1024 / 1e6;
  return 0;
}

// search(query, hits): the ten nearest rows into hits.  Prints speed (the best of three rounds) and
// recall at each breadth; set(breadth) goes before.
template <typename Set, typename Search>
void curve(const std::vector<int>& breadths, const Rows<float>& queries,
           const Rows<std::int32_t>& truth, double memory, Set set, Search search) {
  std::vector<std::uint32_t> hits(10);
  for (const int breadth : breadths) {
    set(breadth);
    double best = 1e9;
    std::size_t found = 0;
    for (int round = 0; round < 3; ++round) {
      const double start = cpu_seconds();
      found = 0;
      for (std::size_t q = 0; q < queries.count; ++q) {
        search(queries.at(q), hits.data());
        for (const std::uint32_t hit : hits)
          found += std::find(truth.at(q), truth.at(q) + 10, static_cast<std::int32_t>(hit)) !=
                   truth.at(q) + 10;
      }
      best = std::min(best, cpu_seconds() - start);
    }
    const double n = static_cast<double>(queries.count);
    std::printf("{\"setting\": %d, \"qps\": %.0f, \"recall\": %.4f, \"memory_mb\": %.0f}\n", breadth,
                n / best, static_cast<double>(found) / (10 * n), memory);
    std::fflush(stdout);
  }
}

}  // namespace peer
