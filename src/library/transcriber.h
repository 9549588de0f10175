// Transcriber: a speech-to-text model among the others, loaded by the library and held by leases.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "library/library.h"
#include "library/local_models.h"
#include "speech/transcribe.h"

namespace hearth {

// Recordings that one model writes down at a time; further ones wait.
constexpr std::uint32_t recordings_at_once = 2;

// What a person gets who names none: the most capable one that is installed and runs.  nullptr:
// none.
const LocalModel* best_transcriber(const std::vector<LocalModel>& described);

// Errors: unsupported: the model, which can be read, is none.
Status check_transcribes(const LocalModel& model);

// Errors: unsupported: the model is one, told what it is for.
Status check_reads_text(const LoadedModel& loaded);
Status check_reads_text(const LocalModel& described);

// Counts what runs and takes turns; answers no prompts.  Of the options, the limits and
// `deterministic`.  The model: one of kind transcriber.
Result<std::unique_ptr<Runner>> make_transcriber(std::shared_ptr<const Model> model,
                                                 const kernels::Kernels& kernels,
                                                 std::shared_ptr<ThreadPool> threads,
                                                 const RunnerOptions& options);

// Blocks, in the queue too.  samples: one channel, speech::sample_rate a second.
// Errors: those of speech::transcribe, unsupported (the model is none), exhausted (queue full),
// unavailable (draining), cancelled.
Result<speech::Transcript> transcribe(const LoadedModel& loaded, std::span<const float> samples,
                                      const speech::TranscribeOptions& options,
                                      const speech::TranscribeHooks& hooks);

}  // namespace hearth
