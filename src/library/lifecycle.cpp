#include "library/lifecycle.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "base/files.h"
#include "library/shared_file.h"

namespace hearth {
namespace {

using S = ModelState;
using E = ModelEvent;

struct Row {
  S from;
  E event;
  S to;
};

// The way of a model.  What is not here does not happen.
constexpr Row table[] = {
    {S::uninitialized, E::discover, S::discovered},
    {S::uninitialized, E::find_here, S::local},
    {S::discovered, E::find_here, S::local},
    {S::discovered, E::download, S::downloading},
    {S::discovered, E::validate, S::validating},
    {S::discovered, E::remove, S::cleanup},

    {S::downloading, E::finish_download, S::downloaded},
    {S::downloaded, E::extract, S::extracting},
    {S::downloaded, E::validate, S::validating},
    {S::extracting, E::finish_extract, S::extracted},
    {S::extracted, E::validate, S::validating},
    {S::validating, E::finish_validate, S::validated},

    {S::validated, E::find_here, S::local},
    {S::validated, E::initialize, S::initializing},
    {S::validated, E::validate, S::validating},
    {S::validated, E::download, S::downloading},
    {S::validated, E::remove, S::cleanup},
    {S::local, E::find_here, S::local},
    {S::local, E::initialize, S::initializing},
    {S::local, E::validate, S::validating},
    {S::local, E::download, S::downloading},
    {S::local, E::remove, S::cleanup},

    {S::initializing, E::finish_initialize, S::initialized},
    {S::initialized, E::load, S::loading},
    {S::loading, E::finish_load, S::loaded},
    {S::loaded, E::become_ready, S::ready},
    {S::loaded, E::evict, S::evicted},
    {S::ready, E::work, S::executing},
    {S::ready, E::evict, S::evicted},
    {S::executing, E::rest, S::ready},

    {S::evicted, E::find_here, S::local},
    {S::evicted, E::initialize, S::initializing},
    {S::evicted, E::validate, S::validating},
    {S::evicted, E::download, S::downloading},
    {S::evicted, E::remove, S::cleanup},

    // Each attempt begins with the stage that failed, or an earlier one.
    {S::error, E::find_here, S::local},
    {S::error, E::download, S::downloading},
    {S::error, E::extract, S::extracting},
    {S::error, E::validate, S::validating},
    {S::error, E::initialize, S::initializing},
    {S::error, E::remove, S::cleanup},
    {S::cancelled, E::find_here, S::local},
    {S::cancelled, E::download, S::downloading},
    {S::cancelled, E::extract, S::extracting},
    {S::cancelled, E::validate, S::validating},
    {S::cancelled, E::initialize, S::initializing},
    {S::cancelled, E::remove, S::cleanup},

    {S::cleanup, E::finish_cleanup, S::uninitialized},
};

constexpr std::array<std::string_view, model_states> state_names = {
    "uninitialized", "discovered", "downloading", "downloaded", "extracting",
    "extracted",     "validating", "validated",   "local",      "initializing",
    "initialized",   "loading",    "loaded",      "ready",      "executing",
    "evicted",       "error",      "cancelled",   "cleanup"};
constexpr std::array<std::string_view, model_events> event_names = {
    "discover",     "find_here",
    "download",     "finish_download",
    "extract",      "finish_extract",
    "validate",     "finish_validate",
    "initialize",   "finish_initialize",
    "load",         "finish_load",
    "become_ready", "work",
    "rest",         "evict",
    "fail",         "cancel",
    "remove",       "finish_cleanup"};

bool is_working(S state) {
  switch (state) {
    case S::downloading:
    case S::downloaded:
    case S::extracting:
    case S::extracted:
    case S::validating:
    case S::initializing:
    case S::initialized:
    case S::loading:
      return true;
    default:
      return false;
  }
}

// What a stage is of the whole way, and what lies before it.
struct Stage {
  S state;
  double before, weight;
};
constexpr Stage stages[] = {
    {S::discovered, 0.00, 0.05}, {S::downloading, 0.05, 0.25},  {S::extracting, 0.30, 0.10},
    {S::validating, 0.40, 0.05}, {S::initializing, 0.45, 0.15}, {S::loading, 0.60, 0.30},
    {S::loaded, 0.90, 0.10},
};

const Stage* stage_of(S state) {
  for (const Stage& stage : stages)
    if (stage.state == state) return &stage;
  return nullptr;
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr std::uint64_t max_file_bytes = 16u << 20;
constexpr std::size_t max_models = 10'000;
constexpr double least_share = 0.02;  // before that the pace of a stage says nothing

// Worth writing down: what the next process should know.
bool is_settled(S state) {
  return state == S::validated || state == S::local || state == S::evicted || state == S::error ||
         state == S::cancelled || state == S::uninitialized || state == S::downloading;
}

}  // namespace

std::string_view name_of(ModelState state) { return state_names[static_cast<std::size_t>(state)]; }
std::string_view name_of(ModelEvent event) { return event_names[static_cast<std::size_t>(event)]; }

std::optional<ModelState> find_state(std::string_view name) {
  for (std::size_t i = 0; i < state_names.size(); ++i)
    if (state_names[i] == name) return static_cast<ModelState>(i);
  return std::nullopt;
}

std::optional<ModelState> next_state(ModelState state, ModelEvent event) {
  // Whatever is being done may go wrong or be stopped, and so may what is in memory.
  if (event == E::fail && (is_working(state) || state == S::loaded || state == S::ready ||
                           state == S::executing || state == S::cleanup))
    return S::error;
  if (event == E::cancel && is_working(state)) return S::cancelled;
  for (const Row& row : table)
    if (row.from == state && row.event == event) return row.to;
  return std::nullopt;
}

bool is_transient(ModelState state) {
  return is_working(state) || state == S::loaded || state == S::ready || state == S::executing ||
         state == S::cleanup;
}

double overall_progress(ModelState state, double share) {
  switch (state) {
    case S::downloaded:
      return 0.30;
    case S::extracted:
      return 0.40;
    case S::validated:
    case S::local:
    case S::evicted:
      return 0.45;
    case S::initialized:
      return 0.60;
    case S::ready:
    case S::executing:
      return 1;
    default:
      break;
  }
  const Stage* stage = stage_of(state);
  return stage ? stage->before + stage->weight * std::clamp(share, 0.0, 1.0) : 0;
}

Lifecycles::Lifecycles(std::string file) : file_(std::move(file)) { load(); }

void Lifecycles::load() {
  if (file_.empty()) return;
  const auto read = read_file(file_, max_file_bytes);
  const auto json = read ? parse_json(*read) : Result<Json>(Json());
  if (!json) return;  // it can be learned again
  const Json* models = json->find("models");
  if (models && models->is_array())
    for (const Json& row : models->as_array()) {
      auto name = required<std::string>(row, "name");
      auto state = required<std::string>(row, "state");
      if (!name || !state || !find_state(*state)) continue;
      Entry entry;
      entry.state = *find_state(*state);
      const bool was_in_memory =
          entry.state == S::loaded || entry.state == S::ready || entry.state == S::executing;
      if (is_transient(entry.state)) entry.state = was_in_memory ? S::evicted : S::cancelled;
      entry.detail = optional<std::string>(row, "detail", "").value_or("");
      entry.since_seconds = optional<std::int64_t>(row, "since", 0).value_or(0);
      entry.bytes = static_cast<std::uint64_t>(
          std::max<std::int64_t>(0, optional<std::int64_t>(row, "bytes", 0).value_or(0)));
      if (entries_.size() < max_models) entries_[*std::move(name)] = std::move(entry);
    }
  const Json* paces = json->find("seconds_per_gigabyte");
  if (paces && paces->is_object())
    for (const auto& [name, value] : paces->as_object())
      if (const auto state = find_state(name); state && value.is_number())
        paces_[*state].seconds_per_gigabyte = std::max(0.0, value.as_number());
}

// With the lock held: the file with what this process knows better.
Json Lifecycles::with_own(const Json& before) const {
  Json models = Json::array();
  const Json* others = before.find("models");
  if (others && others->is_array())
    for (const Json& row : others->as_array()) {
      const auto name = required<std::string>(row, "name");
      if (name && !ours_.contains(*name) && models.size() < max_models) models.push_back(row);
    }
  for (const auto& [name, entry] : entries_)
    if (ours_.contains(name))
      models.push_back(Json::object({{"name", name},
                                     {"state", name_of(entry.state)},
                                     {"detail", entry.detail},
                                     {"since", entry.since_seconds},
                                     {"bytes", entry.bytes}}));
  Json paces = Json::object();
  for (const auto& [state, pace] : paces_)
    paces.set(std::string(name_of(state)), pace.seconds_per_gigabyte);
  return Json::object({{"models", std::move(models)}, {"seconds_per_gigabyte", std::move(paces)}});
}

// What a stage that ended well took.
void Lifecycles::learn(const Entry& entry, double now) {
  if (!stage_of(entry.state) || entry.bytes < 1'000'000) return;
  const double pace = (now - entry.stage_began) / (static_cast<double>(entry.bytes) / 1e9);
  double& known = paces_[entry.state].seconds_per_gigabyte;
  known = known == 0 ? pace : 0.7 * known + 0.3 * pace;
}

std::optional<double> Lifecycles::seconds_left(const Entry& entry) const {
  if (!is_working(entry.state) && entry.state != S::loaded) return std::nullopt;
  const double gigabytes = static_cast<double>(entry.bytes) / 1e9;
  double left = 0;
  bool is_known = false;
  if (stage_of(entry.state)) {
    const auto pace = paces_.find(entry.state);
    if (entry.share >= least_share) {
      left = (steady_seconds() - entry.stage_began) * (1 - entry.share) / entry.share;
      is_known = true;
    } else if (pace != paces_.end() && entry.bytes > 0) {
      left = pace->second.seconds_per_gigabyte * gigabytes * (1 - entry.share);
      is_known = true;
    }
  } else {
    is_known = true;
  }
  const double behind = overall_progress(entry.state, 1);
  for (const Stage& stage : stages)
    if (const auto pace = paces_.find(stage.state); stage.before >= behind && pace != paces_.end())
      left += pace->second.seconds_per_gigabyte * gigabytes;
  return is_known ? std::optional(left) : std::nullopt;
}

LifecycleView Lifecycles::view_of(const std::string& name, const Entry& entry) const {
  return {.name = name,
          .state = entry.state,
          .detail = entry.detail,
          .progress = overall_progress(entry.state, entry.share),
          .seconds_left = seconds_left(entry),
          .since_seconds = entry.since_seconds};
}

Status Lifecycles::apply(const std::string& name, ModelEvent event, const std::string& detail) {
  LifecycleView view;
  bool is_to_save = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    const S from = found == entries_.end() ? S::uninitialized : found->second.state;
    const auto to = next_state(from, event);
    if (!to)
      return Error(ErrorKind::invalid, fmt::format("'{}' is {}: '{}' cannot happen to it now", name,
                                                   name_of(from), name_of(event)));
    if (found == entries_.end() && entries_.size() >= max_models)
      return Error(ErrorKind::exhausted, fmt::format("more than {} models", max_models));
    ours_.insert(name);
    Entry& entry = entries_[name];
    const double now = steady_seconds();
    if (event != E::fail && event != E::cancel) learn(entry, now);
    entry.state = *to;
    entry.detail = detail;
    entry.share = 0;
    entry.stage_began = now;
    entry.since_seconds = std::time(nullptr);
    is_to_save = !file_.empty() && is_settled(*to);
    view = view_of(name, entry);
    if (*to == S::uninitialized) entries_.erase(name);
  }
  if (is_to_save) {
    // One writer at a time, each with what is true when its turn comes.
    const std::lock_guard saving(saving_);
    const auto own = [&](const Json& before) {
      const std::lock_guard lock(mutex_);
      return with_own(before);
    };
    (void)update_json_file(file_, max_file_bytes, own).ok();  // without it everything still works
  }
  tell(view);
  return Done{};
}

void Lifecycles::advance(const std::string& name, double share, std::uint64_t bytes) {
  LifecycleView view;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    found->second.share = std::clamp(share, 0.0, 1.0);
    if (bytes > 0) found->second.bytes = bytes;
    view = view_of(name, found->second);
  }
  tell(view);
}

void Lifecycles::tell(const LifecycleView& view) {
  std::vector<Observer> observers;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, observer] : observers_) observers.push_back(observer);
  }
  for (const Observer& observer : observers) observer(view);
}

LifecycleView Lifecycles::view(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  return view_of(name, found == entries_.end() ? Entry() : found->second);
}

std::vector<LifecycleView> Lifecycles::views() const {
  const std::lock_guard lock(mutex_);
  std::vector<LifecycleView> list;
  for (const auto& [name, entry] : entries_) list.push_back(view_of(name, entry));
  return list;
}

int Lifecycles::observe(Observer observer) {
  const std::lock_guard lock(mutex_);
  observers_[next_observer_] = std::move(observer);
  return next_observer_++;
}

void Lifecycles::forget(int observer) {
  const std::lock_guard lock(mutex_);
  observers_.erase(observer);
}

}  // namespace hearth
