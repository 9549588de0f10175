// Log-mel spectrograms, what Whisper hears.
// Source: Radford et al. 2022, section 2.2; Slaney, "Auditory Toolbox", 1998.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace hearth::speech {

constexpr std::uint32_t sample_rate = 16000;  // of what Whisper hears
constexpr std::size_t hop_samples = 160;      // of one frame: 10 ms
constexpr std::size_t window_samples = 400;
constexpr std::size_t frames_per_second = 100;

struct Mel {
  std::size_t bins = 0;
  std::vector<float> values;  // [frames][bins]

  std::size_t frames() const { return bins == 0 ? 0 : values.size() / bins; }
};

// One frame for each whole hop.  Ends are mirrored; levels are cut 8 decades below the loudest of
// all frames.  Fewer samples than half a window give no frames.
Mel log_mel(ThreadPool& pool, std::span<const float> samples, std::size_t bins);

}  // namespace hearth::speech
