// SampleSink: takes interleaved samples of any rate and keeps them as one channel of the wanted
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "formats/sound/sound.h"

namespace hearth {

// Turns samples of one rate into those of another.
class Resampler {
 public:
  Resampler(std::uint32_t from, std::uint32_t to);

  void push(std::span<const float> samples, std::vector<float>& out);
  void finish(std::vector<float>& out);

 private:
  std::size_t phases_, advance_;  // `advance_ / phases_` samples in are one out
  std::size_t reach_;             // samples on either side that count
  std::vector<float> taps_;       // [phases][2 * reach]
  std::vector<float> held_;       // the last samples, from `held_from_` on
  std::int64_t held_from_;        // may lie before the first
  std::uint64_t made_ = 0, pushed_ = 0;
};

class SampleSink {
 public:
  // Errors: unsupported (channels, rate).
  static Result<SampleSink> create(std::uint32_t rate, std::uint32_t channels,
                                   const SoundOptions& options);
  // Whole frames.  Errors: too_long.
  Status push(std::span<const float> interleaved);
  std::vector<float> finish();

  std::uint32_t channels() const { return channels_; }

 private:
  SampleSink(std::uint32_t channels, std::uint64_t most_frames, Resampler resampler)
      : channels_(channels), most_frames_(most_frames), resampler_(std::move(resampler)) {}

  std::uint32_t channels_;
  std::uint64_t most_frames_, frames_ = 0;
  Resampler resampler_;
  std::vector<float> mono_, samples_;
};

// RIFF and RF64, straight from the bytes.  Errors: corrupt, unsupported.
bool is_wav(std::span<const std::byte> file);
Result<std::vector<float>> read_wav(std::span<const std::byte> file, const SoundOptions& options);

// Through libsndfile, which is loaded with the first such file.
Result<std::vector<float>> read_with_sndfile(std::span<const std::byte> file,
                                             const SoundOptions& options);

}  // namespace hearth
