#include "vectors/graph/hnsw.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <thread>

#include "vectors/flat/flat.h"
#include "vectors/testing.h"

using namespace hearth;
using namespace hearth::vectors;
using namespace hearth::vectors::testing;

namespace {

std::unique_ptr<Index> graph(std::size_t dim, Metric metric) {
  auto made =
      Hnsw::create({.dim = dim, .metric = metric, .m = 10, .ef_construction = 60, .threads = 2});
  REQUIRE(made.ok());
  return std::move(*made);
}

SearchOptions options(std::size_t k, float target, const RowFilter* filter = nullptr) {
  SearchOptions result;
  result.k = k;
  result.target_recall = target;
  result.filter = filter;
  return result;
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace

TEST_CASE("a graph finds what exact search finds, for every metric") {
  constexpr std::size_t dim = 24, n = 4200;
  const std::vector<float> rows = mixture(n, dim, 1), queries = mixture(60, dim, 2);
  for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine}) {
    CAPTURE(static_cast<int>(metric));
    const auto index = graph(dim, metric);
    const auto exact = make_flat(dim, metric);
    REQUIRE(index->add(rows_from(7, n), rows).ok());
    REQUIRE(exact->add(rows_from(7, n), rows).ok());
    CHECK(recall(*index, *exact, queries, dim, options(10, 0.95f)) >= 0.93);
    CHECK(recall(*index, *exact, queries, dim, options(10, 0.99f)) >= 0.975);
    CHECK(recall(*index, *exact, queries, dim, options(1, 0.99f)) >= 0.97);
    CHECK(recall(*index, *exact, queries, dim, options(100, 0.95f)) >= 0.93);
    const auto got = index->search(std::span(queries).first(dim), options(10, 0.999f));
    const auto want = exact->search(std::span(queries).first(dim), options(10, 0.999f));
    REQUIRE(got.ok());
    REQUIRE(got->size() == 10);
    CHECK(got->front().row == want->front().row);
    CHECK(got->front().distance == doctest::Approx(want->front().distance).epsilon(1e-4));
    const auto vector = index->vector(7 + 3);
    REQUIRE(vector.ok());
    CHECK(index->vector(3).error().kind() == ErrorKind::not_found);
  }
}

TEST_CASE("an index of few rows is exact, and of none finds none") {
  constexpr std::size_t dim = 3;
  const auto index = graph(dim, Metric::l2);
  const std::vector<float> query{0, 0, 0};
  CHECK(index->search(query, options(5, 0.95f))->empty());
  for (Row row = 0; row < 40; ++row) {
    const float x = static_cast<float>(40 - row);
    REQUIRE(index->add({&row, 1}, std::vector<float>{x, 0, 0}).ok());
    const auto hits = index->search(query, options(3, 0.95f));
    REQUIRE(hits->size() == std::min<std::size_t>(3, row + 1));
    CHECK(hits->front() == Hit{row, x * x});
  }
  SearchOptions near = options(10, 0.95f);
  near.max_distance = 4.0f;
  CHECK(*index->search(query, near) == std::vector<Hit>{{39, 1}, {38, 4}});
  CHECK(index->search(query, options(0, 0.95f))->empty());
  CHECK(index->search(query, options(1000, 0.95f))->size() == 40);
  index->remove(rows_from(0, 40));
  CHECK(index->search(query, options(5, 0.95f))->empty());
  CHECK(index->info().rows == 0);
  REQUIRE(index->maintain({}).ok());
  CHECK(index->info().removed == 0);
  const Row again = 5;
  REQUIRE(index->add({&again, 1}, query).ok());
  CHECK(*index->search(query, options(5, 0.95f)) == std::vector<Hit>{{5, 0}});
}

TEST_CASE("vectors are kept as halves while halves hold them exactly") {
  constexpr std::size_t dim = 24, n = 3000;
  auto vectors = mixture(n + 1, dim, 41);
  for (float& x : vectors) x = std::round(20 * x);
  const auto index = graph(dim, Metric::l2);
  REQUIRE(index->add(rows_from(0, n), std::span(vectors).first(n * dim)).ok());
  const auto exact = make_flat(dim, Metric::l2);
  REQUIRE(exact->add(rows_from(0, n), std::span(vectors).first(n * dim)).ok());
  const std::size_t small = index->info().memory_bytes;
  TestFolder folder;
  REQUIRE(index->save(folder.file("halves")).ok());
  const auto agree = [&](const Index& a, std::size_t row) {
    const auto query = std::span(vectors).subspan(row * dim, dim);
    CHECK(*a.search(query, options(1, 0.999f)) == *exact->search(query, options(1, 0.999f)));
    CHECK(*a.vector(static_cast<Row>(row)) == std::vector<float>(query.begin(), query.end()));
  };
  agree(*index, 17);
  for (const Residence residence : {Residence::mapped, Residence::loaded}) {
    const auto opened = *Hnsw::open(folder.file("halves"), residence);
    agree(*opened, 18);
    CHECK((opened->info().mapped_bytes == 0) == (residence == Residence::loaded));
  }
  vectors[n * dim] = 0.1f;  // the last row needs f32
  const auto last = std::span(vectors).subspan(n * dim);
  REQUIRE(index->add(rows_from(n, 1), last).ok());
  REQUIRE(exact->add(rows_from(n, 1), last).ok());
  agree(*index, 17);
  agree(*index, n);
  CHECK(index->info().memory_bytes > small + n * dim);
}

TEST_CASE("numbers that make no sense are refused") {
  const struct {
    std::string what;
    HnswSpec spec;
    const char* says;
  } specs[] = {
      {"no dimension", {.dim = 0}, "dim = 0"},
      {"too wide", {.dim = most_dim + 1}, "dim = 65537"},
      {"one link", {.dim = 4, .m = 1}, "m = 1"},
      {"too many links", {.dim = 4, .m = most_m + 1}, "m = 129"},
      {"too narrow", {.dim = 4, .ef_construction = 7}, "ef_construction = 7"},
  };
  for (const auto& row : specs) {
    CAPTURE(row.what);
    const auto made = Hnsw::create(row.spec);
    REQUIRE(!made.ok());
    CHECK(made.error().kind() == ErrorKind::invalid);
    CHECK(made.error().message().find(row.says) != std::string::npos);
  }
  const auto index = graph(2, Metric::l2);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(!index->add(rows_from(0, 1), std::vector<float>{1}).ok());
  CHECK(!index->add(rows_from(0, 1), std::vector<float>{1, nan}).ok());
  CHECK(!index->add(std::vector<Row>{~0u}, std::vector<float>{1, 2}).ok());
  CHECK(!index->search(std::vector<float>{1}, options(1, 0.9f)).ok());
  CHECK(!index->search(std::vector<float>{}, options(1, 0.9f)).ok());
  CHECK(!index->search(std::vector<float>{nan, 1}, options(1, 0.9f)).ok());
  CHECK(index->info().rows == 0);
  REQUIRE(index->add(std::vector<Row>{3, 3, 4}, std::vector<float>{9, 9, 1, 1, 2, 2}).ok());
  CHECK(index->info().rows == 2);
  CHECK(*index->vector(3) == std::vector<float>{1, 1});  // the last of two
}

TEST_CASE("after a fifth of the rows changed the graph is as good as one built anew") {
  constexpr std::size_t dim = 16, n = 3000, turns = 12;
  std::vector<float> rows = mixture(n, dim, 3);
  const std::vector<float> fresh = mixture(n, dim, 4), queries = mixture(150, dim, 5);
  const auto index = graph(dim, Metric::l2);
  REQUIRE(index->add(rows_from(0, n), rows).ok());
  std::mt19937 random(8);
  std::vector<bool> there(n, true);
  for (std::size_t turn = 0; turn < turns; ++turn) {
    for (std::size_t i = 0; i < n / 60; ++i) {
      const Row gone = static_cast<Row>(random() % n), moved = static_cast<Row>(random() % n);
      index->remove({&gone, 1});
      there[gone] = false;
      REQUIRE(index->add({&moved, 1}, std::span(fresh).subspan(moved * dim, dim)).ok());
      there[moved] = true;
      std::copy_n(&fresh[moved * dim], dim, &rows[moved * dim]);
    }
    if (turn % 4 == 3) REQUIRE(index->maintain({}).ok());
  }
  const auto exact = make_flat(dim, Metric::l2);
  const auto anew = graph(dim, Metric::l2);
  std::vector<Row> left;
  std::vector<float> left_rows;
  for (Row row = 0; row < n; ++row) {
    if (!there[row]) continue;
    left.push_back(row);
    left_rows.insert(left_rows.end(), &rows[row * dim], &rows[row * dim] + dim);
  }
  REQUIRE(exact->add(left, left_rows).ok());
  REQUIRE(anew->add(left, left_rows).ok());
  CHECK(index->info().rows == left.size());
  CHECK(index->info().removed == 0);
  SearchOptions same = options(10, 0.95f);
  same.breadth = 32;
  const double changed = recall(*index, *exact, queries, dim, same);
  const double built = recall(*anew, *exact, queries, dim, same);
  CAPTURE(built);
  CHECK(changed >= built - 0.01);
}

TEST_CASE("filters keep their recall at every selectivity") {
  constexpr std::size_t dim = 12, n = 6000;
  const std::vector<float> rows = mixture(n, dim, 1), queries = mixture(30, dim, 2);
  const auto index = graph(dim, Metric::l2);
  const auto exact = make_flat(dim, Metric::l2);
  REQUIRE(index->add(rows_from(0, n), rows).ok());
  REQUIRE(exact->add(rows_from(0, n), rows).ok());
  std::mt19937 random(5);
  for (const unsigned every : {1u, 2u, 10u, 100u, 1000u, 100000u}) {
    CAPTURE(every);
    std::vector<std::uint64_t> words(n / 64 + 1);
    RowFilter filter{words, 0};
    for (Row row = 0; row < n; ++row)
      if (random() % every == 0 && row != 0) {
        words[row / 64] |= 1ull << (row % 64);
        ++filter.allowed_rows;
      }
    CHECK(recall(*index, *exact, queries, dim, options(10, 0.95f, &filter)) >= 0.95);
    const auto hits = index->search(std::span(queries).first(dim), options(10, 0.95f, &filter));
    for (const Hit& hit : *hits) CHECK(filter.allows(hit.row));
    CHECK(hits->size() == std::min<std::size_t>(10, filter.allowed_rows));
  }
}

TEST_CASE("a graph comes back from its file, and goes on growing") {
  constexpr std::size_t dim = 12, n = 1800;
  const TestFolder folder;
  const std::vector<float> rows = mixture(n, dim, 1), queries = mixture(40, dim, 2);
  const auto index = graph(dim, Metric::cosine);
  REQUIRE(index->add(rows_from(0, n), rows).ok());
  index->remove(rows_from(100, 50));
  REQUIRE(index->save(folder.file("a")).ok());
  auto opened = Hnsw::open(folder.file("a"));
  REQUIRE(opened.ok());
  Index& back = **opened;
  CHECK(back.info().rows == n - 50);
  CHECK(back.info().mapped_bytes > 0);
  for (std::size_t i = 0; i < 40; ++i) {
    const auto query = std::span(queries).subspan(i * dim, dim);
    CHECK(*back.search(query, options(10, 0.95f)) == *index->search(query, options(10, 0.95f)));
  }
  REQUIRE(back.maintain({}).ok());
  REQUIRE(back.add(rows_from(100, 50), std::span(rows).subspan(100 * dim, 50 * dim)).ok());
  const auto exact = make_flat(dim, Metric::cosine);
  REQUIRE(exact->add(rows_from(0, n), rows).ok());
  CHECK(recall(back, *exact, queries, dim, options(10, 0.98f)) >= 0.96);
  CHECK(back.info().mapped_bytes == 0);
}

TEST_CASE("a damaged file is an error") {
  constexpr std::size_t dim = 4, n = 900;
  const TestFolder folder;
  const auto index = graph(dim, Metric::l2);
  REQUIRE(index->add(rows_from(0, n), mixture(n, dim, 1)).ok());
  REQUIRE(index->save(folder.file("a")).ok());
  const std::string whole = contents(folder.file("a")), path = folder.file("b");
  REQUIRE(Hnsw::open(folder.file("a")).ok());
  for (std::size_t size = 0; size < whole.size(); size += size < 200 ? 1 : 4999) {
    put(path, whole.substr(0, size));
    CHECK(!Hnsw::open(path).ok());
  }
  for (std::size_t at = 0; at < whole.size(); at += 2503) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x41);
    put(path, bytes);
    CHECK(!Hnsw::open(path).ok());
  }
}

TEST_CASE("readers beside writers always find the rows that stay") {
  constexpr std::size_t dim = 8, n = 1000, fixed = 400;
  const std::vector<float> rows = mixture(n, dim, 1), others = mixture(n, dim, 9);
  const auto index = graph(dim, Metric::l2);
  REQUIRE(index->add(rows_from(0, n), rows).ok());
  std::atomic<bool> done = false;
  std::atomic<int> lost = 0, searches = 0;
  {
    std::vector<std::jthread> readers;
    for (unsigned t = 0; t < 2; ++t)
      readers.emplace_back([&, t] {
        for (std::size_t i = t; !done || searches < 200; i = (i + 7) % fixed) {
          SearchOptions wide = options(3, 0.99f);
          wide.breadth = 100;
          const auto hits = index->search(std::span(rows).subspan(i * dim, dim), wide);
          lost += !hits.ok() || hits->empty() || hits->front().distance > 1e-6f;
          ++searches;
        }
      });
    for (std::size_t turn = 0; turn < 2; ++turn) {
      for (Row row = fixed; row < n; row += 20) {
        const auto some = rows_from(row, 20);
        if (turn % 2 == 1) index->remove(some);
        if (!index->add(some, std::span(others).subspan(row * dim, 20 * dim)).ok()) ++lost;
      }
      const auto more = rows_from(static_cast<Row>(n * (turn + 1)), 300);  // makes the arrays grow
      if (!index->add(more, std::span(others).first(300 * dim)).ok()) ++lost;
      if (!index->maintain({}).ok()) ++lost;
    }
    done = true;
  }
  CHECK(lost <= searches / 100);
  CHECK(index->info().rows == n + 600);
}
