// Towers with a learned vector for every place: CLIP under LLaVA 1.5 and 1.6, SigLIP under Gemma 3
// and Idefics 3 / SmolVLM.  Source: Radford et al. 2021; Zhai et al. 2023; Liu et al. 2023; the
// Gemma 3 report; Laurencon et al. 2024.
#include "models/vision/tower_spec.h"

namespace hearth::models {
namespace {

using enum TowerPart;

constexpr TowerRow siglip_rows[] = {
    {patch, "v.patch_embd", "embeddings.patch_embedding"},
    {positions, "v.position_embd", "embeddings.position_embedding"},
    {norm1, "v.blk.{}.ln1", "encoder.layers.{}.layer_norm1"},
    {q, "v.blk.{}.attn_q", "encoder.layers.{}.self_attn.q_proj"},
    {k, "v.blk.{}.attn_k", "encoder.layers.{}.self_attn.k_proj"},
    {v, "v.blk.{}.attn_v", "encoder.layers.{}.self_attn.v_proj"},
    {attention_out, "v.blk.{}.attn_out", "encoder.layers.{}.self_attn.out_proj"},
    {norm2, "v.blk.{}.ln2", "encoder.layers.{}.layer_norm2"},
    {up, "v.blk.{}.ffn_up", "encoder.layers.{}.mlp.fc1"},
    {down, "v.blk.{}.ffn_down", "encoder.layers.{}.mlp.fc2"},
    {post_norm, "v.post_ln", "post_layernorm"},
};

constexpr TowerRow clip_rows[] = {
    {patch, "v.patch_embd", "embeddings.patch_embedding"},
    {class_row, "v.class_embd!", "embeddings.class_embedding!"},
    {positions, "v.position_embd", "embeddings.position_embedding"},
    {pre_norm, "v.pre_ln", "pre_layrnorm"},
    {norm1, "v.blk.{}.ln1", "encoder.layers.{}.layer_norm1"},
    {q, "v.blk.{}.attn_q", "encoder.layers.{}.self_attn.q_proj"},
    {k, "v.blk.{}.attn_k", "encoder.layers.{}.self_attn.k_proj"},
    {v, "v.blk.{}.attn_v", "encoder.layers.{}.self_attn.v_proj"},
    {attention_out, "v.blk.{}.attn_out", "encoder.layers.{}.self_attn.out_proj"},
    {norm2, "v.blk.{}.ln2", "encoder.layers.{}.layer_norm2"},
    {up, "v.blk.{}.ffn_up", "encoder.layers.{}.mlp.fc1"},
    {down, "v.blk.{}.ffn_down", "encoder.layers.{}.mlp.fc2"},
};

constexpr TowerRow gemma3_rows[] = {
    {pooled_norm, "mm.soft_emb_norm", "mm_soft_emb_norm"},
    {first, "mm.input_projection", "mm_input_projection_weight!"},
};
constexpr TowerRow idefics3_rows[] = {{first, "mm.model.fc", "modality_projection.proj"}};
constexpr TowerRow llava_rows[] = {{first, "mm.0|mm.1", "linear_1"}, {second, "mm.2", "linear_2"}};
constexpr TowerRow llava_next_rows[] = {
    {first, "mm.0|mm.1", "multi_modal_projector.linear_1"},
    {second, "mm.2", "multi_modal_projector.linear_2"},
    {newline, "v.image_newline!|model.image_newline!", "image_newline!"},
};

constexpr std::string_view tower_prefixes[] = {"vision_tower.vision_model.",
                                               "model.vision_tower.vision_model.", "vision_tower.",
                                               "model.vision_tower."};
constexpr std::string_view projector_prefixes[] = {"multi_modal_projector.",
                                                   "model.multi_modal_projector."};
constexpr std::string_view idefics3_prefixes[] = {"model.vision_model."};
constexpr std::string_view connector_prefixes[] = {"model.connector."};
constexpr std::string_view gemma3_types[] = {"gemma3"};
constexpr std::string_view idefics3_types[] = {"idefics3", "smolvlm"};
constexpr std::string_view gemma3_languages[] = {"gemma3"};
constexpr std::string_view plain_languages[] = {"llama", "qwen2", "phi3", "smollm3"};
constexpr std::string_view llava_types[] = {"llava"};
constexpr std::string_view llava_next_types[] = {"llava_next"};
constexpr std::string_view llava_next_prefixes[] = {"", "model."};

}  // namespace

const TowerSpec gemma3_tower{
    .name = "gemma3",
    .hf_types = gemma3_types,
    .tower_prefixes = tower_prefixes,
    .projector_prefixes = projector_prefixes,
    .tower = siglip_rows,
    .projector = gemma3_rows,
    .first_is_turned = true,
    .hf_pooled_norm_plus_one = true,
    .filter = Filter::bilinear,
    .joining = Joining::average,
    .merge = 4,
    .marker = "<start_of_image>",
    .row_name = "<image_soft_token>",
    .rows_before = "\n\n<start_of_image>",
    .rows_after = "<end_of_image>\n\n",
    .languages = gemma3_languages,
    .sees_ahead = true,
};

const TowerSpec idefics3_tower{
    .name = "idefics3",
    .hf_types = idefics3_types,
    .tower_prefixes = idefics3_prefixes,
    .projector_prefixes = connector_prefixes,
    .tower = siglip_rows,
    .projector = idefics3_rows,
    .places = Places::shares,
    .sizing = Sizing::split,
    .filter = Filter::lanczos,
    .merge = 2,
    .longest_edge = 4 * 364,
    .marker = "<image>",
    .row_name = "<image>",
    .languages = plain_languages,
};

namespace {

// LLaVA 1.5 and 1.6 differ in how pictures are cut, and in what the projector holds.
struct Llava {
  std::span<const std::string_view> types, projector_prefixes;
  std::span<const TowerRow> projector;
  Sizing sizing;
};

constexpr TowerSpec llava(const Llava& own) {
  return {.name = "mlp",
          .hf_types = own.types,
          .hf_tower = "clip_vision_model",
          .tower_prefixes = tower_prefixes,
          .projector_prefixes = own.projector_prefixes,
          .tower = clip_rows,
          .projector = own.projector,
          .norm_eps = 1e-5f,
          .activation = ops::Activation::quick_gelu,
          .activation_from_config = true,
          .feature_layer = -2,
          .sizing = own.sizing,
          .mean = clip_mean,
          .deviation = clip_deviation,
          .marker = "<image>",
          .row_name = "<image>",
          .after = "\n",
          .languages = plain_languages};
}

}  // namespace

constexpr TowerSpec llava_tower = llava({.types = llava_types,
                                         .projector_prefixes = projector_prefixes,
                                         .projector = llava_rows,
                                         .sizing = Sizing::crop});
constexpr TowerSpec llava_next_tower = llava({.types = llava_next_types,
                                              .projector_prefixes = llava_next_prefixes,
                                              .projector = llava_next_rows,
                                              .sizing = Sizing::grids});

}  // namespace hearth::models
