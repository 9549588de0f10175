#include "server/workers.h"

namespace hearth::server {

Workers::Workers(int threads, std::size_t max_waiting) : max_waiting_(max_waiting) {
  for (int i = 0; i < threads; ++i)
    threads_.emplace_back([this](std::stop_token leaving) { run(leaving); });
}

Workers::~Workers() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

bool Workers::post(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() >= max_waiting_) return false;
    jobs_.push(std::move(job));
  }
  woken_.notify_one();
  return true;
}

void Workers::run(std::stop_token leaving) {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      if (!woken_.wait(lock, leaving, [this] { return !jobs_.empty(); })) return;
      if (leaving.stop_requested()) return;
      job = std::move(jobs_.front());
      jobs_.pop();
    }
    job();
  }
}

}  // namespace hearth::server
