// POST /v1/audio/transcriptions and /v1/audio/translations.
// Source: OpenAI API reference, "Create transcription", "Create translation".

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/sound/sound.h"
#include "library/transcriber.h"
#include "server/access/door.h"
#include "server/collections/multipart.h"
#include "server/reply.h"
#include "server/rows.h"
#include "speech/forms.h"

namespace hearth::server {
namespace {

using speech::Form;

constexpr std::string_view what_it_does = "write down what is said",
                           model_like = "one like Whisper";
constexpr std::size_t max_prompt_bytes = 16 << 10;
// What clients of OpenAI's service name by habit: the best model that is here answers.
constexpr std::string_view standard_names[] = {"", "default", "whisper-1", "gpt-4o-transcribe",
                                               "gpt-4o-mini-transcribe"};

struct Asked {
  std::string model;
  std::string_view file;  // points into the request's body
  Form form = Form::json;
  bool streams = false, wants_segments = false;
  speech::TranscribeOptions options;
};

Checked<bool> read_flag(const FormPart& part) {
  if (part.content == "true" || part.content == "1") return true;
  if (part.content == "false" || part.content == "0") return false;
  return invalid_value(part.name, "needs true or false");
}

Checked<double> read_temperature(std::string_view text) {
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() ||
      !(value >= 0 && value <= 1))
    return invalid_value("temperature", "needs a number from 0 to 1");
  return value;
}

Check read_granularity(std::string_view text, Asked& asked) {
  if (text == "word")
    asked.options.words = true;
  else if (text == "segment")
    asked.wants_segments = true;
  else
    return invalid_value("timestamp_granularities", "needs word or segment");
  return Done{};
}

Check read_field(const FormPart& part, Asked& asked) {
  if (part.name == "file") {
    asked.file = part.content;
    return Done{};
  }
  if (!is_utf8(part.content)) return invalid_value(printable(part.name), "is no UTF-8");
  if (part.name == "model") {
    asked.model = part.content;
  } else if (part.name == "language") {
    asked.options.language = part.content;
    if (!part.content.empty() && speech::find_language(part.content) == nullptr)
      return invalid_value("language", "needs a code like 'en'");
  } else if (part.name == "prompt") {
    if (part.content.size() > max_prompt_bytes) return invalid_value("prompt", "is too long");
    asked.options.prompt = part.content;
  } else if (part.name == "response_format") {
    const auto form = speech::form_named(part.content);
    if (!form) return invalid_value("response_format", fmt::format("needs {}", speech::form_names));
    asked.form = *form;
  } else if (part.name == "temperature") {
    const double temperature = TRY(read_temperature(part.content));
    // 0 is the service's own default: hotter tries where that fails.
    if (temperature > 0) asked.options.temperatures = {static_cast<float>(temperature)};
  } else if (part.name == "timestamp_granularities[]" || part.name == "timestamp_granularities") {
    TRY(read_granularity(part.content, asked));
  } else if (part.name == "stream") {
    asked.streams = TRY(read_flag(part));
  }
  return Done{};
}

Checked<Asked> read_request(const Call& call) {
  const std::string* type = call.request.header("content-type");
  Asked asked;
  for (const FormPart& part : TRY(parse_form(type ? *type : "", call.request.body)))
    TRY(read_field(part, asked));
  if (asked.file.data() == nullptr) return invalid_value("file", "is missing");
  if ((asked.options.words || asked.wants_segments) && asked.form != Form::verbose_json)
    return invalid_value("timestamp_granularities", "needs response_format verbose_json");
  if (asked.streams && asked.form != Form::json && asked.form != Form::text)
    return invalid_value("stream", "needs response_format json or text");
  asked.options.translate = call.endpoint->path.ends_with("translations");
  return asked;
}

bool has_transcriber(Service& service) {
  if (!service.installed) return false;
  const InstalledModels::List list = service.installed->list();
  return list && best_transcriber(*list) != nullptr;
}

Checked<LocalModel> find_transcriber(Service& service, const std::string& asked) {
  const std::string name = service.meant_by(asked);
  const InstalledModels::List list = service.installed->list();
  auto found = service.installed->find(name);
  const bool is_standard = std::ranges::find(standard_names, asked) != std::end(standard_names);
  const auto hears = [](const LocalModel& model) {
    return model.facts.kind == name_of(ModelKind::transcriber);
  };
  if (is_standard && !(found && hears(*found)))
    if (const LocalModel* best = best_transcriber(*list)) return *best;
  if (!found) return model_problem(asked, found.error());
  if (!hears(*found))
    return invalid_value("model", fmt::format("'{}' cannot {}", printable(asked), what_it_does));
  return *std::move(found);
}

Checked<Lease> open(Service& service, const Call& call, const std::string& asked) {
  const LocalModel found = TRY(find_transcriber(service, asked));
  AcquireOptions options;
  options.stop = call.responder->stop();
  return service.find_own_model(found.name, options);
}

std::string event_of(Json body) { return "data: " + write_json(body) + "\n\n"; }

Json usage_of(const speech::Transcript& transcript) {
  return Json::object({{"type", "duration"}, {"seconds", transcript.seconds}});
}

// One answer on its way out.
class Answering {
 public:
  Answering(Service& service, Call& call, const Asked& asked, const LoadedModel& model)
      : service_(service), call_(call), asked_(asked), model_(model) {}

  Check answer(std::span<const float> samples) {
    speech::TranscribeHooks hooks;
    hooks.stop = call_.responder->stop();
    if (asked_.streams) {
      begin_stream();
      hooks.segment = [this](const speech::Segment& segment) { write(segment); };
    }
    auto transcript = hearth::transcribe(model_, samples, asked_.options, hooks);
    if (call_.account) {
      call_.account->model = model_.id;
      if (transcript) call_.account->completion_tokens += transcript->tokens;
    }
    if (!asked_.streams) {
      if (!transcript) return Error(transcript.error());
      return send_whole(*transcript);
    }
    if (transcript)
      end_stream(*transcript);
    else
      fail_stream(to_problem(transcript.error()));
    return Done{};
  }

 private:
  Check send_whole(const speech::Transcript& transcript) {
    const bool segments = asked_.wants_segments || !asked_.options.words;
    std::string body = speech::write_transcript(transcript, asked_.form,
                                                {.translated = asked_.options.translate,
                                                 .segments = segments,
                                                 .words = asked_.options.words});
    if (asked_.form == Form::json || asked_.form == Form::verbose_json) {
      Json answer = TRY(parse_json(body));
      answer.set("usage", usage_of(transcript));
      body = write_json(answer);
    }
    send(service_, call_,
         http::Response{200,
                        {{"Content-Type", std::string(speech::content_type_of(asked_.form))}},
                        std::move(body)});
    return Done{};
  }

  void begin_stream() {
    http::StreamStart start;
    start.headers = {{"Content-Type", "text/event-stream"},
                     {"Cache-Control", "no-cache"},
                     {"X-Accel-Buffering", "no"}};
    for (http::Header& header : access_headers(call_)) start.headers.push_back(std::move(header));
    service_.metrics.count_answer(call_.endpoint->path, 200);
    if (call_.account) call_.account->status = 200;
    call_.responder->start_stream(std::move(start));
  }

  void write(const speech::Segment& segment) {
    std::string_view text = segment.text;
    if (is_first_) text = speech::without_spaces(text);
    is_first_ = false;
    call_.responder->write(
        event_of(Json::object({{"type", "transcript.text.delta"}, {"delta", text}})));
  }

  void end_stream(const speech::Transcript& transcript) {
    call_.responder->write(event_of(Json::object({{"type", "transcript.text.done"},
                                                  {"text", speech::without_spaces(transcript.text)},
                                                  {"usage", usage_of(transcript)}})));
    call_.responder->finish();
  }

  void fail_stream(const Problem& problem) {
    call_.responder->write("data: " + http::error_json(problem) + "\n\n");
    call_.responder->finish();
  }

  Service& service_;
  Call& call_;
  const Asked& asked_;
  const LoadedModel& model_;
  bool is_first_ = true;
};

Check transcribe(Service& service, Call& call) {
  const Asked asked = TRY(read_request(call));
  const Workers::Aside aside;  // it computes on threads of its own
  auto samples = read_sound(bytes_of(asked.file), {.rate = speech::sample_rate});
  if (!samples) {
    Problem problem = to_problem(samples.error());
    problem.status = 400;
    problem.code = "invalid_value";
    problem.message = fmt::format("file: {}", samples.error().message());
    problem.param = "file";
    return problem;
  }
  const Lease lease = TRY(open(service, call, asked.model));
  return Answering(service, call, asked, *lease).answer(*samples);
}

void handle(Service& service, Call call) {
  if (!has_transcriber(service)) {
    const bool translates = call.endpoint->path.ends_with("translations");
    return send_unable(service, call, translates ? "translate what is said" : what_it_does,
                       model_like);
  }
  Check done = transcribe(service, call);
  if (!done.ok()) send(service, call, std::move(done).error());
}

constexpr Endpoint rows[] = {
    {"POST", "/v1/audio/transcriptions",
     "Write down what is said (multipart/form-data: file, model, language, response_format; 501 "
     "without a Whisper model).",
     Scope::chat, "", "Transcription", Endpoint::Place::worker, handle},
    {"POST", "/v1/audio/translations",
     "Write down in English what is said in another language (501 without a Whisper model).",
     Scope::chat, "", "Transcription", Endpoint::Place::worker, handle},
};

}  // namespace

std::span<const Endpoint> transcription_rows() { return rows; }

}  // namespace hearth::server
