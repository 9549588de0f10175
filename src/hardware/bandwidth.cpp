#include "hardware/bandwidth.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "hardware/memory.h"

namespace hearth::hardware {
namespace {

constexpr std::uint64_t wanted_bytes = 64u << 20, least_bytes = 4u << 20;  // past most caches
constexpr int rounds = 3;

// Of each thread: many threads in a small container share what is there.
std::size_t words_for(int threads) {
  const std::uint64_t share = read_memory().free_bytes() / 4 / static_cast<std::uint64_t>(threads);
  return std::clamp(share, least_bytes, wanted_bytes) / sizeof(std::uint64_t) / 4 * 4;
}

// Four sums at once: a single one would wait for itself.
std::uint64_t sum(const std::vector<std::uint64_t>& words) {
  std::uint64_t a = 0, b = 0, c = 0, d = 0;
  const std::uint64_t* at = words.data();
  for (const std::uint64_t* end = at + words.size(); at != end; at += 4) {
    a += at[0];
    b += at[1];
    c += at[2];
    d += at[3];
  }
  return a + b + c + d;
}

// Of this thread on a processor: other programs that run at the same time do not count.
double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

double measure_read_bandwidth(int threads) {
  const std::size_t words = words_for(threads);
  std::vector<std::vector<std::uint64_t>> blocks(static_cast<std::size_t>(threads),
                                                 std::vector<std::uint64_t>(words, 1));
  std::atomic<std::uint64_t> total = 0;  // so that nothing is optimised away
  std::vector<double> speeds(blocks.size());
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < blocks.size(); ++i)
      readers.emplace_back([&, i] {
        const double began = thread_seconds();
        total += sum(blocks[i]);
        const double seconds = thread_seconds() - began;
        speeds[i] =
            std::max(speeds[i], static_cast<double>(words * sizeof(std::uint64_t)) / seconds);
      });
  }
  double together = 0;
  for (const double speed : speeds) together += speed;
  return total > 0 ? together : 0;
}

}  // namespace hearth::hardware
