#include "models/rope_tables.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hearth::models {
namespace {

using Frequencies = std::vector<double>;

Frequencies plain(double theta, std::uint32_t dims) {
  Frequencies out(dims / 2);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = std::pow(theta, -2.0 * static_cast<double>(i) / dims);
  return out;
}

void scale_llama3(Frequencies& frequencies, const RopeScaling& scaling) {
  const double longest = scaling.original_context / scaling.low_frequency;
  const double shortest = scaling.original_context / scaling.high_frequency;
  for (double& f : frequencies) {
    const double wave = 2 * std::numbers::pi / f;
    if (wave < shortest) continue;
    if (wave > longest) {
      f /= scaling.factor;
      continue;
    }
    const double smooth = (scaling.original_context / wave - scaling.low_frequency) /
                          (scaling.high_frequency - scaling.low_frequency);
    f = (1 - smooth) * f / scaling.factor + smooth * f;
  }
}

void scale_yarn(Frequencies& frequencies, const RopeScaling& scaling, double theta,
                std::uint32_t dims) {
  // The dimension that turns so many times over the original context.
  const auto dimension_of = [&](double turns) {
    return dims * std::log(scaling.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(theta));
  };
  double low = dimension_of(scaling.beta_fast), high = dimension_of(scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1.0);
  if (low == high) high += 0.001;  // no division by zero, as the reference has it
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / scaling.factor * ramp + frequencies[i] * (1 - ramp);
  }
}

double yarn_magnitude(const RopeScaling& scaling) {
  const auto of = [&](double mscale) {
    return scaling.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(scaling.factor) + 1;
  };
  if (scaling.mscale != 0 && scaling.mscale_all_dims != 0)
    return of(scaling.mscale) / of(scaling.mscale_all_dims);
  return of(1);
}

double longrope_magnitude(const RopeScaling& scaling) {
  if (scaling.factor <= 1) return 1;
  return std::sqrt(1 + std::log(scaling.factor) / std::log(scaling.original_context));
}

struct Scaled {
  Frequencies frequencies;
  double magnitude = 1;
};

Scaled scaled(const RopeHyper& rope, const Hyper& hyper, std::uint32_t dims,
              std::uint32_t context_tokens) {
  const RopeScaling& scaling = rope.scaling;
  Scaled out{plain(rope.theta, dims), 1};
  switch (scaling.kind) {
    case RopeScalingKind::none:
      break;
    case RopeScalingKind::linear:
      for (double& f : out.frequencies) f /= scaling.factor;
      break;
    case RopeScalingKind::dynamic: {
      const double stretch = std::max(1.0, static_cast<double>(context_tokens) / hyper.context);
      const double base = rope.theta * std::pow(scaling.factor * stretch - (scaling.factor - 1),
                                                dims / (dims - 2.0));
      if (dims > 2) out.frequencies = plain(base, dims);
      break;
    }
    case RopeScalingKind::yarn:
      scale_yarn(out.frequencies, scaling, rope.theta, dims);
      out.magnitude = yarn_magnitude(scaling);
      break;
    case RopeScalingKind::llama3:
      scale_llama3(out.frequencies, scaling);
      break;
    case RopeScalingKind::longrope: {
      const auto& factors =
          context_tokens > scaling.original_context ? scaling.long_factors : scaling.short_factors;
      for (std::size_t i = 0; i < factors.size(); ++i) out.frequencies[i] /= factors[i];
      out.magnitude = longrope_magnitude(scaling);
      break;
    }
    case RopeScalingKind::proportional: {
      const auto turning = static_cast<std::size_t>(scaling.share * dims / 2);
      for (std::size_t i = 0; i < out.frequencies.size(); ++i)
        out.frequencies[i] = i < turning ? out.frequencies[i] / scaling.factor : 0;
      break;
    }
  }
  if (scaling.attention_factor > 0) out.magnitude = scaling.attention_factor;
  return out;
}

}  // namespace

std::vector<float> llama3_divisors(const RopeHyper& rope, std::uint32_t dims) {
  const Frequencies before = plain(rope.theta, dims);
  Frequencies after = before;
  scale_llama3(after, rope.scaling);
  std::vector<float> divisors;
  for (std::size_t i = 0; i < after.size(); ++i)
    divisors.push_back(static_cast<float>(before[i] / after[i]));
  return divisors;
}

RopeTables make_rope_tables(const ArchSpec& spec, const Hyper& hyper, const Weights& weights,
                            Naming naming, std::uint32_t context_tokens) {
  RopeTables tables;
  if (spec.rope == RopeRule::none) return tables;
  tables.rotary_dims = hyper.rotary_dims;
  tables.local_rotary_dims = hyper.rotary_dims_local;
  tables.interleaved =
      naming == Naming::gguf ? spec.rope_interleaved_gguf : spec.rope_interleaved_hf;

  Scaled global = scaled(hyper.rope, hyper, hyper.rotary_dims, context_tokens);
  const bool is_long = context_tokens > hyper.rope.scaling.original_context;
  for (const Role role : {Role::rope_divisors, is_long ? Role::rope_long : Role::rope_short}) {
    const auto& divisors = weights.whole[role].values;
    for (std::size_t i = 0; i < divisors.size(); ++i) global.frequencies[i] /= divisors[i];
  }
  const Scaled local = spec.has_local_rope() ? scaled(hyper.rope_local, hyper,
                                                      hyper.rotary_dims_local, context_tokens)
                                             : global;
  tables.frequencies.assign(global.frequencies.begin(), global.frequencies.end());
  tables.local_frequencies.assign(local.frequencies.begin(), local.frequencies.end());
  tables.magnitude = static_cast<float>(global.magnitude);
  tables.local_magnitude = static_cast<float>(local.magnitude);
  return tables;
}

}  // namespace hearth::models
