// Gemma 4's tower: pictures of any shape within a number of patches, whose places are learned by
// column and by row, and by rotation; blocks of patches become their mean.
// Source: the Gemma 4 model card.
#include "models/vision/tower_spec.h"

namespace hearth::models {
namespace {

using enum TowerPart;

constexpr TowerRow tower_rows[] = {
    {patch, "v.patch_embd", "patch_embedder.input_proj"},
    {positions, "v.position_embd", "patch_embedder.position_embedding_table!"},
    {norm1, "v.blk.{}.ln1", "encoder.layers.{}.input_layernorm"},
    {q, "v.blk.{}.attn_q", "encoder.layers.{}.self_attn.q_proj.linear"},
    {k, "v.blk.{}.attn_k", "encoder.layers.{}.self_attn.k_proj.linear"},
    {v, "v.blk.{}.attn_v", "encoder.layers.{}.self_attn.v_proj.linear"},
    {q_norm, "v.blk.{}.attn_q_norm", "encoder.layers.{}.self_attn.q_norm"},
    {k_norm, "v.blk.{}.attn_k_norm", "encoder.layers.{}.self_attn.k_norm"},
    {attention_out, "v.blk.{}.attn_out", "encoder.layers.{}.self_attn.o_proj.linear"},
    {attention_post_norm, "v.blk.{}.attn_post_norm", "encoder.layers.{}.post_attention_layernorm"},
    {norm2, "v.blk.{}.ln2", "encoder.layers.{}.pre_feedforward_layernorm"},
    {gate, "v.blk.{}.ffn_gate", "encoder.layers.{}.mlp.gate_proj.linear"},
    {up, "v.blk.{}.ffn_up", "encoder.layers.{}.mlp.up_proj.linear"},
    {down, "v.blk.{}.ffn_down", "encoder.layers.{}.mlp.down_proj.linear"},
    {mlp_post_norm, "v.blk.{}.ffn_post_norm", "encoder.layers.{}.post_feedforward_layernorm"},
};
constexpr TowerRow projector_rows[] = {
    {shift, "v.std_bias!|v.std_bias", "vision_tower.std_bias!", false},
    {stretch, "v.std_scale!|v.std_scale", "vision_tower.std_scale!", false},
    {first, "mm.input_projection", "embed_vision.embedding_projection"},
};

constexpr std::string_view tower_prefixes[] = {"model.vision_tower.", "vision_tower."};
constexpr std::string_view projector_prefixes[] = {"model.", ""};
constexpr std::string_view types[] = {"gemma4"};
constexpr std::string_view languages[] = {"gemma4"};

}  // namespace

const TowerSpec gemma4_tower{
    .name = "gemma4v",
    .hf_types = types,
    .tower_prefixes = tower_prefixes,
    .projector_prefixes = projector_prefixes,
    .tower = tower_rows,
    .projector = projector_rows,
    .norm = NormKind::rms,
    .heads_normed_alone = true,
    .unit_values = true,
    .attention_scale = 1,
    .bounded = true,
    .rope = true,
    .rope_theta = 100,
    .rope_columns_first = true,
    .rope_in_halves = true,
    .places = Places::crossed,
    .hf_patch_is_matrix = true,
    .hf_patch_channels_last = true,
    .sizing = Sizing::budget,
    .joining = Joining::average,
    .merge = 3,
    .max_rows = 280,
    .own_colours = true,
    .marker = "<|image|>",
    .row_name = "<|image|>",
    .rows_before = "<|image>",
    .rows_after = "<image|>",
    .languages = languages,
    .sees_ahead = true,
};

}  // namespace hearth::models
