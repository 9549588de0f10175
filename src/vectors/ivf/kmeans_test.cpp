#include "vectors/ivf/kmeans.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/thread_pool.h"
#include "kernels/search_select.h"
#include "vectors/ivf/centroids.h"
#include "vectors/ivf/rotation.h"

namespace hearth::vectors {
namespace {

// Rows around `clusters` points far from one another, row i around point i % clusters.
std::vector<float> clustered(std::size_t n, std::size_t dim, std::size_t clusters, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> centres(clusters * dim), rows(n * dim);
  for (float& x : centres) x = 20 * normal(random);
  for (std::size_t i = 0; i < rows.size(); ++i)
    rows[i] = centres[i / dim % clusters * dim + i % dim] + 0.5f * normal(random);
  return rows;
}

double error_of(std::span<const float> rows, std::span<const float> centroids, std::size_t dim) {
  double total = 0;
  for (std::size_t i = 0; i < rows.size(); i += dim) {
    double best = 1e300;
    for (std::size_t c = 0; c < centroids.size(); c += dim) {
      double d = 0;
      for (std::size_t j = 0; j < dim; ++j)
        d += (rows[i + j] - centroids[c + j]) * (rows[i + j] - centroids[c + j]);
      best = std::min(best, d);
    }
    total += best;
  }
  return total / static_cast<double>(rows.size() / dim);
}

TEST_CASE("k-means finds clusters that are plain to see, by every way") {
  const std::size_t dim = 10, n = 4000, clusters = 20;
  const auto rows = clustered(n, dim, clusters, 1);
  ThreadPool pool(3);
  for (const std::size_t batch : {std::size_t{0}, std::size_t{500}}) {
    CAPTURE(batch);
    KMeansSpec spec = {.clusters = clusters, .dim = dim, .iterations = 30, .mini_batch = batch};
    const auto found = kmeans(spec, rows, {}).value();
    REQUIRE(found.centroids.size() == clusters * dim);
    // Each row is 0.5 from its centre in each of ten directions.
    CHECK(error_of(rows, found.centroids, dim) < (batch == 0 ? 2.6 : 30));
    if (batch == 0) CHECK(found.error == doctest::Approx(2.5).epsilon(0.05));
    spec.pool = &pool;
    CHECK(kmeans(spec, rows, {}).value().centroids == found.centroids);
  }
}

TEST_CASE("k-means goes on from centroids it is given, repairs empty lists, balances") {
  const std::size_t dim = 4, n = 1000;
  const auto rows = clustered(n, dim, 8, 2);
  // All start in one place: seven lists are empty at first.
  std::vector<float> start(8 * dim, 0.0f);
  KMeansSpec spec = {.clusters = 8, .dim = dim, .iterations = 40, .initial = start};
  const auto found = kmeans(spec, rows, {}).value();
  CHECK(error_of(rows, found.centroids, dim) < 120);  // one place for all would be over 1,000

  std::vector<float> skewed(rows.begin(), rows.begin() + 8);
  for (int i = 0; i < 500; ++i) skewed.insert(skewed.end(), rows.begin(), rows.begin() + 4);
  CHECK(kmeans({.clusters = 3, .dim = dim}, skewed, {}).ok());
}

TEST_CASE("k-means tells how far it is, stops when asked, refuses what makes no sense") {
  const auto rows = clustered(500, 3, 5, 3);
  std::size_t calls = 0;
  KMeansSpec spec = {.clusters = 5, .dim = 3, .iterations = 10, .tolerance = 0};
  spec.progress = [&](const KMeansProgress& progress) {
    CHECK(progress.iteration == ++calls);
    CHECK(progress.remaining_s >= 0);
  };
  CHECK(kmeans(spec, rows, {}).value().iterations == calls);
  std::stop_source stop;
  spec.progress = [&](const KMeansProgress&) { stop.request_stop(); };
  CHECK(kmeans(spec, rows, stop.get_token()).error().kind() == ErrorKind::cancelled);
  CHECK(!kmeans({.clusters = 501, .dim = 3}, rows, {}).ok());
  CHECK(!kmeans({.clusters = 0, .dim = 3}, rows, {}).ok());
  CHECK(!kmeans({.clusters = 2, .dim = 7}, rows, {}).ok());
  CHECK(kmeans({.clusters = 500, .dim = 3}, rows, {}).ok());
}

TEST_CASE("k-means into very many clusters goes in two steps") {
  const std::size_t clusters = most_flat_clusters + 616;
  const auto rows = clustered(40000, 2, 40000, 4);
  const auto found = kmeans({.clusters = clusters, .dim = 2, .iterations = 2}, rows, {}).value();
  CHECK(found.centroids.size() == 2 * clusters);
  for (const float x : found.centroids) REQUIRE(std::isfinite(x));
}

TEST_CASE("every row of a stream has the same chance in a reservoir") {
  std::vector<int> taken(1000);
  int early_first = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Reservoir reservoir(1, 50, seed);
    for (int first = 0; first < 1000; first += 100) {
      std::vector<float> rows(100);
      for (int i = 0; i < 100; ++i)
        rows[static_cast<std::size_t>(i)] = static_cast<float>(first + i);
      reservoir.offer(rows);
    }
    CHECK(reservoir.seen() == 1000);
    REQUIRE(reservoir.rows().size() == 50);
    CHECK(std::set<float>(reservoir.rows().begin(), reservoir.rows().end()).size() == 50);
    for (const float row : reservoir.rows()) ++taken[static_cast<std::size_t>(row)];
    early_first += reservoir.rows()[0] < 500;
  }
  int early = 0;
  for (std::size_t i = 0; i < 500; ++i) early += taken[i];
  CHECK(early == doctest::Approx(5000).epsilon(0.05));
  CHECK(early_first == doctest::Approx(100).epsilon(0.25));
}

TEST_CASE("centroids: the nearest one exactly, on every table") {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (const std::size_t count : {1, 15, 16, 17, 300}) {
    const std::size_t dim = 64, n = 200;
    std::vector<float> values(count * dim), rows(n * dim);
    for (float& x : values) x = normal(random);
    for (float& x : rows) x = normal(random);
    for (const auto& candidate : kernels::search_candidates()) {
      if (!candidate.supported()) continue;
      CAPTURE(std::string(candidate.cpu));
      const Centroids centroids(values, dim, *candidate.table);
      std::vector<std::uint32_t> nearest(n);
      std::vector<float> distances(n), keys(centroids.padded_count());
      centroids.assign(nearest.data(), distances.data(), rows.data(), n);
      int wrong = 0;
      for (std::size_t i = 0; i < n; ++i) {
        double best = 1e300;
        for (std::size_t c = 0; c < count; ++c) {
          double d = 0;
          for (std::size_t j = 0; j < dim; ++j)
            d += std::pow(static_cast<double>(rows[i * dim + j]) - values[c * dim + j], 2);
          best = std::min(best, d);
        }
        wrong += std::abs(distances[i] - best) > 1e-3 * best;
      }
      CHECK(wrong <= 2);  // a tie may hide behind a better key of its lane
      const float least = centroids.keys(keys.data(), rows.data(), true);
      CHECK(least == *std::min_element(keys.begin(), keys.end()));
    }
  }
}

TEST_CASE("a rotation keeps lengths and can be undone") {
  for (const std::size_t dim : {1, 3, 64, 100, 128, 300, 768}) {
    const Rotation rotation(dim, 9, kernels::best_search_kernels());
    std::mt19937 random(6);
    std::normal_distribution<float> normal;
    std::vector<float> x(rotation.padded());
    for (std::size_t j = 0; j < dim; ++j) x[j] = normal(random);
    auto y = x;
    rotation.apply(y.data());
    double before = 0, after = 0;
    for (std::size_t j = 0; j < x.size(); ++j) {
      before += static_cast<double>(x[j]) * x[j];
      after += static_cast<double>(y[j]) * y[j];
    }
    CHECK(after == doctest::Approx(before).epsilon(1e-4));
    rotation.undo(y.data());
    for (std::size_t j = 0; j < x.size(); ++j) CHECK(std::abs(x[j] - y[j]) < 1e-4f);
  }
}

}  // namespace
}  // namespace hearth::vectors
