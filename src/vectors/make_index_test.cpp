#include "vectors/make_index.h"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "vectors/auto.h"
#include "vectors/flat/flat.h"
#include "vectors/testing.h"

using namespace hearth;
using namespace hearth::vectors;
using namespace hearth::vectors::testing;

TEST_CASE("every kind of index finds its rows, loses those removed and comes back from its file") {
  constexpr std::size_t dim = 16, n = 1200;
  const TestFolder folder;
  const std::vector<float> rows = mixture(n, dim, 1), queries = mixture(30, dim, 2);
  const auto exact = make_flat(dim, Metric::l2);
  REQUIRE(exact->add(rows_from(0, n), rows).ok());
  exact->remove(rows_from(50, 50));
  for (const std::string_view kind : index_kinds()) {
    CAPTURE(std::string(kind));
    IndexSpec spec;
    spec.kind = kind;
    spec.dim = dim;
    spec.threads = 1;
    auto index = make_index(spec);
    REQUIRE(index.ok());
    REQUIRE((*index)->add(rows_from(0, n), rows).ok());
    REQUIRE((*index)->maintain({}).ok());
    (*index)->remove(rows_from(50, 50));
    CHECK(recall(**index, *exact, queries, dim, {.k = 10, .max_distance = {}}) >= 0.9);
    CHECK((*index)->info().rows == n - 50);
    const std::string path = folder.file(std::string(kind));
    REQUIRE((*index)->save(path).ok());
    const auto back = open_index(path, spec);
    REQUIRE(back.ok());
    CHECK((*back)->info().rows == n - 50);
    CHECK((*back)->info().kind == (*index)->info().kind);
    CHECK(recall(**back, *exact, queries, dim, {.k = 10, .max_distance = {}}) >= 0.9);
  }
}

TEST_CASE("unknown kinds and files are refused by name") {
  IndexSpec spec;
  spec.dim = 4;
  spec.kind = "tree";
  const auto made = make_index(spec);
  REQUIRE(!made.ok());
  CHECK(made.error().kind() == ErrorKind::invalid);
  CHECK(made.error().message().find("flat") != std::string::npos);
  for (const std::string_view kind : index_kinds()) {
    spec.kind = kind;
    spec.dim = 0;
    CHECK(!make_index(spec).ok());
  }
  spec.dim = 4;
  spec.kind = "flat";
  spec.storage = "f24";
  CHECK(!make_index(spec).ok());
  const TestFolder folder;
  CHECK(open_index(folder.file("none")).error().kind() == ErrorKind::not_found);
  std::ofstream(folder.file("odd"), std::ios::binary) << "HRTH";
  CHECK(open_index(folder.file("odd")).error().kind() == ErrorKind::corrupt);
}

TEST_CASE("which kind suits depends on rows, width and changes") {
  const AutoSpec narrow{.dim = 128}, wide{.dim = 768};
  const struct {
    std::string what;
    AutoSpec spec;
    std::size_t rows, changed;
    const char* kind;
  } cases[] = {
      {"none", narrow, 0, 0, "flat"},
      {"just too few", narrow, 19'999, 0, "flat"},
      {"narrow", narrow, 20'000, 0, "hnsw"},
      {"wide", wide, 20'000, 0, "ivf"},
      {"wide and changing", wide, 20'000, 5'000, "hnsw"},
      {"many", narrow, 200'000, 0, "ivf"},
      {"many and changing", narrow, 200'000, 100'000, "ivf"},
  };
  for (const auto& row : cases) {
    CAPTURE(row.what);
    CHECK(suited_kind(row.spec, row.rows, row.changed).kind == row.kind);
  }
}

TEST_CASE("an index changes its kind beside readers and writers, and says why") {
  constexpr std::size_t dim = 8, n = 1500;
  const std::vector<float> rows = mixture(n, dim, 1), late = mixture(n, dim, 2);
  const MakeKind make = [](const std::string& kind) {
    IndexSpec spec;
    spec.kind = kind;
    spec.dim = dim;
    spec.threads = 1;
    return make_index(spec);
  };
  const AutoSpec spec{.dim = dim, .flat_rows = 1000};
  const auto index = *AutoIndex::create(spec, make, nullptr);
  REQUIRE(index->add(rows_from(0, 900), std::span(rows).first(900 * dim)).ok());
  REQUIRE(index->maintain({}).ok());
  CHECK(index->info().kind == "flat");
  CHECK(index->info().explanation.find("one by one") != std::string::npos);
  REQUIRE(index->add(rows_from(900, 600), std::span(rows).subspan(900 * dim)).ok());
  std::atomic<bool> done = false;
  std::atomic<int> lost = 0, searches = 0;
  std::jthread reader([&] {
    for (std::size_t i = 0; !done || searches < 50; i = (i + 1) % 100) {
      const auto hits =
          index->search(std::span(rows).subspan(i * dim, dim), {.k = 1, .max_distance = {}});
      lost += !hits.ok() || hits->empty();
      ++searches;
    }
  });
  std::jthread writer([&] {
    for (Row row = 200; row < 400; ++row)
      if (!index->add({&row, 1}, std::span(late).subspan(row * dim, dim)).ok()) ++lost;
    index->remove(rows_from(500, 100));
  });
  REQUIRE(index->maintain({}).ok());
  writer.join();
  done = true;
  reader.join();
  CHECK(lost == 0);
  CHECK(index->info().kind == "hnsw");
  CHECK(index->info().rows == n - 100);
  CHECK(index->info().explanation.find("a graph answers soonest") != std::string::npos);
  for (const Row row : {Row{0}, Row{250}, Row{399}, Row{1499}}) {
    const auto& from = row >= 200 && row < 400 ? late : rows;
    CHECK(std::ranges::equal(*index->vector(row), std::span(from).subspan(row * dim, dim)));
  }
  CHECK(!index->vector(550).ok());
  std::stop_source stop;
  stop.request_stop();
  index->remove(rows_from(600, 900));
  CHECK(!index->maintain(stop.get_token()).ok());
  CHECK(index->info().kind == "hnsw");
  REQUIRE(index->maintain({}).ok());
  CHECK(index->info().kind == "flat");
}
