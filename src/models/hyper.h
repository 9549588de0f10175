// Hyper: the numbers that make an architecture one model, read from GGUF keys or config.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/package.h"
#include "ops/elementwise.h"

namespace hearth::models {

struct ArchSpec;

enum class RopeScalingKind : std::uint8_t { none, linear, dynamic, yarn, llama3, longrope };

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
  std::vector<double> short_factors, long_factors;  // longrope
};

struct RopeHyper {
  double theta = 10000;
  RopeScaling scaling;
};

enum class Pooling : std::uint8_t { none, mean, cls, last, rank };

struct LayerHyper {
  std::uint32_t kv_heads = 0;
  std::uint32_t hidden = 0;
  std::uint32_t window = 0;  // 0: sees everything
  bool local = false;
  bool rotates = true;
  bool sparse = false;  // its MLP is a mixture of experts
};

struct Hyper {
  std::string arch;  // as written in the file
  std::uint32_t vocab = 0, dim = 0, heads = 0, head_dim = 0, context = 0;
  std::uint32_t types = 0, labels = 0, position_offset = 0;
  std::vector<LayerHyper> layers;

  float norm_eps = 1e-5f;
  float attention_scale = 0;
  float attention_softcap = 0, output_softcap = 0;  // 0: none
  float embedding_scale = 1, residual_scale = 1, logit_scale = 1;
  bool parallel = false;  // attention and MLP read the same stream
  ops::Activation activation = ops::Activation::silu;

  std::uint32_t rotary_dims = 0;
  std::vector<std::uint32_t> rope_sections;  // pairs by time, height and width; empty: one axis
  RopeHyper rope, rope_local;  // of local layers, where the architecture has_local_rope()

  std::uint32_t experts = 0, experts_used = 0, expert_hidden = 0, shared_hidden = 0;
  bool normalise_experts = false;
  float expert_scale = 1;  // of the chosen experts' weights
  float swiglu_alpha = 1.702f, swiglu_limit = 7;

  Pooling pooling = Pooling::none;
  bool normalise = false;        // pooled vectors have length one
  bool head_pools_mean = false;  // what a classifier reads: the mean, not the first token
  bool tied = false;             // the output matrix is the token embedding

  std::uint32_t max_kv_heads() const;
};

// Far above any real model: they bound memory before a number is believed.
constexpr std::uint32_t max_layers = 512, max_heads = 4096, max_dim = 1u << 20;
constexpr std::uint32_t max_vocabulary = 1u << 24, max_context = 1u << 30;
constexpr std::uint32_t max_experts = 4096, max_experts_used = 64;

// Every number is checked against its range.  Errors: corrupt (the key, what it held, what it
// needed), unsupported.
Result<Hyper> read_hyper(const Package& package, const ArchSpec& spec);

}  // namespace hearth::models
