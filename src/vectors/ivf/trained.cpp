#include "vectors/ivf/trained.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/search_select.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t code_sample = 20000;
constexpr std::uint64_t rotation_seed = 20250131;

std::vector<float> mean_of(std::span<const float> rows, std::size_t dim) {
  std::vector<double> sums(dim);
  for (std::size_t i = 0; i < rows.size(); i += dim)
    for (std::size_t j = 0; j < dim; ++j) sums[j] += rows[i + j];
  std::vector<float> mean(dim);
  const double n = static_cast<double>(rows.size() / dim);
  for (std::size_t j = 0; j < dim; ++j) mean[j] = static_cast<float>(sums[j] / n);
  return mean;
}

// Halves hold up to 65504; terms beyond what the sample shows find room for ten times as much.
constexpr float sample_most = 6000;

}  // namespace

Trained::Trained(std::size_t dim, Metric metric_, std::uint64_t seed_,
                 const kernels::SearchKernels& kernels_, std::vector<float> mean_,
                 std::vector<float> rotated_centroids)
    : metric(metric_),
      seed(seed_),
      kernels(kernels_),
      mean(std::move(mean_)),
      rotation(dim, seed_, kernels_),
      centroids(std::move(rotated_centroids), rotation.padded(), kernels_) {
  centroids.arrange();
}

void Trained::rotate(float* out, const float* x) const {
  const std::size_t n = dim();
  const float* middle = mean.data();
  for (std::size_t j = 0; j < n; ++j) out[j] = x[j] - middle[j];
  std::fill(out + n, out + padded(), 0.0f);
  rotation.apply(out);
}

void Trained::rotate_query(float* out, const float* x) const {
  if (metric == Metric::l2) return rotate(out, x);
  std::copy_n(x, dim(), out);
  std::fill(out + dim(), out + padded(), 0.0f);
  rotation.apply(out);
}

void Trained::undo(float* x, float* rotated) const {
  rotation.undo(rotated);
  for (std::size_t j = 0; j < dim(); ++j) x[j] = rotated[j] + mean[j];
}

std::size_t lists_for(std::size_t rows) {
  const double root = 4 * std::sqrt(static_cast<double>(rows));
  const std::size_t lists = static_cast<std::size_t>(root) / 16 * 16;
  return std::clamp<std::size_t>(lists, 16, most_clusters);
}

Result<std::shared_ptr<const Trained>> with_codes(const Trained& trained, const IvfSpec& spec,
                                                  std::span<const float> rows) {
  auto next = std::make_shared<Trained>(trained);
  const std::size_t n = std::min(code_sample, rows.size() / spec.dim), padded = next->padded();
  std::vector<float> residuals(n * padded);
  std::vector<std::uint32_t> lists(n);
  for (std::size_t i = 0; i < n; ++i)
    next->rotate(&residuals[i * padded], rows.data() + i * spec.dim);
  next->centroids.assign(lists.data(), nullptr, residuals.data(), n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < padded; ++j)
      residuals[i * padded + j] -= next->centroids.at(lists[i])[j];
  if (spec.pq.segments > 0)
    next->coder = TRY(train_pq_coder(padded, spec.pq, next->metric, residuals, next->kernels));
  else
    next->coder = make_sign_coder(padded, spec.code_bits, next->metric, next->kernels);
  float most = 0;
  std::vector<std::uint8_t> codes(next->coder->groups());
  for (std::size_t i = 0; i < n; ++i) {
    const CodeTerms terms =
        next->coder->encode(codes.data(), &residuals[i * padded], next->centroids.at(lists[i]));
    most = std::max({most, std::abs(terms.first), std::abs(terms.second)});
  }
  next->unit = most > 0 ? most / sample_most : 1;
  return std::shared_ptr<const Trained>(std::move(next));
}

Result<std::shared_ptr<const Trained>> train_ivf(const IvfSpec& spec, std::size_t lists,
                                                 std::span<const float> rows, ThreadPool* pool,
                                                 std::stop_token stop) {
  const auto& kernels = spec.kernels != nullptr ? *spec.kernels : kernels::best_search_kernels();
  const std::size_t n = std::min(rows.size() / spec.dim, lists * sample_rows_per_list);
  const auto sample = rows.first(n * spec.dim);
  std::vector<float> mean = mean_of(sample, spec.dim);
  // Rotated first, so that k-means sees the numbers that bytes keep best.
  const Trained frame(spec.dim, spec.metric, rotation_seed, kernels, mean, {});
  const std::size_t padded = frame.padded();
  std::vector<float> rotated(n * padded);
  for (std::size_t i = 0; i < n; ++i)
    frame.rotate(&rotated[i * padded], sample.data() + i * spec.dim);
  KMeansSpec means = {.clusters = lists, .dim = padded, .iterations = 12, .tolerance = 2e-3};
  means.pool = pool;
  means.kernels = &kernels;
  means.progress = spec.progress;
  KMeansResult found = TRY(kmeans(means, rotated, stop));
  const Metric metric = spec.metric == Metric::inner_product ? spec.metric : Metric::l2;
  const Trained trained(spec.dim, metric, rotation_seed, kernels, std::move(mean),
                        std::move(found.centroids));
  return with_codes(trained, spec, sample);
}

}  // namespace hearth::vectors
