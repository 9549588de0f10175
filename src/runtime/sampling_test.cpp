#include "runtime/sampling.h"

#include <doctest/doctest.h>

#include <functional>
#include <limits>

using namespace hearth;

TEST_CASE("options out of range are refused by name; the ends of a range are in it") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float inf = std::numeric_limits<float>::infinity();
  const struct {
    std::string name;
    float SamplingOptions::* field;
    std::vector<float> good, bad;
  } rows[] = {
      {"temperature", &SamplingOptions::temperature, {0, 1e-45f, 2}, {-1, 2.0001f, nan, inf}},
      {"top_p", &SamplingOptions::top_p, {1e-6f, 1}, {0, -0.1f, 1.1f, nan}},
      {"min_p", &SamplingOptions::min_p, {0, 1}, {-0.1f, 1.1f, nan}},
      {"typical_p", &SamplingOptions::typical_p, {0.1f, 1}, {0, 1.1f, nan}},
      {"repetition_penalty", &SamplingOptions::repetition_penalty, {0.1f, 10}, {0, -1, 1e9f, nan}},
      {"frequency_penalty", &SamplingOptions::frequency_penalty, {-2, 2}, {-2.1f, 1e9f, nan}},
      {"presence_penalty", &SamplingOptions::presence_penalty, {-2, 2}, {-1e9f, 2.1f, nan}},
      {"dry_multiplier", &SamplingOptions::dry_multiplier, {0, 0.8f}, {-1, nan, inf}},
      {"dry_base", &SamplingOptions::dry_base, {1, 1.75f}, {0.5f, nan, inf}},
      {"mirostat_tau", &SamplingOptions::mirostat_tau, {0.1f, 5}, {0, -1, nan, inf}},
      {"mirostat_eta", &SamplingOptions::mirostat_eta, {0.1f, 1}, {0, -1, nan, inf}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    SamplingOptions options;
    for (const float value : row.good) {
      options.*row.field = value;
      CHECK(validate(options, 100).ok());
    }
    for (const float value : row.bad) {
      CAPTURE(value);
      options.*row.field = value;
      const Status status = validate(options, 100);
      REQUIRE(!status.ok());
      CHECK(status.error().kind() == ErrorKind::invalid);
      CHECK(status.error().message().find(row.name) == 0);
    }
  }
}

TEST_CASE("whole numbers, maps and lists have limits too") {
  const struct {
    std::string says;
    std::function<void(SamplingOptions&)> change;
  } rows[] = {
      {"top_k", [](SamplingOptions& o) { o.top_k = -1; }},
      {"penalty_last_n", [](SamplingOptions& o) { o.penalty_last_n = -2; }},
      {"dry_allowed_length", [](SamplingOptions& o) { o.dry_allowed_length = 0; }},
      {"dry_penalty_last_n", [](SamplingOptions& o) { o.dry_last_n = -2; }},
      {"mirostat", [](SamplingOptions& o) { o.mirostat = 3; }},
      {"mirostat", [](SamplingOptions& o) { o.mirostat = -1; }},
      {"logit_bias: token -1", [](SamplingOptions& o) { o.logit_bias[-1] = 0; }},
      {"logit_bias: token 100", [](SamplingOptions& o) { o.logit_bias[100] = 0; }},
      {"logit_bias[5]", [](SamplingOptions& o) { o.logit_bias[5] = 100.5f; }},
      {"logit_bias[5]",
       [](SamplingOptions& o) { o.logit_bias[5] = std::numeric_limits<float>::quiet_NaN(); }},
      {"dry_sequence_breakers", [](SamplingOptions& o) { o.dry_breakers = {""}; }},
      {"dry_sequence_breakers",
       [](SamplingOptions& o) { o.dry_breakers = {std::string(max_dry_breaker_bytes + 1, 'x')}; }},
      {"dry_sequence_breakers",
       [](SamplingOptions& o) { o.dry_breakers.assign(max_dry_breakers + 1, "x"); }},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    SamplingOptions options;
    row.change(options);
    const Status status = validate(options, 100);
    REQUIRE(!status.ok());
    CHECK(status.error().message().find(row.says) == 0);
  }
  SamplingOptions most;
  for (Token token = 0; token < static_cast<Token>(max_logit_biases); ++token)
    most.logit_bias[token] = -100;
  CHECK(validate(most, 5000).ok());
  most.logit_bias[4000] = 1;
  CHECK(!validate(most, 5000).ok());
}
