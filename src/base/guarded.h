// Guarded<T>: a value that can only be reached through its lock.  Thread-safe.
#pragma once

#include <mutex>
#include <utility>

namespace hearth {

template <typename T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}

  // Calls `use(T&)` under the lock and returns what it returns.
  template <typename Use>
  auto with(Use&& use) {
    const std::lock_guard lock(mutex_);
    return use(value_);
  }
  template <typename Use>
  auto with(Use&& use) const {
    const std::lock_guard lock(mutex_);
    return use(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_{};
};

}  // namespace hearth
