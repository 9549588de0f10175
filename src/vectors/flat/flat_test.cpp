#include "vectors/flat/flat.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "base/bytes.h"
#include "base/files.h"
#include "kernels/search_select.h"

namespace hearth::vectors {
namespace {

std::vector<float> random_vectors(std::size_t n, std::size_t dim, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n * dim);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<Row> rows_from(Row first, std::size_t n) {
  std::vector<Row> rows(n);
  for (std::size_t i = 0; i < n; ++i) rows[i] = first + static_cast<Row>(i);
  return rows;
}

double distance(Metric metric, std::span<const float> a, std::span<const float> b) {
  double dot = 0, aa = 0, bb = 0, l2 = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
    l2 += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  }
  if (metric == Metric::l2) return l2;
  if (metric == Metric::inner_product) return -dot;
  return aa == 0 || bb == 0 ? 1 : 1 - dot / std::sqrt(aa * bb);
}

std::string temporary(const char* name) {
  return (std::filesystem::temp_directory_path() / name).string();
}

TEST_CASE("flat: the nearest rows of every metric, storage and table") {
  const std::size_t dim = 37, n = 700;
  const auto vectors = random_vectors(n, dim, 1), query = random_vectors(1, dim, 2);
  const auto rows = rows_from(5, n);
  const Storage storages[] = {Storage::f32, Storage::f16, Storage::bf16, Storage::int8};
  for (const auto& candidate : kernels::search_candidates()) {
    if (!candidate.supported()) continue;
    for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine})
      for (const Storage storage : storages) {
        CAPTURE(std::string(candidate.cpu));
        CAPTURE(static_cast<int>(storage));
        CAPTURE(static_cast<int>(metric));
        auto index =
            make_flat(
                {.dim = dim, .metric = metric, .storage = storage, .kernels = candidate.table})
                .value();
        REQUIRE(index->add(rows, vectors).ok());
        const auto hits = index->search(query, {.k = 20}).value();
        REQUIRE(hits.size() == 20);
        const double tolerance = storage == Storage::f32 ? 1e-4 : 0.3;
        std::vector<double> all;
        for (std::size_t i = 0; i < n; ++i)
          all.push_back(distance(metric, query, std::span(vectors).subspan(i * dim, dim)));
        std::vector<double> sorted = all;
        std::sort(sorted.begin(), sorted.end());
        for (std::size_t i = 0; i < hits.size(); ++i) {
          CHECK(hits[i].distance == doctest::Approx(all[hits[i].row - 5]).epsilon(tolerance));
          if (storage == Storage::f32)
            CHECK(hits[i].distance == doctest::Approx(sorted[i]).epsilon(1e-4));
        }
        const auto batch = index->search_batch(query, {.k = 20}).value();
        REQUIRE(batch.size() == 1);
        CHECK(batch[0] == hits);
      }
  }
}

TEST_CASE("flat: rows are replaced, removed, filtered, cut by distance and compacted") {
  const std::size_t dim = 8, n = 9000;
  auto index = make_flat(dim, Metric::l2);
  CHECK(index->search(std::vector<float>(dim), {}).value().empty());
  auto vectors = random_vectors(n, dim, 3);
  REQUIRE(index->add(rows_from(0, n), vectors).ok());
  const auto query = random_vectors(1, dim, 4);
  const Row nearest = index->search(query, {.k = 1}).value()[0].row;

  index->remove(std::vector<Row>{nearest, 1000000});
  CHECK(index->search(query, {.k = 1}).value()[0].row != nearest);
  CHECK(index->vector(nearest).error().kind() == ErrorKind::not_found);
  REQUIRE(index->add(std::vector<Row>{17}, query).ok());
  CHECK(index->search(query, {.k = 1}).value()[0] == Hit{17, 0});
  CHECK(index->info().rows == n - 1);
  CHECK(index->vector(17).value() == query);

  std::vector<std::uint64_t> words(n / 64 + 1);
  for (Row row = 0; row < n; row += 100) words[row / 64] |= 1ull << (row % 64);
  const RowFilter filter{words, n / 100};
  const auto filtered = index->search(query, {.k = 10, .filter = &filter}).value();
  REQUIRE(filtered.size() == 10);
  for (const Hit& hit : filtered) CHECK(hit.row % 100 == 0);
  const float radius = index->search(query, {.k = 30}).value().back().distance;
  CHECK(index->search(query, {.k = 1000, .max_distance = radius}).value().size() == 30);

  std::vector<Row> half;
  for (Row row = 0; row < n; row += 2) half.push_back(row);
  index->remove(half);
  const auto before = index->search(query, {.k = 50}).value();
  REQUIRE(index->maintain({}).ok());
  CHECK(index->info().removed == 0);
  CHECK(index->search(query, {.k = 50}).value() == before);
}

TEST_CASE("flat: what makes no sense is refused") {
  CHECK(make_flat(FlatSpec{.dim = 0}).error().kind() == ErrorKind::invalid);
  CHECK(make_flat(FlatSpec{.dim = most_flat_dim + 1}).error().kind() == ErrorKind::invalid);
  auto index = make_flat(3, Metric::cosine);
  const Row row = 1;
  CHECK(!index->add({&row, 1}, std::vector<float>{1, 2}).ok());
  CHECK(!index->add({&row, 1}, std::vector<float>{1, 2, NAN}).ok());
  REQUIRE(index->add({&row, 1}, std::vector<float>{0, 0, 0}).ok());
  CHECK(!index->search(std::vector<float>{1, 2}, {}).ok());
  CHECK(index->search(std::vector<float>{1, 2, 3}, {}).value()[0].distance == 1);
  CHECK(index->search(std::vector<float>{1, 2, 3}, {.k = 0}).value().empty());
}

TEST_CASE("flat: batches answer as single queries do, on any number of threads") {
  const std::size_t dim = 24, n = 5000, queries = 70;
  const auto vectors = random_vectors(n, dim, 5), many = random_vectors(queries, dim, 6);
  for (const auto& candidate : kernels::search_candidates())
    for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine}) {
      if (!candidate.supported()) continue;
      auto index = make_flat({.dim = dim, .metric = metric, .kernels = candidate.table}).value();
      REQUIRE(index->add(rows_from(0, n), vectors).ok());
      index->remove(rows_from(0, 900));
      SearchOptions options;
      options.max_distance = metric == Metric::l2 ? 30.0f : -1.0f;
      if (metric == Metric::cosine) options.max_distance.reset();
      const auto batch = index->search_batch(many, options).value();
      for (std::size_t q = 0; q < queries; ++q)
        CHECK(batch[q] == index->search(std::span(many).subspan(q * dim, dim), options).value());
    }
  for (const Storage storage : {Storage::f32, Storage::int8, Storage::binary}) {
    auto index = make_flat({.dim = dim, .storage = storage, .threads = 2}).value();
    REQUIRE(index->add(rows_from(0, n), vectors).ok());
    index->remove(rows_from(100, 50));
    const auto batch = index->search_batch(many, {.k = 7}).value();
    REQUIRE(batch.size() == queries);
    for (std::size_t q = 0; q < queries; ++q)
      CHECK(batch[q] == index->search(std::span(many).subspan(q * dim, dim), {.k = 7}).value());
  }
}

TEST_CASE("flat: threads that share a query find what one thread finds") {
  const std::size_t dim = 24, n = 30'000;
  auto vectors = random_vectors(n, dim, 7);
  std::copy_n(vectors.begin(), n / 2 * dim, vectors.begin() + n / 2 * dim);  // equal distances
  const auto queries = random_vectors(20, dim, 8);
  std::vector<std::uint64_t> words(n / 64 + 1, 0x5555'5555'5555'5555);
  const RowFilter filter{words, n / 2};
  auto index = make_flat({.dim = dim, .threads = 3, .share_bytes = 0}).value();
  REQUIRE(index->add(rows_from(0, n), vectors).ok());
  index->remove(rows_from(100, 500));
  for (std::size_t q = 0; q < queries.size(); q += dim)
    for (const RowFilter* some : {static_cast<const RowFilter*>(nullptr), &filter}) {
      SearchOptions options{.k = 25, .filter = some};
      const auto one = index->search(std::span(queries).subspan(q, dim), options).value();
      options.is_alone = true;
      CHECK(index->search(std::span(queries).subspan(q, dim), options).value() == one);
    }
}

TEST_CASE("flat: a file comes back as it was; a damaged one is refused") {
  const std::string path = temporary("hearth-flat-test.index");
  const std::size_t dim = 5, n = 40;
  for (int s = 0; s < 5; ++s) {
    auto index =
        make_flat({.dim = dim, .metric = Metric::cosine, .storage = static_cast<Storage>(s)})
            .value();
    REQUIRE(index->add(rows_from(3, n), random_vectors(n, dim, 7)).ok());
    index->remove(rows_from(10, 4));
    REQUIRE(index->save(path).ok());
    const auto opened = open_flat(path);
    REQUIRE(opened.ok());
    const auto query = random_vectors(1, dim, 8);
    CHECK((*opened)->search(query, {.k = 50}).value() == index->search(query, {.k = 50}).value());
    CHECK((*opened)->info().rows == n - 4);
  }
  const std::string whole = read_file(path, 1 << 20).value();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    REQUIRE(replace_file(path, bytes_of(whole.substr(0, size))).ok());
    CHECK(!open_flat(path).ok());
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 1 << (i % 8));
    REQUIRE(replace_file(path, bytes_of(flipped)).ok());
    CHECK(!open_flat(path).ok());
  }
  std::filesystem::remove(path);
}

TEST_CASE("flat: readers beside a writer see whole states") {
  const std::size_t dim = 16;
  auto index = make_flat(dim, Metric::l2);
  // Every vector of row r in round t holds t in all places; rows are replaced all at once.
  const auto rows = rows_from(0, 200);
  const auto round = [&](float t) { return std::vector<float>(rows.size() * dim, t); };
  REQUIRE(index->add(rows, round(0)).ok());
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> readers;
  for (int r = 0; r < 2; ++r)
    readers.emplace_back([&] {
      const std::vector<float> query(dim, 0);
      while (!done) {
        const auto hits = index->search(query, {.k = 300}).value();
        if (hits.size() != rows.size() || hits.front().distance != hits.back().distance) ++wrong;
        const auto vector = index->vector(rows[7]);
        if (!vector.ok() || vector->front() != vector->back()) ++wrong;
      }
    });
  for (int t = 1; t < 100; ++t) {
    REQUIRE(index->add(rows, round(static_cast<float>(t))).ok());
    if (t % 10 == 0) REQUIRE(index->maintain({}).ok());
  }
  done = true;
  readers.clear();
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace hearth::vectors
