#include "models/pooling.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace hearth::models {
namespace {

bool is_true(const Json& object, std::string_view key) {
  const Json* found = object.find(key);
  return found != nullptr && found->is_bool() && found->as_bool();
}

Result<Pooling> pooling_of(const Json& config) {
  if (const Json* mode = config.find("pooling_mode"); mode != nullptr && mode->is_string()) {
    if (mode->as_string() == "mean") return Pooling::mean;
    if (mode->as_string() == "cls") return Pooling::cls;
    if (mode->as_string() == "lasttoken") return Pooling::last;
  }
  if (is_true(config, "pooling_mode_cls_token")) return Pooling::cls;
  if (is_true(config, "pooling_mode_mean_tokens")) return Pooling::mean;
  if (is_true(config, "pooling_mode_lasttoken")) return Pooling::last;
  return Error(ErrorKind::unsupported,
               "1_Pooling/config.json: we know pooling by cls token, mean and last token");
}

Status read_gguf(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  if (const auto type = TRY(source.count({"pooling_type", ""}, 0, 4)))
    hyper.pooling = static_cast<Pooling>(*type);
  if (hyper.pooling == Pooling::rank && spec.kind == Kind::generator)
    return Error(ErrorKind::unsupported,
                 fmt::format("{}.pooling_type = 4: a reranker that is a generator; we rerank with "
                             "encoders",
                             source.arch()));
  hyper.normalise = true;  // GGUF files do not say; every reader of them does
  return Done{};
}

Status read_hf(const Package& package, Hyper& hyper) {
  const Json pooling = TRY(json_file(package, "1_Pooling/config.json"));
  if (!pooling.is_null()) hyper.pooling = TRY(pooling_of(pooling));
  const Json* head = package.config.find("classifier_pooling");
  hyper.head_pools_mean = head != nullptr && head->is_string() && head->as_string() == "mean";
  const Json modules = TRY(json_file(package, "modules.json"));
  const Json* told = package.config.find("normalize");  // Model2Vec's configuration says it itself
  const bool is_told = told != nullptr && told->is_bool();
  hyper.normalise = is_told ? told->as_bool() : !modules.is_array();
  if (!is_told && modules.is_array())
    for (const Json& module : modules.as_array()) {
      const Json* type = module.find("type");
      if (type != nullptr && type->is_string() && type->as_string().ends_with("Normalize"))
        hyper.normalise = true;
    }
  return Done{};
}

}  // namespace

Status read_pooling(const Package& package, const HyperSource& source, const ArchSpec& spec,
                    Hyper& hyper) {
  if (source.is_gguf())
    TRY(read_gguf(source, spec, hyper));
  else
    TRY(read_hf(package, hyper));
  if (spec.kind == Kind::static_embedder)
    hyper.skips_unknown =
        TRY(source.flag({"skip_unknown_tokens", "skip_unknown_tokens"})).value_or(false);
  const bool encodes = spec.kind != Kind::generator;
  if (encodes && hyper.pooling == Pooling::none) hyper.pooling = Pooling::mean;
  return Done{};
}

void pool(Pooling pooling, View rows, float* out) {
  if (pooling != Pooling::mean) {
    const bool last = pooling == Pooling::last || pooling == Pooling::none;
    std::copy_n(rows.row(last ? rows.rows - 1 : 0), rows.dim, out);
    return;
  }
  std::vector<double> sums(rows.dim);  // thousands of rows would show in sums of f32
  for (std::size_t i = 0; i < rows.rows; ++i)
    for (std::size_t d = 0; d < rows.dim; ++d) sums[d] += static_cast<double>(rows.row(i)[d]);
  for (std::size_t d = 0; d < rows.dim; ++d)
    out[d] = static_cast<float>(sums[d] / static_cast<double>(rows.rows));
}

void normalise(float* vector, std::size_t dim) {
  double squares = 0;
  for (std::size_t d = 0; d < dim; ++d) squares += static_cast<double>(vector[d]) * vector[d];
  const float scale = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0.0f;
  for (std::size_t d = 0; d < dim; ++d) vector[d] *= scale;
}

}  // namespace hearth::models
