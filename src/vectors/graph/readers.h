// Readers that never wait, and a writer that can wait until those who may still see what it took
// away have left.  Source: McKenney, "Sleepable Read-Copy Update" (two counters, flipped).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hearth::vectors {

// Thread-safe; one caller of wait_for_readers at a time.
class Readers {
 public:
  class Guard {
   public:
    explicit Guard(std::atomic<std::int64_t>& count) : count_(count) {}
    ~Guard() { count_.fetch_sub(1, std::memory_order_seq_cst); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    std::atomic<std::int64_t>& count_;
  };

  // What the writer publishes before this call is seen; what it withdraws afterwards stays readable
  // while the guard lives.
  Guard enter() const;

  // Returns when every reader that entered before the call has left.
  void wait_for_readers();

 private:
  static constexpr std::size_t stripes = 16;  // so that readers seldom share a cache line
  struct alignas(64) Stripe {
    std::atomic<std::int64_t> count[2] = {0, 0};
  };

  void drain(std::size_t side) const;

  mutable std::array<Stripe, stripes> stripes_;
  std::atomic<std::uint32_t> side_ = 0;
};

}  // namespace hearth::vectors
