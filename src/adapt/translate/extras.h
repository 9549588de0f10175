// Numbers that only some architectures have, under the names that both containers give them.
#pragma once

#include <span>

#include "adapt/translate/origin.h"
#include "models/hyper_source.h"

namespace hearth::adapt {

struct Extra {
  enum class Type : std::uint8_t { count, real, flag };
  models::Keys keys;  // an empty one: not said there
  Type type;
  double (*value)(const models::Hyper&);
  bool (*wanted)(const models::ArchSpec&, const models::Hyper&);
};
std::span<const Extra> extras();

// Which layers are mixtures of experts: those past the first `dense`, every `step`-th.
struct SparseLayers {
  std::size_t dense = 0, step = 1;
};
SparseLayers sparse_layers(const models::Hyper& hyper);

// Every so many layers one attends; 0: not by such a rule.
std::size_t attention_interval(const models::Hyper& hyper);

}  // namespace hearth::adapt
