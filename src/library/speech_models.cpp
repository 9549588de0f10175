#include "library/speech_models.h"

#include <fmt/core.h>

#include <algorithm>

#include "engines/engines.h"
#include "hardware/cpu.h"
#include "kernels/select.h"

namespace hearth {

const LocalModel* best_transcriber(const std::vector<LocalModel>& described) {
  const LocalModel* best = nullptr;
  for (const LocalModel& model : described) {
    if (model.facts.kind != speech_kind || !model.facts.problem.empty()) continue;
    if (best == nullptr || model.facts.parameters > best->facts.parameters) best = &model;
  }
  return best;
}

Result<ModelInfo> describe_any(const Package& package, std::optional<Dtype> kv_dtype) {
  return speech::is_whisper(package) ? speech::describe_whisper(package)
                                     : describe_package(package, kv_dtype);
}

std::optional<Error> why_not_for_text(const Package& package, const std::string& name) {
  if (!speech::is_whisper(package)) return std::nullopt;
  return Error(ErrorKind::unsupported,
               fmt::format("{} writes down what is said and holds no conversation: `hearth "
                           "transcribe FILE --model {}`, or POST /v1/audio/transcriptions",
                           name, name));
}

SpeechModels::SpeechModels(int threads, std::string kernels)
    : wanted_threads_(threads), kernels_(std::move(kernels)) {}
SpeechModels::~SpeechModels() = default;

Result<ops::Context> SpeechModels::context() {
  ops::Context ctx;
  ctx.kernels = TRY(kernels::choose(kernels_));
  const std::lock_guard lock(mutex_);
  if (!threads_)
    threads_ = std::make_unique<ThreadPool>(wanted_threads_ > 0 ? wanted_threads_
                                                                : hardware::usable_cores());
  ctx.pool = threads_.get();
  return ctx;
}

std::shared_ptr<const speech::Whisper> SpeechModels::find(const LocalModel& model) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(entries_, model.path, &Entry::path);
  if (found == entries_.end()) return nullptr;
  if (found->identity == model.identity) {
    std::rotate(found, found + 1, entries_.end());
    return entries_.back().model;
  }
  entries_.erase(found);
  return nullptr;
}

Result<std::shared_ptr<const speech::Whisper>> SpeechModels::open(const LocalModel& model,
                                                                  const SpeechLoadOrder& order) {
  if (auto held = find(model)) return held;
  const std::lock_guard one_at_a_time(loading_);
  if (auto held = find(model)) return held;
  const Error not_one(ErrorKind::unsupported,
                      fmt::format("{}: no speech-to-text model that runs here: it takes one like "
                                  "Whisper",
                                  model.name));
  if (model.tool == "program") return not_one;  // a built-in one
  const Package package = TRY(open_package(model.path));
  if (!speech::is_whisper(package)) return not_one;
  const ModelInfo info = TRY(speech::describe_whisper(package));
  {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= most_speech_models) entries_.erase(entries_.begin());
  }
  if (order.make_room) order.make_room(info.weight_bytes);
  ops::Context ctx = TRY(context());
  auto loaded = TRY(speech::Whisper::load(
      ctx, package, {.kv_dtype = {}, .progress = order.progress, .stop = order.stop}));
  const std::lock_guard lock(mutex_);
  entries_.push_back({model.path, model.identity, loaded});
  return loaded;
}

Result<speech::Transcript> SpeechModels::transcribe(const speech::Whisper& model,
                                                    std::span<const float> samples,
                                                    const speech::TranscribeOptions& options,
                                                    const speech::TranscribeHooks& hooks) {
  ops::Context ctx = TRY(context());
  return speech::transcribe(ctx, model, samples, options, hooks);
}

}  // namespace hearth
