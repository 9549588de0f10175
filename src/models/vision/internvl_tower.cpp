// InternVL (2.5, 3 and 3.5 as transformers has them): pictures are stretched to the grid of tiles
// whose shape is nearest, four patches become one row.
// Source: Chen et al. 2024; Zhu et al. 2025.
#include "models/vision/tower_spec.h"

namespace hearth::models {
namespace {

using enum TowerPart;

constexpr TowerRow tower_rows[] = {
    {patch, "v.patch_embd", "embeddings.patch_embeddings.projection"},
    {class_row, "v.class_embd!", "embeddings.cls_token!"},
    {positions, "v.position_embd|v.position_embd!", "embeddings.position_embeddings!"},
    {norm1, "v.blk.{}.ln1", "encoder.layer.{}.layernorm_before"},
    {q, "v.blk.{}.attn_q", "encoder.layer.{}.attention.q_proj"},
    {k, "v.blk.{}.attn_k", "encoder.layer.{}.attention.k_proj"},
    {v, "v.blk.{}.attn_v", "encoder.layer.{}.attention.v_proj"},
    {q_norm, "v.blk.{}.attn_q_norm", "encoder.layer.{}.attention.q_norm", false},
    {k_norm, "v.blk.{}.attn_k_norm", "encoder.layer.{}.attention.k_norm", false},
    {attention_out, "v.blk.{}.attn_out", "encoder.layer.{}.attention.projection_layer"},
    {attention_gain, "v.blk.{}.ls1|v.blk.{}.ls1!", "encoder.layer.{}.lambda_1!", false},
    {norm2, "v.blk.{}.ln2", "encoder.layer.{}.layernorm_after"},
    {up, "v.blk.{}.ffn_up", "encoder.layer.{}.mlp.fc1"},
    {down, "v.blk.{}.ffn_down", "encoder.layer.{}.mlp.fc2"},
    {mlp_gain, "v.blk.{}.ls2|v.blk.{}.ls2!", "encoder.layer.{}.lambda_2!", false},
};
constexpr TowerRow projector_rows[] = {
    {joined_norm, "mm.model.mlp.0", "layer_norm"},
    {first, "mm.model.mlp.1", "linear_1"},
    {second, "mm.model.mlp.3", "linear_2"},
};

constexpr std::string_view tower_prefixes[] = {"vision_tower.", "model.vision_tower."};
constexpr std::string_view projector_prefixes[] = {"multi_modal_projector.",
                                                   "model.multi_modal_projector."};
constexpr std::string_view types[] = {"internvl"};
constexpr std::string_view languages[] = {"qwen2", "qwen3", "qwen3moe", "llama", "gpt-oss"};

}  // namespace

const TowerSpec internvl_tower{
    .name = "internvl",
    .hf_types = types,
    .tower_prefixes = tower_prefixes,
    .projector_prefixes = projector_prefixes,
    .tower = tower_rows,
    .projector = projector_rows,
    .projector_eps = 1e-5f,
    .activation = ops::Activation::gelu,
    .hf_batch_of_one = true,
    .sizing = Sizing::shapes,
    .merge = 2,
    .mean = {0.485f, 0.456f, 0.406f},
    .deviation = {0.229f, 0.224f, 0.225f},
    .max_tiles = 12,
    .marker = "<IMG_CONTEXT>",
    .row_name = "<IMG_CONTEXT>",
    .rows_before = "<img>",
    .rows_after = "</img>",
    .after = "\n",
    .languages = languages,
};

}  // namespace hearth::models
