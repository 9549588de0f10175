#include "library/rate_limit.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>

namespace hearth {
namespace {

constexpr double burst_seconds = 0.25;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

RateLimit::RateLimit(std::uint64_t bytes_per_second)
    : bytes_per_second_(static_cast<double>(bytes_per_second)) {}

void RateLimit::take(std::uint64_t bytes, std::stop_token stop) {
  double wait = 0;
  {
    const std::lock_guard lock(mutex_);
    const double now = now_seconds();
    due_ = std::max(due_, now) + static_cast<double>(bytes) / bytes_per_second_;
    wait = due_ - now - burst_seconds;
  }
  if (wait <= 0) return;
  std::mutex asleep;
  std::condition_variable_any woken;
  std::unique_lock lock(asleep);
  woken.wait_for(lock, std::move(stop), std::chrono::duration<double>(wait), [] { return false; });
}

}  // namespace hearth
