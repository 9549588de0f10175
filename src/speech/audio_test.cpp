#include <doctest/doctest.h>

#include <cmath>

#include "base/bytes.h"
#include "speech/forms.h"
#include "speech/rules.h"
#include "speech/test_support.h"

namespace hearth::speech {
namespace {

Codes small_codes() {
  Codes codes;
  codes.end = 10;
  codes.start = 11;
  codes.no_speech = 12;
  codes.no_timestamps = 13;
  codes.never = {3};
  codes.never_first = {10};
  codes.latest_start = 2;
  return codes;
}

// The tokens that may follow `made`, all equally likely but for timestamps, which are unlikely.
std::vector<Token> may_follow(std::vector<Token> made, float timestamp_logit = -20) {
  const Codes codes = small_codes();
  std::vector<float> logits(20, 0.0f);
  for (std::size_t i = 14; i < 20; ++i) logits[i] = timestamp_logit;
  apply_rules(logits, made, codes, {});
  std::vector<Token> allowed;
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (std::isfinite(logits[i])) allowed.push_back(static_cast<Token>(i));
  return allowed;
}

TEST_CASE("timestamps come in pairs, in order, and first") {
  using Tokens = std::vector<Token>;
  const Tokens text{0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  auto with = [&](Tokens more) {
    Tokens all = text;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  CHECK(may_follow({}) == Tokens{14, 15, 16});
  CHECK(may_follow({14}) == text);
  CHECK(may_follow({14, 5}) == with({15, 16, 17, 18, 19}));
  CHECK(may_follow({14, 5, 16}) == Tokens{10, 11, 12, 16, 17, 18, 19});
  CHECK(may_follow({14, 5, 16, 16}) == text);
  CHECK(may_follow({14, 5}, 3) == Tokens{15, 16, 17, 18, 19});
}

TEST_CASE("a window is cut where timestamps meet") {
  const Codes codes = small_codes();
  using Tokens = std::vector<Token>;
  const auto cut = [&](Tokens tokens) { return cut_into_stretches(tokens, 3000, codes); };
  auto two = cut({14, 5, 16, 16, 6, 18, 18});
  REQUIRE(two.list.size() == 2);
  CHECK(two.list[1].tokens == Tokens{16, 6, 18});
  CHECK(two.list[1].begin == 2);
  CHECK(two.list[1].end == 4);
  CHECK(two.heard_frames == 8);
  auto alone = cut({14, 5, 16, 16, 6, 18});
  CHECK(alone.list.size() == 2);
  CHECK(alone.heard_frames == 3000);
  auto open = cut({14, 5, 6});
  REQUIRE(open.list.size() == 1);
  CHECK(open.list[0].end == 1500);
  CHECK(open.heard_frames == 3000);
  CHECK(cut({}).heard_frames == 3000);
}

TEST_CASE("a transcript in every form") {
  Transcript transcript;
  transcript.language = "de";
  transcript.seconds = 3725.5;
  transcript.text = " Hallo --> Welt. Ja.";
  transcript.segments.push_back({.id = 0, .start = 0, .end = 1.5, .text = " Hallo --> Welt."});
  transcript.segments.push_back({.id = 1, .start = 3723.045, .end = 3725.5, .text = " Ja."});
  transcript.segments[1].words.push_back({" Ja.", 3723.1, 3723.4, 0.5});
  CHECK(write_transcript(transcript, Form::text) == "Hallo --> Welt. Ja.\n");
  CHECK(write_transcript(transcript, Form::json) == R"({"text":"Hallo --> Welt. Ja."})");
  CHECK(write_transcript(transcript, Form::srt) ==
        "1\n00:00:00,000 --> 00:00:01,500\nHallo -> Welt.\n\n"
        "2\n01:02:03,045 --> 01:02:05,500\nJa.\n\n");
  CHECK(write_transcript(transcript, Form::vtt) ==
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHallo -> Welt.\n\n"
        "01:02:03.045 --> 01:02:05.500\nJa.\n\n");
  const auto verbose = parse_json(
      write_transcript(transcript, Form::verbose_json, {.segments = true, .words = true}));
  REQUIRE(verbose.ok());
  CHECK(verbose->find("language")->as_string() == "german");
  CHECK(verbose->find("segments")->size() == 2);
  CHECK(verbose->find("words")->as_array()[0].find("word")->as_string() == "Ja.");
}

}  // namespace
}  // namespace hearth::speech
