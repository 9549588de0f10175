// Qwen 2 (biases on queries, keys and values), Qwen 3 (norms of queries and keys), their mixtures
// of experts, and what reads and writes of their models that see.  Source: Yang et al. 2024 and
// 2025.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto norms = norms_before();
constexpr auto biased_attention = attention(required_part);
constexpr auto plain_attention = attention(optional_part, optional_part);
constexpr auto head_norms = query_key_norms();
constexpr auto mlp = gated_mlp();
constexpr auto expert_rows = experts();

constexpr TensorRow shared_expert[] = {
    {Role::shared_router, "blk.{}.ffn_gate_inp_shexp", "layers.{}.mlp.shared_expert_gate",
     Extent::one, Extent::dim},
    {Role::shared_gate, "blk.{}.ffn_gate_shexp", "layers.{}.mlp.shared_expert.gate_proj",
     Extent::shared_hidden, Extent::dim},
    {Role::shared_up, "blk.{}.ffn_up_shexp", "layers.{}.mlp.shared_expert.up_proj",
     Extent::shared_hidden, Extent::dim},
    {Role::shared_down, "blk.{}.ffn_down_shexp", "layers.{}.mlp.shared_expert.down_proj",
     Extent::dim, Extent::shared_hidden},
};

constexpr TensorRow stacked_experts[] = {
    {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.mlp.gate", Extent::experts, Extent::dim},
    {Role::experts_gate_up, "", "layers.{}.mlp.experts.gate_up_proj!", Extent::expert_hidden2,
     Extent::dim, absent, required_part, Form::either_stack},
    {Role::experts_gate, "blk.{}.ffn_gate_exps", "", Extent::expert_hidden, Extent::dim},
    {Role::experts_up, "blk.{}.ffn_up_exps", "", Extent::expert_hidden, Extent::dim},
    {Role::experts_down, "blk.{}.ffn_down_exps", "layers.{}.mlp.experts.down_proj!", Extent::dim,
     Extent::expert_hidden, absent, required_part, Form::either_stack},
};

constexpr std::string_view qwen2_types[] = {"qwen2"};
constexpr std::string_view qwen2vl_types[] = {"qwen2_vl", "qwen2_vl_text", "qwen2_5_vl",
                                              "qwen2_5_vl_text"};
constexpr std::string_view qwen2moe_types[] = {"qwen2_moe"};
constexpr std::string_view qwen3_types[] = {"qwen3"};
constexpr std::string_view qwen3vl_types[] = {"qwen3_vl_text", "qwen3_vl"};
constexpr std::string_view qwen3moe_types[] = {"qwen3_moe"};
constexpr std::string_view qwen3vlmoe_types[] = {"qwen3_vl_moe_text", "qwen3_vl_moe"};
constexpr std::string_view qwen2moe_words[] = {"num_experts"};
constexpr std::string_view qwen3moe_words[] = {"num_experts"};

}  // namespace

const ArchSpec qwen2{
    .name = "qwen2",
    .hf_types = qwen2_types,
    .hf_class = "Qwen2ForCausalLM",
    .tensors = {whole, norms, biased_attention, mlp},
    .defaults = {.norm_eps = 1e-6},
};

const ArchSpec qwen2vl{
    .name = "qwen2vl",
    .hf_types = qwen2vl_types,
    .hf_class = "Qwen2VLForConditionalGeneration",
    .tensors = {whole, norms, biased_attention, mlp},
    .defaults = {.norm_eps = 1e-6},
    .grid_positions = true,
};

const ArchSpec qwen2moe{
    .name = "qwen2moe",
    .hf_types = qwen2moe_types,
    .hf_class = "Qwen2MoeForCausalLM",
    .hf_words = qwen2moe_words,
    .tensors = {whole, norms, biased_attention, mlp, expert_rows, shared_expert},
    .defaults = {.norm_eps = 1e-6},
};

const ArchSpec qwen3{
    .name = "qwen3",
    .hf_types = qwen3_types,
    .hf_class = "Qwen3ForCausalLM",
    .tensors = {whole, norms, plain_attention, head_norms, mlp},
    .defaults = {.norm_eps = 1e-6},
};

const ArchSpec qwen3vl{
    .name = "qwen3vl",
    .hf_types = qwen3vl_types,
    .hf_class = "Qwen3VLTextModel",
    .tensors = {whole, norms, plain_attention, head_norms, mlp},
    .defaults = {.norm_eps = 1e-6},
    .grid_positions = true,
    .grid_interleaved = true,
};

const ArchSpec qwen3vlmoe{
    .name = "qwen3vlmoe",
    .hf_types = qwen3vlmoe_types,
    .hf_class = "Qwen3VLMoeTextModel",
    .hf_words = qwen3moe_words,
    .tensors = {whole, norms, plain_attention, head_norms, mlp, stacked_experts},
    .defaults = {.norm_eps = 1e-6, .normalise_experts = true},
    .grid_positions = true,
    .grid_interleaved = true,
};

const ArchSpec qwen3moe{
    .name = "qwen3moe",
    .hf_types = qwen3moe_types,
    .hf_class = "Qwen3MoeForCausalLM",
    .hf_words = qwen3moe_words,
    .tensors = {whole, norms, plain_attention, head_norms, mlp, expert_rows},
    .defaults = {.norm_eps = 1e-6, .normalise_experts = true},
};

}  // namespace hearth::models
