// How a pool loads a model: who asks for the same one shares the loading, room is made first, and
// what fails is tried again where there is a remedy.
#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <thread>

#include "base/log.h"
#include "library/pool_state.h"

namespace hearth {
namespace {

constexpr int most_attempts = 3;                    // at loading a model
constexpr std::size_t max_names = 64;               // that one model is known by
constexpr std::uint64_t plenty_bytes = 4ull << 30;  // of keys and values, for one of several

// The same file under another name is the same model.
std::string canonical(const std::string& path) {
  std::error_code error;
  const auto same = std::filesystem::canonical(path, error);
  return error ? path : same.string();
}

std::string gigabytes(std::uint64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

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
  const auto deadline = PoolClock::now() + options.patience;
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
    if (PoolClock::now() >= deadline)
      return no_room(entry->id, needs, available, options.min_free_bytes, true);
    changed.wait_until(lock, entry->stop.get_token(),
                       std::min(deadline, PoolClock::now() + pool_tick), [&] {
                         return std::ranges::any_of(entries, [](const EntryPointer& other) {
                           return other->is_idle() && !other->is_pinned;
                         });
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
  const auto began = PoolClock::now();
  Lease loaded = TRY(source.load(model, order));
  entry->load_seconds = seconds_between(began, PoolClock::now());
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
  entry->last_used = PoolClock::now();
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
    changed.wait_for(lock, asked.stop, pool_tick, is_over);
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

}  // namespace hearth
