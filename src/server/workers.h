// Workers: a few threads for what must not run on the loop, such as tokenizing.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

namespace hearth::server {

// Thread-safe.  The destructor lets running jobs finish and drops those that wait.
class Workers {
 public:
  using Job = std::move_only_function<void()>;

  Workers(int threads, std::size_t max_waiting);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  bool post(Job job);  // false: too many are waiting

  // While it lives, the job of this thread waits for something, and another one may run in its
  // place.  Nothing happens on a thread that is no worker.
  class Aside {
   public:
    Aside();
    ~Aside();
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;

   private:
    Workers* const workers_;
  };

 private:
  void run(std::stop_token leaving);
  void add_thread();  // with the lock held

  const std::size_t max_running_, max_waiting_;
  std::mutex mutex_;
  std::condition_variable_any woken_;
  std::queue<Job> jobs_;
  std::size_t running_ = 0, aside_ = 0;
  bool is_leaving_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace hearth::server
