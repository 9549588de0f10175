#include "library/transcriber.h"

#include <fmt/core.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace hearth {
namespace {

Error hears_only(const std::string& name) {
  return Error(ErrorKind::unsupported,
               fmt::format("{} writes down what is said and holds no conversation: `hearth "
                           "transcribe FILE --model {}`, or POST /v1/audio/transcriptions",
                           name, name));
}

Error hears_nothing(const std::string& name) {
  return Error(
      ErrorKind::unsupported,
      fmt::format("{}: no speech-to-text model that runs here: it takes one like Whisper", name));
}

class TranscriberRunner final : public Runner {
 public:
  TranscriberRunner(std::shared_ptr<const Model> model, const speech::Whisper& whisper,
                    const kernels::Kernels& kernels, std::shared_ptr<ThreadPool> threads,
                    const RunnerOptions& options)
      : model_(std::move(model)),
        whisper_(whisper),
        threads_(std::move(threads)),
        context_{
            .kernels = &kernels, .pool = threads_.get(), .deterministic = options.deterministic},
        max_queued_(options.max_queued) {
    stats_.state_bytes_total = recordings_at_once * whisper_.window_bytes();
  }

  Result<speech::Transcript> transcribe(std::span<const float> samples,
                                        const speech::TranscribeOptions& options,
                                        const speech::TranscribeHooks& hooks) {
    TRY(begin(hooks.stop));
    const auto began = std::chrono::steady_clock::now();
    ops::Context ctx = context_;
    auto transcript = speech::transcribe(ctx, whisper_, samples, options, hooks);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    end(transcript, took.count());
    return transcript;
  }

  Status submit(GenerateRequest, OnEvent) override { return hears_only(model_->info().name); }
  Result<std::vector<std::vector<float>>> embed(std::span<const std::vector<Token>>,
                                                std::stop_token) override {
    return hears_only(model_->info().name);
  }
  const Model& model() const override { return *model_; }
  std::uint32_t context_tokens() const override { return model_->info().context_length; }
  RunnerStats stats() const override {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void drain() override {
    const std::lock_guard lock(mutex_);
    is_draining_ = true;
    changed_.notify_all();
  }
  void limit(const RunnerLimits& limits) override {
    const std::lock_guard lock(mutex_);
    max_queued_ = limits.max_queued;
  }

 private:
  // Waits for a turn.
  Status begin(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const auto has_room = [this] { return stats_.running < recordings_at_once; };
    if (!has_room() && stats_.queued >= max_queued_)
      return Error(ErrorKind::exhausted, fmt::format("{} recordings wait already", max_queued_));
    ++stats_.queued;
    changed_.wait(lock, stop, [&] { return is_draining_ || has_room(); });
    --stats_.queued;
    if (is_draining_) return Error(ErrorKind::unavailable, "the model takes no new recordings");
    if (stop.stop_requested()) {
      ++stats_.requests_cancelled;
      return Error(ErrorKind::cancelled, "transcribing was stopped");
    }
    ++stats_.running;
    stats_.state_bytes += whisper_.window_bytes();
    return Done{};
  }

  void end(const Result<speech::Transcript>& transcript, double seconds) {
    const std::lock_guard lock(mutex_);
    --stats_.running;
    stats_.state_bytes -= whisper_.window_bytes();
    stats_.busy_seconds += seconds;
    if (transcript) stats_.completion_tokens += static_cast<std::uint64_t>(transcript->tokens);
    const bool is_cancelled = !transcript && transcript.error().kind() == ErrorKind::cancelled;
    ++(transcript     ? stats_.requests_done
       : is_cancelled ? stats_.requests_cancelled
                      : stats_.requests_failed);
    changed_.notify_all();
  }

  const std::shared_ptr<const Model> model_;
  const speech::Whisper& whisper_;  // the same
  const std::shared_ptr<ThreadPool> threads_;
  const ops::Context context_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable_any changed_;
  RunnerStats stats_;
  std::uint32_t max_queued_;
  bool is_draining_ = false;
};

}  // namespace

const LocalModel* best_transcriber(const std::vector<LocalModel>& described) {
  const LocalModel* best = nullptr;
  for (const LocalModel& model : described) {
    if (model.facts.kind != name_of(ModelKind::transcriber) || !model.facts.problem.empty())
      continue;
    if (best == nullptr || model.facts.parameters > best->facts.parameters) best = &model;
  }
  return best;
}

Status check_transcribes(const LocalModel& model) {
  const ModelFacts facts = read_facts(model);
  if (facts.kind == name_of(ModelKind::transcriber) || !facts.problem.empty()) return Done{};
  return hears_nothing(model.name);
}

Status check_reads_text(const LoadedModel& loaded) {
  if (loaded.model().info().kind != ModelKind::transcriber) return Done{};
  return hears_only(loaded.id);
}

Status check_reads_text(const LocalModel& described) {
  if (described.facts.kind != name_of(ModelKind::transcriber)) return Done{};
  return hears_only(described.name);
}

Result<std::unique_ptr<Runner>> make_transcriber(std::shared_ptr<const Model> model,
                                                 const kernels::Kernels& kernels,
                                                 std::shared_ptr<ThreadPool> threads,
                                                 const RunnerOptions& options) {
  const auto* whisper = dynamic_cast<const speech::Whisper*>(model.get());
  if (whisper == nullptr) return hears_nothing(model->info().name);
  return std::unique_ptr<Runner>(std::make_unique<TranscriberRunner>(
      std::move(model), *whisper, kernels, std::move(threads), options));
}

Result<speech::Transcript> transcribe(const LoadedModel& loaded, std::span<const float> samples,
                                      const speech::TranscribeOptions& options,
                                      const speech::TranscribeHooks& hooks) {
  auto* runner = dynamic_cast<TranscriberRunner*>(loaded.runner.get());
  if (runner == nullptr) return hears_nothing(loaded.id);
  return runner->transcribe(samples, options, hooks);
}

}  // namespace hearth
