// The part of the C API that writes down what is said.
#include <fmt/core.h>

#include "api/handles.h"
#include "formats/sound/sound.h"
#include "library/resolve.h"
#include "library/transcriber.h"
#include "speech/forms.h"

struct hearth_speech {
  std::unique_ptr<hearth::Library> library;
  hearth::Lease model;
};

namespace hearth {
namespace {

using speech::Form;

Result<std::unique_ptr<hearth_speech>> open(const char* reference,
                                            const hearth_speech_options& options) {
  LibraryOptions wanted;
  wanted.threads = options.threads;
  wanted.kernels = options.kernels ? options.kernels : "";
  const LocalModel found = TRY(find_model(reference, wanted.folders));
  TRY(check_transcribes(found));
  auto made = std::make_unique<hearth_speech>();
  made->library = TRY(Library::create(wanted));
  made->model = TRY(made->library->acquire(found.path));
  return made;
}

// Says so when the receiver wants no more.
struct Receiver {
  hearth_on_text on_text;
  void* user;
  std::stop_source stop = {};

  void give(std::string_view text) {
    if (!text.empty() && on_text(text.data(), text.size(), user) != 0) stop.request_stop();
  }
};

Status write_down(const LoadedModel& model, std::span<const float> samples,
                  const hearth_transcribe_options& options, Receiver receiver) {
  speech::TranscribeOptions wanted;
  wanted.language = options.language ? options.language : "";
  wanted.prompt = options.prompt ? options.prompt : "";
  wanted.translate = options.translate != 0;
  wanted.words = options.words != 0;
  const auto form = speech::form_named(options.format ? options.format : "text");
  if (!form)
    return Error(ErrorKind::invalid,
                 fmt::format("format '{}': needs {}", options.format, speech::form_names));
  const bool is_whole = *form == Form::json || *form == Form::verbose_json;
  speech::TranscribeHooks hooks;
  hooks.stop = receiver.stop.get_token();
  std::size_t shown = 0;
  if (!is_whole)
    hooks.segment = [&](const speech::Segment& segment) {
      if (*form == Form::text)
        receiver.give(shown == 0 ? speech::without_spaces(segment.text) : segment.text);
      else
        receiver.give(speech::subtitle(segment, *form, shown + 1));
      ++shown;
    };
  if (!is_whole) receiver.give(speech::subtitle_head(*form));
  const auto transcript = TRY(transcribe(model, samples, wanted, hooks));
  if (is_whole)
    receiver.give(speech::write_transcript(
        transcript, *form,
        {.translated = wanted.translate, .segments = true, .words = wanted.words}));
  return Done{};
}

Status write_down(const LoadedModel& model, const char* path,
                  const hearth_transcribe_options& options, Receiver receiver) {
  const auto file = TRY(MappedFile::open(path));
  auto samples = read_sound(file->bytes(), {.rate = speech::sample_rate});
  if (!samples) return std::move(samples).error().within(path);
  return write_down(model, *samples, options, std::move(receiver));
}

}  // namespace
}  // namespace hearth

using namespace hearth;

hearth_status hearth_speech_open(const char* reference, const hearth_speech_options* options,
                                 hearth_speech** speech, hearth_error* error) {
  if (!reference || !speech)
    return report(error, HEARTH_INVALID, "hearth_speech_open: a NULL argument");
  auto opened =
      open(reference, complete(options, hearth_speech_options HEARTH_SPEECH_OPTIONS_INIT));
  if (!opened) return report(error, opened.error());
  *speech = opened->release();
  return HEARTH_OK;
}

void hearth_speech_close(hearth_speech* speech) { delete speech; }

hearth_status hearth_transcribe(hearth_speech* speech, const char* path,
                                const hearth_transcribe_options* options, hearth_on_text on_text,
                                void* user, hearth_error* error) {
  if (!speech || !path || !on_text)
    return report(error, HEARTH_INVALID, "hearth_transcribe: a NULL argument");
  const auto wanted = complete(options, hearth_transcribe_options HEARTH_TRANSCRIBE_OPTIONS_INIT);
  const Status done = write_down(*speech->model, path, wanted, {on_text, user});
  return done.ok() ? HEARTH_OK : report(error, done.error());
}

hearth_status hearth_transcribe_samples(hearth_speech* speech, const float* samples, size_t count,
                                        const hearth_transcribe_options* options,
                                        hearth_on_text on_text, void* user, hearth_error* error) {
  if (!speech || (!samples && count > 0) || !on_text)
    return report(error, HEARTH_INVALID, "hearth_transcribe_samples: a NULL argument");
  const auto wanted = complete(options, hearth_transcribe_options HEARTH_TRANSCRIBE_OPTIONS_INIT);
  const Status done =
      write_down(*speech->model, std::span(samples, count), wanted, {on_text, user});
  return done.ok() ? HEARTH_OK : report(error, done.error());
}
