#include "server/access/meter.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

namespace hearth::server {
namespace {

constexpr std::int64_t day_seconds = 86'400;
constexpr std::size_t max_days = 31;  // kept of each key

std::int64_t day_of(Moment now) { return now.unix_seconds / day_seconds; }
int seconds_to_midnight(Moment now) {
  return static_cast<int>(day_seconds - now.unix_seconds % day_seconds);
}

struct TotalName {
  const char* name;
  std::int64_t UsageTotals::* value;
};
constexpr TotalName total_names[] = {{"requests", &UsageTotals::requests},
                                     {"refused", &UsageTotals::refused},
                                     {"failed", &UsageTotals::failed},
                                     {"prompt_tokens", &UsageTotals::prompt_tokens},
                                     {"completion_tokens", &UsageTotals::completion_tokens}};

Json to_json(const UsageTotals& totals) {
  Json json = Json::object();
  for (const TotalName& row : total_names) json.set(row.name, totals.*row.value);
  return json;
}

void read_totals(const Json& json, UsageTotals& totals) {
  for (const TotalName& row : total_names)
    if (const Json* value = json.find(row.name); value && value->is_integer())
      totals.*row.value = value->as_integer();
}

// "2026-11-21"
std::string date_text(std::int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

std::optional<std::int64_t> day_of_date(const std::string& text) {
  int year = 0;
  unsigned month = 0, day = 0;
  if (std::sscanf(text.c_str(), "%d-%u-%u", &year, &month, &day) != 3) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month},
                                         std::chrono::day{day}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days{date}.time_since_epoch().count();
}

std::int64_t tokens_of(const UsageTotals& totals) {
  return totals.prompt_tokens + totals.completion_tokens;
}

}  // namespace

Moment Moment::now() {
  using namespace std::chrono;
  return {duration_cast<seconds>(steady_clock::now().time_since_epoch()).count(),
          duration_cast<seconds>(system_clock::now().time_since_epoch()).count()};
}

void MinuteWindow::add(std::int64_t amount, std::int64_t now) {
  const auto place = static_cast<std::size_t>(now % seconds);
  if (of_[place] != now) amounts_[place] = 0;
  of_[place] = now;
  amounts_[place] += amount;
}

std::int64_t MinuteWindow::sum(std::int64_t now) const {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < amounts_.size(); ++i)
    if (of_[i] > now - seconds) sum += amounts_[i];
  return sum;
}

int MinuteWindow::seconds_until_below(std::int64_t limit, std::int64_t now) const {
  std::int64_t left = sum(now);
  if (left < limit) return 0;
  // The oldest leave first.
  for (std::int64_t second = now - seconds + 1; second <= now; ++second) {
    const auto place = static_cast<std::size_t>(second % seconds);
    if (second < 0 || of_[place] != second) continue;
    left -= amounts_[place];
    if (left < limit) return static_cast<int>(second + seconds - now);
  }
  return static_cast<int>(seconds);
}

int MinuteWindow::seconds_until_empty(std::int64_t now) const {
  return sum(now) == 0 ? 0 : seconds_until_below(1, now);
}

UsageTotals& Meter::today(Moment now) {
  // A clock that is set back opens no new day.
  day_ = std::max(day_, day_of(now));
  while (days_.size() >= max_days && !days_.contains(day_)) days_.erase(days_.begin());
  return days_[day_];
}

UsageTotals Meter::today_of(Moment now) const {
  const auto found = days_.find(std::max(day_, day_of(now)));
  return found == days_.end() ? UsageTotals() : found->second;
}

std::optional<Meter::Refusal> Meter::check(const KeyLimits& limits, Moment now) const {
  if (limits.open && open_ >= limits.open)
    return Refusal{"rate_limit_exceeded",
                   fmt::format("this API key has {} requests in progress already", limits.open), 1};
  const auto minute = [&](const MinuteWindow& window, std::int64_t limit,
                          const char* what) -> std::optional<Refusal> {
    const int wait = limit ? window.seconds_until_below(limit, now.steady_seconds) : 0;
    if (wait == 0) return std::nullopt;
    return Refusal{"rate_limit_exceeded",
                   fmt::format("Rate limit reached for this API key: {} {} per minute. Please try "
                               "again in {}s.",
                               limit, what, wait),
                   wait};
  };
  if (auto refusal = minute(requests_, limits.requests_per_minute, "requests")) return refusal;
  if (auto refusal = minute(tokens_, limits.tokens_per_minute, "tokens")) return refusal;
  const UsageTotals used = today_of(now);
  const auto day = [&](std::int64_t spent, std::int64_t limit,
                       const char* what) -> std::optional<Refusal> {
    if (!limit || spent < limit) return std::nullopt;
    return Refusal{"insufficient_quota",
                   fmt::format("This API key has used its {} {} of today; the next day begins at "
                               "00:00 UTC.",
                               limit, what),
                   seconds_to_midnight(now)};
  };
  if (auto refusal = day(used.requests, limits.requests_per_day, "requests")) return refusal;
  return day(tokens_of(used), limits.tokens_per_day, "tokens");
}

std::optional<Meter::Refusal> Meter::refusal(const KeyLimits& limits, Moment now) const {
  const std::lock_guard lock(mutex_);
  return check(limits, now);
}

std::optional<Meter::Refusal> Meter::begin(const KeyLimits& limits, Moment now) {
  const std::lock_guard lock(mutex_);
  if (auto refused = check(limits, now)) return refused;
  ++open_;
  ++changes_;
  requests_.add(1, now.steady_seconds);
  ++all_.requests;
  ++today(now).requests;
  last_used_ = now.unix_seconds;
  return std::nullopt;
}

void Meter::end(const Spent& spent, Moment now) {
  const std::lock_guard lock(mutex_);
  --open_;
  ++changes_;
  tokens_.add(spent.prompt_tokens + spent.completion_tokens, now.steady_seconds);
  for (UsageTotals* totals : {&all_, &today(now)}) {
    totals->failed += spent.is_failed;
    totals->prompt_tokens += spent.prompt_tokens;
    totals->completion_tokens += spent.completion_tokens;
  }
}

void Meter::note_refused() {
  const std::lock_guard lock(mutex_);
  ++all_.refused;
  ++changes_;
}

std::optional<Meter::Standing> Meter::requests(const KeyLimits& limits, Moment now) const {
  const std::lock_guard lock(mutex_);
  if (const std::int64_t limit = limits.requests_per_minute)
    return Standing{limit, std::max<std::int64_t>(0, limit - requests_.sum(now.steady_seconds)),
                    requests_.seconds_until_empty(now.steady_seconds)};
  if (const std::int64_t limit = limits.requests_per_day)
    return Standing{limit, std::max<std::int64_t>(0, limit - today_of(now).requests),
                    seconds_to_midnight(now)};
  return std::nullopt;
}

std::optional<Meter::Standing> Meter::tokens(const KeyLimits& limits, Moment now) const {
  const std::lock_guard lock(mutex_);
  if (const std::int64_t limit = limits.tokens_per_minute)
    return Standing{limit, std::max<std::int64_t>(0, limit - tokens_.sum(now.steady_seconds)),
                    tokens_.seconds_until_empty(now.steady_seconds)};
  if (const std::int64_t limit = limits.tokens_per_day)
    return Standing{limit, std::max<std::int64_t>(0, limit - tokens_of(today_of(now))),
                    seconds_to_midnight(now)};
  return std::nullopt;
}

Json Meter::usage() const {
  const std::lock_guard lock(mutex_);
  Json json = to_json(all_);
  json.set("last_used", last_used_ ? Json(last_used_) : Json());
  Json days = Json::object();
  for (const auto& [day, totals] : days_) days.set(date_text(day), to_json(totals));
  json.set("days", std::move(days));
  return json;
}

void Meter::restore(const Json& usage) {
  const std::lock_guard lock(mutex_);
  read_totals(usage, all_);
  if (const Json* last = usage.find("last_used"); last && last->is_integer())
    last_used_ = last->as_integer();
  const Json* days = usage.find("days");
  if (!days || !days->is_object()) return;
  for (const auto& [date, totals] : days->as_object())
    if (const auto day = day_of_date(date)) read_totals(totals, days_[*day]);
}

std::uint64_t Meter::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

}  // namespace hearth::server
