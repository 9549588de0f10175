// ArchSpec: an architecture as data.  The rows of tensors say which parts a layer has (a layer
// without `q_norm` rows has no query norm), the fields say how the parts are put together.  Names,
// shapes, transforms, memory estimates, the KV layout and both executors follow from it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "models/hyper.h"
#include "models/roles.h"
#include "ops/elementwise.h"

namespace hearth::models {

// Sizes a tensor's shape is made of.
enum class Extent : std::uint8_t {
  none,  // as columns: the tensor is a vector
  one,
  dim,
  dim2,
  vocab,
  context,
  types,
  labels,
  heads,
  head,  // head_dim
  q,     // heads * head_dim
  kv,    // kv_heads * head_dim
  kv_heads,
  qkv,    // q + 2 kv
  q2,     // queries and their gates
  mixed,  // heads * value_dim
  q_rank,
  kv_rank,
  kv_rank_rope,  // the latent and the part of keys that turns
  key_plain,     // of a head, what does not turn
  value_dim,
  kv_expanded,  // heads * (key_plain + value_dim)
  mixer_rows,   // of mixer_in
  mixer_all,    // of mixer_qkvz
  mixer_inner,  // heads * head_dim of the recurrent part
  mixer_channels,
  mixer_kernel,
  mixer_heads,
  mixer_heads2,
  mixer_head_dim,
  lerps,
  decay_rank,
  rate_rank,
  first_rank,
  gate_rank,
  hidden,
  hidden2,  // gate and up together
  experts,
  expert_hidden,
  expert_hidden2,
  shared_hidden,
  shared_hidden2,
  per_layer,      // of one layer's own vector
  per_layer_all,  // of all layers'
  per_layer_vocab,
  streams,
  streams2,  // squared
  side,      // of the narrow way beside attention
  rotary_half,
};

enum class Presence : std::uint8_t { absent, optional, required };

// How Hugging Face files hold it, where that differs from rows of outputs.
enum class Form : std::uint8_t {
  plain,
  transposed,    // [inputs, outputs] (GPT-2's Conv1D)
  qkv_by_head,   // rows are [heads][q, k, v][head_dim]
  expert_stack,  // gpt-oss: [experts, inputs, outputs], or *_blocks and *_scales; gate and up rows
                 // of the fused one alternate
  turned_stack,  // [experts, inputs, outputs]; gates first
  either_stack,  // the same, or [experts, outputs, inputs] where that is its shape
  query_gate_by_head,  // rows are [heads][query, gate][head_dim]
  mixer_by_group,      // rows are [groups][what mixer_qkvz or mixer_ba holds of one]
};

// One tensor.  "{}" is the layer, "{e}" the expert.  Names are without ".weight"; a name that is
// stored bare ends in "!".  An empty name: not stored under that naming.
struct TensorRow {
  Role role;
  std::string_view gguf;
  std::string_view hf;  // after the model's prefix; from the root when it begins with "/"
  Extent rows, columns = Extent::none;
  Presence bias = Presence::absent;
  Presence weight = Presence::required;
  Form hf_form = Form::plain;
  Form gguf_form = Form::plain;
};

enum class NormKind : std::uint8_t { rms, layer };
enum class MlpKind : std::uint8_t { gated, plain };
enum class Parallel : std::uint8_t { never, always, by_hyper };

// Which layers turn queries and keys by position.
enum class RopeRule : std::uint8_t {
  all,
  none,
  local_layers,
  local_if_any,
  three_of_four,
  by_file
};

// Which layers' queries grow with the logarithm of their position.
enum class Tempered : std::uint8_t { none, all, unrotated };

// Layer i is global when i % period == global_at, otherwise local; period 0: all are local.
struct LocalPattern {
  std::uint32_t period = 0, global_at = 0;
};

// A number read beside the common ones of hyper.cpp.
struct HyperRow {
  std::string_view gguf;  // after "{arch}."
  std::string_view hf;    // alternatives are separated by '|'
  float Hyper::* field;
  double min, max;
};

enum class Kind : std::uint8_t { generator, encoder, static_embedder };

// What configurations leave out.
struct Defaults {
  double norm_eps = 1e-5;
  double rope_theta = 10000;
  double rope_theta_local = 0;  // 0: as the global one
  double rotary_share = 1;
  bool normalise_experts = false;  // the chosen experts' weights sum to one
  ExpertGate expert_gate = ExpertGate::softmax;
  double attention_scale = 0;        // 0: one over the root of a head's dimensions
  std::uint32_t shared_experts = 0;  // each as wide as a routed one
  std::uint32_t chunk = 0;           // > 0: local layers see only their chunk
  bool yarn_truncate = true;
  // Of tempered queries; floor 0: the context that rope scaling began with.
  float temperature_scale = 0, temperature_floor = 1, temperature_offset = 0;
  std::uint32_t position_offset = 0;  // of the first row used of the position table
  bool tied = false;                  // the output matrix is the token embedding
  float output_softcap = 0;           // 0: none
  // Sizes that config.json may leave to its class; 0: it must say them.
  std::uint32_t heads = 0, kv_heads = 0, head_dim = 0, vocab = 0, context = 0;
  // The same for the text side of a model that sees, whose file is short.
  std::uint32_t nested_dim = 0, nested_layers = 0, nested_hidden = 0, nested_heads = 0;
};

// A key of config.json that files of an added architecture name otherwise.
struct Renamed {
  std::string_view usual, theirs;
};

struct ArchSpec {
  std::string_view name = {};                        // GGUF: general.architecture
  std::span<const std::string_view> gguf_also = {};  // other spellings of it
  std::span<const std::string_view> hf_types = {};   // config.json: model_type
  Kind kind = Kind::generator;
  // What a folder that is written says: the class that transformers loads it with, the prefix of
  // its trunk's names, and which of alternative keys its class reads where it is not the first.
  std::string_view hf_class = {}, hf_prefix = "model.";
  std::span<const std::string_view> hf_words = {};
  // Where its files hold the layer that guesses a further token, from the root, instead of behind
  // the last layer; such files need not count it.
  std::string_view hf_guessing_layer = {};

  std::span<const TensorRow> tensors[10] = {};
  std::span<const HyperRow> hypers = {};
  std::span<const Renamed> renamed = {};
  Defaults defaults = {};

  NormKind norm = NormKind::rms;
  bool hf_norm_plus_one = false;  // Hugging Face stores w - 1
  MlpKind mlp = MlpKind::gated;
  ops::Activation activation = ops::Activation::silu;
  bool activation_from_config = false;  // config.json may name another
  bool clamped_swiglu = false;          // gpt-oss
  Parallel parallel = Parallel::never;

  RopeRule rope = RopeRule::all;
  bool grid_positions = false;    // places in time, height and width (M-RoPE)
  bool grid_interleaved = false;  // pairs turn by these in turn, not one section after the other
  bool rope_interleaved_gguf = false, rope_interleaved_hf = false;
  LocalPattern local = {};
  bool local_rope_unscaled = false;  // scaling is for the global layers
  bool embedding_scale_sqrt_dim = false;
  bool logit_scale_divides = false;
  // GGUF files of these do not carry the attention scale: 1 / sqrt(head_dim), but for the model
  // with so many layers 1 / sqrt(dim / heads).
  std::uint32_t layers_scaled_by_dim = 0;
  bool pool_activation_gelu = false;  // of `pooler`; otherwise tanh

  bool experts_beside_mlp = false;  // both read the stream, and are added
  bool local_heads = false;         // local layers have heads of their own size and number
  bool unit_values = false;  // values are normed, without weights; keys stand in where they lack
  bool norm_after_rope = false;      // of queries and keys
  bool unit_after_rope = false;      // rotated queries and keys are made of length one, without w
  bool scales_expert_input = false;  // by its share, not what it gives
  bool ahead_in_windows = false;     // rows of a picture see each other there alone, if at all
  Tempered tempered = Tempered::none;
  MixerKind mixer = MixerKind::none;  // of the layers that have one
  bool mixer_tiled_gguf = false;
  // Every so many layers one attends, where the file says nothing; 0: it must.
  std::uint32_t attention_every = 0;
  bool one_branch = false;              // a layer attends, or recurs, or is an MLP
  bool mixer_beside_attention = false;  // both read the same stream in every layer

  // Local layers turn otherwise than global ones.
  bool has_local_rope() const { return defaults.rope_theta_local > 0 || local_rope_unscaled; }
};

// Whether there is a row of this role.
bool has_role(const ArchSpec& spec, Role role);

}  // namespace hearth::models
