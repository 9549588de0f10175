// The forms in which a transcript is given out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "speech/transcribe.h"

namespace hearth::speech {

enum class Form { text, srt, vtt, json, verbose_json };
std::optional<Form> form_named(std::string_view name);
constexpr std::string_view form_names = "json, text, srt, verbose_json or vtt";
std::string_view content_type_of(Form form);

struct FormOptions {
  bool translated = false;
  bool segments = true, words = false;  // of verbose_json
};

// As OpenAI's API gives it.  Source: OpenAI API reference, "Create transcription"; WebVTT (W3C);
// SubRip.
std::string write_transcript(const Transcript& transcript, Form form,
                             const FormOptions& options = {});
Json transcript_json(const Transcript& transcript, const FormOptions& options);
// The part of a subtitle file that shows one segment; a file begins with subtitle_head().
std::string subtitle(const Segment& segment, Form form, std::size_t number);
std::string_view subtitle_head(Form form);
std::string_view without_spaces(std::string_view text);  // at both ends

}  // namespace hearth::speech
