#include "speech/test_support.h"

#include <cstdlib>

namespace hearth::speech {

std::vector<std::int16_t> test_sound(double seconds, std::int64_t seed) {
  std::vector<std::int16_t> sound;
  std::int64_t state = seed, phase = 0;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(seconds * 16000); ++i) {
    state = (state * 1103515245 + 12345) % (std::int64_t{1} << 31);
    const std::int64_t note = 200 + 37 * ((i / 4000 + seed) % 23) + i % 4000 / 40;
    phase = (phase + note) % 16000;
    const std::int64_t triangle = std::abs(phase - 8000) - 4000;
    const bool is_loud = (i / 16000 + seed) % 5 != 0;
    sound.push_back(
        static_cast<std::int16_t>((is_loud ? triangle : 0) + (state >> 16) % 401 - 200));
  }
  return sound;
}

std::vector<float> as_floats(const std::vector<std::int16_t>& sound) {
  std::vector<float> floats;
  for (const std::int16_t value : sound) floats.push_back(static_cast<float>(value) / 32768.0f);
  return floats;
}

std::string wav_file(const std::vector<std::int16_t>& sound, std::uint32_t rate,
                     std::uint16_t channels) {
  std::string file;
  const auto put = [&](std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) file += static_cast<char>(value >> (8 * i) & 255);
  };
  const std::uint64_t bytes = 2 * sound.size() * channels;
  file += "RIFF";
  put(36 + bytes, 4);
  file += "WAVEfmt ";
  put(16, 4);
  put(1, 2);
  put(channels, 2);
  put(rate, 4);
  put(std::uint64_t{rate} * channels * 2, 4);
  put(std::uint64_t{channels} * 2, 2);
  put(16, 2);
  file += "data";
  put(bytes, 4);
  for (const std::int16_t value : sound)
    for (int c = 0; c < channels; ++c) put(static_cast<std::uint16_t>(value), 2);
  return file;
}

}  // namespace hearth::speech
