// What differs between the layers of a model: windows, rotation, mixtures of experts.
#pragma once

#include "models/arch_spec.h"
#include "models/hyper_source.h"

namespace hearth::models {

// A name in `layer_types`.
struct LayerType {
  std::string_view name;
  bool attends = false, recurs = false, local = false, only_mlp = false;
};
const LayerType* layer_type(std::string_view name);  // nullptr: not one we know

// Each fills its part of `hyper`, whose sizes are set.  Errors as read_hyper.
Status read_windows(const HyperSource& source, const ArchSpec& spec, Hyper& hyper);
// Sizes of heads by the kind of layer, whose keys a layer reads, and vectors of layers' own.
Status read_local_heads(const HyperSource& source, const ArchSpec& spec, Hyper& hyper);
// Streams side by side, and the layers whose gates mostly pass as zero.
Status read_streams(const Package& package, const HyperSource& source, const ArchSpec& spec,
                    Hyper& hyper);
Status read_rotating_layers(const HyperSource& source, const ArchSpec& spec, Hyper& hyper);
// The latent of keys and values, before the sizes of heads.
Status read_latent(const HyperSource& source, Hyper& hyper);
// Which layers attend, which recur, which have an MLP; and the sizes of what recurs.
Status read_mixers(const HyperSource& source, const ArchSpec& spec, Hyper& hyper);
// Factors of what goes through attention, the mixer and the MLP beside each other.
Status read_multipliers(const HyperSource& source, Hyper& hyper);
Status read_experts(const HyperSource& source, const ArchSpec& spec, Hyper& hyper);

}  // namespace hearth::models
