// Hyper: the numbers that make an architecture one model, read from GGUF keys or config.json.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/package.h"
#include "ops/elementwise.h"

namespace hearth::models {

struct ArchSpec;

enum class RopeScalingKind : std::uint8_t {
  none,
  linear,
  dynamic,
  yarn,
  llama3,
  longrope,
  proportional
};

// Source: the `rope_parameters` of Hugging Face transformers; `rope.scaling.*` of GGUF.
struct RopeScaling {
  RopeScalingKind kind = RopeScalingKind::none;
  double factor = 1;
  double original_context = 0;
  double attention_factor = 0;                      // 0: by the scaling's own formula
  double beta_fast = 32, beta_slow = 1;             // yarn
  double mscale = 0, mscale_all_dims = 0;           // yarn; 0: absent
  bool truncate = true;                             // yarn
  double low_frequency = 1, high_frequency = 4;     // llama3
  double share = 1;                                 // proportional: of the pairs, those that turn
  std::vector<double> short_factors, long_factors;  // longrope
};

struct RopeHyper {
  double theta = 10000;
  RopeScaling scaling;
};

enum class Pooling : std::uint8_t { none, mean, cls, last, rank };

// How the scores of experts come from the router.
enum class ExpertGate : std::uint8_t { softmax, sigmoid };

// What carries a state from token to token, beside or instead of attention.
enum class MixerKind : std::uint8_t {
  none,
  short_conv,   // y = C * conv(B * x); rows of mixer_in: B, C, x
  mamba2,       // rows of mixer_in: gate, x, B, C, steps.  Source: Dao and Gu 2024
  gated_delta,  // rows of mixer_qkv: queries, keys, values.  Source: Yang et al. 2024
  rwkv7,        // what the MLP reads follows the row before, too.  Source: Peng et al. 2025
};

struct LayerHyper {
  std::uint32_t kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t kv_layer = 0;  // whose keys and values it reads
  bool borrows_kv = false;     // those of an earlier layer
  std::uint32_t hidden = 0;
  std::uint32_t window = 0;  // 0: sees everything
  std::uint32_t chunk = 0;   // > 0: sees from the beginning of its chunk of so many positions
  bool local = false;
  bool rotates = true;
  bool tempered = false;
  bool sparse = false;  // its MLP is a mixture of experts
  bool attends = true;
  bool recurs = false;  // has the architecture's mixer
  bool has_mlp = true;
  bool sees_ahead = true;  // rows of one picture see each other, where the model lets them
  bool guesses = false;    // behind the last: guesses the token after the next (MTP)
  std::uint32_t from = 0;  // sees no position before this one
  // Of its gates, those within so many deviations of their mean pass as zero; -inf: none do.
  float gate_cut = -std::numeric_limits<float>::infinity();
};

// Several streams side by side, one of which every layer reads and gives to.
// Source: Baykal et al. 2023 (AltUp); the Gemma 3n model card.
struct StreamsHyper {
  std::uint32_t count = 1, active = 0;
  std::uint32_t side = 0;  // of a narrow way beside attention (LAuReL)
  bool scaled = false;     // what is given, before vectors of layers' own are gated by it
};

// Attention through a latent of keys and values, which is all that is kept of them.
// Source: DeepSeek-AI 2024 (V2), section 2.1.
struct LatentHyper {
  std::uint32_t q_rank = 0;              // 0: queries come straight from the stream
  std::uint32_t kv_rank = 0;             // 0: the model has no latent
  std::uint32_t plain = 0, turning = 0;  // dimensions of a head's key
};

struct MixerHyper {
  MixerKind kind = MixerKind::none;
  std::uint32_t kernel = 0;  // of the convolution
  std::uint32_t heads = 0, head_dim = 0;
  std::uint32_t groups = 0, state = 0;  // keys (B and C) of `state` numbers, one for each group
  bool tiled = false;  // head h reads group h % groups; otherwise h / (heads / groups)
  float step_min = 0, step_max = 0;  // of a step; max 0: no limits
  bool gate_after_norm = false;
  // Of what a row says through narrow matrices (rwkv7).
  std::uint32_t decay_rank = 0, rate_rank = 0, first_rank = 0, gate_rank = 0;
  // Of what is projected in (gate, x, B, C, steps) and of what is given.
  std::array<float, 5> factors_in{1, 1, 1, 1, 1};

  std::uint32_t inner() const { return heads * head_dim; }
  std::uint32_t channels() const;  // that the convolution runs over
  std::uint32_t in_rows() const;   // of mixer_in
  // Floats of one layer's state: the convolution's last inputs, [heads][state][head_dim], and the
  // MLP's last input.
  std::size_t tail() const { return std::size_t{kernel - 1} * channels(); }
  std::size_t matrix() const {
    return kind == MixerKind::short_conv ? 0 : std::size_t{heads} * state * head_dim;
  }
  std::size_t mlp_tail() const { return kind == MixerKind::rwkv7 ? inner() : 0; }
  std::size_t floats() const { return tail() + matrix() + mlp_tail(); }
};

struct Hyper {
  std::string arch;  // as written in the file
  std::uint32_t vocab = 0, dim = 0, heads = 0, head_dim = 0, context = 0;
  std::uint32_t value_dim = 0;  // of a head
  LatentHyper latent;
  MixerHyper mixer;
  StreamsHyper streams;
  // Queries are multiplied by 1 + scale * log(1 + floor((position + offset) / floor)).
  bool unit_after_rope = false;  // rotated queries and keys get length one
  float temperature_scale = 0, temperature_floor = 1, temperature_offset = 0;
  std::uint32_t extra_layers = 0;  // in the file, behind the last of `layers`: they guess (MTP)
  std::uint32_t types = 0, labels = 0, position_offset = 0;
  std::vector<LayerHyper> layers;

  float norm_eps = 1e-5f;
  float attention_scale = 0;
  float attention_softcap = 0, output_softcap = 0;  // 0: none
  float embedding_scale = 1, residual_scale = 1, logit_scale = 1;
  // Of what attention, the mixer and the MLP give, and of the MLP's gates.
  float attention_factor = 1, mixer_factor = 1, mlp_factor = 1, gate_factor = 1;
  bool parallel = false;  // attention and MLP read the same stream
  ops::Activation activation = ops::Activation::silu;

  std::uint32_t per_layer_dim = 0;  // of the vectors that layers have of their own; 0: none
  std::uint32_t rotary_dims = 0, rotary_dims_local = 0;
  std::vector<std::uint32_t> rope_sections;  // pairs by time, height and width; empty: one axis
  RopeHyper rope, rope_local;  // of local layers, where the architecture has_local_rope()

  std::uint32_t experts = 0, experts_used = 0, expert_hidden = 0, shared_hidden = 0;
  bool normalise_experts = false;
  ExpertGate expert_gate = ExpertGate::softmax;
  std::uint32_t expert_groups = 1, expert_groups_used = 1;  // experts outside them are not chosen
  float expert_scale = 1;                                   // of the chosen experts' weights
  float swiglu_alpha = 1.702f, swiglu_limit = 7;

  Pooling pooling = Pooling::none;
  bool normalise = false;        // pooled vectors have length one
  bool skips_unknown = false;    // the vectors of unknown tokens are left out
  bool head_pools_mean = false;  // what a classifier reads: the mean, not the first token
  bool tied = false;             // the output matrix is the token embedding

  std::uint32_t max_kv_heads() const;
  bool guesses() const { return !layers.empty() && layers.back().guesses; }
  std::size_t trunk_layers() const { return layers.size() - (guesses() ? 1 : 0); }
  // What tempered queries are multiplied with.
  float temperature(std::uint32_t position) const;
  // Floats of the state of one sequence; where each layer's begins.
  std::size_t state_floats() const;
  std::size_t state_begin(std::size_t layer) const;
};

// Far above any real model: they bound memory before a number is believed.
constexpr std::uint32_t max_layers = 512, max_heads = 4096, max_dim = 1u << 20;
constexpr std::uint32_t max_vocabulary = 1u << 24, max_context = 1u << 30;
constexpr std::uint32_t max_experts = 4096, max_experts_used = 64;

// Every number is checked against its range.  Errors: corrupt (the key, what it held, what it
// needed), unsupported.
Result<Hyper> read_hyper(const Package& package, const ArchSpec& spec);

}  // namespace hearth::models
