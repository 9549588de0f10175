// Meter: what one API key uses, held to its limits.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "server/access/records.h"

namespace hearth::server {

// The clock that never jumps measures minutes; the calendar's measures days.
struct Moment {
  std::int64_t steady_seconds = 0, unix_seconds = 0;
  static Moment now();
};

// Of any sixty seconds, to the second.  Used by one thread at a time.
class MinuteWindow {
 public:
  void add(std::int64_t amount, std::int64_t now);
  std::int64_t sum(std::int64_t now) const;
  // Seconds until less than `limit` is in it; 0: it is so now.
  int seconds_until_below(std::int64_t limit, std::int64_t now) const;
  int seconds_until_empty(std::int64_t now) const;

 private:
  static constexpr std::int64_t seconds = 60;
  std::array<std::int64_t, seconds> amounts_{};
  std::array<std::int64_t, seconds> of_{};  // which second a place holds
};

// What a request took.
struct Spent {
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  bool is_failed = false;
};

struct UsageTotals {
  std::int64_t requests = 0, refused = 0, failed = 0, prompt_tokens = 0, completion_tokens = 0;
};

// Thread-safe.
class Meter {
 public:
  struct Refusal {
    std::string code, message;  // "rate_limit_exceeded" or "insufficient_quota"
    int retry_after_seconds = 1;
  };
  // Why the next request would be refused.
  std::optional<Refusal> refusal(const KeyLimits& limits, Moment now) const;
  // Counts a request, unless it is refused; end() belongs to one that is not.
  std::optional<Refusal> begin(const KeyLimits& limits, Moment now);
  void end(const Spent& spent, Moment now);
  void note_refused();

  // What clients are told: the limit of the minute, or else of the day.
  struct Standing {
    std::int64_t limit = 0, left = 0, reset_seconds = 0;
  };
  std::optional<Standing> requests(const KeyLimits& limits, Moment now) const;
  std::optional<Standing> tokens(const KeyLimits& limits, Moment now) const;

  // {requests, refused, failed, prompt_tokens, completion_tokens, last_used, days: {...}}
  Json usage() const;
  void restore(const Json& usage);  // what usage() gave; what does not fit is passed over
  std::uint64_t changes() const;    // grows with every change of usage()

 private:
  std::optional<Refusal> check(const KeyLimits& limits, Moment now) const;
  UsageTotals& today(Moment now);
  UsageTotals today_of(Moment now) const;

  mutable std::mutex mutex_;
  MinuteWindow requests_, tokens_;
  std::int64_t open_ = 0, last_used_ = 0, day_ = 0;  // day_: the last one seen; never goes back
  std::uint64_t changes_ = 0;
  UsageTotals all_;
  std::map<std::int64_t, UsageTotals> days_;  // by days since 1970
};

}  // namespace hearth::server
