// Command-R (some norm queries and keys, a vector per head) and its successor with local layers,
// the global ones without positions.  Attention and MLP read one norm, side by side.
// Source: the Command R and Command R7B model cards.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto plain_attention = attention(optional_part, optional_part);
constexpr auto mlp = gated_mlp();

constexpr TensorRow norm_rows[] = {
    {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.input_layernorm", Extent::dim},
};
constexpr TensorRow head_norms[] = {
    {Role::q_norm, "blk.{}.attn_q_norm", "layers.{}.self_attn.q_norm", Extent::heads, Extent::head,
     absent, optional_part},
    {Role::k_norm, "blk.{}.attn_k_norm", "layers.{}.self_attn.k_norm", Extent::kv_heads,
     Extent::head, absent, optional_part},
};

constexpr HyperRow factors[] = {
    {"logit_scale", "logit_scale", &Hyper::logit_scale, 1e-6, 1e6},
};

constexpr std::string_view cohere_types[] = {"cohere"};
constexpr std::string_view cohere2_types[] = {"cohere2"};

}  // namespace

const ArchSpec command_r{
    .name = "command-r",
    .hf_types = cohere_types,
    .hf_class = "CohereForCausalLM",
    .tensors = {whole, norm_rows, plain_attention, head_norms, mlp},
    .hypers = factors,
    .defaults = {.rope_theta = 500000, .tied = true},
    .norm = NormKind::layer,
    .parallel = Parallel::always,
    .rope_interleaved_gguf = true,
    .rope_interleaved_hf = true,
};

const ArchSpec cohere2{
    .name = "cohere2",
    .hf_types = cohere2_types,
    .hf_class = "Cohere2ForCausalLM",
    .tensors = {whole, norm_rows, plain_attention, mlp},
    .hypers = factors,
    .defaults = {.tied = true},
    .norm = NormKind::layer,
    .parallel = Parallel::always,
    .rope = RopeRule::local_layers,
    .rope_interleaved_gguf = true,
    .rope_interleaved_hf = true,
    .local = {.period = 4, .global_at = 3},
};

}  // namespace hearth::models
