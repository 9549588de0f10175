// GLM-4 (0414): norms around both branches, half of each head turns, in pairs.
// Source: GLM Team 2024; the GLM-4-0414 model card.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto biased_attention = attention(optional_part, optional_part);
constexpr auto mlp = fused_gated_mlp();

constexpr TensorRow sandwich_norms[] = {
    {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.input_layernorm", Extent::dim},
    {Role::attention_post_norm, "blk.{}.post_attention_norm", "layers.{}.post_self_attn_layernorm",
     Extent::dim},
    {Role::mlp_norm, "blk.{}.ffn_norm", "layers.{}.post_attention_layernorm", Extent::dim},
    {Role::mlp_post_norm, "blk.{}.post_ffw_norm", "layers.{}.post_mlp_layernorm", Extent::dim},
};

constexpr std::string_view types[] = {"glm4"};

}  // namespace

const ArchSpec glm4{
    .name = "glm4",
    .hf_types = types,
    .hf_class = "Glm4ForCausalLM",
    .tensors = {whole, sandwich_norms, biased_attention, mlp},
    .defaults = {.norm_eps = 1.5625e-7, .rotary_share = 0.5},
    .rope_interleaved_gguf = true,
    .rope_interleaved_hf = true,
};

}  // namespace hearth::models
