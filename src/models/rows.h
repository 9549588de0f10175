// Rows that many architectures share.
#pragma once

#include <array>

#include "models/arch_spec.h"

namespace hearth::models {

constexpr Presence absent = Presence::absent, optional_part = Presence::optional,
                   required_part = Presence::required;

// Token embedding, last norm, output matrix.
constexpr std::array<TensorRow, 3> ends(Presence norm_bias = absent) {
  return {{
      {Role::token_embedding, "token_embd", "embed_tokens", Extent::vocab, Extent::dim},
      {Role::output_norm, "output_norm", "norm", Extent::dim, Extent::none, norm_bias},
      {Role::output, "output", "/lm_head|/language_model.lm_head", Extent::vocab, Extent::dim,
       absent, optional_part},
  }};
}

constexpr std::array<TensorRow, 2> norms_before(Presence bias = absent) {
  return {{
      {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.input_layernorm", Extent::dim,
       Extent::none, bias},
      {Role::mlp_norm, "blk.{}.ffn_norm", "layers.{}.post_attention_layernorm", Extent::dim,
       Extent::none, bias},
  }};
}

constexpr std::array<TensorRow, 4> attention(Presence qkv_bias = absent,
                                             Presence out_bias = absent) {
  return {{
      {Role::q, "blk.{}.attn_q", "layers.{}.self_attn.q_proj", Extent::q, Extent::dim, qkv_bias},
      {Role::k, "blk.{}.attn_k", "layers.{}.self_attn.k_proj", Extent::kv, Extent::dim, qkv_bias},
      {Role::v, "blk.{}.attn_v", "layers.{}.self_attn.v_proj", Extent::kv, Extent::dim, qkv_bias},
      {Role::attention_out, "blk.{}.attn_output", "layers.{}.self_attn.o_proj", Extent::dim,
       Extent::q, out_bias},
  }};
}

// Norms of queries and keys: one vector for every head, or one over all of them.
constexpr std::array<TensorRow, 2> query_key_norms(Extent q = Extent::head,
                                                   Extent k = Extent::head) {
  return {{
      {Role::q_norm, "blk.{}.attn_q_norm", "layers.{}.self_attn.q_norm", q},
      {Role::k_norm, "blk.{}.attn_k_norm", "layers.{}.self_attn.k_norm", k},
  }};
}

constexpr std::array<TensorRow, 3> gated_mlp(Presence bias = absent) {
  return {{
      {Role::gate, "blk.{}.ffn_gate", "layers.{}.mlp.gate_proj", Extent::hidden, Extent::dim, bias},
      {Role::up, "blk.{}.ffn_up", "layers.{}.mlp.up_proj", Extent::hidden, Extent::dim, bias},
      {Role::down, "blk.{}.ffn_down", "layers.{}.mlp.down_proj", Extent::dim, Extent::hidden, bias},
  }};
}

// Granite: embeddings, attention, branches and logits have factors of their own.
inline constexpr HyperRow granite_factors[] = {
    {"embedding_scale", "embedding_multiplier", &Hyper::embedding_scale, 1e-6, 1e6},
    {"attention.scale", "attention_multiplier", &Hyper::attention_scale, 1e-6, 1e6},
    {"residual_scale", "residual_multiplier", &Hyper::residual_scale, 1e-6, 1e6},
    {"logit_scale", "logits_scaling", &Hyper::logit_scale, 1e-6, 1e6},
};

// Granite: experts in stacks, gates first; a shared one beside them, or alone.
constexpr std::array<TensorRow, 9> granite_moe() {
  return {{
      {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.block_sparse_moe.router.layer",
       Extent::experts, Extent::dim},
      {Role::experts_gate_up, "", "layers.{}.block_sparse_moe.input_linear", Extent::expert_hidden2,
       Extent::dim},
      {Role::experts_gate, "blk.{}.ffn_gate_exps", "", Extent::expert_hidden, Extent::dim},
      {Role::experts_up, "blk.{}.ffn_up_exps", "", Extent::expert_hidden, Extent::dim},
      {Role::experts_down, "blk.{}.ffn_down_exps", "layers.{}.block_sparse_moe.output_linear",
       Extent::dim, Extent::expert_hidden},
      {Role::shared_gate_up, "", "layers.{}.shared_mlp.input_linear", Extent::shared_hidden2,
       Extent::dim},
      {Role::shared_gate, "blk.{}.ffn_gate_shexp", "", Extent::shared_hidden, Extent::dim},
      {Role::shared_up, "blk.{}.ffn_up_shexp", "", Extent::shared_hidden, Extent::dim},
      {Role::shared_down, "blk.{}.ffn_down_shexp", "layers.{}.shared_mlp.output_linear",
       Extent::dim, Extent::shared_hidden},
  }};
}

// The shared one alone.
constexpr std::array<TensorRow, 4> granite_mlp() {
  return {{
      {Role::gate_up, "", "layers.{}.shared_mlp.input_linear", Extent::hidden2, Extent::dim},
      {Role::gate, "blk.{}.ffn_gate", "", Extent::hidden, Extent::dim},
      {Role::up, "blk.{}.ffn_up", "", Extent::hidden, Extent::dim},
      {Role::down, "blk.{}.ffn_down", "layers.{}.shared_mlp.output_linear", Extent::dim,
       Extent::hidden},
  }};
}

// Gate and up as one matrix, gate first.
constexpr std::array<TensorRow, 2> fused_gated_mlp() {
  return {{
      {Role::gate_up, "blk.{}.ffn_up", "layers.{}.mlp.gate_up_proj", Extent::hidden2, Extent::dim},
      {Role::down, "blk.{}.ffn_down", "layers.{}.mlp.down_proj", Extent::dim, Extent::hidden},
  }};
}

// Experts that every token goes through.
constexpr std::array<TensorRow, 3> shared_experts() {
  return {{
      {Role::shared_gate, "blk.{}.ffn_gate_shexp",
       "layers.{}.mlp.shared_experts.gate_proj|layers.{}.mlp.shared_expert.gate_proj",
       Extent::shared_hidden, Extent::dim},
      {Role::shared_up, "blk.{}.ffn_up_shexp",
       "layers.{}.mlp.shared_experts.up_proj|layers.{}.mlp.shared_expert.up_proj",
       Extent::shared_hidden, Extent::dim},
      {Role::shared_down, "blk.{}.ffn_down_shexp",
       "layers.{}.mlp.shared_experts.down_proj|layers.{}.mlp.shared_expert.down_proj", Extent::dim,
       Extent::shared_hidden},
  }};
}

constexpr std::array<TensorRow, 1> router_bias(Presence weight = required_part) {
  return {{{Role::router_bias, "blk.{}.exp_probs_b.bias!",
            "layers.{}.mlp.gate.e_score_correction_bias!", Extent::experts, Extent::none, absent,
            weight}}};
}

// How GLM and others name the norms before both branches in GGUF.
constexpr std::array<TensorRow, 2> norms_before_named_after() {
  return {{
      {Role::attention_norm, "blk.{}.attn_norm", "layers.{}.input_layernorm", Extent::dim},
      {Role::mlp_norm, "blk.{}.post_attention_norm|blk.{}.ffn_norm",
       "layers.{}.post_attention_layernorm", Extent::dim},
  }};
}

// Of the layer that guesses a further token.  The embedding and the output matrix that files may
// hold beside these are copies of the trunk's.
constexpr std::array<TensorRow, 4> mtp() {
  return {{
      {Role::mtp_token_norm, "blk.{}.nextn.enorm", "layers.{}.enorm", Extent::dim},
      {Role::mtp_hidden_norm, "blk.{}.nextn.hnorm", "layers.{}.hnorm", Extent::dim},
      {Role::mtp_in, "blk.{}.nextn.eh_proj", "layers.{}.eh_proj", Extent::dim, Extent::dim2},
      {Role::mtp_norm, "blk.{}.nextn.shared_head_norm", "layers.{}.shared_head.norm", Extent::dim},
  }};
}

// The same where it stands apart: ArchSpec::hf_guessing_layer.
constexpr std::array<TensorRow, 4> mtp_apart() {
  return {{
      {Role::mtp_token_norm, "blk.{}.nextn.enorm", "/mtp.pre_fc_norm_embedding", Extent::dim},
      {Role::mtp_hidden_norm, "blk.{}.nextn.hnorm", "/mtp.pre_fc_norm_hidden", Extent::dim},
      {Role::mtp_in, "blk.{}.nextn.eh_proj", "/mtp.fc", Extent::dim, Extent::dim2},
      {Role::mtp_norm, "blk.{}.nextn.shared_head_norm", "/mtp.norm", Extent::dim},
  }};
}

constexpr std::array<TensorRow, 4> experts() {
  return {{
      {Role::router, "blk.{}.ffn_gate_inp", "layers.{}.mlp.gate", Extent::experts, Extent::dim},
      {Role::experts_gate, "blk.{}.ffn_gate_exps", "layers.{}.mlp.experts.{e}.gate_proj",
       Extent::expert_hidden, Extent::dim},
      {Role::experts_up, "blk.{}.ffn_up_exps", "layers.{}.mlp.experts.{e}.up_proj",
       Extent::expert_hidden, Extent::dim},
      {Role::experts_down, "blk.{}.ffn_down_exps", "layers.{}.mlp.experts.{e}.down_proj",
       Extent::dim, Extent::expert_hidden},
  }};
}

}  // namespace hearth::models
