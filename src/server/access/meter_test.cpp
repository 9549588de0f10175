#include "server/access/meter.h"

#include <doctest/doctest.h>

#include "server/access/trace.h"

using namespace hearth;
using namespace hearth::server;

namespace {
constexpr std::int64_t day = 86'400, noon = 20'000 * day + 43'200;
Moment at(std::int64_t seconds) { return {1000 + seconds, noon + seconds}; }
}  // namespace

TEST_CASE("a minute is any sixty seconds") {
  MinuteWindow window;
  for (std::int64_t second = 0; second < 10; ++second) window.add(1, 1000 + second);
  CHECK(window.sum(1009) == 10);
  CHECK(window.sum(1059) == 10);
  CHECK(window.sum(1060) == 9);
  CHECK(window.sum(1069) == 0);
  CHECK(window.seconds_until_below(11, 1009) == 0);
  CHECK(window.seconds_until_below(10, 1009) == 51);
  CHECK(window.seconds_until_below(1, 1009) == 60);
  CHECK(window.seconds_until_empty(1068) == 1);
  CHECK(window.seconds_until_empty(1069) == 0);
}

TEST_CASE("100 requests a minute, for an hour: exact, whatever the calendar's clock does") {
  Meter meter;
  const KeyLimits limits{.requests_per_minute = 100};
  std::int64_t taken = 0;
  for (std::int64_t second = 0; second < 3600; ++second)
    for (int i = 0; i < 5; ++i) {
      const Moment now{1000 + second, noon + (second % 7 ? 1 : -1) * 10 * day};
      if (meter.begin(limits, now)) continue;
      meter.end({}, now);
      ++taken;
    }
  CHECK(taken == 6000);
}

TEST_CASE("what a key may not do any more, and for how long") {
  const struct {
    std::string what;
    KeyLimits limits;
    std::string code;
    int retry;
  } rows[] = {{"requests a minute", {.requests_per_minute = 2}, "rate_limit_exceeded", 60},
              {"tokens a minute", {.tokens_per_minute = 20}, "rate_limit_exceeded", 60},
              {"requests a day", {.requests_per_day = 2}, "insufficient_quota", 43'200},
              {"tokens a day", {.tokens_per_day = 20}, "insufficient_quota", 43'200}};
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Meter meter;
    for (int i = 0; i < 2; ++i) {
      REQUIRE(!meter.begin(row.limits, at(0)));
      meter.end({.prompt_tokens = 7, .completion_tokens = 3}, at(0));
    }
    const auto refusal = meter.begin(row.limits, at(0));
    REQUIRE(refusal);
    CHECK(refusal->code == row.code);
    CHECK(refusal->retry_after_seconds == row.retry);
    CHECK(meter.refusal(row.limits, at(row.retry - 1)));
    CHECK(!meter.refusal(row.limits, at(row.retry)));
    // A day that was left does not come back.
    if (row.code == "insufficient_quota") {
      REQUIRE(!meter.begin(row.limits, at(row.retry)));
      CHECK(!meter.refusal(row.limits, at(0)));
    }
  }
  Meter meter;
  REQUIRE(!meter.begin({.open = 1}, at(0)));
  CHECK(meter.begin({.open = 1}, at(0)));
  meter.end({}, at(0));
  CHECK(!meter.begin({.open = 1}, at(0)));
}

TEST_CASE("use is told, and taken up again") {
  Meter meter;
  const KeyLimits limits{.requests_per_minute = 10, .tokens_per_day = 100};
  REQUIRE(!meter.begin(limits, at(0)));
  meter.end({.prompt_tokens = 30, .completion_tokens = 5, .is_failed = true}, at(1));
  meter.note_refused();
  CHECK(meter.requests(limits, at(1))->left == 9);
  CHECK(meter.requests(limits, at(1))->reset_seconds == 59);
  CHECK(meter.tokens(limits, at(1))->left == 65);
  const Json used = meter.usage();
  CHECK(*used.find("prompt_tokens") == Json(30));
  CHECK(*used.find("refused") == Json(1));
  CHECK(*used.find("failed") == Json(1));
  Meter again;
  again.restore(used);
  CHECK(again.usage() == used);
  CHECK(again.tokens(limits, at(2))->left == 65);
  // What the file holds beside is passed over.
  again.restore(*parse_json(R"({"requests":"many","days":{"never":{"requests":1}}})"));
  CHECK(again.usage() == used);
}

TEST_CASE("traces go on, or begin") {
  const std::string whole = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const Trace going = trace_of(&whole);
  CHECK(going.trace_id == "0af7651916cd43dd8448eb211c80319c");
  CHECK(going.parent_id == "b7ad6b7169203331");
  CHECK(going.span_id != going.parent_id);
  CHECK(going.header() == "00-" + going.trace_id + "-" + going.span_id + "-01");
  for (const char* text : {"", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"}) {
    const std::string header = text;
    CAPTURE(header);
    const Trace begun = trace_of(&header);
    CHECK(begun.parent_id.empty());
    CHECK(begun.trace_id.size() == 32);
    CHECK(begun.trace_id != going.trace_id);
  }
  const std::string later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
  CHECK(trace_of(&later).trace_id == going.trace_id);
}
