#include "models/rope_hyper.h"

#include <fmt/core.h>

#include <cmath>

#include "base/utf8.h"

namespace hearth::models {
namespace {

constexpr Range theta_range{1.0001, 1e15};
constexpr Range factor_range{1e-4, 1e6};
constexpr Range context_range{1, max_context};
constexpr Range share_range{1e-4, 1};

Result<RopeScalingKind> kind_of(std::string_view name) {
  static constexpr struct {
    std::string_view name;
    RopeScalingKind kind;
  } rows[] = {
      {"none", RopeScalingKind::none},       {"default", RopeScalingKind::none},
      {"mrope", RopeScalingKind::none},      {"linear", RopeScalingKind::linear},
      {"dynamic", RopeScalingKind::dynamic}, {"yarn", RopeScalingKind::yarn},
      {"llama3", RopeScalingKind::llama3},   {"longrope", RopeScalingKind::longrope},
      {"su", RopeScalingKind::longrope},     {"proportional", RopeScalingKind::proportional},
  };
  for (const auto& row : rows)
    if (row.name == name) return row.kind;
  return Error(ErrorKind::unsupported,
               fmt::format("rope scaling '{}': we know none, linear, dynamic, yarn, llama3 and "
                           "longrope",
                           printable(name)));
}

// Sets `field` when the number is there.
Status take(const HyperSource& source, Keys keys, Range range, double& field) {
  if (const auto value = TRY(source.real(keys, range))) field = *value;
  return Done{};
}

Result<RopeScaling> gguf_scaling(const HyperSource& source, const Package& package,
                                 const ArchSpec& spec, const Hyper& hyper) {
  RopeScaling scaling;
  scaling.truncate = spec.defaults.yarn_truncate;
  double linear = 0;  // the key of old files
  TRY(take(source, {"rope.scale_linear", ""}, factor_range, linear));
  if (linear > 0) {
    scaling.kind = RopeScalingKind::linear;
    scaling.factor = linear;
  }
  if (const auto type = TRY(source.text({"rope.scaling.type", ""})))
    scaling.kind = TRY(kind_of(*type));
  // Some writers leave the type out.
  if (package.find("rope_factors_long.weight") != nullptr) scaling.kind = RopeScalingKind::longrope;
  TRY(take(source, {"rope.scaling.factor", ""}, factor_range, scaling.factor));
  scaling.original_context = hyper.context;
  // A whole number in every writer's files.
  if (const auto architecture = package.metadata.string("general.architecture"))
    if (const auto original = package.metadata.unsigned_integer(
            fmt::format("{}.rope.scaling.original_context_length", *architecture));
        original && *original > 0)
      scaling.original_context = static_cast<double>(*original);
  TRY(take(source, {"rope.scaling.yarn_beta_fast", ""}, factor_range, scaling.beta_fast));
  TRY(take(source, {"rope.scaling.yarn_beta_slow", ""}, factor_range, scaling.beta_slow));
  double attention = 1;
  TRY(take(source, {"rope.scaling.attn_factor", ""}, factor_range, attention));
  TRY(take(source, {"rope.scaling.yarn_attn_factor", ""}, factor_range, attention));
  if (scaling.kind == RopeScalingKind::longrope) scaling.attention_factor = attention;
  if (scaling.kind != RopeScalingKind::yarn || scaling.factor <= 1) return scaling;
  double all_dims = 0;
  TRY(take(source, {"rope.scaling.yarn_log_multiplier", ""}, {0, 1e3}, all_dims));
  if (all_dims > 0) {
    // Writers of models with latents multiply it by 0.1, and mean both factors.
    const bool latent = hyper.latent.kv_rank > 0;
    scaling.mscale_all_dims = latent ? 10 * all_dims : all_dims;
    scaling.mscale = latent ? scaling.mscale_all_dims : 1;
    return scaling;
  }
  scaling.attention_factor = attention * (0.1 * std::log(scaling.factor) + 1);
  return scaling;
}

Status read_longrope(const HyperSource& in, RopeScaling& scaling, std::uint32_t rotary_dims) {
  for (auto [key, field] : {std::pair{"short_factor", &scaling.short_factors},
                            std::pair{"long_factor", &scaling.long_factors}}) {
    auto values = TRY(in.reals({"", key}, factor_range));
    if (!values) return Error(ErrorKind::corrupt, fmt::format("config.json: {} is missing", key));
    if (values->size() != rotary_dims / 2)
      return Error(ErrorKind::corrupt, fmt::format("config.json: {} holds {} numbers: needs {}",
                                                   key, values->size(), rotary_dims / 2));
    *field = std::move(*values);
  }
  return Done{};
}

Result<RopeScaling> hf_scaling(const HyperSource& top, const HyperSource& in, const ArchSpec& spec,
                               const Hyper& hyper, double& theta) {
  RopeScaling scaling;
  scaling.truncate = spec.defaults.yarn_truncate;
  if (const auto type = TRY(in.text({"", "rope_type|type"}))) scaling.kind = TRY(kind_of(*type));
  if (scaling.kind == RopeScalingKind::none) return scaling;

  scaling.original_context = hyper.context;
  TRY(take(top, {"", "original_max_position_embeddings"}, context_range, scaling.original_context));
  TRY(take(in, {"", "original_max_position_embeddings"}, context_range, scaling.original_context));
  scaling.factor = hyper.context / scaling.original_context;
  TRY(take(in, {"", "factor"}, factor_range, scaling.factor));
  TRY(take(in, {"", "attention_factor"}, factor_range, scaling.attention_factor));
  TRY(take(in, {"", "beta_fast"}, factor_range, scaling.beta_fast));
  TRY(take(in, {"", "beta_slow"}, factor_range, scaling.beta_slow));
  TRY(take(in, {"", "mscale"}, {0, 1e3}, scaling.mscale));
  TRY(take(in, {"", "mscale_all_dim"}, {0, 1e3}, scaling.mscale_all_dims));
  TRY(take(in, {"", "low_freq_factor"}, factor_range, scaling.low_frequency));
  TRY(take(in, {"", "high_freq_factor"}, factor_range, scaling.high_frequency));
  if (const auto truncate = TRY(in.flag({"", "truncate"}))) scaling.truncate = *truncate;
  if (scaling.kind == RopeScalingKind::llama3 && scaling.low_frequency >= scaling.high_frequency)
    return Error(ErrorKind::corrupt, "config.json: low_freq_factor is not below high_freq_factor");
  // Hunyuan: a base that does not depend on the length.
  double alpha = 0;
  TRY(take(in, {"", "alpha"}, {0, 1e9}, alpha));
  if (scaling.kind == RopeScalingKind::dynamic && alpha > 0) {
    theta *= std::pow(alpha, hyper.rotary_dims / (hyper.rotary_dims - 2.0));
    scaling.kind = RopeScalingKind::none;
  }
  if (scaling.kind == RopeScalingKind::longrope) TRY(read_longrope(in, scaling, hyper.rotary_dims));
  return scaling;
}

// How much of each head turns.
std::uint32_t rotary_dims(double share, const Hyper& hyper) {
  return static_cast<std::uint32_t>(hyper.head_dim * share);
}

Status check_rotary_dims(const Hyper& hyper) {
  if (hyper.rotary_dims < 2 || hyper.rotary_dims % 2 != 0)
    return Error(ErrorKind::corrupt, fmt::format("{} of {} dimensions of a head turn: needs an "
                                                 "even number",
                                                 hyper.rotary_dims, hyper.head_dim));
  return Done{};
}

// How many pairs turn by time, height and width.
Status read_sections(const HyperSource& source, Keys keys, const ArchSpec& spec, Hyper& hyper) {
  if (!spec.grid_positions) return Done{};
  const auto sections = TRY(source.counts(keys, 0, hyper.rotary_dims));
  if (!sections) return Done{};
  std::uint32_t pairs = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, sections->size()); ++i) {
    hyper.rope_sections.push_back((*sections)[i]);
    pairs += (*sections)[i];
  }
  if (hyper.rope_sections.size() != 3 || pairs != hyper.rotary_dims / 2)
    return Error(ErrorKind::corrupt,
                 fmt::format("{}: {} pairs of a head's {}", source.name_of(keys), pairs,
                             hyper.rotary_dims / 2));
  return Done{};
}

double local_theta(const ArchSpec& spec, const Hyper& hyper) {
  return spec.defaults.rope_theta_local > 0 ? spec.defaults.rope_theta_local : hyper.rope.theta;
}

Status read_gguf(const HyperSource& source, const Package& package, const ArchSpec& spec,
                 Hyper& hyper) {
  if (const auto dims = TRY(source.count({"rope.dimension_count", ""}, 2, hyper.head_dim)))
    hyper.rotary_dims = *dims;
  TRY(check_rotary_dims(hyper));
  TRY(take(source, {"rope.freq_base", ""}, theta_range, hyper.rope.theta));
  hyper.rope.scaling = TRY(gguf_scaling(source, package, spec, hyper));
  TRY(read_sections(source, {"rope.dimension_sections", ""}, spec, hyper));
  if (!spec.has_local_rope()) return Done{};
  hyper.rope_local.theta = local_theta(spec, hyper);
  return take(source, {"rope.freq_base_swa", ""}, theta_range, hyper.rope_local.theta);
}

Status read_hf(const HyperSource& source, const Package& package, const ArchSpec& spec,
               Hyper& hyper) {
  const Json none = Json::object();
  const Json* found = source.member("rope_parameters|rope_scaling");
  if (found != nullptr && !found->is_object())
    return Error(ErrorKind::corrupt, fmt::format("config.json: rope_parameters holds a {}: needs "
                                                 "an object",
                                                 found->type_name()));
  const Json* global = found != nullptr ? found : &none;
  const Json* local = &none;
  if (const Json* nested = global->find("full_attention"); nested != nullptr) {
    if (const Json* sliding = global->find("sliding_attention"); sliding != nullptr)
      local = sliding;
    global = nested;
  }
  const HyperSource in(package, source.arch(), *global), in_local(package, source.arch(), *local);

  double share = spec.defaults.rotary_share;
  TRY(take(source, {"", "partial_rotary_factor|rotary_pct|rotary_emb_fraction"}, share_range,
           share));
  TRY(take(in, {"", "partial_rotary_factor"}, share_range, share));
  hyper.rotary_dims = rotary_dims(share, hyper);
  if (const auto dims = TRY(source.count({"", "rotary_dim"}, 2, hyper.head_dim)))
    hyper.rotary_dims = *dims;
  if (hyper.latent.kv_rank > 0) hyper.rotary_dims = hyper.latent.turning;
  TRY(check_rotary_dims(hyper));
  TRY(take(source, {"", "rope_theta|rotary_emb_base|global_rope_theta"}, theta_range,
           hyper.rope.theta));
  TRY(take(in, {"", "rope_theta"}, theta_range, hyper.rope.theta));
  hyper.rope.scaling = TRY(hf_scaling(source, in, spec, hyper, hyper.rope.theta));
  if (hyper.rope.scaling.kind == RopeScalingKind::proportional) {
    hyper.rope.scaling.share = share;
    hyper.rotary_dims = hyper.head_dim;
  }
  TRY(read_sections(in, {"", "mrope_section"}, spec, hyper));
  if (!spec.has_local_rope()) return Done{};
  hyper.rope_local.theta = local_theta(spec, hyper);
  TRY(take(source, {"", "rope_local_base_freq|local_rope_theta"}, theta_range,
           hyper.rope_local.theta));
  TRY(take(in_local, {"", "rope_theta"}, theta_range, hyper.rope_local.theta));
  hyper.rope_local.scaling = TRY(hf_scaling(source, in_local, spec, hyper, hyper.rope_local.theta));
  return Done{};
}

}  // namespace

Status read_rope(const HyperSource& source, const Package& package, const ArchSpec& spec,
                 Hyper& hyper) {
  if (spec.rope == RopeRule::none) return Done{};
  const std::uint32_t local_dims = hyper.rotary_dims_local;
  hyper.rotary_dims = rotary_dims(spec.defaults.rotary_share, hyper);
  hyper.rope.theta = spec.defaults.rope_theta;
  TRY(source.is_gguf() ? read_gguf(source, package, spec, hyper)
                       : read_hf(source, package, spec, hyper));
  hyper.rotary_dims_local = spec.local_heads ? local_dims : hyper.rotary_dims;
  return Done{};
}

}  // namespace hearth::models
