#include "speech/forms.h"

#include <fmt/core.h>

#include <cmath>

namespace hearth::speech {
namespace {

struct FormRow {
  Form form;
  std::string_view name, content_type;
};
constexpr FormRow rows[] = {
    {Form::text, "text", "text/plain; charset=utf-8"},
    {Form::srt, "srt", "text/plain; charset=utf-8"},
    {Form::vtt, "vtt", "text/vtt; charset=utf-8"},
    {Form::json, "json", "application/json"},
    {Form::verbose_json, "verbose_json", "application/json"},
};

// "00:01:02,345"
std::string clock_time(double seconds, char point) {
  const auto ms = std::llround(std::max(seconds, 0.0) * 1000);
  return fmt::format("{:02}:{:02}:{:02}{}{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60,
                     point, ms % 1000);
}

// Times are multiples of 10 ms: no digits of sums of fractions.
double rounded(double seconds) { return std::round(seconds * 1000) / 1000; }

Json segment_json(const Segment& segment) {
  Json tokens = Json::array();
  for (const Token id : segment.tokens) tokens.push_back(id);
  return Json::object({{"id", segment.id},
                       {"seek", segment.seek_frames},
                       {"start", rounded(segment.start)},
                       {"end", rounded(segment.end)},
                       {"text", segment.text},
                       {"tokens", std::move(tokens)},
                       {"temperature", segment.temperature},
                       {"avg_logprob", segment.log_probability},
                       {"compression_ratio", segment.compression},
                       {"no_speech_prob", segment.no_speech}});
}

Json word_json(const Word& word) {
  return Json::object({{"word", without_spaces(word.text)},
                       {"start", rounded(word.start)},
                       {"end", rounded(word.end)},
                       {"probability", word.probability}});
}

}  // namespace

std::optional<Form> form_named(std::string_view name) {
  for (const FormRow& row : rows)
    if (row.name == name) return row.form;
  return std::nullopt;
}

std::string_view content_type_of(Form form) {
  for (const FormRow& row : rows)
    if (row.form == form) return row.content_type;
  return "";
}

std::string_view without_spaces(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

Json transcript_json(const Transcript& transcript, const FormOptions& options) {
  const Language* language = find_language(transcript.language);
  Json answer = Json::object({{"task", options.translated ? "translate" : "transcribe"},
                              {"language", language != nullptr ? language->name : ""},
                              {"duration", rounded(transcript.seconds)},
                              {"text", without_spaces(transcript.text)}});
  if (options.segments) {
    Json list = Json::array();
    for (const Segment& segment : transcript.segments) list.push_back(segment_json(segment));
    answer.set("segments", std::move(list));
  }
  if (options.words) {
    Json list = Json::array();
    for (const Segment& segment : transcript.segments)
      for (const Word& word : segment.words) list.push_back(word_json(word));
    answer.set("words", std::move(list));
  }
  return answer;
}

std::string_view subtitle_head(Form form) { return form == Form::vtt ? "WEBVTT\n\n" : ""; }

std::string subtitle(const Segment& segment, Form form, std::size_t number) {
  const char point = form == Form::srt ? ',' : '.';
  // An arrow would end the text.
  std::string text;
  for (const char c : without_spaces(segment.text))
    if (c != '>' || !text.ends_with("--"))
      text += c;
    else
      text.back() = '>';
  return fmt::format("{}{} --> {}\n{}\n\n",
                     form == Form::srt ? fmt::format("{}\n", number) : std::string(),
                     clock_time(segment.start, point), clock_time(segment.end, point), text);
}

std::string write_transcript(const Transcript& transcript, Form form, const FormOptions& options) {
  if (form == Form::text) return std::string(without_spaces(transcript.text)) + "\n";
  if (form == Form::json)
    return write_json(Json::object({{"text", without_spaces(transcript.text)}}));
  if (form == Form::verbose_json) return write_json(transcript_json(transcript, options));
  std::string out(subtitle_head(form));
  for (std::size_t i = 0; i < transcript.segments.size(); ++i)
    out += subtitle(transcript.segments[i], form, i + 1);
  return out;
}

}  // namespace hearth::speech
