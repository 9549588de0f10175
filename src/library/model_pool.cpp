#include "library/model_pool.h"

#include <fmt/core.h>

#include <algorithm>

#include "library/pool_state.h"

namespace hearth {

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
    const auto now = PoolClock::now();
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
