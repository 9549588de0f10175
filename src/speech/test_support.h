// What tests and benches of speech share: sounds made of whole numbers, files made of sounds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hearth::speech {

// Notes that slide, with noise, 16,000 samples a second; as scripts/golden_whisper.py makes them.
std::vector<std::int16_t> test_sound(double seconds, std::int64_t seed);
std::vector<float> as_floats(const std::vector<std::int16_t>& sound);

// A WAV file of 16-bit samples, the same for each channel.
std::string wav_file(const std::vector<std::int16_t>& sound, std::uint32_t rate = 16000,
                     std::uint16_t channels = 1);

}  // namespace hearth::speech
