// DeepSeek 2 and 3, Kimi K2: attention through latents, experts in groups, a layer that guesses.
// Source: DeepSeek-AI 2024, the reports on V2 and V3.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto norms = norms_before();
constexpr auto mlp = gated_mlp();
constexpr auto expert_rows = experts();
constexpr auto shared = shared_experts();
constexpr auto bias = router_bias(optional_part);
constexpr auto guesses = mtp();

constexpr TensorRow latent_rows[] = {
    {Role::q, "blk.{}.attn_q", "layers.{}.self_attn.q_proj", Extent::q, Extent::dim},
    {Role::q_a, "blk.{}.attn_q_a", "layers.{}.self_attn.q_a_proj", Extent::q_rank, Extent::dim,
     optional_part},
    {Role::q_a_norm, "blk.{}.attn_q_a_norm", "layers.{}.self_attn.q_a_layernorm", Extent::q_rank},
    {Role::q_b, "blk.{}.attn_q_b", "layers.{}.self_attn.q_b_proj", Extent::q, Extent::q_rank},
    {Role::kv_a, "blk.{}.attn_kv_a_mqa", "layers.{}.self_attn.kv_a_proj_with_mqa",
     Extent::kv_rank_rope, Extent::dim, optional_part},
    {Role::kv_a_norm, "blk.{}.attn_kv_a_norm", "layers.{}.self_attn.kv_a_layernorm",
     Extent::kv_rank},
    {Role::kv_b, "blk.{}.attn_kv_b", "layers.{}.self_attn.kv_b_proj", Extent::kv_expanded,
     Extent::kv_rank},
    {Role::k_b, "blk.{}.attn_k_b", "", Extent::kv_rank, Extent::key_plain},
    {Role::v_b, "blk.{}.attn_v_b", "", Extent::value_dim, Extent::kv_rank},
    {Role::attention_out, "blk.{}.attn_output", "layers.{}.self_attn.o_proj", Extent::dim,
     Extent::mixed, optional_part},
};

constexpr std::string_view v2_types[] = {"deepseek_v2"};
constexpr std::string_view v3_types[] = {"deepseek_v3", "kimi_k2"};
constexpr std::string_view routed_words[] = {"n_routed_experts", "n_shared_experts",
                                             "first_k_dense_replace"};

}  // namespace

// Both under one name in GGUF, whose files say how experts are scored.
const ArchSpec deepseek2{
    .name = "deepseek2",
    .hf_types = v2_types,
    .hf_class = "DeepseekV2ForCausalLM",
    .hf_words = routed_words,
    .tensors = {whole, norms, latent_rows, mlp, expert_rows, shared, bias, guesses},
    .defaults = {.norm_eps = 1e-6},
    .rope_interleaved_gguf = true,
    .rope_interleaved_hf = true,
};

const ArchSpec deepseek3{
    .name = "deepseek2",
    .hf_types = v3_types,
    .hf_class = "DeepseekV3ForCausalLM",
    .hf_words = routed_words,
    .tensors = {whole, norms, latent_rows, mlp, expert_rows, shared, bias, guesses},
    .defaults = {.norm_eps = 1e-6, .normalise_experts = true, .expert_gate = ExpertGate::sigmoid},
    .rope_interleaved_gguf = true,
    .rope_interleaved_hf = true,
};

}  // namespace hearth::models
