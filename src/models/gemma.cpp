// Gemma 1 to 4 (text).  Layers of 3n and 4 add vectors of their own to the stream; its global ones
// have larger heads, its last ones read the keys of earlier ones.  Norms are stored as w - 1 by
// Hugging Face; 2 and 3 norm every branch before and after, alternate local with global layers; 2
// caps its logits, 3 norms queries and keys. Source: the Gemma reports of 2024 and 2025; the Gemma
// 4 model card.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto norms = norms_before();
constexpr auto plain_attention = attention(optional_part, optional_part);
constexpr auto head_norms = query_key_norms();
constexpr auto mlp = gated_mlp();

constexpr TensorRow sandwich_norms[] = {
    {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.input_layernorm", Extent::dim},
    {Role::attention_post_norm, "blk.{}.post_attention_norm", "layers.{}.post_attention_layernorm",
     Extent::dim},
    {Role::mlp_norm, "blk.{}.ffn_norm", "layers.{}.pre_feedforward_layernorm", Extent::dim},
    {Role::mlp_post_norm, "blk.{}.post_ffw_norm", "layers.{}.post_feedforward_layernorm",
     Extent::dim},
};

constexpr HyperRow caps[] = {
    {"attn_logit_softcapping", "attn_logit_softcapping", &Hyper::attention_softcap, 0, 1e6},
    {"final_logit_softcapping", "final_logit_softcapping", &Hyper::output_softcap, 0, 1e6},
};

constexpr std::array<TensorRow, 3> own_vectors() {
  return {{
      {Role::per_layer_embedding, "per_layer_token_embd", "embed_tokens_per_layer",
       Extent::per_layer_vocab, Extent::per_layer_all},
      {Role::per_layer_projection, "per_layer_model_proj", "per_layer_model_projection",
       Extent::per_layer_all, Extent::dim},
      {Role::per_layer_norm, "per_layer_proj_norm", "per_layer_projection_norm", Extent::per_layer},
  }};
}
constexpr std::array<TensorRow, 3> own_vectors_of_layers() {
  return {{
      {Role::layer_gate, "blk.{}.inp_gate", "layers.{}.per_layer_input_gate", Extent::per_layer,
       Extent::dim},
      {Role::layer_projection, "blk.{}.proj", "layers.{}.per_layer_projection", Extent::dim,
       Extent::per_layer},
      {Role::layer_norm, "blk.{}.post_norm", "layers.{}.post_per_layer_input_norm", Extent::dim},
  }};
}
constexpr auto vectors = own_vectors();
constexpr auto layer_vectors = own_vectors_of_layers();

// ---- Gemma 3n ----

constexpr TensorRow streams_whole[] = {
    {Role::stream_in, "altup_proj", "altup_projections.{e}", Extent::dim, Extent::dim},
    {Role::stream_out, "altup_unembd_proj", "altup_unembed_projections.{e}", Extent::dim,
     Extent::dim},
};
constexpr TensorRow streams_layers[] = {
    {Role::stream_router_norm, "blk.{}.altup_router_norm", "layers.{}.altup.router_norm",
     Extent::dim},
    {Role::stream_router, "blk.{}.altup_router", "layers.{}.altup.modality_router", Extent::streams,
     Extent::dim},
    {Role::stream_predict, "blk.{}.altup_predict_coef", "layers.{}.altup.prediction_coefs",
     Extent::streams2, Extent::streams},
    {Role::stream_correct, "blk.{}.altup_correct_coef", "layers.{}.altup.correction_coefs",
     Extent::streams, Extent::streams},
    {Role::stream_scale, "blk.{}.altup_correct_scale", "layers.{}.altup.correct_output_scale!",
     Extent::dim},
    {Role::side_down, "blk.{}.laurel_l", "layers.{}.laurel.linear_left", Extent::side, Extent::dim},
    {Role::side_up, "blk.{}.laurel_r", "layers.{}.laurel.linear_right", Extent::dim, Extent::side},
    {Role::side_norm, "blk.{}.laurel_post_norm", "layers.{}.laurel.post_laurel_norm", Extent::dim},
};

// ---- Gemma 4 ----

constexpr TensorRow gemma4_whole[] = {
    {Role::rope_divisors, "rope_freqs", "", Extent::rotary_half, Extent::none, absent,
     optional_part},
};
constexpr TensorRow gemma4_layers[] = {
    {Role::q, "blk.{}.attn_q", "layers.{}.self_attn.q_proj", Extent::q, Extent::dim},
    {Role::k, "blk.{}.attn_k", "layers.{}.self_attn.k_proj", Extent::kv, Extent::dim},
    {Role::v, "blk.{}.attn_v", "layers.{}.self_attn.v_proj", Extent::kv, Extent::dim, absent,
     optional_part},
    {Role::attention_out, "blk.{}.attn_output", "layers.{}.self_attn.o_proj", Extent::dim,
     Extent::q},
    {Role::layer_scale, "blk.{}.layer_output_scale", "layers.{}.layer_scalar!", Extent::one,
     Extent::none, absent, optional_part},
};

constexpr TensorRow gemma4_experts[] = {
    {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.router.proj", Extent::experts, Extent::dim},
    {Role::router_scale, "blk.{}.ffn_gate_inp.scale!", "layers.{}.router.scale!", Extent::dim},
    {Role::experts_scale, "blk.{}.ffn_down_exps.scale!", "layers.{}.router.per_expert_scale!",
     Extent::experts, Extent::none, absent, optional_part},
    {Role::experts_norm, "blk.{}.pre_ffw_norm_2", "layers.{}.pre_feedforward_layernorm_2",
     Extent::dim},
    {Role::experts_post_norm, "blk.{}.post_ffw_norm_2", "layers.{}.post_feedforward_layernorm_2",
     Extent::dim},
    {Role::beside_post_norm, "blk.{}.post_ffw_norm_1", "layers.{}.post_feedforward_layernorm_1",
     Extent::dim},
    {Role::experts_gate_up, "blk.{}.ffn_gate_up_exps", "layers.{}.experts.gate_up_proj!",
     Extent::expert_hidden2, Extent::dim},
    {Role::experts_gate, "blk.{}.ffn_gate_exps", "", Extent::expert_hidden, Extent::dim},
    {Role::experts_up, "blk.{}.ffn_up_exps", "", Extent::expert_hidden, Extent::dim},
    {Role::experts_down, "blk.{}.ffn_down_exps", "layers.{}.experts.down_proj!", Extent::dim,
     Extent::expert_hidden},
};

constexpr std::string_view gemma3n_types[] = {"gemma3n_text", "gemma3n"};
constexpr std::string_view gemma4_words[] = {"num_experts", "top_k_experts", "hidden_activation"};
constexpr std::string_view gemma4_types[] = {"gemma4_text", "gemma4"};
constexpr std::string_view gemma_types[] = {"gemma"};
constexpr std::string_view gemma2_types[] = {"gemma2"};
constexpr std::string_view gemma3_types[] = {"gemma3_text", "gemma3"};
constexpr std::string_view gemma_words[] = {"hidden_activation"};

}  // namespace

const ArchSpec gemma{
    .name = "gemma",
    .hf_types = gemma_types,
    .hf_class = "GemmaForCausalLM",
    .hf_words = gemma_words,
    .tensors = {whole, norms, plain_attention, mlp},
    .defaults = {.norm_eps = 1e-6, .tied = true},
    .hf_norm_plus_one = true,
    .activation = ops::Activation::gelu_tanh,
    .embedding_scale_sqrt_dim = true,
};

const ArchSpec gemma2{
    .name = "gemma2",
    .hf_types = gemma2_types,
    .hf_class = "Gemma2ForCausalLM",
    .tensors = {whole, sandwich_norms, plain_attention, mlp},
    .hypers = caps,
    .defaults = {.norm_eps = 1e-6, .tied = true},
    .hf_norm_plus_one = true,
    .activation = ops::Activation::gelu_tanh,
    .local = {.period = 2, .global_at = 1},
    .embedding_scale_sqrt_dim = true,
    .layers_scaled_by_dim = 46,
};

const ArchSpec gemma3{
    .name = "gemma3",
    .hf_types = gemma3_types,
    .hf_class = "Gemma3ForCausalLM",
    .tensors = {whole, sandwich_norms, plain_attention, head_norms, mlp},
    .hypers = caps,
    // The published 4B says little more than its width and layers.
    .defaults = {.norm_eps = 1e-6,
                 .rope_theta = 1e6,
                 .rope_theta_local = 1e4,
                 .tied = true,
                 .heads = 8,
                 .kv_heads = 4,
                 .head_dim = 256,
                 .vocab = 262208,
                 .context = 131072},
    .hf_norm_plus_one = true,
    .activation = ops::Activation::gelu_tanh,
    .local = {.period = 6, .global_at = 5},
    .embedding_scale_sqrt_dim = true,
    .layers_scaled_by_dim = 62,
};

const ArchSpec gemma3n{
    .name = "gemma3n",
    .hf_types = gemma3n_types,
    .hf_class = "Gemma3nForCausalLM",
    .hf_words = gemma_words,
    .tensors = {whole, vectors, streams_whole, sandwich_norms, plain_attention, head_norms, mlp,
                streams_layers, layer_vectors},
    .hypers = caps,
    .defaults = {.norm_eps = 1e-6,
                 .rope_theta = 1e6,
                 .rope_theta_local = 1e4,
                 .attention_scale = 1,
                 .tied = true,
                 .output_softcap = 30},
    .activation = ops::Activation::gelu_tanh,
    .local = {.period = 5, .global_at = 4},
    .embedding_scale_sqrt_dim = true,
    .local_heads = true,
    .unit_values = true,
};

const ArchSpec gemma4{
    .name = "gemma4",
    .hf_types = gemma4_types,
    .hf_class = "Gemma4ForCausalLM",
    .hf_words = gemma4_words,
    .tensors = {whole, vectors, gemma4_whole, sandwich_norms, gemma4_layers, layer_vectors,
                head_norms, mlp, gemma4_experts},
    .hypers = caps,
    .defaults = {.norm_eps = 1e-6,
                 .rope_theta = 1e6,
                 .rope_theta_local = 1e4,
                 .normalise_experts = true,
                 .attention_scale = 1,
                 .tied = true},
    .activation = ops::Activation::gelu_tanh,
    .local = {.period = 6, .global_at = 5},
    .embedding_scale_sqrt_dim = true,
    .experts_beside_mlp = true,
    .local_heads = true,
    .unit_values = true,
    .ahead_in_windows = true,
};

}  // namespace hearth::models
