// What a ModelPool works on: its entries, and the steps of their lives.  The pool's own sources
// include this and nobody else.
//
// The lock is never held while a model is loaded or unloaded, nor while somebody is told.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "library/library.h"
#include "library/model_pool.h"

namespace hearth {

using PoolClock = std::chrono::steady_clock;
constexpr auto pool_tick = std::chrono::milliseconds(100);  // between looks at a loading's progress

double seconds_between(PoolClock::time_point from, PoolClock::time_point to);

// Of keys, values, states and adapters read since it was loaded: made, and promised but not made
// yet.
struct KvBytes {
  std::uint64_t made = 0, outstanding = 0;
};
KvBytes kv_bytes(const LoadedModel& model);

struct ModelPool::State : std::enable_shared_from_this<ModelPool::State> {
  using Stage = PoolModel::State;

  struct Entry {
    Stage stage = Stage::waiting;
    std::string id, reference, path;
    std::vector<std::string> names;  // by which it was asked for
    Lease loaded;
    std::optional<Error> error;  // why it never came to be
    bool has_ended = false;      // with that error
    int wanted = 0;              // who wait for it
    std::stop_source stop;       // of its loading
    std::uint64_t reserved = 0;  // for what loading will take
    double share = 0, load_seconds = 0;
    int users = 0, uses = 0;  // leases; those that count as uses
    bool is_pinned = false;
    Milliseconds keep_alive = forever;
    bool has_own_keep_alive = false;  // somebody asked for it
    PoolClock::time_point last_used = PoolClock::now();
    std::int64_t loaded_seconds = 0;

    bool is_idle() const {
      return users == 0 && (stage == Stage::ready || stage == Stage::leaving);
    }
    bool may_go(PoolClock::time_point now) const {
      if (!is_idle()) return false;
      if (stage == Stage::leaving) return true;
      return !is_pinned && keep_alive != forever && now - last_used >= keep_alive;
    }
  };
  using EntryPointer = std::shared_ptr<Entry>;

  ModelSource source;
  PoolOptions options;
  Observer observer;
  std::mutex mutex;  // of what follows; never held while loading, unloading or observing
  std::condition_variable_any changed;
  std::vector<EntryPointer> entries;
  bool is_closed = false;
  std::uint64_t dying_bytes = 0;  // of models that are being unloaded
  std::mutex loading;             // one model at a time reads the disk

  void observe(const std::string& id, ModelEvent event, double share = 0) const {
    if (observer) observer(id, event, share);
  }

  // ---- Entries and leases (pool_entries.cpp), with the lock held ----

  EntryPointer find(std::string_view name, const std::string& path = "") const;
  std::string free_id(const std::string& wanted) const;  // that no other model has
  Lease lend(const EntryPointer& entry, bool is_use);
  // The idle model that is least worth keeping, out of the list; nullptr: none.
  Lease take_victim(std::string& id);
  std::vector<Lease> peek_all();

  // ---- Without it ----

  void take_back(const EntryPointer& entry, bool is_use);
  // Ends a model whose bytes are counted as dying.
  void bury(const std::string& id, Lease model);
  // Lets go of the lock.
  Lease use(std::unique_lock<std::mutex>& lock, const EntryPointer& entry,
            const AcquireOptions& asked);
  void lose_interest(const EntryPointer& entry);

  // ---- Loading (pool_loading.cpp) ----

  // Room for the model, made by unloading idle ones; what its keys and values may take.
  Result<std::uint64_t> make_room(const EntryPointer& entry, const ModelNeeds& needs);
  // How a model is to be loaded, and what was tried already.
  struct Attempt {
    int number = 1;
    std::uint64_t most_kv = ~0ull;
    bool had_room = false, is_repaired = false;
  };
  Result<Lease> load(const EntryPointer& entry, const LocalModel& model,
                     const AcquireOptions& asked);
  Result<Lease> load_once(const EntryPointer& entry, const LocalModel& model,
                          const AcquireOptions& asked, Attempt& attempt);
  bool find_remedy(const EntryPointer& entry, const LocalModel& model, const Error& error,
                   Attempt& attempt);
  Result<Lease> load_for_all(const EntryPointer& entry, const LocalModel& model,
                             const AcquireOptions& asked);
  // Nothing: to be tried again.
  std::optional<Result<Lease>> wait_for(const EntryPointer& entry, const AcquireOptions& asked);
  Result<Lease> acquire(const std::string& reference, const AcquireOptions& asked);

  // ---- Keeping within what the machine has (pool_keeping.cpp) ----

  void keep(std::stop_token leaving);
  void relieve(std::uint64_t wanted);
  void look_at_memory();
  void keep_within_limits();
};

}  // namespace hearth
