// Audio: sound files as samples of one channel, 16,000 a second.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"

namespace hearth::speech {

constexpr std::size_t sample_rate = 16000;

// Far above what is said in one go: they bound memory and time.
struct AudioLimits {
  double seconds = 2 * 3600;
};

// WAV of any numbers; FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU and CAF through libsndfile.  Errors:
// unsupported (which kind of file it is, and what helps), corrupt, too_long.
Result<std::vector<float>> read_audio(std::span<const std::byte> file,
                                      const AudioLimits& limits = {});

}  // namespace hearth::speech
