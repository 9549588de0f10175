// Mixtures of experts that differ from their dense kin in little else: OLMoE, ERNIE 4.5, Hunyuan,
// dots.llm1, GLM-4.5, MiniMax-M2.  Some routers add a bias for the choice alone.
// Source: Muennighoff et al. 2024; the ERNIE 4.5 report; the Hunyuan-A13B report; Huo et al. 2025;
// GLM-4.5 Team 2025; the MiniMax-M2 model card.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto norms = norms_before();
constexpr auto late_norms = norms_before_named_after();
constexpr auto plain_attention = attention(optional_part, optional_part);
constexpr auto head_norms = query_key_norms();
constexpr auto full_norms = query_key_norms(Extent::q, Extent::kv);
constexpr auto mlp = gated_mlp(optional_part);
constexpr auto expert_rows = experts();
constexpr auto shared = shared_experts();
constexpr auto bias = router_bias();
constexpr auto guesses = mtp();
constexpr TensorRow ernie_bias[] = {
    {Role::router_bias, "blk.{}.exp_probs_b.bias!",
     "layers.{}.mlp.moe_statics.e_score_correction_bias!", Extent::one, Extent::experts},
};

constexpr TensorRow hunyuan_norms[] = {
    {Role::q_norm, "blk.{}.attn_q_norm", "layers.{}.self_attn.query_layernorm", Extent::head},
    {Role::k_norm, "blk.{}.attn_k_norm", "layers.{}.self_attn.key_layernorm", Extent::head},
};
constexpr TensorRow hunyuan_experts[] = {
    {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.mlp.gate.wg", Extent::experts, Extent::dim},
    {Role::experts_gate, "blk.{}.ffn_gate_exps", "layers.{}.mlp.experts.{e}.gate_proj",
     Extent::expert_hidden, Extent::dim},
    {Role::experts_up, "blk.{}.ffn_up_exps", "layers.{}.mlp.experts.{e}.up_proj",
     Extent::expert_hidden, Extent::dim},
    {Role::experts_down, "blk.{}.ffn_down_exps", "layers.{}.mlp.experts.{e}.down_proj", Extent::dim,
     Extent::expert_hidden},
    {Role::shared_gate, "blk.{}.ffn_gate_shexp", "layers.{}.mlp.shared_mlp.gate_proj",
     Extent::shared_hidden, Extent::dim},
    {Role::shared_up, "blk.{}.ffn_up_shexp", "layers.{}.mlp.shared_mlp.up_proj",
     Extent::shared_hidden, Extent::dim},
    {Role::shared_down, "blk.{}.ffn_down_shexp", "layers.{}.mlp.shared_mlp.down_proj", Extent::dim,
     Extent::shared_hidden},
};
constexpr TensorRow glm_norms[] = {
    {Role::q_norm, "blk.{}.attn_q_norm", "layers.{}.self_attn.q_norm", Extent::head, Extent::none,
     absent, optional_part},
    {Role::k_norm, "blk.{}.attn_k_norm", "layers.{}.self_attn.k_norm", Extent::head, Extent::none,
     absent, optional_part},
};
constexpr TensorRow minimax_experts[] = {
    {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.block_sparse_moe.gate", Extent::experts,
     Extent::dim},
    {Role::router_bias, "blk.{}.exp_probs_b.bias!",
     "layers.{}.block_sparse_moe.e_score_correction_bias!", Extent::experts},
    {Role::experts_gate, "blk.{}.ffn_gate_exps", "layers.{}.block_sparse_moe.experts.{e}.w1",
     Extent::expert_hidden, Extent::dim},
    {Role::experts_up, "blk.{}.ffn_up_exps", "layers.{}.block_sparse_moe.experts.{e}.w3",
     Extent::expert_hidden, Extent::dim},
    {Role::experts_down, "blk.{}.ffn_down_exps", "layers.{}.block_sparse_moe.experts.{e}.w2",
     Extent::dim, Extent::expert_hidden},
};

constexpr std::string_view olmoe_types[] = {"olmoe"};
constexpr std::string_view ernie_types[] = {"ernie4_5"};
constexpr std::string_view ernie_moe_types[] = {"ernie4_5_moe"};
constexpr std::string_view hunyuan_types[] = {"hunyuan_v1_dense"};
constexpr std::string_view hunyuan_moe_types[] = {"hunyuan_v1_moe", "hunyuan"};
constexpr std::string_view dots1_types[] = {"dots1"};
constexpr std::string_view glm4_moe_types[] = {"glm4_moe"};
constexpr std::string_view minimax_types[] = {"minimax_m2"};
constexpr std::string_view counted_words[] = {"num_experts"};
constexpr std::string_view ernie_moe_words[] = {"moe_num_experts", "moe_k",
                                                "moe_num_shared_experts", "moe_layer_interval",
                                                "moe_layer_start_index"};
constexpr std::string_view hunyuan_moe_words[] = {"num_experts", "moe_topk", "num_shared_expert"};
constexpr std::string_view routed_words[] = {"n_routed_experts", "n_shared_experts",
                                             "first_k_dense_replace"};

}  // namespace

const ArchSpec olmoe{
    .name = "olmoe",
    .hf_types = olmoe_types,
    .hf_class = "OlmoeForCausalLM",
    .hf_words = counted_words,
    .tensors = {whole, norms, plain_attention, full_norms, expert_rows},
};

const ArchSpec ernie4_5{
    .name = "ernie4_5",
    .hf_types = ernie_types,
    .hf_class = "Ernie4_5ForCausalLM",
    .tensors = {whole, norms, plain_attention, mlp},
    .defaults = {.rope_theta = 500000, .tied = true},
    .rope_interleaved_gguf = true,
    .rope_interleaved_hf = true,
};

const ArchSpec ernie4_5_moe{
    .name = "ernie4_5-moe",
    .hf_types = ernie_moe_types,
    .hf_class = "Ernie4_5_MoeForCausalLM",
    .hf_words = ernie_moe_words,
    .tensors = {whole, norms, plain_attention, mlp, expert_rows, shared, ernie_bias},
    .defaults = {.rope_theta = 500000, .normalise_experts = true, .tied = true},
    .rope_interleaved_gguf = true,
    .rope_interleaved_hf = true,
};

const ArchSpec hunyuan_dense{
    .name = "hunyuan-dense",
    .hf_types = hunyuan_types,
    .hf_class = "HunYuanDenseV1ForCausalLM",
    .tensors = {whole, norms, plain_attention, hunyuan_norms, mlp},
    .norm_after_rope = true,
};

const ArchSpec hunyuan_moe{
    .name = "hunyuan-moe",
    .hf_types = hunyuan_moe_types,
    .hf_class = "HunYuanMoEV1ForCausalLM",
    .hf_words = hunyuan_moe_words,
    .tensors = {whole, norms, plain_attention, hunyuan_norms, hunyuan_experts},
    .defaults = {.normalise_experts = true, .shared_experts = 1},
    .norm_after_rope = true,
};

const ArchSpec dots1{
    .name = "dots1",
    .hf_types = dots1_types,
    .hf_class = "Dots1ForCausalLM",
    .hf_words = routed_words,
    .tensors = {whole, norms, plain_attention, head_norms, mlp, expert_rows, shared, bias},
    .defaults = {.expert_gate = ExpertGate::sigmoid},
};

const ArchSpec glm4_moe{
    .name = "glm4moe",
    .hf_types = glm4_moe_types,
    .hf_class = "Glm4MoeForCausalLM",
    .hf_words = routed_words,
    .tensors = {whole, late_norms, plain_attention, glm_norms, mlp, expert_rows, shared, bias,
                guesses},
    .defaults = {.rotary_share = 0.5,
                 .normalise_experts = true,
                 .expert_gate = ExpertGate::sigmoid},
};

const ArchSpec minimax_m2{
    .name = "minimax-m2",
    .hf_types = minimax_types,
    .hf_class = "MiniMaxM2ForCausalLM",
    .tensors = {whole, norms, plain_attention, full_norms, minimax_experts},
    .defaults = {.norm_eps = 1e-6,
                 .rope_theta = 5e6,
                 .normalise_experts = true,
                 .expert_gate = ExpertGate::sigmoid},
};

}  // namespace hearth::models
