#include "runtime/candidates.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace hearth {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr std::size_t lanes = 16;   // independent chains that the compiler keeps in registers
constexpr std::size_t block = 512;  // floats summed in f32 before the sum goes on in f64

typedef float Floats __attribute__((vector_size(16)));
typedef std::int32_t Ints __attribute__((vector_size(16)));

// As exp_nonpositive.  e^x = 2^k e^f with |f| <= ln 2 / 2; e^f by its Taylor series to the 6th
// power; ln 2 in two parts, so that k ln 2 is exact.
inline Floats exp_of(Floats x) {
  const Floats least = {-87, -87, -87, -87};
  const Floats clamped = x < least ? least : x;
  const Ints k = __builtin_convertvector(clamped * 1.44269504f - 0.5f, Ints);
  const Floats whole = __builtin_convertvector(k, Floats);
  const Floats f = (clamped - whole * 0.693359375f) + whole * 2.12194440e-4f;
  Floats p = f * (1.0f / 720) + 1.0f / 120;
  p = p * f + 1.0f / 24;
  p = p * f + 1.0f / 6;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  const Ints scale = (k + 127) << 23;
  return x < least ? Floats{} : p * std::bit_cast<Floats>(scale);
}

// weights[i] = e^((logits[i] - best) * scale), i < n <= block; returns their sum.
float exp_block(float* weights, const float* logits, std::size_t n, float best, float scale) {
  Floats sums[2] = {};
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (std::size_t half = 0; half < 2; ++half) {
      Floats x;
      std::memcpy(&x, logits + i + 4 * half, sizeof x);
      x = exp_of((x - best) * scale);
      std::memcpy(weights + i + 4 * half, &x, sizeof x);
      sums[half] += x;
    }
  const Floats all = sums[0] + sums[1];
  float sum = (all[0] + all[1]) + (all[2] + all[3]);
  for (; i < n; ++i) sum += weights[i] = exp_nonpositive((logits[i] - best) * scale);
  return sum;
}

// Orders candidates from the front, a growing part at a time, until `enough(candidate)` is true of
// one of them or all are in order.  Returns how many that takes, that one included.
template <typename Better, typename Enough>
std::size_t order_until(std::vector<Candidate>& candidates, Better better, Enough enough) {
  const auto begin = candidates.begin();
  std::size_t ordered = 0;
  for (std::size_t part = 64; ordered < candidates.size(); part *= 8) {
    const std::size_t end = std::min(candidates.size(), ordered + part);
    const auto from = begin + static_cast<std::ptrdiff_t>(ordered);
    const auto to = begin + static_cast<std::ptrdiff_t>(end);
    if (end < candidates.size()) std::nth_element(from, to, candidates.end(), better);
    std::sort(from, to, better);
    for (; ordered < end; ++ordered)
      if (enough(candidates[ordered])) return ordered + 1;
  }
  return ordered;
}

float best_of(std::span<const Candidate> candidates) {
  float best = -infinity;
  for (const Candidate& candidate : candidates) best = std::max(best, candidate.logit);
  return best;
}

}  // namespace

float exp_nonpositive(float x) { return exp_of(Floats{x, x, x, x})[0]; }

RowSummary summarise(std::span<const float> logits) {
  std::array<float, lanes> best;
  best.fill(-infinity);
  std::array<int, lanes> bad{};
  std::size_t i = 0;
  for (; i + lanes <= logits.size(); i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const float x = logits[i + lane];
      best[lane] = x > best[lane] ? x : best[lane];
      bad[lane] |= !(x < infinity);
    }
  for (; i < logits.size(); ++i) {
    best[0] = logits[i] > best[0] ? logits[i] : best[0];
    bad[0] |= !(logits[i] < infinity);
  }
  RowSummary summary;
  summary.best = *std::ranges::max_element(best);
  summary.is_usable = summary.best > -infinity && std::ranges::count(bad, 0) == lanes;
  return summary;
}

Token first_of_best(std::span<const float> logits, float best) {
  const auto at = std::ranges::find(logits, best);
  return static_cast<Token>(at - logits.begin());
}

double softmax_weights(std::span<const float> logits, float best, float temperature,
                       std::span<float> weights) {
  const float scale = 1.0f / temperature;
  double total = 0;
  std::array<float, block> scratch;
  for (std::size_t begin = 0; begin < logits.size(); begin += block) {
    const std::size_t n = std::min(block, logits.size() - begin);
    float* out = weights.empty() ? scratch.data() : weights.data() + begin;
    total += double{exp_block(out, logits.data() + begin, n, best, scale)};
  }
  return total;
}

void collect(std::span<const float> logits, float floor, std::vector<Candidate>& out) {
  out.clear();
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (logits[i] >= floor && logits[i] > -infinity)
      out.push_back({logits[i], static_cast<Token>(i)});
}

void collect_best(std::span<const float> logits, std::size_t k, std::vector<Candidate>& out) {
  out.clear();
  k = std::min(k, logits.size());
  const std::size_t room = 2 * k + 256;
  const auto cut = [&] {
    if (out.size() <= k) return;
    std::nth_element(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(k), out.end(),
                     is_better);
    out.resize(k);
  };
  float floor = -infinity;  // a logit at or below it, met from now on, is not among the best
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] > floor)) continue;
    out.push_back({logits[i], static_cast<Token>(i)});
    if (out.size() < room) continue;
    cut();
    floor = std::ranges::min_element(out, {}, &Candidate::logit)->logit;
  }
  cut();
  std::sort(out.begin(), out.end(), is_better);
}

double mass_of(std::span<const Candidate> candidates, float best) {
  double mass = 0;
  for (const Candidate& candidate : candidates) mass += exp_nonpositive(candidate.logit - best);
  return mass;
}

void keep_typical(std::vector<Candidate>& candidates, float p) {
  const float best = best_of(candidates);
  const double mass = mass_of(candidates, best);
  const double log_mass = std::log(mass);
  double entropy = 0;
  for (const Candidate& candidate : candidates) {
    const double log_p = double{candidate.logit} - best - log_mass;
    entropy -= exp_nonpositive(candidate.logit - best) / mass * log_p;
  }
  // The surprise log_mass - (logit - best) is that far from the entropy.
  const double typical_logit = log_mass + best - entropy;
  const auto distance = [&](const Candidate& candidate) {
    return std::abs(candidate.logit - typical_logit);
  };
  double kept = 0;
  const std::size_t n = order_until(
      candidates,
      [&](const Candidate& a, const Candidate& b) {
        const double da = distance(a), db = distance(b);
        return da < db || (da == db && is_better(a, b));
      },
      [&](const Candidate& candidate) {
        kept += exp_nonpositive(candidate.logit - best) / mass;
        return kept >= p;
      });
  candidates.resize(n);
  std::sort(candidates.begin(), candidates.end(), is_better);
}

void keep_top_p(std::vector<Candidate>& candidates, float p, double mass) {
  const float best = best_of(candidates);
  double kept = 0;
  candidates.resize(order_until(candidates, is_better, [&](const Candidate& candidate) {
    kept += exp_nonpositive(candidate.logit - best);
    return kept >= p * mass;
  }));
}

void keep_min_p(std::vector<Candidate>& candidates, float p) {
  if (p <= 0) return;
  const float floor = best_of(candidates) + std::log(p);
  std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.logit < floor; });
}

}  // namespace hearth
