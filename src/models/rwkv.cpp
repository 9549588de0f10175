// RWKV-7.  Source: Peng et al. 2025 (RWKV-7 "Goose"); the published checkpoints.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr TensorRow whole[] = {
    {Role::token_embedding, "token_embd", "embeddings", Extent::vocab, Extent::dim},
    {Role::embedding_norm, "token_embd_norm", "layers.0.pre_norm", Extent::dim, Extent::none,
     optional_part, optional_part},
    {Role::output_norm, "output_norm", "norm", Extent::dim, Extent::none, optional_part},
    {Role::output, "output", "/lm_head", Extent::vocab, Extent::dim, absent, optional_part},
};

constexpr TensorRow norms[] = {
    {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.attn_norm", Extent::dim, Extent::none,
     optional_part},
    {Role::mlp_norm, "blk.{}.attn_norm_2", "layers.{}.ffn_norm", Extent::dim, Extent::none,
     optional_part},
};

constexpr TensorRow lerps[] = {
    {Role::mixer_lerps, "blk.{}.time_mix_lerp_fused", "", Extent::lerps, Extent::dim},
    {Role::lerp_r, "", "layers.{}.attn.x_r!", Extent::dim},
    {Role::lerp_w, "", "layers.{}.attn.x_w!", Extent::dim},
    {Role::lerp_k, "", "layers.{}.attn.x_k!", Extent::dim},
    {Role::lerp_v, "", "layers.{}.attn.x_v!", Extent::dim},
    {Role::lerp_a, "", "layers.{}.attn.x_a!", Extent::dim},
    {Role::lerp_g, "", "layers.{}.attn.x_g!", Extent::dim},
};

constexpr TensorRow mixing[] = {
    {Role::mixer_r, "blk.{}.time_mix_receptance", "layers.{}.attn.r_proj", Extent::mixer_inner,
     Extent::dim},
    {Role::mixer_k, "blk.{}.time_mix_key", "layers.{}.attn.k_proj", Extent::mixer_inner,
     Extent::dim},
    {Role::mixer_v, "blk.{}.time_mix_value", "layers.{}.attn.v_proj", Extent::mixer_inner,
     Extent::dim},
    {Role::mixer_out, "blk.{}.time_mix_output", "layers.{}.attn.o_proj", Extent::dim,
     Extent::mixer_inner},
    {Role::mixer_norm, "blk.{}.time_mix_ln", "layers.{}.attn.g_norm", Extent::mixer_inner,
     Extent::none, optional_part},
    {Role::key_scale, "blk.{}.time_mix_k_k", "layers.{}.attn.k_k!", Extent::mixer_inner},
    {Role::key_rate, "blk.{}.time_mix_k_a", "layers.{}.attn.k_a!", Extent::mixer_inner},
    {Role::bonus, "blk.{}.time_mix_r_k", "layers.{}.attn.r_k!", Extent::mixer_heads,
     Extent::mixer_head_dim},
};

constexpr TensorRow narrow[] = {
    {Role::decay_in, "blk.{}.time_mix_w1", "layers.{}.attn.w_lora.lora.0", Extent::decay_rank,
     Extent::dim},
    {Role::decay_out, "blk.{}.time_mix_w2", "layers.{}.attn.w_lora.lora.2", Extent::mixer_inner,
     Extent::decay_rank},
    {Role::decay_base, "blk.{}.time_mix_w0", "layers.{}.attn.w_lora.lora.2.bias!",
     Extent::mixer_inner},
    {Role::rate_in, "blk.{}.time_mix_a1", "layers.{}.attn.a_lora.lora.0", Extent::rate_rank,
     Extent::dim},
    {Role::rate_out, "blk.{}.time_mix_a2", "layers.{}.attn.a_lora.lora.2", Extent::mixer_inner,
     Extent::rate_rank},
    {Role::rate_base, "blk.{}.time_mix_a0", "layers.{}.attn.a_lora.lora.2.bias!",
     Extent::mixer_inner},
    {Role::first_in, "blk.{}.time_mix_v1", "layers.{}.attn.v_lora.lora.0", Extent::first_rank,
     Extent::dim},
    {Role::first_out, "blk.{}.time_mix_v2", "layers.{}.attn.v_lora.lora.2", Extent::mixer_inner,
     Extent::first_rank},
    {Role::first_base, "blk.{}.time_mix_v0", "layers.{}.attn.v_lora.lora.2.bias!",
     Extent::mixer_inner},
    {Role::gate_in, "blk.{}.time_mix_g1", "layers.{}.attn.g_lora.lora.0", Extent::gate_rank,
     Extent::dim},
    {Role::gate_out, "blk.{}.time_mix_g2", "layers.{}.attn.g_lora.lora.2", Extent::mixer_inner,
     Extent::gate_rank},
};

constexpr TensorRow mlp[] = {
    {Role::mlp_lerp, "blk.{}.channel_mix_lerp_k", "layers.{}.ffn.x_k!", Extent::dim},
    {Role::up, "blk.{}.channel_mix_key", "layers.{}.ffn.key", Extent::hidden, Extent::dim},
    {Role::down, "blk.{}.channel_mix_value", "layers.{}.ffn.value", Extent::dim, Extent::hidden},
};

constexpr std::string_view words[] = {"norm_eps"};
constexpr std::string_view types[] = {"rwkv7", "rwkv7_fla"};

}  // namespace

const ArchSpec rwkv7{
    .name = "rwkv7",
    .hf_types = types,
    .hf_class = "RWKV7ForCausalLM",
    .hf_words = words,
    .tensors = {whole, norms, lerps, mixing, narrow, mlp},
    .norm = NormKind::layer,
    .mlp = MlpKind::plain,
    .activation = ops::Activation::relu_squared,
    .rope = RopeRule::none,
    .mixer = MixerKind::rwkv7,
};

}  // namespace hearth::models
