#include "vectors/ivf/kmeans.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/thread_pool.h"
#include "kernels/search_select.h"
#include "vectors/ivf/centroids.h"

namespace hearth::vectors {
namespace {

using Clock = std::chrono::steady_clock;

// Rows around their mean, filled up with zeros: what the byte kernels like.
struct Data {
  std::vector<float> values, mean;
  std::size_t n = 0, dim = 0, padded = 0;

  const float* row(std::size_t i) const { return values.data() + i * padded; }
};

Data centred(std::span<const float> rows, std::size_t dim) {
  Data data;
  data.dim = dim;
  data.n = rows.size() / dim;
  data.padded = (dim + kernels::panel_step - 1) / kernels::panel_step * kernels::panel_step;
  std::vector<double> sums(dim);
  for (std::size_t i = 0; i < rows.size(); ++i) sums[i % dim] += rows[i];
  data.mean.resize(dim);
  for (std::size_t j = 0; j < dim; ++j)
    data.mean[j] = static_cast<float>(sums[j] / static_cast<double>(data.n));
  data.values.resize(data.n * data.padded);
  for (std::size_t i = 0; i < data.n; ++i)
    for (std::size_t j = 0; j < dim; ++j)
      data.values[i * data.padded + j] = rows[i * dim + j] - data.mean[j];
  return data;
}

class Training {
 public:
  Training(const KMeansSpec& spec, Data data, std::stop_token stop)
      : spec_(spec),
        kernels_(spec.kernels != nullptr ? *spec.kernels : kernels::best_search_kernels()),
        data_(std::move(data)),
        stop_(std::move(stop)),
        random_(spec.seed),
        started_(Clock::now()) {}

  Result<KMeansResult> run();

 private:
  std::vector<float> first_centroids();
  std::vector<float> seeded();
  void draw(std::vector<float>& chosen, std::size_t more, const std::vector<float>& distances);
  double lloyd(std::vector<float>& centroids);
  double mini_batch(std::vector<float>& centroids, std::vector<double>& weights);
  void update(std::vector<float>& centroids);
  void repair(std::vector<float>& centroids);
  void report(std::size_t iteration, double change) const;
  Error stopped() const { return Error(ErrorKind::cancelled, "k-means was stopped"); }
  std::size_t pick(std::size_t n) { return random_() % n; }

  const KMeansSpec& spec_;
  const kernels::SearchKernels& kernels_;
  Data data_;
  std::stop_token stop_;
  std::mt19937_64 random_;
  Clock::time_point started_;
  std::vector<std::uint32_t> nearest_, order_, first_;  // rows by cluster: order_[first_[c]...]
  std::vector<float> distances_;
};

// More centroids among rows of `chosen`'s data, each drawn with a chance that grows with its
// squared distance to those there are.  Source: Arthur and Vassilvitskii 2007, drawn many at a time
// as in Bahmani et al. 2012.
void Training::draw(std::vector<float>& chosen, std::size_t more,
                    const std::vector<float>& distances) {
  double total = 0;
  for (const float d : distances) total += d;
  const double step = total / static_cast<double>(more);
  double next = step * std::uniform_real_distribution<double>()(random_), sum = 0;
  std::size_t made = 0;
  for (std::size_t i = 0; i < distances.size() && made < more; ++i) {
    sum += distances[i];
    if (sum <= next && step > 0) continue;
    if (step == 0 && i * more / distances.size() < made) continue;
    chosen.insert(chosen.end(), data_.row(i), data_.row(i) + data_.padded);
    ++made;
    while (next < sum && step > 0) next += step;
  }
  for (; made < more; ++made) {
    const float* row = data_.row(pick(distances.size()));
    chosen.insert(chosen.end(), row, row + data_.padded);
  }
}

std::vector<float> Training::seeded() {
  constexpr std::size_t rounds = 32, rows_each = 24;
  const std::size_t n = std::min(data_.n, rows_each * spec_.clusters);  // rows are in random order
  std::vector<float> chosen;
  const std::size_t first = std::max<std::size_t>(spec_.clusters / rounds, 1);
  for (std::size_t i = 0; i < first; ++i) {
    const float* row = data_.row(pick(n));
    chosen.insert(chosen.end(), row, row + data_.padded);
  }
  std::vector<float> distances(n, std::numeric_limits<float>::infinity()), now(n);
  std::vector<std::uint32_t> nearest(n);
  std::size_t seen = 0;
  while (chosen.size() / data_.padded < spec_.clusters && !stop_.stop_requested()) {
    const auto fresh = chosen.begin() + static_cast<std::ptrdiff_t>(seen * data_.padded);
    const Centroids table(std::vector<float>(fresh, chosen.end()), data_.padded, kernels_);
    table.assign(nearest.data(), now.data(), data_.values.data(), n, spec_.pool);
    for (std::size_t i = 0; i < n; ++i) distances[i] = std::min(distances[i], now[i]);
    seen = chosen.size() / data_.padded;
    draw(chosen, std::min(first, spec_.clusters - seen), distances);
  }
  return chosen;
}

std::vector<float> Training::first_centroids() {
  if (spec_.initial.empty()) return seeded();
  std::vector<float> chosen(spec_.clusters * data_.padded);
  for (std::size_t c = 0; c < spec_.clusters; ++c)
    for (std::size_t j = 0; j < data_.dim; ++j)
      chosen[c * data_.padded + j] = spec_.initial[c * data_.dim + j] - data_.mean[j];
  return chosen;
}

// Centroids to the means of their rows, in order of rows: the same on any number of threads.
void Training::update(std::vector<float>& centroids) {
  first_.assign(spec_.clusters + 1, 0);
  for (const std::uint32_t c : nearest_) ++first_[c + 1];
  std::partial_sum(first_.begin(), first_.end(), first_.begin());
  order_.resize(data_.n);
  std::vector<std::uint32_t> next(first_.begin(), first_.end() - 1);
  for (std::size_t i = 0; i < data_.n; ++i)
    order_[next[nearest_[i]]++] = static_cast<std::uint32_t>(i);
  auto mean_of = [&](std::size_t begin, std::size_t end, int) {
    std::vector<float> sum(data_.padded);
    for (std::size_t c = begin; c < end; ++c) {
      const std::uint32_t rows = first_[c + 1] - first_[c];
      if (rows == 0) continue;
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (std::uint32_t i = first_[c]; i < first_[c + 1]; ++i) {
        if (i + 4 < order_.size()) __builtin_prefetch(data_.row(order_[i + 4]));
        const float* row = data_.row(order_[i]);
        for (std::size_t j = 0; j < data_.padded; ++j) sum[j] += row[j];
      }
      for (std::size_t j = 0; j < data_.padded; ++j)
        centroids[c * data_.padded + j] = sum[j] / static_cast<float>(rows);
    }
  };
  if (spec_.pool != nullptr)
    spec_.pool->parallel_for(spec_.clusters, 64, mean_of);
  else
    mean_of(0, spec_.clusters, 0);
}

// Empty clusters, and with `balance` the least ones, move into the clusters of the greatest error
// or size: onto the row that is worst off there.
void Training::repair(std::vector<float>& centroids) {
  const double mean = static_cast<double>(data_.n) / static_cast<double>(spec_.clusters);
  const auto size = [&](std::size_t c) { return first_[c + 1] - first_[c]; };
  std::vector<std::uint32_t> by_size(spec_.clusters);
  std::iota(by_size.begin(), by_size.end(), 0u);
  std::sort(by_size.begin(), by_size.end(), [&](std::uint32_t a, std::uint32_t b) {
    return size(a) != size(b) ? size(a) < size(b) : a < b;
  });
  std::size_t donor = spec_.clusters - 1;
  for (const std::uint32_t poor : by_size) {
    if (donor == 0 || by_size[donor] == poor) break;
    const std::uint32_t rich = by_size[donor];
    const bool is_empty = size(poor) == 0;
    const bool unbalanced = spec_.balance && static_cast<double>(size(poor)) < mean / 8 &&
                            static_cast<double>(size(rich)) > mean * 3;
    if ((!is_empty && !unbalanced) || size(rich) < 2) break;
    std::uint32_t worst = order_[first_[rich]];
    for (std::uint32_t i = first_[rich]; i < first_[rich + 1]; ++i)
      if (distances_[order_[i]] > distances_[worst]) worst = order_[i];
    // Half way to the centroid: an outlier alone would make a list of one.
    for (std::size_t j = 0; j < data_.padded; ++j)
      centroids[poor * data_.padded + j] =
          0.5f * (data_.row(worst)[j] + centroids[rich * data_.padded + j]);
    --donor;
  }
}

double Training::lloyd(std::vector<float>& centroids) {
  const Centroids table(centroids, data_.padded, kernels_);
  nearest_.resize(data_.n);
  distances_.resize(data_.n);
  table.assign(nearest_.data(), distances_.data(), data_.values.data(), data_.n, spec_.pool);
  update(centroids);
  repair(centroids);
  double error = 0;
  for (const float d : distances_) error += d;
  return error / static_cast<double>(data_.n);
}

// Source: Sculley 2010, "Web-scale k-means clustering".
double Training::mini_batch(std::vector<float>& centroids, std::vector<double>& weights) {
  const std::size_t n = std::min(spec_.mini_batch, data_.n);
  std::vector<float> rows(n * data_.padded);
  for (std::size_t i = 0; i < n; ++i)
    std::memcpy(&rows[i * data_.padded], data_.row(pick(data_.n)), data_.padded * sizeof(float));
  const Centroids table(centroids, data_.padded, kernels_);
  std::vector<std::uint32_t> nearest(n);
  std::vector<float> distances(n);
  table.assign(nearest.data(), distances.data(), rows.data(), n, spec_.pool);
  double error = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float rate = static_cast<float>(1 / ++weights[nearest[i]]);
    float* centroid = &centroids[nearest[i] * data_.padded];
    for (std::size_t j = 0; j < data_.padded; ++j)
      centroid[j] += rate * (rows[i * data_.padded + j] - centroid[j]);
    error += distances[i];
  }
  for (std::size_t c = 0; c < spec_.clusters; ++c)
    if (weights[c] == 0 && pick(4) == 0)  // still nobody's: somewhere else
      std::memcpy(&centroids[c * data_.padded], &rows[pick(n) * data_.padded],
                  data_.padded * sizeof(float));
  return error / static_cast<double>(n);
}

void Training::report(std::size_t iteration, double change) const {
  if (!spec_.progress) return;
  KMeansProgress progress;
  progress.iteration = iteration;
  progress.iterations = spec_.iterations;
  progress.change = change;
  progress.elapsed_s = std::chrono::duration<double>(Clock::now() - started_).count();
  progress.remaining_s = progress.elapsed_s / static_cast<double>(iteration) *
                         static_cast<double>(spec_.iterations - iteration);
  spec_.progress(progress);
}

Result<KMeansResult> Training::run() {
  KMeansResult result;
  std::vector<float> centroids = first_centroids();
  if (stop_.stop_requested()) return stopped();
  std::vector<double> weights(spec_.clusters);
  double before = std::numeric_limits<double>::infinity(), smooth = 0;
  for (std::size_t i = 1; i <= spec_.iterations; ++i) {
    const bool batches = spec_.mini_batch > 0;
    const double error = batches ? mini_batch(centroids, weights) : lloyd(centroids);
    if (stop_.stop_requested()) return stopped();
    // The error of a batch is noisy: its running mean tells.
    smooth = batches && i > 1 ? 0.9 * smooth + 0.1 * error : error;
    const double change = i == 1 ? 1 : (before - smooth) / std::max(smooth, 1e-300);
    before = smooth;
    result.error = smooth;
    result.iterations = i;
    report(i, change);
    if (i > 2 && std::abs(change) < spec_.tolerance) break;
  }
  result.centroids.resize(spec_.clusters * data_.dim);
  for (std::size_t c = 0; c < spec_.clusters; ++c)
    for (std::size_t j = 0; j < data_.dim; ++j)
      result.centroids[c * data_.dim + j] = centroids[c * data_.padded + j] + data_.mean[j];
  return result;
}

// Cuts rows into about sqrt(clusters) parts and each of them by its share.
Result<KMeansResult> in_two_steps(const KMeansSpec& spec, std::span<const float> rows,
                                  std::stop_token stop) {
  KMeansSpec top = spec;
  top.clusters = static_cast<std::size_t>(std::sqrt(static_cast<double>(spec.clusters)));
  top.iterations = std::min<std::size_t>(spec.iterations, 8);
  top.progress = nullptr;
  const std::size_t n = rows.size() / spec.dim;
  const std::size_t sample = std::min(n, top.clusters * 256);
  const KMeansResult coarse = TRY(kmeans(top, rows.first(sample * spec.dim), stop));

  const auto& kernels = spec.kernels != nullptr ? *spec.kernels : kernels::best_search_kernels();
  std::vector<std::vector<float>> parts(top.clusters);
  {
    const Data data = centred(rows, spec.dim);
    std::vector<float> padded(top.clusters * data.padded);
    for (std::size_t i = 0; i < coarse.centroids.size(); ++i)
      padded[i / spec.dim * data.padded + i % spec.dim] =
          coarse.centroids[i] - data.mean[i % spec.dim];
    std::vector<std::uint32_t> nearest(n);
    Centroids(std::move(padded), data.padded, kernels)
        .assign(nearest.data(), nullptr, data.values.data(), n, spec.pool);
    for (std::size_t i = 0; i < n; ++i) {
      const auto row = rows.subspan(i * spec.dim, spec.dim);
      parts[nearest[i]].insert(parts[nearest[i]].end(), row.begin(), row.end());
    }
  }

  KMeansResult result;
  const auto started = Clock::now();
  std::size_t seen = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const std::size_t here = parts[p].size() / spec.dim;
    const std::size_t before = seen * spec.clusters / n;
    seen += here;
    KMeansSpec part = spec;
    part.clusters = seen * spec.clusters / n - before;  // shares add up to all
    part.progress = nullptr;
    part.seed = spec.seed + p;
    if (part.clusters == 0) continue;
    const KMeansResult fine = TRY(kmeans(part, parts[p], stop));
    result.centroids.insert(result.centroids.end(), fine.centroids.begin(), fine.centroids.end());
    result.error += fine.error * static_cast<double>(here) / static_cast<double>(n);
    result.iterations = std::max(result.iterations, fine.iterations);
    if (!spec.progress) continue;
    const double elapsed = std::chrono::duration<double>(Clock::now() - started).count();
    const double share = static_cast<double>(p + 1) / static_cast<double>(parts.size());
    spec.progress({.iteration = p + 1,
                   .iterations = parts.size(),
                   .change = 1,
                   .elapsed_s = elapsed,
                   .remaining_s = elapsed / share * (1 - share)});
  }
  return result;
}

}  // namespace

Result<KMeansResult> kmeans(const KMeansSpec& spec, std::span<const float> rows,
                            std::stop_token stop) {
  if (spec.dim == 0 || spec.clusters == 0 || spec.clusters > most_clusters)
    return Error(ErrorKind::invalid, fmt::format("{} clusters of {} dimensions: needs 1 to {}",
                                                 spec.clusters, spec.dim, most_clusters));
  const std::size_t n = rows.size() / spec.dim;
  if (n < spec.clusters || rows.size() % spec.dim != 0)
    return Error(ErrorKind::invalid, fmt::format("{} rows for {} clusters", n, spec.clusters));
  if (!spec.initial.empty() && spec.initial.size() != spec.clusters * spec.dim)
    return Error(ErrorKind::invalid, "the initial centroids are not as many as the clusters");
  if (spec.clusters > most_flat_clusters && spec.initial.empty())
    return in_two_steps(spec, rows, std::move(stop));
  return Training(spec, centred(rows, spec.dim), std::move(stop)).run();
}

void Reservoir::offer(std::span<const float> rows) {
  for (std::size_t i = 0; i < rows.size(); i += dim_, ++seen_) {
    const auto row = rows.subspan(i, dim_);
    const std::size_t place = random_() % (seen_ + 1);
    if (seen_ < capacity_) {  // whoever is at the place moves to the end
      rows_.resize((seen_ + 1) * dim_);
      std::copy_n(&rows_[place * dim_], dim_, &rows_[seen_ * dim_]);
    }
    if (place < capacity_) std::copy(row.begin(), row.end(), &rows_[place * dim_]);
  }
}

}  // namespace hearth::vectors
