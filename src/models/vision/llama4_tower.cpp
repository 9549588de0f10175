// Llama 4's tower: pictures are cut into tiles of the canvas that fits best, places are learned and
// by rotation, the row of the class is the last.
// Source: the Llama 4 model card.
#include "models/vision/tower_spec.h"

namespace hearth::models {
namespace {

using enum TowerPart;

constexpr TowerRow tower_rows[] = {
    {patch, "v.patch_embd", "patch_embedding.linear"},
    {class_row, "v.class_embd!", "class_embedding!"},
    {positions, "v.position_embd|v.position_embd!", "positional_embedding_vlm!"},
    {pre_norm, "v.pre_ln", "layernorm_pre"},
    {norm1, "v.blk.{}.ln1", "model.layers.{}.input_layernorm"},
    {q, "v.blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {k, "v.blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {v, "v.blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {attention_out, "v.blk.{}.attn_out", "model.layers.{}.self_attn.o_proj"},
    {norm2, "v.blk.{}.ln2|v.blk.{}.attn_post_norm", "model.layers.{}.post_attention_layernorm"},
    {up, "v.blk.{}.ffn_up", "model.layers.{}.mlp.fc1"},
    {down, "v.blk.{}.ffn_down", "model.layers.{}.mlp.fc2"},
    {post_norm, "v.post_ln", "layernorm_post"},
};
constexpr TowerRow projector_rows[] = {
    {first, "mm.model.mlp.1", "vision_model.vision_adapter.mlp.fc1"},
    {second, "mm.model.mlp.2", "vision_model.vision_adapter.mlp.fc2"},
    {third, "mm.model.fc", "multi_modal_projector.linear_1"},
};

constexpr std::string_view tower_prefixes[] = {"vision_model.", "model.vision_model."};
constexpr std::string_view projector_prefixes[] = {"", "model."};
constexpr std::string_view types[] = {"llama4"};
constexpr std::string_view languages[] = {"llama4"};

}  // namespace

const TowerSpec llama4_tower{
    .name = "llama4",
    .hf_types = types,
    .tower_prefixes = tower_prefixes,
    .projector_prefixes = projector_prefixes,
    .tower = tower_rows,
    .projector = projector_rows,
    .norm_eps = 1e-5f,
    .activation = ops::Activation::gelu,
    .rope = true,
    .rope_columns_first = true,
    .rope_neighbours = true,
    .class_last = true,
    .hf_patch_is_matrix = true,
    .sizing = Sizing::canvases,
    .filter = Filter::bilinear16,
    .merge = 2,
    .max_tiles = 16,
    .rounded_colours = true,
    .marker = "<|image|>",
    .row_name = "<|patch|>",
    .languages = languages,
};

}  // namespace hearth::models
