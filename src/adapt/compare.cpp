#include "adapt/compare.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "adapt/chunks.h"

namespace hearth::adapt {
namespace {

// Logits to logarithms of probabilities: what to take away from each.
double log_sum(std::span<const float> logits) {
  const double most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return most + std::log(sum);
}

class Sums {
 public:
  void add(std::span<const float> before, std::span<const float> after, Token next) {
    const double before_sum = log_sum(before), after_sum = log_sum(after);
    double divergence = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double logarithm = before[i] - before_sum;
      divergence += std::exp(logarithm) * (logarithm - (after[i] - after_sum));
    }
    divergences_.push_back(std::max(0.0, divergence));
    const auto place = static_cast<std::size_t>(next);
    before_ -= before[place] - before_sum;
    after_ -= after[place] - after_sum;
    same_ += std::ranges::max_element(before) - before.begin() ==
             std::ranges::max_element(after) - after.begin();
  }

  Comparison result() {
    Comparison result;
    std::ranges::sort(divergences_);
    const auto count = static_cast<double>(divergences_.size());
    const auto at = [&](double share) {
      return divergences_[static_cast<std::size_t>(share * (count - 1))];
    };
    for (const double each : divergences_) result.kl_mean += each / count;
    result.tokens = divergences_.size();
    result.perplexity_before = std::exp(before_ / count);
    result.perplexity_after = std::exp(after_ / count);
    result.kl_median = at(0.5);
    result.kl_99 = at(0.99);
    result.kl_max = divergences_.back();
    result.same_first = static_cast<double>(same_) / count;
    return result;
  }

 private:
  std::vector<double> divergences_;
  double before_ = 0, after_ = 0;  // negative logarithms of the likelihood
  std::uint64_t same_ = 0;
};

}  // namespace

Result<Comparison> compare_models(ops::Context& ctx, const std::string& before,
                                  const std::string& after, const std::string& text,
                                  const CompareOptions& options) {
  const auto open = [&](const std::string& path) -> Result<std::shared_ptr<const Model>> {
    const Package package = TRY(open_package(path));
    LoadOptions load;
    load.stop = options.stop;
    return load_model(ctx, package, load);
  };
  const auto first = TRY(open(before)), second = TRY(open(after));
  if (first->info().vocabulary != second->info().vocabulary)
    return Error(ErrorKind::invalid, "the two models have different vocabularies");
  const auto chunks = TRY(chunks_of(*first, text, options.chunk_tokens, options.most_chunks));
  const auto tokens = static_cast<std::uint32_t>(chunks.front().size());
  ChunkRunner one(ctx, *first, tokens), two(ctx, *second, tokens);
  Sums sums;
  const std::size_t vocabulary = first->info().vocabulary;
  for (std::size_t c = 0; c < chunks.size(); ++c) {
    if (options.progress)
      options.progress(static_cast<double>(c) / static_cast<double>(chunks.size()));
    const std::uint32_t half = tokens / 2;
    const auto logits = TRY(one.run(chunks[c], half, options.stop));
    const auto changed = TRY(two.run(chunks[c], half, options.stop));
    for (std::uint32_t i = half; i + 1 < tokens; ++i)
      sums.add(logits.subspan((i - half) * vocabulary, vocabulary),
               changed.subspan((i - half) * vocabulary, vocabulary), chunks[c][i + 1]);
  }
  return sums.result();
}

}  // namespace hearth::adapt
