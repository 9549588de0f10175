#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/displaced.h"

namespace hearth {
namespace {

// Of State::gate.
constexpr std::uint64_t joined_mask = 0xFFFF, is_open = 0x10000;
constexpr int loop_shift = 32;
constexpr int max_threads = 4096;
constexpr int spins = 2000;  // some 20 microseconds: longer waits belong to the kernel

// A thread that loses its processor to another program in the middle of a chunk returns after some
// milliseconds, and everybody waits for it: short loops of which two threads share the work are
// slower then than those of one.  After such a wait the caller begins its loops alone for a while
// (the longer, the sooner it happens again) and calls the others only to those that take longer
// than `patience`.
using Clock = std::chrono::steady_clock;
constexpr auto long_wait = std::chrono::microseconds(500);
constexpr auto least_crowded = std::chrono::milliseconds(5);
constexpr auto most_crowded = std::chrono::milliseconds(160), soon = std::chrono::milliseconds(20);
constexpr auto patience = std::chrono::microseconds(50);

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
  // Other programs compute on our processors: see `patience`.
  std::atomic<bool> is_crowded{false};
  Clock::time_point crowded_until{};
  std::chrono::milliseconds crowded_for = least_crowded;
  std::uint64_t displaced = 0;  // when it was last asked for
  std::vector<std::jthread> team;

  void work(int worker) {
    for (;;) {
      const std::size_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= n) return;
      (*function)(begin, std::min(n, begin + chunk), worker);
    }
  }

  // Lets the others join the loop, from index `begin` on, and takes its part.
  void share(std::size_t begin) {
    next.store(begin, std::memory_order_relaxed);
    const std::uint32_t loop = generation.load(std::memory_order_relaxed) + 1;
    gate.store(std::uint64_t{loop} << loop_shift | is_open, std::memory_order_release);
    generation.store(loop, std::memory_order_release);
    generation.notify_all();
    work(0);
    gate.fetch_and(~is_open, std::memory_order_acq_rel);
    wait_for_joined();
  }

  // The loop in a crowd: alone, unless it takes long.
  void begin_alone() {
    const auto start = Clock::now();
    for (std::size_t begin = 0; begin < n; begin += chunk) {
      if (n - begin > chunk && Clock::now() - start > patience) return share(begin);
      (*function)(begin, std::min(n, begin + chunk), 0);
    }
  }

  void wait_for_joined() {
    const auto joined = [&] { return gate.load(std::memory_order_acquire); };
    for (int i = 0; i < spins; ++i) {
      if ((joined() & joined_mask) == 0) return;
      pause();
    }
    const auto start = Clock::now();
    for (std::uint64_t now; ((now = joined()) & joined_mask) != 0;)
      gate.wait(now, std::memory_order_acquire);
    const auto end = Clock::now();
    if (end - start < long_wait) return;
    const std::uint64_t before = std::exchange(displaced, times_displaced());
    if (displaced == before) return;  // some chunks just take that long
    const bool is_soon = start < crowded_until + soon;
    crowded_for = is_soon ? std::min<std::chrono::milliseconds>(2 * crowded_for, most_crowded)
                          : least_crowded;
    crowded_until = end + crowded_for;
    is_crowded.store(true, std::memory_order_relaxed);
  }

  // Of the caller, while it has its turn.
  bool still_crowded() {
    if (!is_crowded.load(std::memory_order_relaxed)) return false;
    if (Clock::now() < crowded_until) return true;
    is_crowded.store(false, std::memory_order_relaxed);
    return false;
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
      // Who sleeps meanwhile gets a processor sooner when there is work.
      const int most = is_crowded.load(std::memory_order_relaxed) ? 0 : spins;
      for (int i = 0; i < most && generation.load(std::memory_order_acquire) == seen; ++i) pause();
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
  if (state.still_crowded())
    state.begin_alone();
  else
    state.share(0);
}

}  // namespace hearth
