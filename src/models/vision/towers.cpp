// To add a tower: write its TowerSpec in a file of its family, name it here.
#include "models/vision/tower_spec.h"

namespace hearth::models {

std::span<const TowerSpec* const> towers() {
  static constexpr std::array list{&qwen2_vl_tower, &qwen25_vl_tower, &qwen3_vl_tower,
                                   &gemma3_tower,   &gemma4_tower,    &idefics3_tower,
                                   &internvl_tower, &llama4_tower,    &llava_next_tower,
                                   &llava_tower,    &mistral3_tower,  &pixtral_tower};
  return list;
}

}  // namespace hearth::models
