#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/check.h"

namespace hearth {
namespace {

// Of State::gate.
constexpr std::uint64_t joined_mask = 0xFFFF, is_open = 0x10000;
constexpr int loop_shift = 32;
constexpr int max_threads = 4096;
constexpr int spins = 2000;  // some 20 microseconds: longer waits belong to the kernel

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A mutex whose holder may lock it again and again for `quantum`, and then lets others go first.
// A plain mutex would starve them: whoever has just finished a loop begins its next one while they
// are still waking up.  Handing over after every loop would cost a wake-up per loop.
class Turns {
 public:
  void lock() {
    const auto me = std::this_thread::get_id();
    const std::uint32_t turn = turn_.load(std::memory_order_acquire);
    if (owner_.load(std::memory_order_relaxed) == me && Clock::now() - since_.load() > quantum)
      while (waiting_.load() > 0 && turn_.load(std::memory_order_acquire) == turn)
        turn_.wait(turn, std::memory_order_acquire);
    waiting_.fetch_add(1);
    mutex_.lock();
    waiting_.fetch_sub(1);
    if (owner_.load(std::memory_order_relaxed) == me && turn_.load() == turn) return;
    owner_.store(me, std::memory_order_relaxed);
    since_.store(Clock::now());
    turn_.fetch_add(1, std::memory_order_release);
    turn_.notify_all();
  }
  void unlock() { mutex_.unlock(); }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr auto quantum = std::chrono::milliseconds(2);

  std::mutex mutex_;
  std::atomic<int> waiting_{0};
  std::atomic<std::uint32_t> turn_{0};  // counts changes of the owner
  std::atomic<std::thread::id> owner_{};
  std::atomic<Clock::time_point> since_{};
};

}  // namespace

struct ThreadPool::State {
  explicit State(int count) : threads(count), allowed(count) {}

  Turns turn;  // of the caller whose loop runs

  const int threads;
  std::atomic<int> allowed;  // threads that the next loop may have; others wait for it to grow
  std::optional<RangeFunction> function;
  std::size_t n = 0, chunk = 1;
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint32_t> generation{0};  // the number of the last loop that began
  // The loop that runs: its number, whether threads may still join it, and how many have beside its
  // caller.  One that comes too late, its processor being busy with other programs, is not waited
  // for: the others have done its share.
  std::atomic<std::uint64_t> gate{0};
  std::atomic<bool> leaving{false};
  std::vector<std::jthread> team;

  void work(int worker) {
    for (;;) {
      const std::size_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= n) return;
      (*function)(begin, std::min(n, begin + chunk), worker);
    }
  }

  bool join(std::uint32_t loop) {
    std::uint64_t at = gate.load(std::memory_order_acquire);
    while (at >> loop_shift == loop && (at & is_open) != 0)
      if (gate.compare_exchange_weak(at, at + 1, std::memory_order_acq_rel)) return true;
    return false;
  }

  void live(int worker) {
    std::uint32_t seen = 0;
    for (;;) {
      for (int most; (most = allowed.load(std::memory_order_acquire)) <= worker;)
        allowed.wait(most, std::memory_order_acquire);
      for (int i = 0; i < spins && generation.load(std::memory_order_acquire) == seen; ++i) pause();
      generation.wait(seen, std::memory_order_acquire);
      seen = generation.load(std::memory_order_acquire);
      if (leaving.load(std::memory_order_relaxed)) return;
      if (allowed.load(std::memory_order_acquire) <= worker || !join(seen)) continue;
      work(worker);
      if ((gate.fetch_sub(1, std::memory_order_acq_rel) & (joined_mask | is_open)) == 1)
        gate.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>(threads)) {
  HEARTH_CHECK(threads >= 1 && threads <= max_threads);
  for (int worker = 1; worker < threads; ++worker)
    state_->team.emplace_back([state = state_.get(), worker] { state->live(worker); });
}

ThreadPool::~ThreadPool() {
  state_->leaving = true;
  limit(state_->threads);
  state_->generation.fetch_add(1, std::memory_order_release);
  state_->generation.notify_all();
}

int ThreadPool::threads() const { return state_->threads; }
int ThreadPool::limit() const { return state_->allowed.load(std::memory_order_relaxed); }

void ThreadPool::limit(int threads) {
  state_->allowed.store(std::clamp(threads, 1, state_->threads), std::memory_order_release);
  state_->allowed.notify_all();
}

void ThreadPool::run(std::size_t n, std::size_t chunk, RangeFunction function) {
  State& state = *state_;
  if (limit() == 1 || n <= chunk) {
    for (std::size_t begin = 0; begin < n; begin += chunk)
      function(begin, std::min(n, begin + chunk), 0);
    return;
  }
  const std::lock_guard turn(state.turn);
  state.function = function;
  state.n = n;
  state.chunk = chunk;
  state.next.store(0, std::memory_order_relaxed);
  const std::uint32_t loop = state.generation.load(std::memory_order_relaxed) + 1;
  state.gate.store(std::uint64_t{loop} << loop_shift | is_open, std::memory_order_release);
  state.generation.store(loop, std::memory_order_release);
  state.generation.notify_all();
  state.work(0);
  state.gate.fetch_and(~is_open, std::memory_order_acq_rel);
  const auto joined = [&] { return state.gate.load(std::memory_order_acquire); };
  for (int i = 0; i < spins; ++i) {
    if ((joined() & joined_mask) == 0) return;
    pause();
  }
  for (std::uint64_t now; ((now = joined()) & joined_mask) != 0;)
    state.gate.wait(now, std::memory_order_acquire);
}

}  // namespace hearth
