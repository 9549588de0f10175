// StateMutex: shared by readers, who do not wait for a writer that waits; but one that has waited
// long is let in before more of them.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <thread>

namespace hearth::vectors {

// Thread-safe.  Not to be locked twice by one thread.
class StateMutex {
 public:
  void lock() {
    for (int i = 0; i < tries; ++i) {
      if (mutex_.try_lock()) return;
      std::this_thread::sleep_for(pause);
    }
    const std::lock_guard gate(gate_);
    is_closed_ = true;
    mutex_.lock();
    is_closed_ = false;
  }
  void unlock() { mutex_.unlock(); }
  void lock_shared() {
    if (is_closed_.load(std::memory_order_relaxed)) const std::lock_guard gate(gate_);
    mutex_.lock_shared();
  }
  void unlock_shared() { mutex_.unlock_shared(); }

 private:
  static constexpr int tries = 100;
  static constexpr std::chrono::microseconds pause{100};

  std::shared_mutex mutex_;
  std::mutex gate_;  // held while new readers wait
  std::atomic<bool> is_closed_ = false;
};

}  // namespace hearth::vectors
