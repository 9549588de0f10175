// Speech to text (Whisper) from C++: a thin layer over hearth.h.  C++17.  Failures are thrown as
// hearth::Failure.
#pragma once

#include <functional>

#include "hearth/hearth.hpp"

namespace hearth {

struct TranscribeOptions {
  std::string language;         // "de" or "german"; empty: it is heard
  std::string prompt;           // what it is about, words as they are spelt
  std::string format = "text";  // "srt", "vtt", "json", "verbose_json"
  bool translate = false;       // into English
  bool words = false;           // times of words (verbose_json)
};

// A speech-to-text model, ready to run.  Movable.
class Speech {
 public:
  explicit Speech(const std::string& reference, std::int32_t threads = 0)
      : speech_(open(reference, threads), hearth_speech_close) {}

  // Of a sound file.  `on_text`: told of each piece as it is understood; false: stop.
  std::string transcribe(const std::string& path, const TranscribeOptions& options = {},
                         const std::function<bool(std::string_view)>& on_text = {}) {
    Collected collected{{}, on_text};
    const hearth_transcribe_options raw = raw_of(options);
    detail::Check check;
    check(hearth_transcribe(speech_.get(), path.c_str(), &raw, take, &collected, &check.error));
    return collected.text;
  }
  // Of samples: one channel, 16,000 a second, -1 to 1.
  std::string transcribe(const std::vector<float>& samples, const TranscribeOptions& options = {},
                         const std::function<bool(std::string_view)>& on_text = {}) {
    Collected collected{{}, on_text};
    const hearth_transcribe_options raw = raw_of(options);
    detail::Check check;
    check(hearth_transcribe_samples(speech_.get(), samples.data(), samples.size(), &raw, take,
                                    &collected, &check.error));
    return collected.text;
  }

 private:
  struct Collected {
    std::string text;
    const std::function<bool(std::string_view)>& on_text;
  };
  static int take(const char* text, std::size_t size, void* user) {
    auto* collected = static_cast<Collected*>(user);
    collected->text.append(text, size);
    return collected->on_text && !collected->on_text(std::string_view(text, size)) ? 1 : 0;
  }

  static hearth_transcribe_options raw_of(const TranscribeOptions& options) {
    hearth_transcribe_options raw = HEARTH_TRANSCRIBE_OPTIONS_INIT;
    raw.language = options.language.empty() ? nullptr : options.language.c_str();
    raw.prompt = options.prompt.empty() ? nullptr : options.prompt.c_str();
    raw.format = options.format.c_str();
    raw.translate = options.translate ? 1 : 0;
    raw.words = options.words ? 1 : 0;
    return raw;
  }

  static hearth_speech* open(const std::string& reference, std::int32_t threads) {
    hearth_speech_options options = HEARTH_SPEECH_OPTIONS_INIT;
    options.threads = threads;
    detail::Check check;
    hearth_speech* speech = nullptr;
    check(hearth_speech_open(reference.c_str(), &options, &speech, &check.error));
    return speech;
  }

  std::unique_ptr<hearth_speech, void (*)(hearth_speech*)> speech_;
};

}  // namespace hearth
