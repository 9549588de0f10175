// Kin of Llama: Llama 4 (chunks, layers without rotation, one expert of many), Ministral 3 (queries
// that grow with their position), Seed-OSS, EXAONE 4 (norms after both branches, rotation in local
// layers alone), Granite's mixtures of experts.
// Source: the Llama 4, Ministral 3 and Granite 3.1 model cards; the Seed-OSS model card; LG AI
// Research 2025 (EXAONE 4.0).
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto norms = norms_before();
constexpr auto late_norms = norms_before_named_after();
constexpr auto plain_attention = attention(optional_part, optional_part);
constexpr auto head_norms = query_key_norms();
constexpr auto mlp = gated_mlp(optional_part);

constexpr TensorRow rope_rows[] = {
    {Role::rope_divisors, "rope_freqs", "", Extent::rotary_half, Extent::none, absent,
     optional_part},
};
constexpr TensorRow after_norms[] = {
    {Role::attention_post_norm, "blk.{}.post_attention_norm", "layers.{}.post_attention_layernorm",
     Extent::dim},
    {Role::mlp_post_norm, "blk.{}.post_ffw_norm", "layers.{}.post_feedforward_layernorm",
     Extent::dim},
};
constexpr TensorRow llama4_mlp[] = {
    {Role::gate, "blk.{}.ffn_gate", "layers.{}.feed_forward.gate_proj", Extent::hidden,
     Extent::dim},
    {Role::up, "blk.{}.ffn_up", "layers.{}.feed_forward.up_proj", Extent::hidden, Extent::dim},
    {Role::down, "blk.{}.ffn_down", "layers.{}.feed_forward.down_proj", Extent::dim,
     Extent::hidden},
};
constexpr TensorRow llama4_experts[] = {
    {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.feed_forward.router", Extent::experts,
     Extent::dim},
    {Role::experts_gate_up, "", "layers.{}.feed_forward.experts.gate_up_proj!",
     Extent::expert_hidden2, Extent::dim, absent, required_part, Form::turned_stack},
    {Role::experts_gate, "blk.{}.ffn_gate_exps", "", Extent::expert_hidden, Extent::dim},
    {Role::experts_up, "blk.{}.ffn_up_exps", "", Extent::expert_hidden, Extent::dim},
    {Role::experts_down, "blk.{}.ffn_down_exps", "layers.{}.feed_forward.experts.down_proj!",
     Extent::dim, Extent::expert_hidden, absent, required_part, Form::turned_stack},
    {Role::shared_gate, "blk.{}.ffn_gate_shexp", "layers.{}.feed_forward.shared_expert.gate_proj",
     Extent::shared_hidden, Extent::dim},
    {Role::shared_up, "blk.{}.ffn_up_shexp", "layers.{}.feed_forward.shared_expert.up_proj",
     Extent::shared_hidden, Extent::dim},
    {Role::shared_down, "blk.{}.ffn_down_shexp", "layers.{}.feed_forward.shared_expert.down_proj",
     Extent::dim, Extent::shared_hidden},
};
constexpr auto granite_experts = granite_moe();

constexpr std::string_view llama4_types[] = {"llama4_text", "llama4"};
constexpr std::string_view ministral3_types[] = {"ministral3"};
constexpr std::string_view seed_types[] = {"seed_oss"};
constexpr std::string_view exaone4_types[] = {"exaone4"};
constexpr std::string_view granitemoe_words[] = {"shared_intermediate_size"};
constexpr std::string_view granitemoe_types[] = {"granitemoe", "granitemoeshared"};
constexpr std::string_view llama4_words[] = {"interleave_moe_layer_step"};

}  // namespace

const ArchSpec llama4{
    .name = "llama4",
    .hf_types = llama4_types,
    .hf_class = "Llama4ForCausalLM",
    .hf_words = llama4_words,
    .tensors = {whole, rope_rows, norms, plain_attention, llama4_mlp, llama4_experts},
    .defaults = {.rope_theta = 500000,
                 .expert_gate = ExpertGate::sigmoid,
                 .shared_experts = 1,
                 .chunk = 8192,
                 .temperature_scale = 0.1f,
                 .temperature_floor = 8192,
                 .temperature_offset = 1},
    .rope = RopeRule::three_of_four,
    .rope_interleaved_gguf = true,
    .rope_interleaved_hf = true,
    .local = {.period = 4, .global_at = 3},
    .unit_after_rope = true,
    .scales_expert_input = true,
    .tempered = Tempered::unrotated,
};

const ArchSpec ministral3{
    .name = "mistral3",
    .hf_types = ministral3_types,
    .hf_class = "Ministral3ForCausalLM",
    .tensors = {whole, rope_rows, norms, plain_attention, mlp},
    .defaults = {.rope_theta = 1e6, .temperature_floor = 0},
    .rope_interleaved_gguf = true,
    .tempered = Tempered::all,
};

const ArchSpec seed_oss{
    .name = "seed_oss",
    .hf_types = seed_types,
    .hf_class = "SeedOssForCausalLM",
    .tensors = {whole, late_norms, plain_attention, mlp},
    .defaults = {.norm_eps = 1e-6},
};

const ArchSpec exaone4{
    .name = "exaone4",
    .hf_types = exaone4_types,
    .hf_class = "Exaone4ForCausalLM",
    .tensors = {whole, rope_rows, after_norms, plain_attention, head_norms, mlp},
    .rope = RopeRule::local_if_any,
    .local = {.period = 4, .global_at = 3},
};

const ArchSpec granitemoe{
    .name = "granitemoe",
    .hf_types = granitemoe_types,
    .hf_class = "GraniteMoeForCausalLM",
    .hf_words = granitemoe_words,
    .tensors = {whole, rope_rows, norms, plain_attention, granite_experts},
    .hypers = granite_factors,
    .defaults = {.norm_eps = 1e-6, .normalise_experts = true},
    .rope_interleaved_gguf = true,
    .logit_scale_divides = true,
};

}  // namespace hearth::models
