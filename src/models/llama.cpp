// Llama 1 to 3, Mistral, Mixtral; SmolLM3 (every fourth layer does not turn); Granite (factors).
// Source: Touvron et al. 2023; Jiang et al. 2023 and 2024; the SmolLM3 and Granite 3 model cards.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto norms = norms_before();
constexpr auto plain_attention = attention(optional_part, optional_part);
constexpr auto mlp = gated_mlp(optional_part);

constexpr TensorRow rope_rows[] = {
    {Role::rope_divisors, "rope_freqs", "", Extent::rotary_half, Extent::none, absent,
     optional_part},
};
// GGUF files of the first months have a tensor for each expert.
constexpr TensorRow mixtral_experts[] = {
    {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.block_sparse_moe.gate", Extent::experts,
     Extent::dim},
    {Role::experts_gate, "blk.{}.ffn_gate_exps|blk.{}.ffn_gate.{e}",
     "layers.{}.block_sparse_moe.experts.{e}.w1", Extent::expert_hidden, Extent::dim},
    {Role::experts_up, "blk.{}.ffn_up_exps|blk.{}.ffn_up.{e}",
     "layers.{}.block_sparse_moe.experts.{e}.w3", Extent::expert_hidden, Extent::dim},
    {Role::experts_down, "blk.{}.ffn_down_exps|blk.{}.ffn_down.{e}",
     "layers.{}.block_sparse_moe.experts.{e}.w2", Extent::dim, Extent::expert_hidden},
};

constexpr std::string_view llama_types[] = {"llama", "mistral", "mixtral"};
constexpr std::string_view smollm3_types[] = {"smollm3"};
constexpr std::string_view granite_types[] = {"granite"};

}  // namespace

const ArchSpec llama{
    .name = "llama",
    .hf_types = llama_types,
    .hf_class = "LlamaForCausalLM",
    .tensors = {whole, rope_rows, norms, plain_attention, mlp, mixtral_experts},
    .defaults = {.norm_eps = 1e-6,
                 .normalise_experts = true,
                 .nested_dim = 4096,
                 .nested_layers = 32,
                 .nested_hidden = 11008,
                 .nested_heads = 32},
    .rope_interleaved_gguf = true,
};

const ArchSpec smollm3{
    .name = "smollm3",
    .hf_types = smollm3_types,
    .hf_class = "SmolLM3ForCausalLM",
    .tensors = {whole, rope_rows, norms, plain_attention, mlp},
    .defaults = {.norm_eps = 1e-6, .rope_theta = 2e6, .tied = true},
    .rope = RopeRule::three_of_four,
    .rope_interleaved_gguf = true,
};

const ArchSpec granite{
    .name = "granite",
    .hf_types = granite_types,
    .hf_class = "GraniteForCausalLM",
    .tensors = {whole, rope_rows, norms, plain_attention, mlp},
    .hypers = granite_factors,
    .defaults = {.norm_eps = 1e-6},
    .rope_interleaved_gguf = true,
    .logit_scale_divides = true,
};

}  // namespace hearth::models
