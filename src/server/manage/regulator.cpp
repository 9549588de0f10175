#include "server/manage/regulator.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "hardware/cpu.h"
#include "server/manage/tuning.h"

namespace hearth::server {
namespace {

constexpr std::chrono::seconds look_every(1);

std::string_view name_of(hardware::GovernorLimits::Idle idle) {
  constexpr std::string_view names[] = {"stay", "leave_soon", "leave"};
  return names[static_cast<std::size_t>(idle)];
}

template <typename T>
Json pair_of(const T& wanted, const T& now) {
  return Json::object({{"wanted", wanted}, {"now", now}});
}

}  // namespace

Json to_json(const Regulator::View& view) {
  Json strain = Json::object(), reasons = Json::array();
  for (std::size_t i = 0; i < hardware::causes; ++i)
    strain.set(std::string(name_of(static_cast<hardware::Cause>(i))), view.strain.of[i].level);
  for (const std::string& reason : view.reasons) reasons.push_back(reason);
  return Json::object(
      {{"on", view.is_on},
       {"threads", pair_of(view.wanted.threads, view.now.threads)},
       {"step_tokens", pair_of(view.wanted.runner.step_tokens, view.now.runner.step_tokens)},
       {"parallel", pair_of(view.wanted.runner.max_running, view.now.runner.max_running)},
       {"idle_models", name_of(view.limits.idle)},
       {"strain", std::move(strain)},
       {"reasons", std::move(reasons)}});
}

Regulator::Regulator(Hooks hooks, const Config& config)
    : hooks_(std::move(hooks)), cores_(hardware::usable_cores()) {
  adopt(config);
  watcher_ = std::jthread([this](std::stop_token leaving) { watch(leaving); });
}

Regulator::~Regulator() {
  watcher_.request_stop();
  watcher_.join();
}

Regulator::View Regulator::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

void Regulator::adopt(const Config& config) {
  const std::lock_guard one(applying_);
  {
    const std::lock_guard lock(mutex_);
    settings_ = governor_settings(config);
    view_.is_on = settings_.is_on;
    view_.wanted = tuning_of(config);
    if (view_.wanted.threads == 0) view_.wanted.threads = cores_;
    if (!settings_.is_on) view_.strain = {};
    is_tuned_ = false;
  }
  apply();
}

void Regulator::look_now() {
  const hardware::Condition condition = hooks_.look();
  const std::lock_guard one(applying_);
  {
    const std::lock_guard lock(mutex_);
    view_.strain = next(view_.strain, condition, settings_);
    view_.reasons = reasons_of(view_.strain, condition);
  }
  apply();
}

// With `applying_` held.
void Regulator::apply() {
  View view;
  bool is_news = false;
  {
    const std::lock_guard lock(mutex_);
    const hardware::GovernorLimits limits = limits_of(view_.strain);
    if (limits == view_.limits && is_tuned_) return;
    is_news = limits != view_.limits;
    if (limits == hardware::GovernorLimits{}) view_.reasons.clear();
    view_.limits = limits;
    view_.now = limited(view_.wanted, limits, cores_);
    is_tuned_ = true;
    view = view_;
  }
  hooks_.tune(view.now);
  if (!is_news) return;
  log_warning("governor threads={}/{} step_tokens={}/{} idle_models={} because=\"{}\"",
              view.now.threads, view.wanted.threads, view.now.runner.step_tokens,
              view.wanted.runner.step_tokens, name_of(view.limits.idle),
              view.reasons.empty() ? "the machine is at ease again"
                                   : fmt::format("{}", fmt::join(view.reasons, "; ")));
  Json event = to_json(view);
  event.set("event", "governor");
  hooks_.tell(event);
}

void Regulator::watch(const std::stop_token& leaving) {
  while (!leaving.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, leaving, look_every, [] { return false; });
    }
    if (!leaving.stop_requested()) look_now();
  }
}

}  // namespace hearth::server
