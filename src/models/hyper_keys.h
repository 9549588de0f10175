// The names of the hyper-parameters that both containers have: what reads them and what writes them
// shares these rows.  Of alternatives the first is the usual one; ArchSpec::hf_words prefers
// others.
#pragma once

#include "models/hyper_source.h"

namespace hearth::models::keys {

constexpr Keys layers{"block_count", "num_hidden_layers|n_layer|n_layers|num_layers"};
constexpr Keys mtp_layers{"nextn_predict_layers",
                          "num_nextn_predict_layers|num_mtp_layers|mtp_num_hidden_layers"};
constexpr Keys dim{"embedding_length", "hidden_size|n_embd|d_model"};
constexpr Keys context{"context_length", "max_position_embeddings|n_positions|n_ctx"};
constexpr Keys vocabulary{"vocab_size", "vocab_size"};
constexpr Keys hidden{"feed_forward_length", "intermediate_size|n_inner|ffn_hidden_size"};
constexpr Keys heads{"attention.head_count", "num_attention_heads|n_head|n_heads"};
constexpr Keys kv_heads{"attention.head_count_kv", "num_key_value_heads|n_head_kv"};
constexpr Keys head_dim{"attention.key_length", "head_dim"};
constexpr Keys value_dim{"attention.value_length", "v_head_dim"};
constexpr Keys rms_eps{"attention.layer_norm_rms_epsilon",
                       "rms_norm_eps|norm_eps|layer_norm_epsilon"};
constexpr Keys layer_eps{"attention.layer_norm_epsilon",
                         "layer_norm_eps|layer_norm_epsilon|norm_epsilon|norm_eps"};
constexpr Keys parallel{"use_parallel_residual", "use_parallel_residual"};
constexpr Keys activation{"hidden_activation", "hidden_act|hidden_activation|activation_function"};
constexpr Keys window{"attention.sliding_window", "sliding_window|local_attention"};
constexpr Keys window_pattern{"attention.sliding_window_pattern", "sliding_window_pattern"};
constexpr Keys experts{"expert_count",
                       "num_local_experts|num_experts|n_routed_experts|moe_num_experts"};
constexpr Keys experts_used{"expert_used_count",
                            "num_experts_per_tok|experts_per_token|moe_k|moe_topk|top_k_experts"};
constexpr Keys expert_hidden{"expert_feed_forward_length", "moe_intermediate_size"};
constexpr Keys shared_hidden{"expert_shared_feed_forward_length",
                             "shared_expert_intermediate_size|shared_intermediate_size"};
constexpr Keys shared_experts{
    "expert_shared_count",
    "n_shared_experts|moe_num_shared_experts|num_shared_experts|num_shared_expert"};
constexpr Keys expert_groups{"expert_group_count", "n_group"};
constexpr Keys expert_groups_used{"expert_group_used_count", "topk_group"};
constexpr Keys expert_scale{"expert_weights_scale", "routed_scaling_factor"};
constexpr Keys sparse_step{"interleave_moe_layer_step",
                           "decoder_sparse_step|interleave_moe_layer_step|moe_layer_interval"};
constexpr Keys normalise_experts{"expert_weights_norm", "norm_topk_prob"};
constexpr Keys dense_first{"leading_dense_block_count",
                           "first_k_dense_replace|num_dense_layers|moe_layer_start_index"};

}  // namespace hearth::models::keys
