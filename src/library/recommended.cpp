#include "library/recommended.h"

#include <optional>

namespace hearth {
namespace {

// What generation_config.json or the metadata say under one of their names.
std::optional<double> number(const Package& package, std::string_view json_key,
                             std::string_view gguf_key) {
  if (const Json* found = package.generation_config.find(json_key); found && found->is_number())
    return found->as_number();
  if (const auto value = package.metadata.real(gguf_key)) return *value;
  if (const auto value = package.metadata.integer(gguf_key)) return static_cast<double>(*value);
  return std::nullopt;
}

void take(float& field, std::optional<double> value, double min, double max) {
  if (value && *value >= min && *value <= max) field = static_cast<float>(*value);
}

}  // namespace

SamplingOptions recommended_sampling(const Package& package) {
  SamplingOptions sampling;
  const auto temperature = number(package, "temperature", "general.sampling.temp");
  const auto top_k = number(package, "top_k", "general.sampling.top_k");
  const auto top_p = number(package, "top_p", "general.sampling.top_p");
  const auto min_p = number(package, "min_p", "general.sampling.min_p");
  take(sampling.temperature, temperature, 0, 2);
  take(sampling.top_p, top_p, 0.01, 1);
  take(sampling.min_p, min_p, 0, 1);
  take(sampling.repetition_penalty,
       number(package, "repetition_penalty", "general.sampling.penalty_repeat"), 0.01, 10);
  if (top_k && *top_k >= 0 && *top_k <= 1e6) sampling.top_k = static_cast<std::int32_t>(*top_k);

  const Json* do_sample = package.generation_config.find("do_sample");
  if (do_sample && do_sample->is_bool() && !do_sample->as_bool()) {
    sampling.temperature = 0;
  } else if (!temperature && !top_k && !top_p && !min_p) {
    sampling.temperature = 0.7f;  // what holds small models together when nobody says
    sampling.min_p = 0.05f;
  }
  return sampling;
}

}  // namespace hearth
