// Sound files: each kind of number, other rates, and what is refused.
#include "formats/sound/sound.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numbers>
#include <string>

#include "base/bytes.h"

namespace hearth {
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

constexpr SoundOptions at_16k{.rate = 16000};

// 16-bit samples, the same for each channel.
std::string wav_file(const std::vector<std::int16_t>& sound, int rate = 16000, int channels = 1) {
  std::string data;
  for (const std::int16_t value : sound)
    for (int i = 0; i < channels; ++i) data += number(static_cast<std::uint16_t>(value), 2);
  return wav(1, channels, rate, 16, std::move(data));
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
    const auto samples = read_sound(bytes_of(file), at_16k);
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
    const auto got = read_sound(bytes_of(row.file), at_16k);
    REQUIRE_FALSE(got.ok());
    CHECK(got.error().kind() == row.kind);
    CHECK_MESSAGE(got.error().message().find(row.says) != std::string::npos, got.error().message());
  }
  const std::string file = wav_file(std::vector<std::int16_t>(16000 * 3));
  const auto long_one = read_sound(bytes_of(file), {.rate = 16000, .seconds = 2});
  REQUIRE_FALSE(long_one.ok());
  CHECK(long_one.error().kind() == ErrorKind::too_long);
}

TEST_CASE("another rate keeps tones and lengths") {
  for (const int rate : {8000, 11025, 22050, 44100, 48000, 96000}) {
    CAPTURE(rate);
    std::vector<std::int16_t> sound;
    for (int i = 0; i < rate; ++i)
      sound.push_back(static_cast<std::int16_t>(
          10000 * std::sin(2 * std::numbers::pi * 440 * i / static_cast<double>(rate))));
    const std::string file = wav_file(sound, rate, 2);
    const auto samples = read_sound(bytes_of(file), at_16k);
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
  const auto samples = read_sound(bytes_of(file), at_16k);
  REQUIRE(samples.ok());
  for (std::size_t i = 500; i < 15500; ++i) REQUIRE(std::abs((*samples)[i]) < 1e-3f);
}

TEST_CASE("a file keeps its own rate, or is brought to any other") {
  const std::string file = wav_file(std::vector<std::int16_t>(22050, 1000), 22050);
  CHECK(read_sound(bytes_of(file), {})->size() == 22050);
  CHECK(read_sound(bytes_of(file), {.rate = 44100})->size() == 44100);
  const auto refused = read_sound(bytes_of(file), {.rate = 100});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message() == "100 samples a second wanted: needs 4000 to 384000");
}

TEST_CASE("sounds are told by their first bytes") {
  CHECK(looks_like_sound(bytes_of(wav_file({1, 2}))));
  for (const char* begin : {"fLaC", "OggS", "ID3", "\xFF\xFB", "FORM", "#!AMR\n"})
    CHECK(looks_like_sound(bytes_of(std::string_view(begin))));
  for (const char* begin : {"", "\x89PNG", "P6\n", "text"})
    CHECK_FALSE(looks_like_sound(bytes_of(std::string_view(begin))));
}

}  // namespace
}  // namespace hearth
