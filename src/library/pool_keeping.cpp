// How a pool lets models go: those that nobody wants any more, and idle ones when memory gets
// scarce.
#include <algorithm>

#include "library/pool_state.h"

namespace hearth {
namespace {

constexpr auto longest_sleep = std::chrono::seconds(60);
constexpr double pressure_percent = 10;  // of the time that tasks wait for memory

}  // namespace

KvBytes kv_bytes(const LoadedModel& model) {
  const RunnerStats stats = model.runner->stats();
  const std::uint64_t page = model.model().kv_layout().page_bytes;
  const std::uint64_t made = stats.kv_pages_used + stats.kv_pages_cached;
  const std::uint64_t pages_left = stats.kv_pages_total - std::min(made, stats.kv_pages_total);
  return {made * page + stats.state_bytes + model.shelf->bytes(),
          pages_left * page + stats.state_bytes_total - stats.state_bytes};
}

void ModelPool::State::relieve(std::uint64_t wanted) {
  while (source.free_bytes && source.free_bytes() < wanted) {
    std::string id;
    std::unique_lock lock(mutex);
    Lease victim = take_victim(id);
    lock.unlock();
    if (!victim) return;
    bury(id, std::move(victim));
  }
}

void ModelPool::State::look_at_memory() {
  const bool is_pressed = source.memory_pressure && source.memory_pressure() >= pressure_percent;
  if (!source.free_bytes) return;
  std::unique_lock lock(mutex);
  const std::uint64_t least = options.min_free_bytes;
  lock.unlock();
  const std::uint64_t free = source.free_bytes();
  if (is_pressed)  // at least one, though the figures say that there is room
    relieve(std::max(free + 1, 2 * least));
  else if (free < least)
    relieve(2 * least);
}

// Idle models leave while there are too many, or they hold more than they may.
void ModelPool::State::keep_within_limits() {
  for (;;) {
    std::unique_lock lock(mutex);
    std::vector<Lease> peeked = peek_all();
    const PoolOptions now = options;
    lock.unlock();
    std::uint64_t held = 0;
    for (const Lease& model : peeked) held += model->weight_bytes + kv_bytes(*model).made;
    const bool is_within = (now.max_models == 0 || peeked.size() <= now.max_models) &&
                           (now.memory_bytes == 0 || held <= now.memory_bytes);
    peeked.clear();
    if (is_within) return;
    std::string id;
    lock.lock();
    Lease victim = take_victim(id);
    lock.unlock();
    if (!victim) return;
    bury(id, std::move(victim));
  }
}

// Unloads what nobody wants any more.
void ModelPool::State::keep(std::stop_token leaving) {
  auto next_look = PoolClock::now() + options.look_every;
  while (!leaving.stop_requested()) {
    std::vector<std::pair<std::string, Lease>> dead;
    {
      std::unique_lock lock(mutex);
      auto wake = std::min(next_look, PoolClock::now() + longest_sleep);
      for (const EntryPointer& entry : entries)
        if (entry->is_idle() && !entry->is_pinned && entry->keep_alive < longest_sleep * 1000)
          wake = std::min(wake, entry->last_used + entry->keep_alive);
      const auto has_work = [&] {
        return std::ranges::any_of(
            entries, [](const EntryPointer& entry) { return entry->may_go(PoolClock::now()); });
      };
      changed.wait_until(lock, leaving, wake, has_work);
      const auto now = PoolClock::now();
      std::erase_if(entries, [&](const EntryPointer& entry) {
        if (!entry->may_go(now)) return false;
        dying_bytes += entry->loaded->weight_bytes;
        dead.emplace_back(entry->id, std::move(entry->loaded));
        return true;
      });
    }
    for (auto& [id, model] : dead) bury(id, std::move(model));
    if (PoolClock::now() < next_look || leaving.stop_requested()) continue;
    look_at_memory();
    keep_within_limits();
    next_look = PoolClock::now() + options.look_every;
  }
}

}  // namespace hearth
