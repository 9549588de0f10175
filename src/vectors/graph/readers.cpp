#include "vectors/graph/readers.h"

#include <functional>
#include <thread>

namespace hearth::vectors {

Readers::Guard Readers::enter() const {
  const std::size_t stripe = std::hash<std::thread::id>{}(std::this_thread::get_id()) % stripes;
  auto& count = stripes_[stripe].count[side_.load(std::memory_order_seq_cst) & 1];
  count.fetch_add(1, std::memory_order_seq_cst);
  return Guard(count);
}

// A reader may have read the old side and count itself late; both sides are drained for its sake.
void Readers::wait_for_readers() {
  for (int turn = 0; turn < 2; ++turn) drain(side_.fetch_add(1, std::memory_order_seq_cst) & 1);
}

void Readers::drain(std::size_t side) const {
  for (const Stripe& stripe : stripes_)
    while (stripe.count[side].load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
}

}  // namespace hearth::vectors
