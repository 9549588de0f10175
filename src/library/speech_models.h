// SpeechModels: speech-to-text models in memory, those used last.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/files.h"
#include "library/local_models.h"
#include "ops/context.h"
#include "speech/transcribe.h"

namespace hearth {

constexpr std::size_t most_speech_models = 2;
constexpr std::string_view speech_kind = "transcriber";  // ModelFacts::kind

// What a person gets who names none: the most capable one that is installed and runs.  nullptr:
// none.
const LocalModel* best_transcriber(const std::vector<LocalModel>& described);

// describe_package() for models of every task.
Result<ModelInfo> describe_any(const Package& package, std::optional<Dtype> kv_dtype = {});

// A model of another kind, told what it is for; nothing: it is no speech-to-text model.
std::optional<Error> why_not_for_text(const Package& package, const std::string& name);

struct SpeechLoadOrder {
  std::function<void(std::uint64_t bytes)> make_room = {};  // before so much is loaded
  std::function<void(double share)> progress = {};
  std::stop_token stop = {};
};

// Thread-safe: transcriptions share the threads.
class SpeechModels {
 public:
  // threads: 0: as many as there are cores to use.  kernels: as LibraryOptions.
  explicit SpeechModels(int threads, std::string kernels = "");
  ~SpeechModels();

  // From memory, or from its file.  Errors: unsupported (no speech-to-text model), those of
  // loading.
  Result<std::shared_ptr<const speech::Whisper>> open(const LocalModel& model,
                                                      const SpeechLoadOrder& order = {});
  // Errors: those of speech::transcribe.
  Result<speech::Transcript> transcribe(const speech::Whisper& model,
                                        std::span<const float> samples,
                                        const speech::TranscribeOptions& options,
                                        const speech::TranscribeHooks& hooks);

 private:
  struct Entry {
    std::string path;
    FileIdentity identity;
    std::shared_ptr<const speech::Whisper> model;
  };
  Result<ops::Context> context();
  std::shared_ptr<const speech::Whisper> find(const LocalModel& model);

  const int wanted_threads_;
  const std::string kernels_;
  std::mutex mutex_;                     // of what follows
  std::unique_ptr<ThreadPool> threads_;  // made with the first use
  std::vector<Entry> entries_;           // the one used last is last
  std::mutex loading_;                   // one at a time
};

}  // namespace hearth
