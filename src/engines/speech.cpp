// The speech engine: models that write down what is said.
#include <fmt/core.h>

#include "engines/engines.h"
#include "speech/whisper.h"

namespace hearth {
namespace {

Result<ModelInfo> describe_sound(const Package& package, std::optional<Dtype>) {
  return speech::describe_whisper(package);
}

Result<EngineFit> fit(const ops::Context&, const Package& package) {
  const ModelInfo info = TRY(speech::describe_whisper(package));
  return EngineFit{.score = 1, .why = "an encoder of sound", .bytes = info.weight_bytes};
}

Result<std::shared_ptr<const Model>> load(ops::Context& ctx, const Package& package,
                                          const LoadOptions& options) {
  std::shared_ptr<const Model> model = TRY(speech::Whisper::load(
      ctx, package, {.kv_dtype = {}, .progress = options.progress, .stop = options.stop}));
  return model;
}

}  // namespace

extern const Engine speech_engine;
const Engine speech_engine{.name = "speech",
                           .summary = "Whisper: speech to text, on this processor",
                           .reads = speech::is_whisper,
                           .fit = fit,
                           .describe = describe_sound,
                           .load = load};

}  // namespace hearth
