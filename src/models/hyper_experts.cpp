// The numbers of mixtures of experts.
#include <fmt/core.h>

#include <algorithm>

#include "models/hyper_keys.h"
#include "models/hyper_layers.h"

namespace hearth::models {
namespace {

// A count that some files hold as a list with one for each layer.
Result<std::optional<std::uint32_t>> count_of(const HyperSource& source, Keys keys,
                                              std::uint32_t min, std::uint32_t max) {
  const auto values = TRY(source.counts(keys, min, max));
  if (!values || values->empty()) return std::optional<std::uint32_t>();
  return std::optional(values->front());
}

Status read_sizes(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  const std::uint32_t most = std::min(hyper.experts, max_experts_used);
  const auto used = TRY(count_of(source, keys::experts_used, 1, most));
  if (!used) TRY(source.required_count(keys::experts_used, 1, most));
  hyper.experts_used = used.value_or(0);
  hyper.expert_hidden = hyper.layers.front().hidden;
  // Llama 4 gives dense layers a width of their own.
  if (const auto dense = TRY(source.count({"", "intermediate_size_mlp"}, 1, max_dim)))
    for (LayerHyper& layer : hyper.layers) layer.hidden = *dense;
  if (const auto hidden = TRY(count_of(source, keys::expert_hidden, 1, max_dim)))
    hyper.expert_hidden = *hidden;
  if (hyper.expert_hidden == 0)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} is missing: {} experts have no width",
                             source.name_of(keys::expert_hidden), hyper.experts));

  const std::uint32_t shared = TRY(count_of(source, keys::shared_experts, 0, max_experts))
                                   .value_or(spec.defaults.shared_experts);
  hyper.shared_hidden = std::min(shared, max_dim / hyper.expert_hidden) * hyper.expert_hidden;
  if (const auto hidden = TRY(source.count(keys::shared_hidden, 0, max_dim)))
    hyper.shared_hidden = *hidden;
  return Done{};
}

Status read_choice(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  hyper.normalise_experts =
      TRY(source.flag(keys::normalise_experts)).value_or(spec.defaults.normalise_experts);
  hyper.expert_scale =
      static_cast<float>(TRY(source.real(keys::expert_scale, {0, 1e6})).value_or(1));
  if (hyper.expert_scale == 0) hyper.expert_scale = 1;  // how GGUF writers say "none"
  // 1 is softmax, 2 sigmoid, 3 softmax over those that are chosen, 4 as Hugging Face has it not.
  const auto gate = TRY(source.count({"expert_gating_func", ""}, 0, 3));
  hyper.expert_gate = spec.defaults.expert_gate;
  if (gate && *gate > 0) hyper.expert_gate = *gate == 2 ? ExpertGate::sigmoid : ExpertGate::softmax;
  if (gate && *gate == 3) hyper.normalise_experts = true;
  const auto groups = TRY(source.count(keys::expert_groups, 0, hyper.experts));
  const auto groups_used = TRY(source.count(keys::expert_groups_used, 0, hyper.experts));
  const auto method = TRY(source.text({"", "topk_method"}));
  if (!groups || *groups < 2 || !groups_used || *groups_used == 0 || method == "greedy")
    return Done{};
  hyper.expert_groups = *groups;
  hyper.expert_groups_used = std::min(*groups_used, *groups);
  const std::uint32_t each = hyper.experts / hyper.expert_groups;
  if (each * hyper.expert_groups != hyper.experts ||
      hyper.experts_used > each * hyper.expert_groups_used)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} experts in {} groups, {} of them used: no room for a choice of {}",
                             hyper.experts, hyper.expert_groups, hyper.expert_groups_used,
                             hyper.experts_used));
  return Done{};
}

}  // namespace

Status read_experts(const HyperSource& source, const ArchSpec& spec, Hyper& hyper) {
  // Configurations of dense models may speak of experts too.
  const auto experts = has_role(spec, Role::router)
                           ? TRY(source.count(keys::experts, 0, max_experts))
                           : std::optional<std::uint32_t>();
  if (!experts || *experts == 0) {
    // Granite 4 without experts keeps the one that is shared.
    if (const auto shared = TRY(source.count({"", "shared_intermediate_size"}, 1, max_dim)))
      for (LayerHyper& layer : hyper.layers) layer.hidden = *shared;
    return Done{};
  }
  hyper.experts = *experts;
  TRY(read_sizes(source, spec, hyper));
  TRY(read_choice(source, spec, hyper));
  const auto layers = static_cast<std::uint32_t>(hyper.layers.size());
  const auto dense_first = TRY(source.count(keys::dense_first, 0, layers));
  const auto step = TRY(source.count(keys::sparse_step, 1, max_layers));
  for (std::uint32_t i = 0; i < layers; ++i)
    hyper.layers[i].sparse = i >= dense_first.value_or(0) && (i + 1) % step.value_or(1) == 0;
  if (const auto dense = TRY(source.counts({"", "mlp_only_layers"}, 0, layers - 1)))
    for (const std::uint32_t i : *dense) hyper.layers[i].sparse = false;
  return Done{};
}

}  // namespace hearth::models
