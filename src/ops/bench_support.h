// What benches of operations share: a clock, the machine's own peaks, the command line.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/pages.h"
#include "kernels/select.h"
#include "ops/context.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hearth::bench {

// Seconds of this thread's work when alone, of the clock on the wall when threads work together: a
// busy machine then spoils the former least.
inline double seconds(int threads) {
  timespec now;
  ::clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The best rate of `times` runs of f(i), each doing `work`, in units of 1e9 per second.
template <typename F>
double best_rate(int threads, double work, int times, F f) {
  double best = 0;
  for (int i = 0; i < times; ++i) {
    const double start = seconds(threads);
    f(i);
    best = std::max(best, work / (seconds(threads) - start) / 1e9);
  }
  return best;
}

// Operations of chains of multiply-adds that depend on nothing else.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) inline float chains_512(int rounds) {
  __m512 s[12];
  for (int i = 0; i < 12; ++i) s[i] = _mm512_set1_ps(static_cast<float>(i));  // no two alike
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (int i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (auto& x : s) x = _mm512_fmadd_ps(x, a, b);
  for (int i = 1; i < 12; ++i) s[0] = _mm512_add_ps(s[0], s[i]);
  return _mm512_cvtss_f32(s[0]);
}
__attribute__((target("avx2,fma"))) inline float chains_256(int rounds) {
  __m256 s[12];
  for (int i = 0; i < 12; ++i) s[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
  for (int i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (auto& x : s) x = _mm256_fmadd_ps(x, a, b);
  for (int i = 1; i < 12; ++i) s[0] = _mm256_add_ps(s[0], s[i]);
  return _mm256_cvtss_f32(s[0]);
}
#endif
inline float chains_128(int rounds) {
  typedef float Four __attribute__((vector_size(16)));
  Four s[12];
  for (int i = 0; i < 12; ++i) s[i] = static_cast<float>(i) - Four{};
  for (int i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (auto& x : s) x = x * 0.999f + 0.001f;
  for (int i = 1; i < 12; ++i) s[0] += s[i];
  return s[0][0];
}

// GFLOP/s of f32 multiply-adds in registers as wide as the table's.
inline double multiply_add_peak(const kernels::Kernels& table, ThreadPool& pool) {
  const std::string_view name = table.name;
  volatile float sink = 0;
  int lanes = 4;
  float (*chains)(int) = chains_128;
#if defined(__x86_64__)
  if (name == "avx2" || name == "avxvnni") lanes = 8, chains = chains_256;
  if (name == "avx512" || name == "amx") lanes = 16, chains = chains_512;
#endif
  constexpr int rounds = 50000;
  const auto threads = static_cast<std::size_t>(pool.threads());
  return best_rate(
      pool.threads(), 2.0 * 12 * lanes * rounds * static_cast<double>(threads), 200, [&](int) {
        pool.parallel_for(threads, 1,
                          [&](std::size_t, std::size_t, int) { sink = sink + chains(rounds); });
      });
}

inline std::uint64_t sum_of_bytes(const std::byte* from, std::size_t bytes) {
  typedef std::uint64_t Words __attribute__((vector_size(64)));
  Words s[4] = {};
  for (std::size_t i = 0; i + 256 <= bytes; i += 256)
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j) {
      Words w;
      std::memcpy(&w, from + i + 64 * j, 64);
      s[j] += w;
    }
  s[0] += s[1] + s[2] + s[3];
  return s[0][0] + s[0][7];
}
#if defined(__x86_64__)
__attribute__((target("avx2"))) inline std::uint64_t sum_of_bytes_256(const std::byte* from,
                                                                      std::size_t bytes) {
  __m256i s[4] = {};
  for (std::size_t i = 0; i + 128 <= bytes; i += 128)
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j)
      s[j] = _mm256_add_epi64(
          s[j], _mm256_load_si256(reinterpret_cast<const __m256i*>(from + i + 32 * j)));
  s[0] = _mm256_add_epi64(_mm256_add_epi64(s[0], s[1]), _mm256_add_epi64(s[2], s[3]));
  return static_cast<std::uint64_t>(_mm256_extract_epi64(s[0], 0));
}
#endif

// GB/s of reading memory far larger than the caches, some megabytes at a time.
inline double read_peak(ThreadPool& pool) {
  auto read = sum_of_bytes;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) read = sum_of_bytes_256;
#endif
  constexpr std::size_t size = 512u << 20, part = 8u << 20, slice = 256u << 10;
  const PageBuffer memory = PageBuffer::allocate(size).value();
  std::memset(memory.data(), 1, size);
  volatile std::uint64_t sink = 0;
  return best_rate(pool.threads(), static_cast<double>(part), 3 * size / part, [&](int i) {
    const std::byte* from = memory.data() + static_cast<std::size_t>(i) * part % size;
    pool.parallel_for(part / slice, 1, [&](std::size_t begin, std::size_t, int) {
      sink = sink + read(from + begin * slice, slice);
    });
  });
}

// `--name value`, or the fallback.
inline std::string argument(int count, char** values, std::string_view name,
                            std::string_view fallback) {
  for (int i = 1; i + 1 < count; ++i)
    if (values[i] == name) return values[i + 1];
  return std::string(fallback);
}

// "1,2,8" as numbers.
inline std::vector<std::size_t> numbers(const std::string& list) {
  std::vector<std::size_t> values;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    values.push_back(std::strtoull(list.substr(at, comma - at).c_str(), nullptr, 10));
    at = comma + 1;
  }
  return values;
}

}  // namespace hearth::bench
