#include "base/duration.h"

#include <doctest/doctest.h>

#include <string>

using namespace hearth;

TEST_CASE("spans of time as people write them") {
  const struct {
    std::string text;
    std::int64_t milliseconds;  // -1: an error
  } rows[] = {{"90", 90'000},  {"0", 0},       {"5m", 300'000},     {"1h30m", 5'400'000},
              {"1.5s", 1'500}, {"250ms", 250}, {"2d", 172'800'000}, {"", -1},
              {"-", -1},       {"5x", -1},     {"m", -1},           {"1h30", -1},
              {"1e3", -1},     {"nan", -1},    {"5 m", -1}};
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto parsed = parse_duration(row.text);
    REQUIRE(parsed.ok() == (row.milliseconds >= 0));
    if (parsed) CHECK(parsed->count() == row.milliseconds);
  }
  for (const char* text : {"-1", "-5m", "-1s"}) CHECK(*parse_duration(text) == forever);
  CHECK(duration_of_seconds(-1) == forever);
  CHECK(duration_of_seconds(1e300) == forever);
  for (const char* text : {"5m", "1h30m", "90d", "45s", "250ms", "1d2h3m4s"})
    CHECK(duration_text(*parse_duration(text)) == text);
  CHECK(duration_text(forever) == "forever");
}
