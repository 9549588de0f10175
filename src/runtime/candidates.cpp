#include "runtime/candidates.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace hearth {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr std::size_t lanes = 16;   // independent chains that the compiler keeps in registers
constexpr std::size_t block = 512;  // floats summed in f32 before the sum goes on in f64

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

float exp_nonpositive(float x) {
  // e^x = 2^k e^f with |f| <= ln 2 / 2; e^f by its Taylor series to the 6th power.
  const float clamped = x < -87.0f ? -87.0f : x;
  const auto k = static_cast<std::int32_t>(clamped * 1.44269504f - 0.5f);
  const auto whole = static_cast<float>(k);
  const float f = (clamped - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float p = 1.0f / 720;
  p = p * f + 1.0f / 120;
  p = p * f + 1.0f / 24;
  p = p * f + 1.0f / 6;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  const float scale = std::bit_cast<float>((k + 127) << 23);
  return x < -87.0f ? 0.0f : p * scale;
}

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
    for (std::size_t i = 0; i < n; ++i)
      out[i] = exp_nonpositive((logits[begin + i] - best) * scale);
    std::array<float, lanes> sums{};
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += out[i + lane];
    for (; i < n; ++i) sums[0] += out[i];
    for (const float sum : sums) total += sum;
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
  const auto distance = [&](const Candidate& candidate) {
    return std::abs(log_mass - (double{candidate.logit} - best) - entropy);
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
