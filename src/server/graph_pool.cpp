#include "server/graph_pool.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <thread>

#include "graphs/open.h"
#include "hardware/cpu.h"
#include "kernels/select.h"

namespace hearth::server {
namespace {

bool same_file(const FileIdentity& a, const FileIdentity& b) {
  return a.device == b.device && a.inode == b.inode && a.bytes == b.bytes &&
         a.modified_ns == b.modified_ns;
}

// Asks a run to stop when its time is over, or when its client has left.
class Deadline {
 public:
  Deadline(std::chrono::milliseconds time, const std::stop_token& outer)
      : follow_(outer, [this] { source_.request_stop(); }),
        watcher_([this, time](std::stop_token done) {
          std::unique_lock lock(mutex_);
          woken_.wait_for(lock, done, time, [] { return false; });
          if (done.stop_requested()) return;
          is_over_ = true;
          source_.request_stop();
        }) {}

  std::stop_token token() const { return source_.get_token(); }
  bool is_over() const { return is_over_; }

 private:
  std::stop_source source_;
  std::atomic<bool> is_over_ = false;
  std::mutex mutex_;
  std::condition_variable_any woken_;
  std::stop_callback<std::function<void()>> follow_;
  std::jthread watcher_;  // last: it is the first to end
};

}  // namespace

GraphPool::GraphPool(int threads) : wanted_threads_(threads) {}
GraphPool::~GraphPool() = default;

ThreadPool& GraphPool::threads() {
  const std::lock_guard lock(mutex_);
  if (!threads_)
    threads_ = std::make_unique<ThreadPool>(wanted_threads_ > 0 ? wanted_threads_
                                                                : hardware::usable_cores());
  return *threads_;
}

Result<std::shared_ptr<const graphs::Runner>> GraphPool::open(const LocalModel& model,
                                                              const std::string& method) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
      return entry.path == model.path && entry.method == method;
    });
    if (found != entries_.end() && same_file(found->identity, model.identity)) {
      std::rotate(found, found + 1, entries_.end());
      return entries_.back().runner;
    }
    if (found != entries_.end()) entries_.erase(found);
  }
  // Outside the lock: it takes time.  Two who open the same at once both succeed.
  auto runner = std::make_shared<const graphs::Runner>(TRY(graphs::open_graph(model.path, method)));
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= most_graphs) entries_.erase(entries_.begin());
  entries_.push_back({model.path, method, model.identity, runner});
  return runner;
}

Result<std::vector<graphs::Value>> GraphPool::run(
    const graphs::Runner& runner, const std::map<std::string, graphs::Value, std::less<>>& inputs,
    const GraphLimits& limits, std::stop_token stop) {
  ops::Context ctx;
  ctx.kernels = TRY(kernels::choose(""));
  ctx.pool = &threads();
  const Deadline deadline(limits.time, stop);
  auto outputs =
      runner.run(ctx, inputs, {.stop = deadline.token(), .most_bytes = limits.memory_bytes});
  if (!outputs && outputs.error().kind() == ErrorKind::cancelled && deadline.is_over())
    return Error(
        ErrorKind::exhausted,
        fmt::format("not done after {:.1f} s", std::chrono::duration<double>(limits.time).count()));
  return outputs;
}

}  // namespace hearth::server
