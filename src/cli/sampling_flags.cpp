#include "cli/sampling_flags.h"

#include <limits>

#include "server/parameters.h"

namespace hearth::cli {

Result<SamplingOptions> read_sampling(const Arguments& arguments,
                                      const SamplingOptions& recommended) {
  SamplingOptions sampling = recommended;
  const auto real = [&](std::string_view option, float& field, double min, double max) -> Status {
    field = static_cast<float>(TRY(arguments.real(option, static_cast<double>(field), min, max)));
    return Done{};
  };
  TRY(real("--temperature", sampling.temperature, 0, 2));
  TRY(real("--top-p", sampling.top_p, 0, 1));
  TRY(real("--min-p", sampling.min_p, 0, 1));
  TRY(real("--typical-p", sampling.typical_p, 0, 1));
  TRY(real("--repetition-penalty", sampling.repetition_penalty, 0.01, 10));
  TRY(real("--frequency-penalty", sampling.frequency_penalty, -2, 2));
  TRY(real("--presence-penalty", sampling.presence_penalty, -2, 2));
  TRY(real("--dry", sampling.dry_multiplier, 0, 10));
  sampling.top_k = static_cast<std::int32_t>(TRY(
      arguments.integer("--top-k", sampling.top_k, 0, std::numeric_limits<std::int32_t>::max())));
  sampling.mirostat =
      static_cast<int>(TRY(arguments.integer("--mirostat", sampling.mirostat, 0, 2)));
  if (arguments.has("--seed"))
    sampling.seed = static_cast<std::uint64_t>(
        TRY(arguments.integer("--seed", 0, 0, std::numeric_limits<std::int64_t>::max())));
  return sampling;
}

Result<GenerateRequest> read_request(const Arguments& arguments, const OpenModel& open) {
  const LoadedModel& model = *open.lease;
  auto asked = server::read_parameters(open.preset.fields, server::Dialect::chat,
                                       model.model().tokenizer().size(), model.standard_sampling());
  if (!asked.ok()) return Error(ErrorKind::invalid, std::move(asked).error().message);
  GenerateRequest request = std::move(asked).value().generate;
  request.sampling = TRY(read_sampling(arguments, request.sampling));
  request.max_tokens = TRY(
      arguments.integer("--max-tokens", asked.value().max_tokens.value_or(-1), 1, 1'000'000'000));
  if (arguments.has("--stop")) request.stop = arguments.all("--stop");
  request.ignore_end = arguments.has("--ignore-eos");
  return request;
}

}  // namespace hearth::cli
