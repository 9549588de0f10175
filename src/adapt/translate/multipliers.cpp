#include "adapt/translate/multipliers.h"

#include <fmt/core.h>

#include "models/hyper_source.h"

namespace hearth::adapt {
namespace {

using namespace models;

Result<double> one(const HyperSource& source, const char* key) {
  return TRY(source.real({"", key}, {-1e9, 1e9})).value_or(1);
}

Result<std::vector<double>> several(const HyperSource& source, const char* key, std::size_t count) {
  auto held = TRY(source.reals({"", key}, {-1e9, 1e9})).value_or(std::vector<double>(count, 1));
  if (held.size() != count)
    return Error(ErrorKind::corrupt, fmt::format("config.json: {} holds {} numbers: needs {}", key,
                                                 held.size(), count));
  return held;
}

// Gate, x, B, C and steps have factors of their own.
Result<std::vector<double>> of_mixer_in(const HyperSource& source, const MixerHyper& mixer) {
  const double all = TRY(one(source, "ssm_in_multiplier"));
  const auto parts = TRY(several(source, "ssm_multipliers", mixer.factors_in.size()));
  const std::size_t keys = std::size_t{mixer.groups} * mixer.state;
  const std::size_t widths[] = {mixer.inner(), mixer.inner(), keys, keys, mixer.heads};
  std::vector<double> rows;
  for (std::size_t i = 0; i < parts.size(); ++i) rows.insert(rows.end(), widths[i], parts[i] * all);
  return rows;
}

}  // namespace

Result<std::vector<double>> row_factors(const Origin& origin, Role role) {
  if (!origin.spec.mixer_beside_attention || origin.is_gguf()) return std::vector<double>();
  const HyperSource source(origin.package, "");
  const auto alone = [](double factor) -> Result<std::vector<double>> {
    return factor == 1 ? std::vector<double>() : std::vector<double>{factor};
  };
  if (origin.hyper.tied)
    return Error(ErrorKind::unsupported,
                 "config.json: tie_word_embeddings with multipliers: a GGUF file has one matrix");
  switch (role) {
    case Role::token_embedding:
      return alone(TRY(one(source, "embedding_multiplier")));
    case Role::output:
      return alone(TRY(one(source, "lm_head_multiplier")));
    case Role::q:
    case Role::v:
      return alone(TRY(one(source, "attention_in_multiplier")));
    case Role::k:
      return alone(TRY(one(source, "attention_in_multiplier")) *
                   TRY(one(source, "key_multiplier")));
    case Role::attention_out:
      return alone(TRY(one(source, "attention_out_multiplier")));
    case Role::mixer_out:
      return alone(TRY(one(source, "ssm_out_multiplier")));
    case Role::gate:
      return alone(TRY(several(source, "mlp_multipliers", 2))[0]);
    case Role::down:
      return alone(TRY(several(source, "mlp_multipliers", 2))[1]);
    case Role::mixer_in:
      return of_mixer_in(source, origin.hyper.mixer);
    default:
      return std::vector<double>();
  }
}

}  // namespace hearth::adapt
