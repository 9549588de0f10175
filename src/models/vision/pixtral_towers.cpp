// Pixtral, and Mistral 3 and Ministral 3 that join its patches: pictures of any size, places by
// rotation.
// Source: Agrawal et al. 2024.
#include "models/vision/tower_spec.h"

namespace hearth::models {
namespace {

using enum TowerPart;

constexpr TowerRow tower_rows[] = {
    {patch, "v.patch_embd", "patch_conv"},
    {pre_norm, "v.pre_ln", "ln_pre"},
    {norm1, "v.blk.{}.ln1", "transformer.layers.{}.attention_norm"},
    {q, "v.blk.{}.attn_q", "transformer.layers.{}.attention.q_proj"},
    {k, "v.blk.{}.attn_k", "transformer.layers.{}.attention.k_proj"},
    {v, "v.blk.{}.attn_v", "transformer.layers.{}.attention.v_proj"},
    {attention_out, "v.blk.{}.attn_out", "transformer.layers.{}.attention.o_proj"},
    {norm2, "v.blk.{}.ln2", "transformer.layers.{}.ffn_norm"},
    {gate, "v.blk.{}.ffn_gate", "transformer.layers.{}.feed_forward.gate_proj"},
    {up, "v.blk.{}.ffn_up", "transformer.layers.{}.feed_forward.up_proj"},
    {down, "v.blk.{}.ffn_down", "transformer.layers.{}.feed_forward.down_proj"},
};

constexpr TowerRow pixtral_rows[] = {{first, "mm.1", "linear_1"}, {second, "mm.2", "linear_2"}};
constexpr TowerRow mistral3_rows[] = {
    {block_norm, "mm.input_norm", "norm"},
    {merge, "mm.patch_merger", "patch_merger.merging_layer"},
    {first, "mm.1", "linear_1"},
    {second, "mm.2", "linear_2"},
};

constexpr std::string_view tower_prefixes[] = {"vision_tower.", "model.vision_tower."};
constexpr std::string_view projector_prefixes[] = {"multi_modal_projector.",
                                                   "model.multi_modal_projector."};
constexpr std::string_view languages[] = {"llama", "mistral3"};
constexpr std::string_view pixtral_types[] = {"llava"};
constexpr std::string_view mistral3_types[] = {"mistral3"};

}  // namespace

const TowerSpec mistral3_tower{
    .name = "pixtral",
    .hf_types = mistral3_types,
    .tower_prefixes = tower_prefixes,
    .projector_prefixes = projector_prefixes,
    .tower = tower_rows,
    .projector = mistral3_rows,
    .norm = NormKind::rms,
    .norm_eps = 1e-5f,
    .activation = ops::Activation::silu,
    .activation_from_config = true,
    .rope = true,
    .rope_splits_frequencies = true,
    .gguf_pairs = true,
    .merge_by_channel = true,
    .block_norm_eps_of_language = true,
    .sizing = Sizing::bounded,
    .merge = 2,
    .mean = clip_mean,
    .deviation = clip_deviation,
    .longest_edge = 1540,
    .marker = "[IMG]",
    .row_name = "[IMG]",
    .languages = languages,
};

const TowerSpec pixtral_tower{
    .name = "pixtral",
    .hf_types = pixtral_types,
    .hf_tower = "pixtral",
    .tower_prefixes = tower_prefixes,
    .projector_prefixes = projector_prefixes,
    .tower = tower_rows,
    .projector = pixtral_rows,
    .norm = NormKind::rms,
    .norm_eps = 1e-5f,
    .activation = ops::Activation::silu,
    .activation_from_config = true,
    .rope = true,
    .rope_splits_frequencies = true,
    .gguf_pairs = true,
    .sizing = Sizing::bounded,
    .mean = clip_mean,
    .deviation = clip_deviation,
    .longest_edge = 1024,
    .marker = "[IMG]",
    .row_name = "[IMG]",
    .languages = languages,
};

}  // namespace hearth::models
