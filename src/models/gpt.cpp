// StarCoder2, GPT-2 (a table of positions; Hugging Face stores its matrices turned) and GPT-NeoX
// (attention and MLP side by side, a part of each head turns).
// Source: Lozhkov et al. 2024; Radford et al. 2019; Black et al. 2022.
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends(required_part);
constexpr auto norms = norms_before(required_part);
constexpr auto biased_attention = attention(optional_part, optional_part);

constexpr TensorRow starcoder2_mlp[] = {
    {Role::up, "blk.{}.ffn_up", "layers.{}.mlp.c_fc", Extent::hidden, Extent::dim, optional_part},
    {Role::down, "blk.{}.ffn_down", "layers.{}.mlp.c_proj", Extent::dim, Extent::hidden,
     optional_part},
};

constexpr TensorRow gpt2_rows[] = {
    {Role::token_embedding, "token_embd", "wte", Extent::vocab, Extent::dim},
    {Role::position_embedding, "position_embd", "wpe", Extent::context, Extent::dim},
    {Role::output_norm, "output_norm", "ln_f", Extent::dim, Extent::none, required_part},
    {Role::output, "output", "/lm_head", Extent::vocab, Extent::dim, absent, optional_part},
    {Role::attention_norm, "blk.{}.attn_norm", "h.{}.ln_1", Extent::dim, Extent::none,
     required_part},
    {Role::qkv, "blk.{}.attn_qkv", "h.{}.attn.c_attn", Extent::qkv, Extent::dim, required_part,
     required_part, Form::transposed},
    {Role::attention_out, "blk.{}.attn_output", "h.{}.attn.c_proj", Extent::dim, Extent::q,
     required_part, required_part, Form::transposed},
    {Role::mlp_norm, "blk.{}.ffn_norm", "h.{}.ln_2", Extent::dim, Extent::none, required_part},
    {Role::up, "blk.{}.ffn_up", "h.{}.mlp.c_fc", Extent::hidden, Extent::dim, required_part,
     required_part, Form::transposed},
    {Role::down, "blk.{}.ffn_down", "h.{}.mlp.c_proj", Extent::dim, Extent::hidden, required_part,
     required_part, Form::transposed},
};

constexpr TensorRow gptneox_rows[] = {
    {Role::token_embedding, "token_embd", "embed_in", Extent::vocab, Extent::dim},
    {Role::output_norm, "output_norm", "final_layer_norm", Extent::dim, Extent::none,
     required_part},
    {Role::output, "output", "/embed_out|/lm_head", Extent::vocab, Extent::dim, absent,
     optional_part},
    {Role::qkv, "blk.{}.attn_qkv", "layers.{}.attention.query_key_value", Extent::qkv, Extent::dim,
     optional_part, required_part, Form::qkv_by_head},
    {Role::attention_out, "blk.{}.attn_output", "layers.{}.attention.dense", Extent::dim, Extent::q,
     optional_part},
    {Role::up, "blk.{}.ffn_up", "layers.{}.mlp.dense_h_to_4h", Extent::hidden, Extent::dim,
     required_part},
    {Role::down, "blk.{}.ffn_down", "layers.{}.mlp.dense_4h_to_h", Extent::dim, Extent::hidden,
     required_part},
};

constexpr std::string_view starcoder2_types[] = {"starcoder2"};
constexpr std::string_view gpt2_types[] = {"gpt2"};
constexpr std::string_view gptneox_types[] = {"gpt_neox"};
constexpr std::string_view starcoder2_words[] = {"norm_epsilon"};
constexpr std::string_view gpt2_words[] = {"n_layer",
                                           "n_embd",
                                           "n_positions",
                                           "n_inner",
                                           "n_head",
                                           "layer_norm_epsilon",
                                           "activation_function"};

}  // namespace

const ArchSpec starcoder2{
    .name = "starcoder2",
    .hf_types = starcoder2_types,
    .hf_class = "Starcoder2ForCausalLM",
    .hf_words = starcoder2_words,
    .tensors = {whole, norms, biased_attention, starcoder2_mlp},
    .defaults = {.tied = true},
    .norm = NormKind::layer,
    .mlp = MlpKind::plain,
    .activation = ops::Activation::gelu_tanh,
    .activation_from_config = true,
};

const ArchSpec gpt2{
    .name = "gpt2",
    .hf_types = gpt2_types,
    .hf_class = "GPT2LMHeadModel",
    .hf_prefix = "transformer.",
    .hf_words = gpt2_words,
    .tensors = {gpt2_rows},
    .defaults = {.tied = true},
    .norm = NormKind::layer,
    .mlp = MlpKind::plain,
    .activation = ops::Activation::gelu_tanh,
    .activation_from_config = true,
    .rope = RopeRule::none,
};

const ArchSpec gptneox{
    .name = "gptneox",
    .hf_types = gptneox_types,
    .hf_class = "GPTNeoXForCausalLM",
    .hf_prefix = "gpt_neox.",
    .tensors = {gptneox_rows, norms},
    .defaults = {.rotary_share = 0.25},
    .norm = NormKind::layer,
    .mlp = MlpKind::plain,
    .activation = ops::Activation::gelu,
    .activation_from_config = true,
    .parallel = Parallel::by_hyper,
};

}  // namespace hearth::models
