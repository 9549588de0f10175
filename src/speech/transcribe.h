// Transcribe: recordings of any length become text with times.
// Source: Radford et al. 2022, section 4.5; openai/whisper, transcribe.py.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "speech/whisper.h"

namespace hearth::speech {

struct TranscribeOptions {
  std::string language;    // code or name; empty: the one that is heard
  bool translate = false;  // into English
  bool timestamps = true;  // the model writes them; without, windows follow one another blindly
  bool words = false;      // times of words
  bool condition_on_text = true;  // each window is read on after the text of the last
  std::string prompt;             // what the recording is about, and how words are spelt
  // Tried in this order, until what was written neither repeats itself nor is unlikely.
  std::vector<float> temperatures{0.0f, 0.2f, 0.4f, 0.6f, 0.8f, 1.0f};
  double max_compression = 2.4, min_log_probability = -1, no_speech = 0.6;
  std::uint64_t seed = 0;
  std::uint32_t window_tokens = 0;  // at most, of one window; 0: half of what the model can hold
};

struct Word {
  std::string text;  // with the space before it
  double start = 0, end = 0;
  double probability = 0;
};

struct Segment {
  std::uint32_t id = 0;
  std::uint32_t seek_frames = 0;  // of its window, in 10 ms
  double start = 0, end = 0;      // seconds
  std::string text = {};
  std::vector<Token> tokens = {};
  float temperature = 0;
  double log_probability = 0, compression = 0, no_speech = 0;
  std::vector<Word> words = {};
};

struct Transcript {
  std::string language;  // code
  double seconds = 0;    // of the recording
  std::string text;
  std::vector<Segment> segments;
  std::int64_t tokens = 0;  // written
};

struct TranscribeHooks {
  std::function<void(const Segment&)> segment = {};  // as soon as it is known
  std::function<void(double share)> progress = {};   // of the recording
  std::stop_token stop = {};
};

// samples: one channel, sample_rate a second.  Errors: invalid (the language), cancelled.
Result<Transcript> transcribe(ops::Context& ctx, const Whisper& model,
                              std::span<const float> samples, const TranscribeOptions& options = {},
                              const TranscribeHooks& hooks = {});

// Times of the words of some segments of one window, which was heard.  `frames`: of sound in it.
Status add_word_times(ops::Context& ctx, const Whisper& model, Window& window,
                      std::span<const Token> beginning, std::string_view language,
                      std::uint32_t frames, std::span<Segment> segments);

}  // namespace hearth::speech
