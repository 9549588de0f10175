// Which models a pool knows, who holds them, and which of the idle ones goes first.
#include <fmt/core.h>

#include <algorithm>

#include "library/pool_state.h"

namespace hearth {

double seconds_between(PoolClock::time_point from, PoolClock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

double eviction_score(double idle_seconds, double load_seconds, std::uint64_t bytes) {
  // What comes back at once is cheap to lose, and a large one makes the most room.
  constexpr double least_seconds = 0.05;
  const double gigabytes_held = static_cast<double>(bytes) / 1e9 + 0.1;
  return (idle_seconds + 0.001) * gigabytes_held / (load_seconds + least_seconds);
}

ModelPool::State::EntryPointer ModelPool::State::find(std::string_view name,
                                                      const std::string& path) const {
  for (const EntryPointer& entry : entries) {
    if (entry->stage == Stage::leaving) continue;
    if (entry->id == name || entry->reference == name || (!path.empty() && entry->path == path) ||
        std::ranges::find(entry->names, name) != entry->names.end())
      return entry;
  }
  return nullptr;
}

std::string ModelPool::State::free_id(const std::string& wanted) const {
  std::string id = wanted;
  const auto is_taken = [&](const EntryPointer& entry) {
    return entry->id == id && entry->stage != Stage::leaving;
  };
  for (int n = 2; std::ranges::any_of(entries, is_taken); ++n) id = fmt::format("{}-{}", wanted, n);
  return id;
}

Lease ModelPool::State::lend(const EntryPointer& entry, bool is_use) {
  ++entry->users;
  if (is_use) ++entry->uses;
  return Lease(entry->loaded.get(), [state = shared_from_this(), entry, is_use](LoadedModel*) {
    state->take_back(entry, is_use);
  });
}

Lease ModelPool::State::take_victim(std::string& id) {
  const auto now = PoolClock::now();
  const EntryPointer* victim = nullptr;
  double highest = 0;
  for (const EntryPointer& entry : entries) {
    if (!entry->is_idle() || entry->is_pinned) continue;
    const double score = eviction_score(seconds_between(entry->last_used, now), entry->load_seconds,
                                        entry->loaded->weight_bytes);
    if (victim && score <= highest) continue;
    victim = &entry;
    highest = score;
  }
  if (!victim) return nullptr;
  id = (*victim)->id;
  Lease model = std::move((*victim)->loaded);
  dying_bytes += model->weight_bytes;
  std::erase(entries, EntryPointer(*victim));
  return model;
}

std::vector<Lease> ModelPool::State::peek_all() {
  std::vector<Lease> leases;
  for (const EntryPointer& entry : entries)
    if (entry->stage == Stage::ready) leases.push_back(lend(entry, false));
  return leases;
}

void ModelPool::State::take_back(const EntryPointer& entry, bool is_use) {
  Lease orphan;  // of a pool that is gone
  bool rests = false;
  {
    const std::lock_guard lock(mutex);
    --entry->users;
    if (is_use) {
      entry->last_used = PoolClock::now();
      rests = --entry->uses == 0;
    }
    if (is_closed && entry->users == 0) orphan = std::move(entry->loaded);
  }
  changed.notify_all();
  if (rests) observe(entry->id, ModelEvent::rest);
}

void ModelPool::State::bury(const std::string& id, Lease model) {
  const std::uint64_t bytes = model->weight_bytes;
  model.reset();
  {
    const std::lock_guard lock(mutex);
    dying_bytes -= bytes;
  }
  changed.notify_all();
  observe(id, ModelEvent::evict);
}

Lease ModelPool::State::use(std::unique_lock<std::mutex>& lock, const EntryPointer& entry,
                            const AcquireOptions& asked) {
  if (asked.keep_alive) {
    entry->keep_alive = *asked.keep_alive;
    entry->has_own_keep_alive = true;
  }
  entry->is_pinned = entry->is_pinned || asked.is_pinned;
  Lease lease = lend(entry, true);
  const bool begins = entry->uses == 1;
  lock.unlock();
  if (begins) observe(entry->id, ModelEvent::work);
  return lease;
}

void ModelPool::State::lose_interest(const EntryPointer& entry) {
  {
    const std::lock_guard lock(mutex);
    if (--entry->wanted > 0) {
      changed.notify_all();
      return;
    }
  }
  entry->stop.request_stop();
  changed.notify_all();
}

}  // namespace hearth
