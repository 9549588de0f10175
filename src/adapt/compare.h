// What a changed model lost: two models over one text.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "ops/context.h"

namespace hearth::adapt {

// Divergences are Kullback-Leibler, of the second model's next-token probabilities from the
// first's, in nats.
struct Comparison {
  std::uint64_t tokens = 0;
  double perplexity_before = 0, perplexity_after = 0;
  double kl_mean = 0, kl_median = 0, kl_99 = 0, kl_max = 0;
  double same_first = 0;  // share of tokens where both find the same token likeliest
};

struct CompareOptions {
  std::uint32_t chunk_tokens = 512;
  std::uint32_t most_chunks = 64;
  std::function<void(double share)> progress = {};
  std::stop_token stop = {};
};

// Chunks of the text, each from an empty context; predictions in a chunk's second half count.
// Errors: those of loading; invalid (too short a text, different vocabularies), cancelled.
Result<Comparison> compare_models(ops::Context& ctx, const std::string& before,
                                  const std::string& after, const std::string& text,
                                  const CompareOptions& options);

}  // namespace hearth::adapt
