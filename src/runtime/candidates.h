// The few tokens that may come next, cut out of a whole row of logits without sorting it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace hearth {

struct Candidate {
  float logit;
  Token token;
};

// Best first: the greater logit, of equals the lower token.
inline bool is_better(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

// e^x for x <= 0, relative error below 4e-7; 0 below -87 and for -inf.
float exp_nonpositive(float x);

// What one pass over a row finds.  Rows may hold -inf (a token that cannot come).
struct RowSummary {
  float best = 0;         // the greatest logit
  bool is_usable = true;  // no NaN, no +inf, and at least one finite logit
};
RowSummary summarise(std::span<const float> logits);
Token first_of_best(std::span<const float> logits, float best);

// weights[i] = e^((logits[i] - best) / temperature); returns their sum.  weights may be empty: only
// the sum is wanted.
double softmax_weights(std::span<const float> logits, float best, float temperature,
                       std::span<float> weights);

// All candidates of at least `floor`, in order of token.
void collect(std::span<const float> logits, float floor, std::vector<Candidate>& out);
// The `k` best (all, when there are fewer), best first.  -inf never counts.
void collect_best(std::span<const float> logits, std::size_t k, std::vector<Candidate>& out);

// The truncations.  Each leaves at least one candidate, best first; `mass` is the sum of
// e^(logit - best) over the distribution that the probabilities refer to.

// The candidates whose surprise is nearest to the entropy, until `p` of the mass is kept.
// `candidates` is the whole distribution.  Source: Meister et al. 2022, section 3.
void keep_typical(std::vector<Candidate>& candidates, float p);
// The best candidates that hold `p` of the mass.  Source: Holtzman et al. 2020, section 3.1.
void keep_top_p(std::vector<Candidate>& candidates, float p, double mass);
// Those of at least `p` times the best one's probability.  Source: Nguyen et al. 2024, section 3.
void keep_min_p(std::vector<Candidate>& candidates, float p);

// Sum of e^(logit - best); candidates hold `best`.
double mass_of(std::span<const Candidate> candidates, float best);

}  // namespace hearth
