#include "server/workers.h"

namespace hearth::server {
namespace {

// Jobs that may wait at once; a further one keeps its place.
constexpr std::size_t max_aside = 256;

thread_local Workers* own_workers = nullptr;  // of the thread's job

}  // namespace

Workers::Workers(int threads, std::size_t max_waiting)
    : max_running_(static_cast<std::size_t>(threads)), max_waiting_(max_waiting) {
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < threads; ++i) add_thread();
}

Workers::~Workers() {
  std::vector<std::jthread> threads;
  {
    const std::lock_guard lock(mutex_);
    is_leaving_ = true;
    threads = std::move(threads_);
  }
  for (std::jthread& thread : threads) thread.request_stop();
  threads.clear();
}

void Workers::add_thread() {
  threads_.emplace_back([this](std::stop_token leaving) { run(leaving); });
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

Workers::Aside::Aside() : workers_(own_workers) {
  if (!workers_) return;
  {
    const std::lock_guard lock(workers_->mutex_);
    --workers_->running_;
    ++workers_->aside_;
    const std::size_t threads = workers_->threads_.size();
    const bool is_short = threads < workers_->aside_ + workers_->max_running_;
    if (is_short && threads < workers_->max_running_ + max_aside && !workers_->is_leaving_)
      workers_->add_thread();
  }
  workers_->woken_.notify_one();
}

Workers::Aside::~Aside() {
  if (!workers_) return;
  const std::lock_guard lock(workers_->mutex_);
  ++workers_->running_;
  --workers_->aside_;
}

void Workers::run(std::stop_token leaving) {
  own_workers = this;
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      const auto may_run = [this] { return !jobs_.empty() && running_ < max_running_; };
      if (!woken_.wait(lock, leaving, may_run)) return;
      if (leaving.stop_requested()) return;
      job = std::move(jobs_.front());
      jobs_.pop();
      ++running_;
    }
    job();
    job = nullptr;
    {
      const std::lock_guard lock(mutex_);
      --running_;
    }
    woken_.notify_one();
  }
}

}  // namespace hearth::server
