// A fixed team of threads that run one loop together.  Between loops they spin briefly, then sleep.
#pragma once

#include <cstddef>
#include <memory>

namespace hearth {

// A non-owning reference to a callable: void(std::size_t begin, std::size_t end, int worker).
class RangeFunction {
 public:
  template <typename F>
  RangeFunction(F& function)
      : object_(&function), call_([](void* object, std::size_t begin, std::size_t end, int worker) {
          (*static_cast<F*>(object))(begin, end, worker);
        }) {}
  void operator()(std::size_t begin, std::size_t end, int worker) const {
    call_(object_, begin, end, worker);
  }

 private:
  void* object_;
  void (*call_)(void*, std::size_t, std::size_t, int);
};

// The caller is worker 0; workers 1.. are threads of the pool.  Loops of several callers take
// turns. A loop is never started from inside a loop.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // at least 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Loops that begin from now on are shared by so many of the threads at most; the others sleep.
  // Thread-safe.
  void limit(int threads);
  int limit() const;

  // Covers [0, n) with disjoint calls function(begin, end, worker) of at most `chunk` (> 0) indices
  // each, handed out dynamically.  Returns when all are done.  Which worker gets which chunk varies
  // from run to run; the boundaries of chunks do not.
  void run(std::size_t n, std::size_t chunk, RangeFunction function);

  template <typename F>
  void parallel_for(std::size_t n, std::size_t chunk, F&& function) {
    run(n, chunk, RangeFunction(function));
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth
