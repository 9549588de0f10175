#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "base/bytes.h"
#include "speech/audio.h"
#include "speech/forms.h"
#include "speech/rules.h"
#include "speech/test_support.h"

namespace hearth::speech {
namespace {

std::string chunk(std::string_view name, std::string body) {
  std::string text(name);
  for (int i = 0; i < 4; ++i) text += static_cast<char>(body.size() >> (8 * i) & 255);
  return text + body + std::string(body.size() % 2, '\0');
}
std::string number(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 255);
  return text;
}
std::string wav(int coding, int channels, int rate, int bits, std::string data) {
  return "RIFF" + number(0, 4) + "WAVE" +
         chunk("fmt ", number(static_cast<std::uint64_t>(coding), 2) +
                           number(static_cast<std::uint64_t>(channels), 2) +
                           number(static_cast<std::uint64_t>(rate), 4) + number(0, 6) +
                           number(static_cast<std::uint64_t>(bits), 2)) +
         chunk("LIST", "odd") + chunk("data", std::move(data));
}

TEST_CASE("WAV: each kind of number") {
  const float half = 0.5f;
  std::string real(4, '\0');
  std::memcpy(real.data(), &half, 4);
  const struct {
    const char* what;
    int coding, bits;
    std::string sample;
    float value;
  } rows[] = {
      {"8 bits", 1, 8, "\xC0", 0.5f},
      {"16 bits", 1, 16, std::string("\0\x40", 2), 0.5f},
      {"24 bits", 1, 24, std::string("\0\0\xC0", 3), -0.5f},
      {"32 bits", 1, 32, std::string("\0\0\0\x40", 4), 0.5f},
      {"floats", 3, 32, real, 0.5f},
      {"mu-law, loudest", 7, 8, std::string("\x80", 1), 32124 / 32768.0f},
      {"mu-law, silence", 7, 8, std::string("\xFF", 1), 0.0f},
      {"A-law, loudest", 6, 8, std::string("\xAA", 1), 32256 / 32768.0f},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    std::string data;
    for (int i = 0; i < 6; ++i) data += row.sample;
    const std::string file = wav(row.coding, 2, 16000, row.bits, data);
    const auto samples = read_audio(bytes_of(file));
    REQUIRE_MESSAGE(samples.ok(), samples.error().message());
    REQUIRE(samples->size() == 3);
    for (const float value : *samples) CHECK(value == doctest::Approx(row.value));
  }
}

TEST_CASE("what is no sound is refused, and the message says how") {
  const struct {
    const char* what;
    std::string file;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"empty", "", ErrorKind::corrupt, "empty"},
      {"text", "hello there, this is text", ErrorKind::unsupported, "WAV, FLAC"},
      {"m4a", std::string("\0\0\0\x20", 4) + "ftypM4A ", ErrorKind::unsupported, "ffmpeg"},
      {"webm", "\x1A\x45\xDF\xA3\x01", ErrorKind::unsupported, "WebM"},
      {"no data", "RIFF" + number(0, 4) + "WAVE" + chunk("LIST", "ab"), ErrorKind::corrupt,
       "no samples"},
      {"data first", "RIFF" + number(0, 4) + "WAVE" + chunk("data", "ab"), ErrorKind::corrupt,
       "before their format"},
      {"chunk past the end", "RIFF" + number(0, 4) + "WAVELIST" + number(1 << 30, 4),
       ErrorKind::corrupt, "offset 12"},
      {"no channels", wav(1, 0, 16000, 16, "abcd"), ErrorKind::unsupported, "0 channels"},
      {"rate 1", wav(1, 1, 1, 16, "abcd"), ErrorKind::unsupported, "samples a second"},
      {"a rate like no other", wav(1, 1, 383'983, 16, "abcd"), ErrorKind::unsupported, "odd rate"},
      {"ADPCM", wav(2, 1, 16000, 4, "abcd"), ErrorKind::unsupported, "coding 2"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = read_audio(bytes_of(row.file));
    REQUIRE_FALSE(got.ok());
    CHECK(got.error().kind() == row.kind);
    CHECK_MESSAGE(got.error().message().find(row.says) != std::string::npos, got.error().message());
  }
  const std::string file = wav_file(std::vector<std::int16_t>(16000 * 3));
  const auto long_one = read_audio(bytes_of(file), {.seconds = 2});
  REQUIRE_FALSE(long_one.ok());
  CHECK(long_one.error().kind() == ErrorKind::too_long);
}

TEST_CASE("another rate keeps tones and lengths") {
  for (const std::uint32_t rate : {8000u, 11025u, 22050u, 44100u, 48000u, 96000u}) {
    CAPTURE(rate);
    std::vector<std::int16_t> sound;
    for (std::uint32_t i = 0; i < rate; ++i)
      sound.push_back(static_cast<std::int16_t>(
          10000 * std::sin(2 * std::numbers::pi * 440 * i / static_cast<double>(rate))));
    const std::string file = wav_file(sound, rate, 2);
    const auto samples = read_audio(bytes_of(file));
    REQUIRE(samples.ok());
    CHECK(samples->size() == 16000);
    double most = 0;
    for (std::size_t i = 500; i < 15500; ++i)
      most = std::max(
          most, std::abs(10000 / 32768.0 *
                             std::sin(2 * std::numbers::pi * 440 * static_cast<double>(i) / 16000) -
                         static_cast<double>((*samples)[i])));
    CHECK(most < 1e-3);
  }
  // What the lower rate cannot hold is gone.
  std::vector<std::int16_t> high;
  for (int i = 0; i < 48000; ++i)
    high.push_back(
        static_cast<std::int16_t>(10000 * std::sin(2 * std::numbers::pi * 12000 * i / 48000.0)));
  const std::string file = wav_file(high, 48000);
  const auto samples = read_audio(bytes_of(file));
  REQUIRE(samples.ok());
  for (std::size_t i = 500; i < 15500; ++i) REQUIRE(std::abs((*samples)[i]) < 1e-3f);
}

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
