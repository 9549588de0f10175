// The rotation of queries and keys, in the words of config.json.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "adapt/translate/config.h"
#include "models/rope_tables.h"
#include "models/values.h"

namespace hearth::adapt {
namespace {

using namespace models;

// The rotation of local layers and of global ones, some of whose pairs may stand still.
Status add_own_rope(const Origin& origin, Config& out) {
  const Hyper& hyper = origin.hyper;
  Json global = Json::object({{"rope_type", "default"}, {"rope_theta", real(hyper.rope.theta)}});
  double share = 1;
  if (hyper.rope.scaling.kind == RopeScalingKind::proportional) share = hyper.rope.scaling.share;
  if (const TensorEntry* divisors = origin.package.find("rope_freqs.weight")) {
    const auto values = TRY(read_floats(*divisors));
    share = static_cast<double>(std::ranges::count(values, 1.0f)) /
            static_cast<double>(std::max<std::size_t>(1, values.size()));
  }
  if (share < 1) {
    global.set("rope_type", "proportional");
    global.set("partial_rotary_factor", real(share));
  }
  out.set("rope_parameters",
          Json::object({{"full_attention", std::move(global)},
                        {"sliding_attention",
                         Json::object({{"rope_type", "default"},
                                       {"rope_theta", real(hyper.rope_local.theta)}})}}));
  return Done{};
}

// The numbers that give these divisors (Llama 3.1 and on); false: none that we know.
bool fit_llama3(std::span<const float> divisors, RopeHyper& rope, std::uint32_t dims) {
  rope.scaling.kind = RopeScalingKind::llama3;
  rope.scaling.factor = std::round(*std::ranges::max_element(divisors));
  for (const double original :
       {8192.0, 4096.0, 16384.0, 32768.0, 2048.0, 1024.0, 512.0, 256.0, 128.0, 64.0, 32.0})
    for (const auto& [low, high] : {std::pair{1.0, 4.0}, {1.0, 2.0}, {2.0, 4.0}, {1.0, 8.0}}) {
      rope.scaling.original_context = original;
      rope.scaling.low_frequency = low;
      rope.scaling.high_frequency = high;
      const auto made = llama3_divisors(rope, dims);
      const bool same = made.size() == divisors.size() &&
                        std::ranges::equal(made, divisors, [](float a, float b) {
                          return std::abs(a - b) <= 1e-4f * b;
                        });
      if (same) return true;
    }
  return false;
}

Result<Json> numbers_of(const Package& package, std::string_view name) {
  Json list = Json::array();
  const TensorEntry* entry = package.find(name);
  if (entry == nullptr) return Error(ErrorKind::corrupt, fmt::format("{} is missing", name));
  for (const float value : TRY(read_floats(*entry))) list.push_back(value);
  return list;
}

Result<Json> scaling_of(const Origin& origin, std::vector<std::string>& losses) {
  RopeHyper rope = origin.hyper.rope;
  if (const TensorEntry* divisors = origin.package.find("rope_freqs.weight")) {
    const auto values = TRY(read_floats(*divisors));
    const bool scaled = std::ranges::any_of(values, [](float v) { return v != 1; });
    if (scaled && !fit_llama3(values, rope, origin.hyper.rotary_dims))
      losses.push_back("rope_freqs.weight: divisors that no known scaling gives");
  }
  const RopeScaling& scaling = rope.scaling;
  Json out = Json::object();
  const auto kind = [&](const char* name) {
    out.set("rope_type", name);
    out.set("factor", real(scaling.factor));
  };
  const auto original = [&] {
    out.set("original_max_position_embeddings",
            static_cast<std::int64_t>(scaling.original_context));
  };
  switch (scaling.kind) {
    case RopeScalingKind::none:
    case RopeScalingKind::proportional:  // of no architecture that is written
      return Json();
    case RopeScalingKind::linear:
      kind("linear");
      break;
    case RopeScalingKind::dynamic:
      kind("dynamic");
      break;
    case RopeScalingKind::yarn:
      kind("yarn");
      original();
      out.set("beta_fast", real(scaling.beta_fast));
      out.set("beta_slow", real(scaling.beta_slow));
      if (scaling.attention_factor > 0) out.set("attention_factor", real(scaling.attention_factor));
      if (scaling.mscale_all_dims > 0) {
        out.set("mscale", real(scaling.mscale));
        out.set("mscale_all_dim", real(scaling.mscale_all_dims));
      }
      if (origin.spec.tempered == Tempered::all)
        out.set("llama_4_scaling_beta", real(origin.hyper.temperature_scale));
      if (!scaling.truncate) out.set("truncate", false);
      break;
    case RopeScalingKind::llama3:
      kind("llama3");
      original();
      out.set("low_freq_factor", real(scaling.low_frequency));
      out.set("high_freq_factor", real(scaling.high_frequency));
      break;
    case RopeScalingKind::longrope:
      out.set("rope_type", "longrope");
      out.set("long_factor", TRY(numbers_of(origin.package, "rope_factors_long.weight")));
      out.set("short_factor", TRY(numbers_of(origin.package, "rope_factors_short.weight")));
      original();
      out.set("factor", real(origin.hyper.context / scaling.original_context));
      if (scaling.attention_factor > 0) out.set("attention_factor", real(scaling.attention_factor));
      break;
  }
  return out;
}

}  // namespace

// As `rope_scaling` and `rope_theta`: what every version of transformers reads.
Status add_rope(const Origin& origin, Config& out, std::vector<std::string>& losses) {
  if (origin.spec.rope == RopeRule::none) return Done{};
  const Hyper& hyper = origin.hyper;
  const ArchSpec& spec = origin.spec;
  if (spec.local_heads) return add_own_rope(origin, out);
  Json scaling = TRY(scaling_of(origin, losses));
  if (spec.local_rope_unscaled && scaling.is_object()) {
    const Json theta = real(hyper.rope.theta);
    scaling.set("rope_theta", theta);
    out.set("rope_parameters",
            Json::object({{"full_attention", std::move(scaling)},
                          {"sliding_attention",
                           Json::object({{"rope_type", "default"}, {"rope_theta", theta}})}}));
    return Done{};
  }
  if (!hyper.rope_sections.empty() && takes_tower(origin)) {
    if (!scaling.is_object()) scaling = Json::object({{"rope_type", "default"}});
    Json sections = Json::array();
    for (const std::uint32_t section : hyper.rope_sections) sections.push_back(section);
    scaling.set("mrope_section", std::move(sections));
  }
  const bool modern = spec.name == "modern-bert";
  out.set(modern ? "global_rope_theta" : "rope_theta", real(hyper.rope.theta));
  if (spec.defaults.rope_theta_local > 0)
    out.set(modern ? "local_rope_theta" : "rope_local_base_freq", real(hyper.rope_local.theta));
  if (scaling.is_object() && hyper.rope.scaling.kind == RopeScalingKind::longrope)
    out.set("original_max_position_embeddings",
            static_cast<std::int64_t>(hyper.rope.scaling.original_context));
  if (scaling.is_object()) out.set("rope_scaling", std::move(scaling));
  const bool latent = hyper.latent.kv_rank > 0;
  if (!latent && (hyper.rotary_dims != hyper.head_dim || spec.defaults.rotary_share != 1)) {
    const Json share = real(static_cast<double>(hyper.rotary_dims) / hyper.head_dim);
    out.set("partial_rotary_factor", share);
    if (spec.name == "gptneox") out.set("rotary_pct", share);
  }
  return Done{};
}

}  // namespace hearth::adapt
