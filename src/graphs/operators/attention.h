// Scaled dot-product attention over whole sequences.
#pragma once

#include "graphs/call.h"

namespace hearth::graphs {

struct AttentionJob {
  Tensor q, k, v;                // [batch, heads, rows, d], [batch, kv heads, keys, d], [.., dv]
  const Tensor* bias = nullptr;  // added to scores; f32
  std::int64_t bias_strides[4] = {0, 0, 0, 0};  // by batch, head, row, key
  std::vector<std::int64_t> offsets;  // keys before the first row: one for all, or one each
  std::vector<std::int64_t> valid;    // keys that count, by batch; empty: all
  std::vector<float> sinks;           // by head: a score without a value; empty: none
  bool causal = false;
  std::int64_t left = -1, right = -1;  // keys seen on either side; -1: all
  double scale = 0;                    // 0: 1 / sqrt(d)
  double softcap = 0;
  int scores_mode = 0;  // which scores to keep: 0 raw, 1 capped, 2 biased, 3 probabilities
  Element softmax_type = Element::none;

  std::int64_t bias_place(std::int64_t b, std::int64_t h, std::int64_t r, std::int64_t t) const;
  std::int64_t offset_of(std::int64_t b) const;
  std::int64_t valid_of(std::int64_t b, std::int64_t keys) const;
};

// y: [batch, heads, rows, dv].  scores_out: [batch, heads, rows, keys] or null.
Status attend(Call& call, const AttentionJob& job, Tensor& y, std::vector<float>* scores_out);

// A bool mask (true: seen) or a float one as a bias for scores of shape `full`; sets the job's
// strides.
Result<Tensor> bias_from_mask(Call& call, const Tensor& mask, const Dims& full, AttentionJob& job);

// Probabilities in place; a row of which nothing is seen becomes zeros.
void softmax_masked(float* row, std::int64_t n, float sink, bool has_sink);

}  // namespace hearth::graphs
