#include "vectors/learned/learned.h"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>

#include "vectors/flat/flat.h"
#include "vectors/testing.h"

using namespace hearth;
using namespace hearth::vectors;
using namespace hearth::vectors::testing;

namespace {

LearnedSpec small_spec(std::size_t dim) {
  LearnedSpec spec;
  spec.dim = dim;
  spec.sample_rows = 500;
  spec.training.hidden = 32;
  spec.training.epochs = 4;
  spec.training.rivals = 128;
  spec.retrain_seconds = 0;
  return spec;
}

SearchOptions nearest(std::size_t k, float target, std::size_t breadth = 0) {
  SearchOptions options;
  options.k = k;
  options.target_recall = target;
  options.breadth = breadth;
  return options;
}

Learned& as_learned(Index& index) { return dynamic_cast<Learned&>(index); }

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("code tables give out every code within the radius, the nearest buckets first") {
  std::vector<std::uint32_t> codes;
  for (std::uint32_t i = 0; i < 3000; ++i) codes.push_back(i * 2654435761u);
  CodeQuery query{codes[17], {}};
  for (std::size_t b = 0; b < 32; ++b) query.margins[b] = 0.1f + static_cast<float>(b % 7) * 0.05f;
  const MarginTables costs(query);
  CHECK(costs.cost(query.code) == 0);
  CHECK(costs.cost(query.code ^ 5u) == doctest::Approx(query.margins[0] + query.margins[2]));
  for (const std::size_t segments : {2u, 4u}) {
    const CodeTables tables(codes, segments);
    const std::size_t bits = 32 / segments;
    for (const int radius : {0, 1, 2}) {
      CAPTURE(segments);
      CAPTURE(radius);
      std::vector<int> given(codes.size());
      tables.probe(query, {SIZE_MAX, radius}, [&](std::span<const std::uint32_t> slots) {
        for (const auto slot : slots) ++given[slot];
        return slots.size();
      });
      for (std::size_t i = 0; i < codes.size(); ++i) {
        int parts = 0;
        for (std::size_t t = 0; t < segments; ++t)
          parts += __builtin_popcountll((codes[i] ^ query.code) >> (t * bits) &
                                        ((1ull << bits) - 1)) <= radius;
        CHECK(given[i] == parts);
      }
    }
  }
}

TEST_CASE("a learned index finds what exact search finds, before and after it is trained") {
  constexpr std::size_t dim = 16, n = 2400;
  const std::vector<float> rows = mixture(n, dim, 1), queries = mixture(40, dim, 2);
  for (const Metric metric : {Metric::l2, Metric::cosine, Metric::inner_product}) {
    CAPTURE(static_cast<int>(metric));
    LearnedSpec spec = small_spec(dim);
    spec.metric = metric;
    int epochs = 0;
    spec.on_progress = [&](const TrainingProgress& progress) {
      ++epochs;
      CHECK(progress.epoch == static_cast<std::size_t>(epochs));
    };
    const auto index = *Learned::create(spec);
    const auto exact = make_flat(dim, metric);
    REQUIRE(index->add(rows_from(0, n), rows).ok());
    REQUIRE(exact->add(rows_from(0, n), rows).ok());
    CHECK(recall(*index, *exact, queries, dim, nearest(10, 0.95f)) >= 0.95);
    REQUIRE(index->maintain({}).ok());
    CHECK(epochs > 0);
    CHECK(recall(*index, *exact, queries, dim, nearest(10, 0.95f)) >= 0.9);
    CHECK(recall(*index, *exact, queries, dim, nearest(10, 0, 750)) >= 0.85);
    REQUIRE(index->add(rows_from(n, 100), std::span(rows).first(100 * dim)).ok());
    const auto twins = index->search(std::span(rows).first(dim), nearest(2, 0.95f));
    REQUIRE(twins->size() == 2);
    if (metric != Metric::inner_product) CHECK((*twins)[0].row + (*twins)[1].row == n);
  }
}

TEST_CASE("rows that go, move and stay") {
  constexpr std::size_t dim = 12, n = 1500;
  const std::vector<float> rows = mixture(n, dim, 1), others = mixture(n, dim, 7);
  LearnedSpec spec = small_spec(dim);
  spec.storage = Storage::f32;
  const auto index = *Learned::create(spec);
  REQUIRE(index->add(rows_from(0, n), rows).ok());
  REQUIRE(index->maintain({}).ok());
  index->remove(rows_from(0, 400));
  REQUIRE(index->add(rows_from(400, 300), std::span(others).subspan(400 * dim, 300 * dim)).ok());
  const auto check = [&] {
    CHECK(index->info().rows == n - 400);
    CHECK(index->vector(5).error().kind() == ErrorKind::not_found);
    const auto moved = std::span(others).subspan(500 * dim, dim);
    CHECK(std::ranges::equal(*index->vector(500), moved));
    const auto hits = index->search(moved, nearest(1, 0.99f));
    REQUIRE(hits->size() == 1);
    CHECK(hits->front() == Hit{500, 0});
    const auto many = index->search(std::span(rows).first(dim), nearest(200, 0.99f));
    for (const Hit& hit : *many) CHECK(hit.row >= 400);
  };
  check();
  REQUIRE(index->maintain({}).ok());
  CHECK(index->info().removed == 0);
  check();
  std::vector<std::uint64_t> words(n / 64 + 1);
  words[500 / 64] = 1ull << (500 % 64);
  const RowFilter only{words, 1};
  SearchOptions filtered = nearest(10, 0.95f);
  filtered.filter = &only;
  CHECK(index->search(std::span(rows).first(dim), filtered)->size() == 1);
}

TEST_CASE("feedback brings a query nearer to what was relevant, within bounds, and is forgotten") {
  constexpr std::size_t dim = 24, n = 2500;
  const std::vector<float> rows = mixture(n, dim, 1);
  const auto index = *Learned::create(small_spec(dim));
  Learned& learned = as_learned(*index);
  const auto query = std::span(rows).first(dim);
  const std::vector<Row> relevant{3, 4, 5}, irrelevant{6, 7};
  CHECK(learned.learn_from(query, relevant, irrelevant).error().kind() == ErrorKind::invalid);
  REQUIRE(index->add(rows_from(0, n), rows).ok());
  REQUIRE(index->maintain({}).ok());
  const auto count = [&] {
    const auto got = learned.candidates(query, 400, nullptr);
    return std::count_if(got->begin(), got->end(), [](Row row) { return row >= 3 && row <= 5; });
  };
  const auto before = learned.candidates(query, 400, nullptr);
  const auto relevant_before = count();
  for (int i = 0; i < 60; ++i) REQUIRE(learned.learn_from(query, relevant, irrelevant).ok());
  CHECK(count() >= relevant_before);
  CHECK(*learned.candidates(query, 400, nullptr) != *before);
  REQUIRE(learned.forget_feedback().ok());
  CHECK(*learned.candidates(query, 400, nullptr) == *before);
}

TEST_CASE("drift starts a training anew, and a stop ends it") {
  constexpr std::size_t dim = 16, n = 1200;
  int trainings = 0;
  LearnedSpec spec = small_spec(dim);
  spec.on_progress = [&](const TrainingProgress& p) { trainings += p.epoch == 1; };
  const auto index = *Learned::create(spec);
  const std::vector<float> rows = mixture(n, dim, 1);
  REQUIRE(index->add(rows_from(0, n), rows).ok());
  REQUIRE(index->maintain({}).ok());
  REQUIRE(index->add(rows_from(n, n / 2), mixture(n / 2, dim, 3)).ok());
  REQUIRE(index->maintain({}).ok());
  CHECK(trainings == 1);
  std::vector<float> strange = mixture(n, dim, 4);
  for (float& value : strange) value = 3 - 2 * value;
  REQUIRE(index->add(rows_from(2 * n, n), strange).ok());
  const Drift drift = as_learned(*index).drift();
  CHECK(std::max(drift.kl, drift.mmd) > 0.1f);
  std::stop_source stop;
  stop.request_stop();
  CHECK(index->maintain(stop.get_token()).error().kind() == ErrorKind::cancelled);
  REQUIRE(index->maintain({}).ok());
  CHECK(trainings == 2);
}

TEST_CASE("a learned index and its model come back from their files, and no damaged one does") {
  constexpr std::size_t dim = 8, n = 1100;
  const TestFolder folder;
  const std::vector<float> rows = mixture(n, dim, 1), queries = mixture(20, dim, 2);
  LearnedSpec spec = small_spec(dim);
  spec.training.hidden = 16;
  const auto index = *Learned::create(spec);
  REQUIRE(index->add(rows_from(0, n), rows).ok());
  REQUIRE(index->maintain({}).ok());
  index->remove(rows_from(9, 20));
  REQUIRE(index->save(folder.file("a")).ok());
  REQUIRE(as_learned(*index).save_model(folder.file("m")).ok());
  const auto back = Learned::open(folder.file("a"));
  REQUIRE(back.ok());
  for (std::size_t i = 0; i < 20; ++i) {
    const auto query = std::span(queries).subspan(i * dim, dim);
    CHECK(*(*back)->search(query, nearest(5, 0, 100)) == *index->search(query, nearest(5, 0, 100)));
  }
  REQUIRE((*back)->add(rows_from(9, 20), std::span(rows).subspan(9 * dim, 20 * dim)).ok());
  CHECK((*back)->search(std::span(rows).subspan(10 * dim, dim), nearest(1, 0.99f))->front().row ==
        10);
  REQUIRE((*back)->maintain({}).ok());
  spec.model_path = folder.file("m");
  REQUIRE(Learned::create(spec).ok());
  spec.dim = 9;
  CHECK(Learned::create(spec).error().kind() == ErrorKind::invalid);

  const std::string whole = contents(folder.file("a"));
  const auto opens = [&](const std::string& bytes) {
    std::ofstream(folder.file("b"), std::ios::binary) << bytes;
    return Learned::open(folder.file("b")).ok();
  };
  CHECK(opens(whole));
  for (std::size_t size = 0; size < whole.size(); size += size < 120 ? 1 : 2999)
    CHECK(!opens(whole.substr(0, size)));
  for (std::size_t at = 0; at < whole.size(); at += 2003) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    CHECK(!opens(bytes));
  }
}

TEST_CASE("readers of a learned index beside a writer always find the rows that stay") {
  constexpr std::size_t dim = 12, n = 1400, fixed = 200;
  const std::vector<float> rows = mixture(n, dim, 1), others = mixture(n, dim, 5);
  const auto index = *Learned::create(small_spec(dim));
  REQUIRE(index->add(rows_from(0, n), rows).ok());
  std::atomic<bool> done = false;
  std::atomic<int> lost = 0, searches = 0;
  std::jthread reader([&] {
    for (std::size_t i = 0; !done || searches < 100; i = (i + 7) % fixed) {
      const auto hits = index->search(std::span(rows).subspan(i * dim, dim), nearest(1, 0.999f));
      lost += !hits.ok() || hits->empty();
      ++searches;
    }
  });
  for (int turn = 0; turn < 3; ++turn) {
    for (Row row = fixed; row < n; row += 100)
      if (!index->add(rows_from(row, 100), std::span(others).subspan(row * dim, 100 * dim)).ok())
        ++lost;
    if (!index->maintain({}).ok()) ++lost;
  }
  done = true;
  reader.join();
  CHECK(lost == 0);
  CHECK(index->info().rows == n);
}
