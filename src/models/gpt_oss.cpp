// gpt-oss: attention sinks, every other layer local, biases everywhere, experts with a clamped
// SwiGLU.  Source: OpenAI 2025, the gpt-oss model card.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto biased_attention = attention(required_part, required_part);

constexpr TensorRow layer_rows[] = {
    {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.input_layernorm", Extent::dim},
    {Role::mlp_norm, "blk.{}.post_attention_norm", "layers.{}.post_attention_layernorm",
     Extent::dim},
    {Role::sinks, "blk.{}.attn_sinks", "layers.{}.self_attn.sinks!", Extent::heads},
    {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.mlp.router", Extent::experts, Extent::dim,
     required_part},
};
constexpr TensorRow expert_rows[] = {
    {Role::experts_gate_up, "", "layers.{}.mlp.experts.gate_up_proj!", Extent::expert_hidden2,
     Extent::dim, required_part, required_part, Form::expert_stack},
    {Role::experts_gate, "blk.{}.ffn_gate_exps", "", Extent::expert_hidden, Extent::dim,
     required_part},
    {Role::experts_up, "blk.{}.ffn_up_exps", "", Extent::expert_hidden, Extent::dim, required_part},
    {Role::experts_down, "blk.{}.ffn_down_exps", "layers.{}.mlp.experts.down_proj!", Extent::dim,
     Extent::expert_hidden, required_part, required_part, Form::expert_stack},
};

constexpr HyperRow clamp[] = {
    {"", "swiglu_alpha", &Hyper::swiglu_alpha, 1e-3, 1e3},
    {"", "swiglu_limit", &Hyper::swiglu_limit, 1e-3, 1e6},
};

constexpr std::string_view types[] = {"gpt_oss"};

}  // namespace

const ArchSpec gpt_oss{
    .name = "gpt-oss",
    .hf_types = types,
    .hf_class = "GptOssForCausalLM",
    .tensors = {whole, biased_attention, layer_rows, expert_rows},
    .hypers = clamp,
    .defaults = {.rope_theta = 150000, .normalise_experts = true, .yarn_truncate = false},
    .clamped_swiglu = true,
    .local = {.period = 2, .global_at = 1},
};

}  // namespace hearth::models
