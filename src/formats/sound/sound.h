// Sounds: files as samples of one channel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace hearth {

struct SoundOptions {
  std::uint32_t rate = 0;  // samples a second of the result; 0: those of the file
  double seconds =
      2 * 3600;  // at most; far above what is said in one go: it bounds memory and time
};

// WAV of any numbers; FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU and CAF through libsndfile.  Full
// scale is -1 to 1, several channels become their mean.  Errors: unsupported (which kind of file it
// is, and what helps), corrupt, too_long.
Result<std::vector<float>> read_sound(std::span<const std::byte> file, const SoundOptions& options);

// By the first bytes: what read_sound reads, or refuses by its name.
bool looks_like_sound(std::span<const std::byte> file);

}  // namespace hearth
