// hearth transcribe: recordings to text, subtitles or JSON.
#include <fmt/core.h>

#include <chrono>

#include "base/bytes.h"
#include "base/files.h"
#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "formats/sound/sound.h"
#include "library/transcriber.h"
#include "speech/forms.h"

namespace hearth::cli {
namespace {

using speech::Form;

constexpr std::string_view standard_model = "whisper-base";
constexpr double most_seconds = 12 * 3600;

Result<LocalModel> chosen_model(App& app, const Arguments& arguments) {
  if (arguments.has("--model")) return find_named(app, arguments, arguments.text("--model"));
  const LibraryContext context = TRY(library_context(arguments));
  std::vector<LocalModel> models = find_local_models(context.folders);
  describe_local_models(context.folders, models);
  if (const LocalModel* best = best_transcriber(models)) return *best;
  return find_named(app, arguments, std::string(standard_model));
}

struct Wanted {
  speech::TranscribeOptions options;
  Form form = Form::text;
  std::string folder;  // for files of the same names; empty: standard output
};

Result<Wanted> read_wanted(const Arguments& arguments) {
  Wanted wanted;
  wanted.options.language = arguments.text("--language");
  if (!wanted.options.language.empty() && speech::find_language(wanted.options.language) == nullptr)
    return Error(ErrorKind::invalid, fmt::format("--language '{}': needs one like 'en' or 'german'",
                                                 wanted.options.language));
  wanted.options.translate = arguments.has("--translate");
  wanted.options.words = arguments.has("--words");
  wanted.options.prompt = arguments.text("--prompt");
  wanted.options.condition_on_text = !arguments.has("--no-context");
  if (arguments.has("--temperature"))
    wanted.options.temperatures = {
        static_cast<float>(TRY(arguments.real("--temperature", 0, 0, 1)))};
  const std::string name =
      arguments.text("--format", arguments.has("--words") ? "verbose_json" : "text");
  const auto form = speech::form_named(name);
  if (!form)
    return Error(ErrorKind::invalid,
                 fmt::format("--format '{}': needs {}", name, speech::form_names));
  wanted.form = arguments.has("--json") ? Form::verbose_json : *form;
  wanted.folder = arguments.text("--output");
  return wanted;
}

std::string_view ending_of(Form form) {
  switch (form) {
    case Form::text:
      return ".txt";
    case Form::srt:
      return ".srt";
    case Form::vtt:
      return ".vtt";
    case Form::json:
    case Form::verbose_json:
      return ".json";
  }
  return "";
}

// A person reads along; a program gets the whole.
bool shows_live(const App& app, const Wanted& wanted) {
  const bool is_lines =
      wanted.form == Form::text || wanted.form == Form::srt || wanted.form == Form::vtt;
  return is_lines && wanted.folder.empty() && app.out.is_terminal();
}

std::string live_text(const speech::Segment& segment, Form form, std::size_t number) {
  if (form == Form::text) return std::string(speech::without_spaces(segment.text)) + "\n";
  return speech::subtitle(segment, form, number);
}

Status give_out(App& app, const Arguments& arguments, const Wanted& wanted, const std::string& path,
                const speech::Transcript& transcript, double seconds) {
  const speech::FormOptions how{
      .translated = wanted.options.translate, .segments = true, .words = wanted.options.words};
  if (arguments.has("--json") && wanted.folder.empty()) {
    Json answer = speech::transcript_json(transcript, how);
    answer.set("file", path);
    answer.set("seconds", seconds);
    app.out.json(answer);
    return Done{};
  }
  const std::string text = speech::write_transcript(transcript, wanted.form, how);
  if (wanted.folder.empty()) {
    app.out.text(text);
    if (!text.ends_with('\n')) app.out.line("");
    return Done{};
  }
  std::string name = file_name(path);
  if (const auto dot = name.rfind('.'); dot != name.npos && dot > 0) name.resize(dot);
  name = join_path(wanted.folder, name + std::string(ending_of(wanted.form)));
  TRY(replace_file(name, bytes_of(text)));
  app.out.remark(fmt::format("{}: written in {}", name, readable_seconds(seconds)));
  return Done{};
}

Status transcribe_file(App& app, const Arguments& arguments, const LoadedModel& model,
                       const Wanted& wanted, const std::string& path) {
  const auto file = TRY(MappedFile::open(path));
  auto samples = read_sound(file->bytes(), {.rate = speech::sample_rate, .seconds = most_seconds});
  if (!samples) return std::move(samples).error().within(path);
  if (arguments.count() > 1 && wanted.folder.empty() && !arguments.has("--json"))
    app.out.remark(fmt::format("== {}", path));
  const InterruptScope interrupts;
  const bool live = shows_live(app, wanted);
  speech::TranscribeHooks hooks;
  hooks.stop = interrupts.token();
  std::size_t shown = 0;
  if (live && wanted.form == Form::vtt) app.out.text(speech::subtitle_head(wanted.form));
  if (live)
    hooks.segment = [&](const speech::Segment& segment) {
      app.out.text(live_text(segment, wanted.form, ++shown));
    };
  else
    hooks.progress = [&](double share) { app.out.progress("transcribing", share); };
  const auto began = std::chrono::steady_clock::now();
  auto transcript = transcribe(model, *samples, wanted.options, hooks);
  app.out.progress_done();
  if (!transcript) return std::move(transcript).error();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  if (!live) return give_out(app, arguments, wanted, path, *transcript, took.count());
  if (transcript->segments.empty()) app.out.remark("nothing is said");
  app.out.line(app.out.dim(fmt::format("{} of {} in {}", readable_seconds(transcript->seconds),
                                       transcript->language, readable_seconds(took.count()))));
  return Done{};
}

Status run(App& app, const Arguments& arguments) {
  const Wanted wanted = TRY(read_wanted(arguments));
  for (const std::string& path : arguments.positional())
    if (!is_file(path)) return Error(ErrorKind::not_found, fmt::format("{}: no such file", path));
  const LocalModel model = TRY(chosen_model(app, arguments));
  TRY(check_transcribes(model));
  const OpenModel open = TRY(open_model(app, arguments, model.path));
  for (const std::string& path : arguments.positional())
    TRY(transcribe_file(app, arguments, *open.lease, wanted, path));
  return Done{};
}

constexpr Option options[] = {
    {"--model", "MODEL",
     "A speech-to-text model (Whisper); left out: the largest that is installed."},
    {"--language", "LANGUAGE", "What is spoken, 'de' or 'german'; left out: it is heard."},
    {"--translate", "", "Write it in English."},
    {"--format", "FORM", "text, srt, vtt, json or verbose_json."},
    {"--words", "", "Times of words too (verbose_json)."},
    {"--prompt", "TEXT", "What it is about: names and words as they are spelt."},
    {"--temperature", "T", "Only this one, 0 to 1; left out: 0, and higher ones where that fails."},
    {"--no-context", "", "Read each 30 s without the text before: fewer repetitions, less style."},
    {"--output", "FOLDER", "Write NAME.srt and so on there, one for each FILE."},
};

}  // namespace

const Command transcribe_command{
    .name = "transcribe",
    .arguments = "FILE...",
    .summary = "Write down what is said in recordings.",
    .details =
        "FILE is WAV, FLAC, Ogg (Opus, Vorbis) or MP3.  Runs here: no sound leaves the machine.\n\n"
        "  hearth transcribe talk.mp3 --format srt --output .\n"
        "  hearth transcribe call.wav --language de --translate --model whisper-small",
    .options = options,
    .run = run};

}  // namespace hearth::cli
