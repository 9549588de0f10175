// Recipes of quantisation: which type each tensor of a model gets.
// Source: the choices of llama.cpp's llama-quantize, held to its snapshots by recipe_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace hearth::adapt {

enum class Mix : std::uint8_t {
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q2_k_s,
  q3_k_s,
  q3_k_m,
  q3_k_l,
  q4_k_s,
  q4_k_m,
  q5_k_s,
  q5_k_m,
  q6_k,
  iq1_s,
  iq1_m,
  iq2_xxs,
  iq2_xs,
  iq2_s,
  iq2_m,
  iq3_xxs,
  iq3_xs,
  iq3_s,
  iq3_m,
  iq4_nl,
  iq4_xs,
  tq1_0,
  tq2_0,
  mxfp4_moe,
  nvfp4,
  q1_0,
  q2_0,
};

struct Recipe {
  std::string_view name;  // "Q4_K_M"
  Mix mix;
  Dtype base;               // of most tensors
  std::uint32_t file_type;  // GGUF: general.file_type
  bool wants_importance;    // without an importance matrix the model is hardly usable
};

std::span<const Recipe> recipes();
const Recipe* find_recipe(std::string_view name);  // any case; nullptr: none

// What the choices depend on.
struct RecipeModel {
  std::string architecture;  // as in GGUF
  std::uint32_t layers = 0, heads = 0, kv_heads = 0, experts = 0;
  bool has_importance = false;
};

struct RecipeTensor {
  std::string_view name;             // as in GGUF
  std::vector<std::uint64_t> shape;  // outermost first
  Dtype stored;
};

// One type for each tensor, in their order; `stored` where a tensor stays as it is.
std::vector<Dtype> choose_types(const Recipe& recipe, const RecipeModel& model,
                                std::span<const RecipeTensor> tensors);

}  // namespace hearth::adapt
