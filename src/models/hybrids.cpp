// Models whose layers recur, some of them beside or between layers that attend: LFM2 (short
// convolutions), Granite 4 and Nemotron-H (Mamba-2), Qwen3-Next and Qwen 3.5 (gated delta nets),
// Mamba-2 itself, and Falcon-H1, whose layers do both side by side.
// Source: the LFM2, Granite 4.0, Nemotron-H and Qwen3-Next model cards; Dao and Gu 2024; Yang et
// al. 2024 (Gated Delta Networks).
#include "models/architectures.h"
#include "models/rows.h"

namespace hearth::models {
namespace {

constexpr auto whole = ends();
constexpr auto norms = norms_before();
constexpr auto late_norms = norms_before_named_after();
constexpr auto plain_attention = attention(optional_part, optional_part);
constexpr auto bare_heads = attention();
constexpr auto head_norms = query_key_norms();
constexpr auto mlp = gated_mlp(optional_part);
constexpr auto expert_rows = experts();
constexpr auto granite_experts = granite_moe();
constexpr auto granite_dense = granite_mlp();

// ---- LFM2 ----

constexpr TensorRow lfm2_whole[] = {
    {Role::token_embedding, "token_embd", "embed_tokens", Extent::vocab, Extent::dim},
    {Role::output_norm, "token_embd_norm|output_norm", "embedding_norm", Extent::dim},
    {Role::output, "output", "/lm_head", Extent::vocab, Extent::dim, absent, optional_part},
};
constexpr TensorRow lfm2_layers[] = {
    {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.operator_norm", Extent::dim},
    {Role::mlp_norm, "blk.{}.ffn_norm", "layers.{}.ffn_norm", Extent::dim},
    {Role::q, "blk.{}.attn_q", "layers.{}.self_attn.q_proj", Extent::q, Extent::dim},
    {Role::k, "blk.{}.attn_k", "layers.{}.self_attn.k_proj", Extent::kv, Extent::dim},
    {Role::v, "blk.{}.attn_v", "layers.{}.self_attn.v_proj", Extent::kv, Extent::dim},
    {Role::attention_out, "blk.{}.attn_output", "layers.{}.self_attn.out_proj", Extent::dim,
     Extent::q},
    {Role::q_norm, "blk.{}.attn_q_norm", "layers.{}.self_attn.q_layernorm", Extent::head},
    {Role::k_norm, "blk.{}.attn_k_norm", "layers.{}.self_attn.k_layernorm", Extent::head},
    {Role::mixer_in, "blk.{}.shortconv.in_proj", "layers.{}.conv.in_proj", Extent::mixer_rows,
     Extent::dim, optional_part},
    {Role::mixer_conv, "blk.{}.shortconv.conv", "layers.{}.conv.conv", Extent::mixer_channels,
     Extent::mixer_kernel, optional_part},
    {Role::mixer_out, "blk.{}.shortconv.out_proj", "layers.{}.conv.out_proj", Extent::dim,
     Extent::mixer_inner, optional_part},
};
constexpr TensorRow lfm2_mlp[] = {
    {Role::gate, "blk.{}.ffn_gate", "layers.{}.feed_forward.w1", Extent::hidden, Extent::dim},
    {Role::up, "blk.{}.ffn_up", "layers.{}.feed_forward.w3", Extent::hidden, Extent::dim},
    {Role::down, "blk.{}.ffn_down", "layers.{}.feed_forward.w2", Extent::dim, Extent::hidden},
};
constexpr TensorRow lfm2_experts[] = {
    {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.feed_forward.gate", Extent::experts,
     Extent::dim},
    {Role::router_bias, "blk.{}.exp_probs_b.bias!", "layers.{}.feed_forward.expert_bias!",
     Extent::experts, Extent::none, absent, optional_part},
    {Role::experts_gate, "blk.{}.ffn_gate_exps", "layers.{}.feed_forward.experts.{e}.w1",
     Extent::expert_hidden, Extent::dim},
    {Role::experts_up, "blk.{}.ffn_up_exps", "layers.{}.feed_forward.experts.{e}.w3",
     Extent::expert_hidden, Extent::dim},
    {Role::experts_down, "blk.{}.ffn_down_exps", "layers.{}.feed_forward.experts.{e}.w2",
     Extent::dim, Extent::expert_hidden},
};

// ---- Mamba-2 ----

constexpr std::array<TensorRow, 7> mamba_rows() {
  return {{
      {Role::mixer_in, "blk.{}.ssm_in", "layers.{}.mamba.in_proj", Extent::mixer_rows, Extent::dim,
       optional_part},
      {Role::mixer_conv, "blk.{}.ssm_conv1d", "layers.{}.mamba.conv1d", Extent::mixer_channels,
       Extent::mixer_kernel, optional_part},
      {Role::mixer_decay, "blk.{}.ssm_a!", "layers.{}.mamba.A_log!", Extent::mixer_heads},
      {Role::mixer_skip, "blk.{}.ssm_d!", "layers.{}.mamba.D!", Extent::mixer_heads},
      {Role::mixer_step, "blk.{}.ssm_dt.bias!", "layers.{}.mamba.dt_bias!", Extent::mixer_heads},
      {Role::mixer_norm, "blk.{}.ssm_norm", "layers.{}.mamba.norm", Extent::mixer_inner,
       Extent::none, absent, optional_part},
      {Role::mixer_out, "blk.{}.ssm_out", "layers.{}.mamba.out_proj", Extent::dim,
       Extent::mixer_inner, optional_part},
  }};
}
constexpr auto mamba = mamba_rows();

// Where every layer is one branch behind one norm.
constexpr TensorRow bare_ends[] = {
    {Role::token_embedding, "token_embd", "embeddings|embed_tokens", Extent::vocab, Extent::dim},
    {Role::output_norm, "output_norm", "norm_f|norm", Extent::dim},
    {Role::output, "output", "/lm_head", Extent::vocab, Extent::dim, absent, optional_part},
};
constexpr TensorRow bare_mamba[] = {
    {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.norm", Extent::dim},
    {Role::mixer_in, "blk.{}.ssm_in", "layers.{}.mixer.in_proj", Extent::mixer_rows, Extent::dim,
     optional_part},
    {Role::mixer_conv, "blk.{}.ssm_conv1d", "layers.{}.mixer.conv1d", Extent::mixer_channels,
     Extent::mixer_kernel, optional_part},
    {Role::mixer_decay, "blk.{}.ssm_a!", "layers.{}.mixer.A_log!", Extent::mixer_heads},
    {Role::mixer_skip, "blk.{}.ssm_d!", "layers.{}.mixer.D!", Extent::mixer_heads},
    {Role::mixer_step, "blk.{}.ssm_dt.bias!", "layers.{}.mixer.dt_bias!", Extent::mixer_heads},
    {Role::mixer_norm, "blk.{}.ssm_norm", "layers.{}.mixer.norm", Extent::mixer_inner},
    {Role::mixer_out, "blk.{}.ssm_out", "layers.{}.mixer.out_proj", Extent::dim,
     Extent::mixer_inner, optional_part},
};
constexpr TensorRow bare_attention[] = {
    {Role::q, "blk.{}.attn_q", "layers.{}.mixer.q_proj", Extent::q, Extent::dim, optional_part},
    {Role::k, "blk.{}.attn_k", "layers.{}.mixer.k_proj", Extent::kv, Extent::dim, optional_part},
    {Role::v, "blk.{}.attn_v", "layers.{}.mixer.v_proj", Extent::kv, Extent::dim, optional_part},
    {Role::attention_out, "blk.{}.attn_output", "layers.{}.mixer.o_proj", Extent::dim, Extent::q,
     optional_part},
};
constexpr TensorRow bare_mlp[] = {
    {Role::mlp_norm, "blk.{}.attn_norm", "layers.{}.norm", Extent::dim},
    {Role::up, "blk.{}.ffn_up", "layers.{}.mixer.up_proj", Extent::hidden, Extent::dim,
     optional_part},
    {Role::down, "blk.{}.ffn_down", "layers.{}.mixer.down_proj", Extent::dim, Extent::hidden,
     optional_part},
};

// ---- Falcon-H1 ----

constexpr TensorRow falcon_ends[] = {
    {Role::token_embedding, "token_embd", "embed_tokens", Extent::vocab, Extent::dim},
    {Role::output_norm, "output_norm", "final_layernorm", Extent::dim},
    {Role::output, "output", "/lm_head", Extent::vocab, Extent::dim, absent, optional_part},
    {Role::rope_divisors, "rope_freqs", "", Extent::rotary_half, Extent::none, absent,
     optional_part},
};
constexpr TensorRow falcon_layers[] = {
    {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.input_layernorm", Extent::dim},
    {Role::mlp_norm, "blk.{}.ffn_norm|blk.{}.ffn_pre_norm", "layers.{}.pre_ff_layernorm",
     Extent::dim},
    {Role::gate, "blk.{}.ffn_gate", "layers.{}.feed_forward.gate_proj", Extent::hidden,
     Extent::dim},
    {Role::up, "blk.{}.ffn_up", "layers.{}.feed_forward.up_proj", Extent::hidden, Extent::dim},
    {Role::down, "blk.{}.ffn_down", "layers.{}.feed_forward.down_proj", Extent::dim,
     Extent::hidden},
};
// Writers of GGUF multiply the matrices by these and by those that hyper_mixers.cpp reads.
constexpr HyperRow falcon_factors[] = {
    {"", "embedding_multiplier", &Hyper::embedding_scale, 1e-9, 1e9},
    {"", "lm_head_multiplier", &Hyper::logit_scale, 1e-9, 1e9},
    {"", "ssm_out_multiplier", &Hyper::mixer_factor, 1e-9, 1e9},
};

// ---- Gated delta nets ----

constexpr TensorRow gated_attention[] = {
    {Role::query_gate, "blk.{}.attn_q", "layers.{}.self_attn.q_proj", Extent::q2, Extent::dim,
     optional_part, required_part, Form::query_gate_by_head, Form::query_gate_by_head},
    {Role::k, "blk.{}.attn_k", "layers.{}.self_attn.k_proj", Extent::kv, Extent::dim,
     optional_part},
    {Role::v, "blk.{}.attn_v", "layers.{}.self_attn.v_proj", Extent::kv, Extent::dim,
     optional_part},
    {Role::attention_out, "blk.{}.attn_output", "layers.{}.self_attn.o_proj", Extent::dim,
     Extent::q, optional_part},
};
constexpr TensorRow one_shared[] = {
    {Role::shared_gate, "blk.{}.ffn_gate_shexp", "layers.{}.mlp.shared_expert.gate_proj",
     Extent::shared_hidden, Extent::dim},
    {Role::shared_up, "blk.{}.ffn_up_shexp", "layers.{}.mlp.shared_expert.up_proj",
     Extent::shared_hidden, Extent::dim},
    {Role::shared_down, "blk.{}.ffn_down_shexp", "layers.{}.mlp.shared_expert.down_proj",
     Extent::dim, Extent::shared_hidden},
};
constexpr TensorRow delta_rows[] = {
    {Role::mixer_conv, "blk.{}.ssm_conv1d", "layers.{}.linear_attn.conv1d", Extent::mixer_channels,
     Extent::mixer_kernel},
    {Role::mixer_decay, "blk.{}.ssm_a!", "layers.{}.linear_attn.A_log!", Extent::mixer_heads},
    {Role::mixer_step, "blk.{}.ssm_dt.bias!", "layers.{}.linear_attn.dt_bias!",
     Extent::mixer_heads},
    {Role::mixer_norm, "blk.{}.ssm_norm", "layers.{}.linear_attn.norm", Extent::mixer_head_dim},
    {Role::mixer_out, "blk.{}.ssm_out", "layers.{}.linear_attn.out_proj", Extent::dim,
     Extent::mixer_inner},
    {Role::shared_router, "blk.{}.ffn_gate_inp_shexp", "layers.{}.mlp.shared_expert_gate",
     Extent::one, Extent::dim},
};
// Where what is projected in stands together; older GGUF files have it so too.
constexpr TensorRow next_rows[] = {
    {Role::mixer_qkvz, "blk.{}.ssm_in", "layers.{}.linear_attn.in_proj_qkvz", Extent::mixer_all,
     Extent::dim, absent, required_part, Form::mixer_by_group, Form::mixer_by_group},
    {Role::mixer_qkv, "blk.{}.attn_qkv", "", Extent::mixer_channels, Extent::dim},
    {Role::mixer_z, "blk.{}.attn_gate", "", Extent::mixer_inner, Extent::dim},
    {Role::mixer_ba, "blk.{}.ssm_ba", "layers.{}.linear_attn.in_proj_ba", Extent::mixer_heads2,
     Extent::dim, absent, required_part, Form::mixer_by_group, Form::mixer_by_group},
};
constexpr TensorRow qwen35_rows[] = {
    {Role::mixer_qkv, "blk.{}.attn_qkv", "layers.{}.linear_attn.in_proj_qkv",
     Extent::mixer_channels, Extent::dim},
    {Role::mixer_z, "blk.{}.attn_gate", "layers.{}.linear_attn.in_proj_z", Extent::mixer_inner,
     Extent::dim},
    {Role::mixer_b, "blk.{}.ssm_beta", "layers.{}.linear_attn.in_proj_b", Extent::mixer_heads,
     Extent::dim},
    {Role::mixer_a, "blk.{}.ssm_alpha", "layers.{}.linear_attn.in_proj_a", Extent::mixer_heads,
     Extent::dim},
};

constexpr auto guesses = mtp_apart();
constexpr std::string_view guessing_layer = "mtp.layers.0.";

constexpr std::string_view lfm2_types[] = {"lfm2"};
constexpr std::string_view lfm2_moe_types[] = {"lfm2_moe"};
constexpr std::string_view granite_types[] = {"granitemoehybrid"};
constexpr std::string_view mamba2_types[] = {"mamba2"};
constexpr std::string_view nemotron_types[] = {"nemotron_h"};
constexpr std::string_view falcon_types[] = {"falcon_h1"};
constexpr std::string_view next_types[] = {"qwen3_next"};
constexpr std::string_view qwen35_types[] = {"qwen3_5_text", "qwen3_5"};
constexpr std::string_view qwen35_moe_types[] = {"qwen3_5_moe_text", "qwen3_5_moe"};
constexpr std::string_view lfm2_moe_words[] = {"num_experts", "num_dense_layers", "norm_eps"};
constexpr std::string_view lfm2_words[] = {"norm_eps"};
constexpr std::string_view granite_words[] = {
    "mamba_d_conv", "mamba_d_state", "mamba_n_groups",          "mamba_n_heads",
    "mamba_d_head", "mamba_expand",  "shared_intermediate_size"};
constexpr std::string_view mamba_words[] = {"mamba_d_conv",  "mamba_d_state", "mamba_n_groups",
                                            "mamba_n_heads", "mamba_d_head",  "mamba_expand"};
constexpr std::string_view mamba2_words[] = {"conv_kernel",       "state_size", "n_groups",
                                             "num_heads",         "head_dim",   "expand",
                                             "layer_norm_epsilon"};
constexpr std::string_view nemotron_words[] = {"conv_kernel",       "ssm_state_size", "n_groups",
                                               "mamba_num_heads",   "mamba_head_dim", "expand",
                                               "layer_norm_epsilon"};
constexpr std::string_view delta_words[] = {"linear_conv_kernel_dim", "linear_key_head_dim",
                                            "linear_num_key_heads",   "linear_num_value_heads",
                                            "linear_value_head_dim",  "num_experts"};

}  // namespace

const ArchSpec lfm2{
    .name = "lfm2",
    .hf_types = lfm2_types,
    .hf_class = "Lfm2ForCausalLM",
    .hf_words = lfm2_words,
    .tensors = {lfm2_whole, lfm2_layers, lfm2_mlp},
    .defaults = {.rope_theta = 1e6, .tied = true},
    .mixer = MixerKind::short_conv,
};

const ArchSpec lfm2_moe{
    .name = "lfm2moe",
    .hf_types = lfm2_moe_types,
    .hf_class = "Lfm2MoeForCausalLM",
    .hf_words = lfm2_moe_words,
    .tensors = {lfm2_whole, lfm2_layers, lfm2_mlp, lfm2_experts},
    .defaults = {.rope_theta = 1e6,
                 .normalise_experts = true,
                 .expert_gate = ExpertGate::sigmoid,
                 .tied = true},
    .mixer = MixerKind::short_conv,
};

const ArchSpec granite_hybrid{
    .name = "granitehybrid",
    .hf_types = granite_types,
    .hf_class = "GraniteMoeHybridForCausalLM",
    .hf_words = granite_words,
    .tensors = {whole, norms, plain_attention, mamba, granite_dense, granite_experts},
    .hypers = granite_factors,
    .defaults = {.norm_eps = 1e-5, .normalise_experts = true},
    .rope = RopeRule::by_file,
    .rope_interleaved_gguf = true,
    .logit_scale_divides = true,
    .mixer = MixerKind::mamba2,
};

const ArchSpec mamba2{
    .name = "mamba2",
    .hf_types = mamba2_types,
    .hf_class = "Mamba2ForCausalLM",
    .hf_prefix = "backbone.",
    .hf_words = mamba2_words,
    .tensors = {bare_ends, bare_mamba},
    .rope = RopeRule::none,
    .mixer = MixerKind::mamba2,
    .one_branch = true,
};

const ArchSpec nemotron_h{
    .name = "nemotron_h",
    .hf_types = nemotron_types,
    .hf_class = "NemotronHForCausalLM",
    .hf_prefix = "backbone.",
    .hf_words = nemotron_words,
    .tensors = {bare_ends, bare_mamba, bare_attention, bare_mlp},
    .mlp = MlpKind::plain,
    .activation = ops::Activation::relu_squared,
    .rope = RopeRule::none,
    .mixer = MixerKind::mamba2,
    .one_branch = true,
};

const ArchSpec falcon_h1{
    .name = "falcon-h1",
    .hf_types = falcon_types,
    .hf_class = "FalconH1ForCausalLM",
    .hf_words = mamba_words,
    .tensors = {falcon_ends, falcon_layers, bare_heads, mamba},
    .hypers = falcon_factors,
    .mixer = MixerKind::mamba2,
    .mixer_beside_attention = true,
};

const ArchSpec qwen3_next{
    .name = "qwen3next",
    .hf_types = next_types,
    .hf_class = "Qwen3NextForCausalLM",
    .hf_words = delta_words,
    .hf_guessing_layer = guessing_layer,
    .tensors = {whole, late_norms, gated_attention, head_norms, delta_rows, next_rows, expert_rows,
                one_shared, guesses},
    .defaults = {.norm_eps = 1e-6, .rotary_share = 0.25, .normalise_experts = true},
    .hf_norm_plus_one = true,
    .mixer = MixerKind::gated_delta,
    .attention_every = 4,
};

const ArchSpec qwen35{
    .name = "qwen35",
    .hf_types = qwen35_types,
    .hf_class = "Qwen3_5ForCausalLM",
    .hf_words = delta_words,
    .hf_guessing_layer = guessing_layer,
    .tensors = {whole, late_norms, gated_attention, head_norms, delta_rows, qwen35_rows, mlp,
                guesses},
    .defaults = {.norm_eps = 1e-6, .rotary_share = 0.25},
    .hf_norm_plus_one = true,
    .grid_positions = true,
    .grid_interleaved = true,
    .mixer = MixerKind::gated_delta,
    .mixer_tiled_gguf = true,
    .attention_every = 4,
};

const ArchSpec qwen35_moe{
    .name = "qwen35moe",
    .hf_types = qwen35_moe_types,
    .hf_class = "Qwen3_5MoeForCausalLM",
    .hf_words = delta_words,
    .hf_guessing_layer = guessing_layer,
    .tensors = {whole, late_norms, gated_attention, head_norms, delta_rows, qwen35_rows,
                expert_rows, one_shared, guesses},
    .defaults = {.norm_eps = 1e-6, .rotary_share = 0.25, .normalise_experts = true},
    .hf_norm_plus_one = true,
    .grid_positions = true,
    .grid_interleaved = true,
    .mixer = MixerKind::gated_delta,
    .mixer_tiled_gguf = true,
    .attention_every = 4,
};

}  // namespace hearth::models
