// Roles: what tensors are for, and how each is held.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace hearth::models {

enum class Role : std::uint8_t {
  // Of the whole model.
  token_embedding,
  position_embedding,
  type_embedding,
  embedding_norm,
  output_norm,
  output,
  pooler,         // dense + activation on the pooled vector
  pooler_norm,    // after that activation
  classifier,     // pooled vector to scores
  rope_divisors,  // of every frequency (llama3)
  rope_short,     // the same for short contexts (longrope)
  rope_long,
  per_layer_embedding,   // of a token, a vector for every layer
  per_layer_projection,  // what the embedding adds to them
  per_layer_norm,
  stream_in,   // of parallel streams: each but the first from the embedding
  stream_out,  // and back to one
  // Of each layer.
  attention_norm,
  qkv,
  query_gate,  // of each head a query and a gate of what it mixes
  q,
  mix_gate,
  k,
  v,
  q_norm,
  k_norm,
  attention_out,
  sinks,
  q_a,  // latent attention: queries and keys go through narrow latents, each normed
  q_a_norm,
  q_b,
  kv_a,
  kv_a_norm,
  kv_b,      // keys and values of every head from the latent; in two parts:
  k_b,       // of each head, from its query to the latent
  v_b,       // of each head, from the latent to its value
  mixer_in,  // recurrent: see MixerKind for how its rows lie
  mixer_qkvz,
  mixer_qkv,
  mixer_z,
  mixer_ba,
  mixer_b,
  mixer_a,
  mixer_conv,
  mixer_decay,
  mixer_skip,
  mixer_step,
  mixer_norm,
  mixer_out,
  mixer_lerps,  // how far six inputs follow the row before; as one, or each
  lerp_r,
  lerp_w,
  lerp_k,
  lerp_v,
  lerp_a,
  lerp_g,
  mixer_r,
  mixer_k,
  mixer_v,
  decay_in,  // through narrow ones, what a row says of how a state decays,
  decay_out,
  decay_base,
  rate_in,  // of how fast it learns,
  rate_out,
  rate_base,
  first_in,  // of how far values follow those of the first layer,
  first_out,
  first_base,
  gate_in,  // and of what passes
  gate_out,
  key_scale,
  key_rate,
  bonus,                // of a row's own value
  attention_post_norm,  // on the branch, before it is added
  attention_sum_norm,   // on the residual stream, after the branch is added
  mlp_norm,
  mlp_lerp,  // how far its input follows the row before
  gate_up,
  gate,
  up,
  down,
  mlp_post_norm,
  mlp_sum_norm,
  router,
  router_bias,  // added to scores for the choice alone
  experts_gate_up,
  experts_gate,
  experts_up,
  experts_down,
  shared_router,
  shared_gate_up,
  shared_gate,
  shared_up,
  shared_down,
  router_scale,        // of what the router reads; experts beside an MLP have norms of their own:
  experts_scale,       // one factor for each
  experts_norm,        // of what they read
  experts_post_norm,   // of what they give
  beside_post_norm,    // of what the MLP beside them gives
  stream_router_norm,  // parallel streams: what tells of a row how they mix
  stream_router,
  stream_predict,  // what a layer makes of them before it runs
  stream_correct,  // and how far each follows what it gave
  stream_scale,
  side_down,  // a narrow way beside attention
  side_up,
  side_norm,
  layer_gate,        // of the layer's own vector
  layer_projection,  // from it to the stream
  layer_norm,
  layer_scale,  // one number, of the whole stream
  // Of the layer behind the last, which guesses the token after the next (MTP):
  mtp_token_norm,   // of the next token's embedding
  mtp_hidden_norm,  // of what the trunk made of the row before
  mtp_in,           // from both, side by side, to the stream
  mtp_norm,         // before the output matrix
};

enum class Held : std::uint8_t {
  matrix,
  of_experts,  // a matrix for each of them
  of_heads,
  of_streams,  // for each but the first
  norm,        // the weights of one
  numbers,     // a vector
  loose,  // the same, whose elements alone count: files disagree about extents of one and groups
};

// Which models, or which of their layers, have it.
enum class Where : std::uint8_t {
  all,
  own_vectors,  // models whose layers have vectors of their own
  streams,      // models of several parallel streams
  reader,       // layers that attend or recur
  attention,
  wide_queries,    // that come straight from the stream
  narrow_queries,  // through a latent
  keys,            // layers that keep keys of their own
  recurrence,
  later_recurrence,  // but for the first layer
  mlp,
  dense,
  experts,
  shared_experts,
  guesses,  // the layer that guesses a further token
};

struct RoleInfo {
  std::string_view name;  // in the text files that describe architectures
  Held held;
  Where where;
};

// In the order of Role.
constexpr RoleInfo role_table[] = {
#include "models/roles_table.inc"
};
constexpr std::size_t roles = std::size(role_table);
static_assert(roles == static_cast<std::size_t>(Role::mtp_norm) + 1);

constexpr const RoleInfo& about(Role role) { return role_table[static_cast<std::size_t>(role)]; }
static_assert(about(Role::mlp_norm).name == "mlp_norm" && about(Role::mtp_norm).name == "mtp_norm");

// What mixer_lerps holds, in its order.
inline constexpr std::array lerp_roles = {Role::lerp_r, Role::lerp_w, Role::lerp_k,
                                          Role::lerp_v, Role::lerp_a, Role::lerp_g};

constexpr bool of_layer(Role role) { return role >= Role::attention_norm; }
constexpr bool is_vector(Role role) { return about(role).held >= Held::norm; }
constexpr bool is_loose(Role role) { return about(role).held == Held::loose; }
constexpr bool is_norm(Role role) { return about(role).held == Held::norm; }
constexpr bool of_experts(Role role) { return about(role).held == Held::of_experts; }
// Several matrices of one shape.
constexpr bool is_stack(Role role) {
  return about(role).held > Held::matrix && about(role).held < Held::norm;
}

std::optional<Role> role_named(std::string_view name);
std::vector<std::string_view> role_names();

}  // namespace hearth::models
