// RateLimit: the speed that all downloads of a process keep to together.
#pragma once

#include <cstdint>
#include <mutex>
#include <stop_token>

namespace hearth {

// A leaky bucket of a quarter of a second.  Thread-safe.
class RateLimit {
 public:
  explicit RateLimit(std::uint64_t bytes_per_second);  // above 0

  // Counts bytes that came; returns when they are due, or when stopped.
  void take(std::uint64_t bytes, std::stop_token stop);

 private:
  const double bytes_per_second_;
  std::mutex mutex_;
  double due_ = 0;  // seconds of the steady clock: when all that was taken is paid for
};

}  // namespace hearth
