#include "library/model_pool.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "library/library.h"

namespace hearth {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto tick = std::chrono::milliseconds(100);  // between looks at a loading's progress
constexpr auto longest_sleep = std::chrono::seconds(60);
constexpr int most_attempts = 3;                    // at loading a model
constexpr std::size_t max_names = 64;               // that one model is known by
constexpr double pressure_percent = 10;             // of the time that tasks wait for memory
constexpr std::uint64_t plenty_bytes = 4ull << 30;  // of keys and values, for one of several

// The same file under another name is the same model.
std::string canonical(const std::string& path) {
  std::error_code error;
  const auto same = std::filesystem::canonical(path, error);
  return error ? path : same.string();
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string gigabytes(std::uint64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

// Of keys, values, states and adapters read since it was loaded: made, and promised but not made
// yet.
struct KvBytes {
  std::uint64_t made = 0, outstanding = 0;
};
KvBytes kv_bytes(const LoadedModel& model) {
  const RunnerStats stats = model.runner->stats();
  const std::uint64_t page = model.model().kv_layout().page_bytes;
  const std::uint64_t made = stats.kv_pages_used + stats.kv_pages_cached;
  const std::uint64_t pages_left = stats.kv_pages_total - std::min(made, stats.kv_pages_total);
  return {made * page + stats.state_bytes + model.shelf->bytes(),
          pages_left * page + stats.state_bytes_total - stats.state_bytes};
}

}  // namespace

std::string_view name_of(PoolModel::State state) {
  switch (state) {
    case PoolModel::State::waiting:
      return "waiting";
    case PoolModel::State::loading:
      return "loading";
    case PoolModel::State::ready:
      return "ready";
    case PoolModel::State::leaving:
      return "leaving";
  }
  return "";
}

double eviction_score(double idle_seconds, double load_seconds, std::uint64_t bytes) {
  // What comes back at once is cheap to lose, and a large one makes the most room.
  constexpr double least_seconds = 0.05;
  const double gigabytes_held = static_cast<double>(bytes) / 1e9 + 0.1;
  return (idle_seconds + 0.001) * gigabytes_held / (load_seconds + least_seconds);
}

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
    Clock::time_point last_used = Clock::now();
    std::int64_t loaded_seconds = 0;

    bool is_idle() const {
      return users == 0 && (stage == Stage::ready || stage == Stage::leaving);
    }
    bool may_go(Clock::time_point now) const {
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

  // ---- With the lock held ----

  EntryPointer find(std::string_view name, const std::string& path = "") const {
    for (const EntryPointer& entry : entries) {
      if (entry->stage == Stage::leaving) continue;
      if (entry->id == name || entry->reference == name || (!path.empty() && entry->path == path) ||
          std::ranges::find(entry->names, name) != entry->names.end())
        return entry;
    }
    return nullptr;
  }

  std::string free_id(const std::string& wanted) const {
    std::string id = wanted;
    const auto is_taken = [&](const EntryPointer& entry) {
      return entry->id == id && entry->stage != Stage::leaving;
    };
    for (int n = 2; std::ranges::any_of(entries, is_taken); ++n)
      id = fmt::format("{}-{}", wanted, n);
    return id;
  }

  Lease lend(const EntryPointer& entry, bool is_use) {
    ++entry->users;
    if (is_use) ++entry->uses;
    return Lease(entry->loaded.get(), [state = shared_from_this(), entry, is_use](LoadedModel*) {
      state->take_back(entry, is_use);
    });
  }

  // The idle model that is least worth keeping, out of the list; nullptr: none.
  Lease take_victim(std::string& id) {
    const auto now = Clock::now();
    const EntryPointer* victim = nullptr;
    double highest = 0;
    for (const EntryPointer& entry : entries) {
      if (!entry->is_idle() || entry->is_pinned) continue;
      const double score = eviction_score(seconds_between(entry->last_used, now),
                                          entry->load_seconds, entry->loaded->weight_bytes);
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

  std::vector<Lease> peek_all() {
    std::vector<Lease> leases;
    for (const EntryPointer& entry : entries)
      if (entry->stage == Stage::ready) leases.push_back(lend(entry, false));
    return leases;
  }

  // ---- Without it ----

  void take_back(const EntryPointer& entry, bool is_use) {
    Lease orphan;  // of a pool that is gone
    bool rests = false;
    {
      const std::lock_guard lock(mutex);
      --entry->users;
      if (is_use) {
        entry->last_used = Clock::now();
        rests = --entry->uses == 0;
      }
      if (is_closed && entry->users == 0) orphan = std::move(entry->loaded);
    }
    changed.notify_all();
    if (rests) observe(entry->id, ModelEvent::rest);
  }

  // Ends a model whose bytes are counted as dying.
  void bury(const std::string& id, Lease model) {
    const std::uint64_t bytes = model->weight_bytes;
    model.reset();
    {
      const std::lock_guard lock(mutex);
      dying_bytes -= bytes;
    }
    changed.notify_all();
    observe(id, ModelEvent::evict);
  }

  Lease use(std::unique_lock<std::mutex>& lock, const EntryPointer& entry,
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

  void lose_interest(const EntryPointer& entry) {
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

  void keep(std::stop_token leaving);
  void relieve(std::uint64_t wanted);
  void look_at_memory();
  void keep_within_limits();
};

namespace {

std::string parts_of(const ModelNeeds& needs) {
  return fmt::format("{} of memory ({} of weights, {} of keys and values, {} to work with)",
                     gigabytes(needs.total()), gigabytes(needs.weights), gigabytes(needs.kv),
                     gigabytes(needs.scratch));
}

Error over_budget(const std::string& id, const ModelNeeds& needs, const PoolOptions& options) {
  return Error(ErrorKind::exhausted, fmt::format("{}: needs {}; models.memory_mb allows {}", id,
                                                 parts_of(needs), gigabytes(options.memory_bytes)));
}

Error no_room(const std::string& id, const ModelNeeds& needs, std::uint64_t available,
              std::uint64_t kept_free, bool has_waited) {
  return Error(ErrorKind::exhausted,
               fmt::format("{}: needs {}; {} can be had, and {} stay free{}", id, parts_of(needs),
                           gigabytes(available), gigabytes(kept_free),
                           has_waited ? ": other models were in use all the time" : ""));
}

}  // namespace

Result<std::uint64_t> ModelPool::State::make_room(const EntryPointer& entry,
                                                  const ModelNeeds& needs) {
  const auto deadline = Clock::now() + options.patience;
  for (;;) {
    std::unique_lock lock(mutex);
    std::vector<Lease> peeked = peek_all();
    lock.unlock();
    std::uint64_t promised = 0, used_by_models = 0;
    for (const Lease& model : peeked) {
      const KvBytes kv = kv_bytes(*model);
      promised += kv.outstanding;
      used_by_models += kv.made;
    }
    peeked.clear();
    lock.lock();
    if (entry->stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    // With the lock held, so that what comes and goes meanwhile is counted once at least: a model
    // is refused only when it cannot fit.
    const std::uint64_t free = source.free_bytes ? source.free_bytes() : ~0ull >> 1;
    std::uint64_t reserved = promised;
    std::size_t others = 0;
    bool may_come_free = dying_bytes > 0;
    used_by_models += dying_bytes;
    for (const EntryPointer& other : entries) {
      if (other == entry) continue;
      reserved += other->reserved;
      used_by_models += other->reserved + (other->loaded ? other->loaded->weight_bytes : 0);
      ++others;
      may_come_free |= !other->is_pinned;
    }
    const bool is_one_too_many = options.max_models > 0 && others >= options.max_models;
    std::uint64_t available = free - std::min(free, reserved);
    const std::uint64_t wanted = needs.total() + options.min_free_bytes;
    if (options.memory_bytes > 0) {
      if (needs.total() > options.memory_bytes) return over_budget(entry->id, needs, options);
      const std::uint64_t left =
          options.memory_bytes - std::min(options.memory_bytes, used_by_models + promised);
      available = std::min(available, left + options.min_free_bytes);
    }
    if (available >= wanted && !is_one_too_many) {
      entry->reserved = needs.total();
      const std::uint64_t half = (available - wanted + needs.kv) / 2;
      return std::max(needs.kv, std::min(half, std::max(plenty_bytes, needs.kv)));
    }
    // Nothing is thrown out in vain.
    if (free + used_by_models < wanted || !may_come_free)
      return no_room(entry->id, needs, std::min(free, available + used_by_models),
                     options.min_free_bytes, false);
    std::string id;
    if (Lease victim = take_victim(id)) {
      lock.unlock();
      bury(id, std::move(victim));
      continue;
    }
    if (Clock::now() >= deadline)
      return no_room(entry->id, needs, available, options.min_free_bytes, true);
    changed.wait_until(lock, entry->stop.get_token(), std::min(deadline, Clock::now() + tick), [&] {
      return std::ranges::any_of(
          entries, [](const EntryPointer& other) { return other->is_idle() && !other->is_pinned; });
    });
  }
}

Result<Lease> ModelPool::State::load(const EntryPointer& entry, const LocalModel& model,
                                     const AcquireOptions& asked) {
  for (Attempt attempt;; ++attempt.number) {
    observe(entry->id, ModelEvent::initialize);
    auto loaded = load_once(entry, model, asked, attempt);
    if (loaded || attempt.number == most_attempts) return loaded;
    if (!find_remedy(entry, model, loaded.error(), attempt)) return loaded;
    log_warning("model_load_again model={} why={}", entry->id, loaded.error().message());
    observe(entry->id, ModelEvent::fail);
  }
}

// Whether something was done after which another attempt may go well.
bool ModelPool::State::find_remedy(const EntryPointer& entry, const LocalModel& model,
                                   const Error& error, Attempt& attempt) {
  switch (error.kind()) {
    case ErrorKind::exhausted:  // though there seemed to be room
      if (!attempt.had_room) return false;
      relieve(~0ull);
      attempt.most_kv /= 2;
      return true;
    case ErrorKind::corrupt: {
      if (!source.repair || attempt.is_repaired) return false;
      attempt.is_repaired = true;
      const Status repaired = source.repair(model, entry->stop.get_token());
      if (!repaired.ok())
        log_warning("model_not_repaired model={} why={}", entry->id, repaired.error().message());
      return repaired.ok();
    }
    case ErrorKind::io:  // a disk that did not answer may do so now
      return true;
    default:
      return false;
  }
}

Result<Lease> ModelPool::State::load_once(const EntryPointer& entry, const LocalModel& model,
                                          const AcquireOptions& asked, Attempt& attempt) {
  const ModelNeeds needs = TRY(source.needs(model));
  attempt.had_room = false;
  const std::uint64_t room = TRY(make_room(entry, needs));
  attempt.had_room = true;
  attempt.most_kv = std::max(needs.kv, std::min(attempt.most_kv, room));
  LoadOrder order{.id = entry->id,
                  .kv_budget_bytes = attempt.most_kv,
                  .progress =
                      [&](double share) {
                        {
                          const std::lock_guard lock(mutex);
                          entry->share = share;
                        }
                        observe(entry->id, ModelEvent::load, share);
                        if (asked.progress) asked.progress(share);
                      },
                  .stop = entry->stop.get_token()};
  observe(entry->id, ModelEvent::finish_initialize);
  const std::lock_guard one(loading);
  {
    const std::lock_guard lock(mutex);
    entry->stage = Stage::loading;
  }
  observe(entry->id, ModelEvent::load);
  const auto began = Clock::now();
  Lease loaded = TRY(source.load(model, order));
  entry->load_seconds = seconds_between(began, Clock::now());
  return loaded;
}

Result<Lease> ModelPool::State::load_for_all(const EntryPointer& entry, const LocalModel& model,
                                             const AcquireOptions& asked) {
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
  on_stop.emplace(asked.stop, [this, entry] { lose_interest(entry); });
  auto loaded = load(entry, model, asked);
  on_stop.reset();
  if (!loaded) {
    Error error = std::move(loaded).error();
    observe(entry->id,
            error.kind() == ErrorKind::cancelled ? ModelEvent::cancel : ModelEvent::fail);
    const std::lock_guard lock(mutex);
    entry->error = error;
    entry->has_ended = true;
    std::erase(entries, entry);
    changed.notify_all();
    return error;
  }
  observe(entry->id, ModelEvent::finish_load);
  observe(entry->id, ModelEvent::become_ready);
  std::unique_lock lock(mutex);
  entry->loaded = *std::move(loaded);
  entry->loaded_seconds = std::time(nullptr);
  entry->loaded->loaded_seconds = entry->loaded_seconds;
  entry->reserved = 0;
  entry->stage = Stage::ready;
  entry->last_used = Clock::now();
  changed.notify_all();
  return use(lock, entry, asked);
}

std::optional<Result<Lease>> ModelPool::State::wait_for(const EntryPointer& entry,
                                                        const AcquireOptions& asked) {
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
  std::unique_lock lock(mutex);
  if (entry->stage != Stage::ready && !entry->has_ended) {
    ++entry->wanted;
    lock.unlock();
    on_stop.emplace(asked.stop, [this, entry] { lose_interest(entry); });
    lock.lock();
  }
  const auto is_over = [&] {
    return entry->has_ended || entry->stage == Stage::ready || entry->stage == Stage::leaving;
  };
  while (!is_over() && !asked.stop.stop_requested()) {
    changed.wait_for(lock, asked.stop, tick, is_over);
    if (!asked.progress) continue;
    const double share = entry->share;
    lock.unlock();
    asked.progress(share);
    lock.lock();
  }
  if (asked.stop.stop_requested()) return Result<Lease>(Error(ErrorKind::cancelled, "stopped"));
  if (entry->has_ended) {
    // Somebody else's stop is not ours.
    if (entry->error->kind() == ErrorKind::cancelled) return std::nullopt;
    return Result<Lease>(*entry->error);
  }
  if (entry->stage != Stage::ready) return std::nullopt;
  return Result<Lease>(use(lock, entry, asked));
}

Result<Lease> ModelPool::State::acquire(const std::string& reference, const AcquireOptions& asked) {
  for (;;) {
    EntryPointer entry;
    {
      const std::lock_guard lock(mutex);
      entry = find(reference);
    }
    std::optional<LocalModel> mine;
    if (!entry) {
      if (!source.find)
        return Error(ErrorKind::not_found, fmt::format("'{}' is not loaded", reference));
      LocalModel model = TRY(source.find(reference));
      const std::string path = canonical(model.path);
      const std::lock_guard lock(mutex);
      entry = find(reference, path);
      if (entry && entry->names.size() < max_names) entry->names.push_back(reference);
      if (!entry) {
        entry = std::make_shared<Entry>();
        entry->path = path;
        entry->reference = reference;
        entry->id = free_id(source.id(model));
        entry->keep_alive = options.keep_alive;
        entry->wanted = 1;
        entries.push_back(entry);
        mine = std::move(model);
      }
    }
    if (mine) return load_for_all(entry, *mine, asked);
    if (auto result = wait_for(entry, asked)) return *std::move(result);
    if (asked.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    std::this_thread::yield();
  }
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
  auto next_look = Clock::now() + options.look_every;
  while (!leaving.stop_requested()) {
    std::vector<std::pair<std::string, Lease>> dead;
    {
      std::unique_lock lock(mutex);
      auto wake = std::min(next_look, Clock::now() + longest_sleep);
      for (const EntryPointer& entry : entries)
        if (entry->is_idle() && !entry->is_pinned && entry->keep_alive < longest_sleep * 1000)
          wake = std::min(wake, entry->last_used + entry->keep_alive);
      const auto has_work = [&] {
        return std::ranges::any_of(
            entries, [](const EntryPointer& entry) { return entry->may_go(Clock::now()); });
      };
      changed.wait_until(lock, leaving, wake, has_work);
      const auto now = Clock::now();
      std::erase_if(entries, [&](const EntryPointer& entry) {
        if (!entry->may_go(now)) return false;
        dying_bytes += entry->loaded->weight_bytes;
        dead.emplace_back(entry->id, std::move(entry->loaded));
        return true;
      });
    }
    for (auto& [id, model] : dead) bury(id, std::move(model));
    if (Clock::now() < next_look || leaving.stop_requested()) continue;
    look_at_memory();
    keep_within_limits();
    next_look = Clock::now() + options.look_every;
  }
}

ModelPool::ModelPool(ModelSource source, const PoolOptions& options, Observer observer)
    : state_(std::make_shared<State>()) {
  state_->source = std::move(source);
  state_->options = options;
  state_->observer = std::move(observer);
  keeper_ = std::jthread([state = state_.get()](std::stop_token leaving) { state->keep(leaving); });
}

ModelPool::~ModelPool() {
  keeper_.request_stop();
  state_->changed.notify_all();
  keeper_.join();
  std::vector<Lease> dead;
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_closed = true;
    state_->observer = {};
    for (const auto& entry : state_->entries)
      if (entry->users == 0) dead.push_back(std::move(entry->loaded));
    state_->entries.clear();
  }
}

Result<Lease> ModelPool::acquire(const std::string& reference, const AcquireOptions& options) {
  return state_->acquire(reference, options);
}

Lease ModelPool::peek(std::string_view name) const {
  const std::lock_guard lock(state_->mutex);
  const auto entry = state_->find(name);
  return entry && entry->stage == PoolModel::State::ready ? state_->lend(entry, false) : nullptr;
}

Lease ModelPool::acquire_loaded(std::string_view name, const AcquireOptions& options) {
  std::unique_lock lock(state_->mutex);
  const auto entry = state_->find(name);
  if (!entry || entry->stage != PoolModel::State::ready) return nullptr;
  return state_->use(lock, entry, options);
}

void ModelPool::forget_name(std::string_view reference) {
  const std::lock_guard lock(state_->mutex);
  for (const auto& entry : state_->entries) {
    std::erase(entry->names, reference);
    if (entry->reference == reference) entry->reference = entry->id;
  }
}

void ModelPool::adopt(Lease model) {
  auto entry = std::make_shared<State::Entry>();
  entry->stage = PoolModel::State::ready;
  entry->id = model->id;
  entry->reference = model->reference;
  entry->path = model->path;
  entry->is_pinned = true;
  entry->loaded_seconds = model->loaded_seconds;
  entry->loaded = std::move(model);
  const std::lock_guard lock(state_->mutex);
  state_->entries.push_back(std::move(entry));
}

Status ModelPool::unload(std::string_view name) {
  {
    const std::lock_guard lock(state_->mutex);
    const auto entry = state_->find(name);
    if (!entry || entry->stage != PoolModel::State::ready)
      return Error(ErrorKind::not_found, fmt::format("'{}' is not in memory", name));
    entry->stage = PoolModel::State::leaving;
  }
  state_->changed.notify_all();
  return Done{};
}

void ModelPool::set_keep_alive(std::string_view name, Milliseconds keep_alive) {
  {
    const std::lock_guard lock(state_->mutex);
    if (const auto entry = state_->find(name)) {
      entry->keep_alive = keep_alive;
      entry->has_own_keep_alive = true;
    }
  }
  state_->changed.notify_all();
}

void ModelPool::set_limits(const PoolLimits& limits) {
  {
    const std::lock_guard lock(state_->mutex);
    for (const auto& entry : state_->entries)
      if (!entry->has_own_keep_alive) entry->keep_alive = limits.keep_alive;
    state_->options.keep_alive = limits.keep_alive;
    state_->options.max_models = limits.max_models;
    state_->options.memory_bytes = limits.memory_bytes;
    state_->options.min_free_bytes = limits.min_free_bytes;
  }
  state_->changed.notify_all();
  state_->keep_within_limits();
}

void ModelPool::relieve(std::uint64_t free_bytes) { state_->relieve(free_bytes); }

std::vector<PoolModel> ModelPool::models() const {
  std::vector<PoolModel> list;
  std::vector<Lease> leases;
  {
    const std::lock_guard lock(state_->mutex);
    const auto now = Clock::now();
    for (const auto& entry : state_->entries) {
      PoolModel model{.state = entry->stage,
                      .id = entry->id,
                      .reference = entry->reference,
                      .path = entry->path,
                      .share = entry->share,
                      .users = entry->uses,
                      .is_pinned = entry->is_pinned,
                      .bytes = entry->reserved,
                      .load_seconds = entry->load_seconds,
                      .loaded_seconds = entry->loaded_seconds,
                      .expires_in = std::nullopt};
      if (entry->uses == 0 && !entry->is_pinned && entry->keep_alive != forever)
        model.expires_in = std::max(
            Milliseconds(0),
            std::chrono::duration_cast<Milliseconds>(entry->last_used + entry->keep_alive - now));
      const bool is_here =
          entry->stage == PoolModel::State::ready || entry->stage == PoolModel::State::leaving;
      leases.push_back(is_here ? state_->lend(entry, false) : nullptr);
      list.push_back(std::move(model));
    }
  }
  for (std::size_t i = 0; i < list.size(); ++i)
    if (leases[i]) list[i].bytes = leases[i]->weight_bytes + kv_bytes(*leases[i]).made;
  return list;
}

std::vector<Lease> ModelPool::loaded() const {
  const std::lock_guard lock(state_->mutex);
  return state_->peek_all();
}

}  // namespace hearth
