// What the translations of a tower share: into a GGUF file, and into a folder.
#pragma once

#include "adapt/translate/origin.h"
#include "models/vision/tower.h"

namespace hearth::adapt {

// How transformers calls a model that sees and its parts.
struct Form {
  std::string_view tower;     // clip.projector_type ...
  std::string_view language;  // ... with this language model; empty: with any
  std::string_view type, name, text_type, vision_type, processor;
  std::string_view text_prefix, output, tower_prefix, projector_prefix;
};

// The tower that is translated; tensors of the translation hold on to it.
struct TowerOrigin {
  Package package;
  const models::TowerSpec& spec;
  models::TowerHyper hyper;
};
using SharedTower = std::shared_ptr<const TowerOrigin>;

Json vision_config(const TowerOrigin& tower, const Form& form, std::uint32_t language_dim);
// What of the tower stands beside vision_config, and how the model calls its pictures' tokens.
// language: the GGUF file of the language model.
void add_outer(const TowerOrigin& tower, const Form& form, const Package& language, Json& config);
Json preprocessor_config(const TowerOrigin& tower, const Form& form);

}  // namespace hearth::adapt
