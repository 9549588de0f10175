#include "vectors/ivf/ivf.h"

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "base/bytes.h"
#include "base/cpu_features.h"
#include "base/files.h"
#include "kernels/search_select.h"
#include "vectors/flat/flat.h"

#if defined(__x86_64__)
namespace hearth::kernels {
extern const SearchKernels amx_emulated_search_table;
}
#endif

namespace hearth::vectors {
namespace {

std::vector<float> clustered(std::size_t n, std::size_t dim, unsigned seed) {
  std::mt19937 centre_random(77), random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> centres(50 * dim), rows(n * dim);
  for (float& x : centres) x = normal(centre_random);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t c = random() % 50;
    for (std::size_t j = 0; j < dim; ++j)
      rows[i * dim + j] = centres[c * dim + j] + 0.4f * normal(random);
  }
  return rows;
}

std::vector<Row> rows_from(Row first, std::size_t n) {
  std::vector<Row> rows(n);
  for (std::size_t i = 0; i < n; ++i) rows[i] = first + static_cast<Row>(i);
  return rows;
}

double recall(const Index& index, const Index& oracle, std::span<const float> queries,
              std::size_t dim, const SearchOptions& options) {
  std::size_t found = 0, all = 0;
  for (std::size_t q = 0; q < queries.size(); q += dim) {
    const auto got = index.search(queries.subspan(q, dim), options).value();
    const auto want = oracle.search(queries.subspan(q, dim), options).value();
    all += want.size();
    for (const Hit& hit : want)
      for (const Hit& other : got) found += other.row == hit.row;
  }
  return static_cast<double>(found) / static_cast<double>(std::max<std::size_t>(all, 1));
}

IvfSpec small_spec(std::size_t dim, Metric metric = Metric::l2) {
  IvfSpec spec;
  spec.dim = dim;
  spec.metric = metric;
  spec.lists = 32;
  spec.train_at = 1000;
  spec.tuning_queries = 60;
  return spec;
}

std::string temporary(const char* name) {
  return (std::filesystem::temp_directory_path() / name).string();
}

TEST_CASE("ivf: target recalls are reached for every metric, table and kind of codes") {
  const std::size_t dim = 40, n = 6000;
  const auto vectors = clustered(n, dim, 1), queries = clustered(50, dim, 2);
  const auto rows = rows_from(10, n);
  struct Case {
    std::string name;
    int bits;
    PqSpec pq;
    bool floats;
  };
  const Case cases[] = {{"signs", 1, {}, true},
                        {"signs, no floats", 1, {}, false},
                        {"three bits", 3, {}, true},
                        {"pq of 4 bits", 1, {20, 4}, true},
                        {"pq of 8 bits", 1, {10, 8}, false}};
  for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine}) {
    auto oracle = make_flat(dim, metric);
    REQUIRE(oracle->add(rows, vectors).ok());
    for (const auto& candidate : kernels::search_candidates())
      for (const Case& one : cases) {
        const bool best = candidate.table == &kernels::best_search_kernels();
        if (!candidate.supported() || (!best && one.name != "signs")) continue;
        CAPTURE(std::string(candidate.cpu));
        CAPTURE(one.name);
        CAPTURE(static_cast<int>(metric));
        IvfSpec spec = small_spec(dim, metric);
        spec.kernels = candidate.table;
        spec.code_bits = one.bits;
        spec.pq = one.pq;
        spec.keep_floats = one.floats;
        auto index = Ivf::create(spec).value();
        REQUIRE(index->add(rows, vectors).ok());
        REQUIRE(index->maintain({}).ok());
        REQUIRE(index->info().rows == n);
        CHECK(index->state()->segments.size() == 1);
        CHECK(recall(*index, *oracle, queries, dim, {.target_recall = 0.9f}) > 0.84);
        CHECK(recall(*index, *oracle, queries, dim, {.target_recall = 0.99f}) > 0.95);
        CHECK(recall(*index, *oracle, queries, dim, {.k = 100, .target_recall = 0.95f}) > 0.85);
        const auto hits = index->search(std::span(vectors).first(dim), {.k = 1}).value();
        REQUIRE(hits.size() == 1);
        const auto exact = oracle->search(std::span(vectors).first(dim), {.k = 1}).value();
        CHECK(hits[0].row == exact[0].row);
        if (one.floats) CHECK(hits[0].distance == doctest::Approx(exact[0].distance).epsilon(1e-3));
      }
  }
}

TEST_CASE(
    "ivf: without floats a row is at no distance of itself, and its neighbours nearly right") {
  const std::size_t dim = 40, n = 3000;
  const auto vectors = clustered(n, dim, 31);
  IvfSpec spec = small_spec(dim);
  spec.keep_floats = false;
  auto index = Ivf::create(spec).value();
  auto oracle = make_flat(dim, Metric::l2);
  REQUIRE(index->add(rows_from(0, n), vectors).ok());
  REQUIRE(oracle->add(rows_from(0, n), vectors).ok());
  REQUIRE(index->maintain({}).ok());
  for (std::size_t row = 0; row < n; row += 100) {
    const auto query = std::span(vectors).subspan(row * dim, dim);
    const auto hits = index->search(query, {.target_recall = 0.99f}).value();
    const auto exact = oracle->search(query, {}).value();
    const float far = exact.back().distance;
    REQUIRE(hits.size() == exact.size());
    CHECK(hits[0].row == row);
    CHECK(hits[0].distance <= 2e-4f * far);  // sums of floats, nothing of the bytes
    for (std::size_t i = 0; i < hits.size(); ++i)
      CHECK(hits[i].distance == doctest::Approx(exact[i].distance).epsilon(0.01));
  }
}

TEST_CASE("ivf: a batch finds what one query after another finds") {
  const std::size_t dim = 40, n = 4000, queries_n = 300;
  const auto vectors = clustered(n, dim, 21), queries = clustered(queries_n, dim, 22);
  std::vector<const kernels::SearchKernels*> tables;
  for (const auto& candidate : kernels::search_candidates())
    if (candidate.supported()) tables.push_back(candidate.table);
#if defined(__x86_64__)
  if (detect_cpu_features().avx512_vnni) tables.push_back(&kernels::amx_emulated_search_table);
#endif
  for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine}) {
    auto oracle = make_flat(dim, metric);
    REQUIRE(oracle->add(rows_from(0, n + 50), clustered(n + 50, dim, 21)).ok());
    oracle->remove(rows_from(100, 40));
    const auto exact = oracle->search_batch(queries, {}).value();
    for (const auto* table : tables) {
      const bool is_best = table == &kernels::best_search_kernels();
      if (metric != Metric::l2 && !is_best) continue;
      for (const bool floats : {true, false}) {
        CAPTURE(std::string(table->name));
        CAPTURE(static_cast<int>(metric));
        CAPTURE(floats);
        IvfSpec spec = small_spec(dim, metric);
        spec.kernels = table;
        spec.keep_floats = floats;
        spec.tuning_queries = 60;
        auto index = Ivf::create(spec).value();
        REQUIRE(index->add(rows_from(0, n), vectors).ok());
        REQUIRE(index->maintain({}).ok());
        const auto late = clustered(n + 50, dim, 21);
        REQUIRE(index->add(rows_from(n, 50), std::span(late).subspan(n * dim)).ok());
        index->remove(rows_from(100, 40));
        const auto together = index->search_batch(queries, {.target_recall = 0.99f}).value();
        // The same lists for all: every list.
        const SearchOptions all = {.breadth = index->state()->trained->centroids.count()};
        const auto whole = index->search_batch(queries, all).value();
        std::size_t found = 0, found_whole = 0;
        for (std::size_t q = 0; q < queries_n; ++q)
          for (const Hit& want : exact[q]) {
            for (const Hit& hit : together[q]) found += hit.row == want.row;
            for (const Hit& hit : whole[q]) {
              found_whole += hit.row == want.row;
              if (hit.row == want.row && floats)
                CHECK(hit.distance == doctest::Approx(want.distance).epsilon(1e-3));
            }
          }
        CHECK(found > 0.96 * 10 * queries_n);
        CHECK(found_whole > (floats ? 0.999 : 0.985) * 10 * queries_n);
        // A list is looked into by all: it is read for them together.
        CHECK(index->search_batch(std::span(queries).first(2 * dim), all).value()[1] ==
              index->search(std::span(queries).subspan(dim, dim), all).value());
      }
    }
  }
}

TEST_CASE("ivf: rows are replaced and removed, late, sealed and merged, as if built at once") {
  const std::size_t dim = 16, n = 5000;
  auto vectors = clustered(4 * n, dim, 3);
  const auto queries = clustered(30, dim, 4);
  auto index = Ivf::create(small_spec(dim)).value();
  auto oracle = make_flat(dim, Metric::l2);
  std::mt19937 random(5);
  const auto both_add = [&](std::span<const Row> rows, std::span<const float> part) {
    REQUIRE(index->add(rows, part).ok());
    REQUIRE(oracle->add(rows, part).ok());
  };
  for (Row round = 0; round < 6; ++round) {
    const auto fresh = rows_from(round * 4500, 4500);
    std::vector<float> part(4500 * dim);
    for (std::size_t i = 0; i < part.size(); ++i)
      part[i] = vectors[(round * 3000 * dim + i) % vectors.size()];
    both_add(fresh, part);
    std::vector<Row> gone, again;
    for (int i = 0; i < 700; ++i) gone.push_back(static_cast<Row>(random() % (4500 * (round + 1))));
    index->remove(gone);
    oracle->remove(gone);
    for (int i = 0; i < 300; ++i)
      again.push_back(static_cast<Row>(random() % (4500 * (round + 1))));
    both_add(again, std::span(vectors).first(300 * dim));
    if (round != 2) REQUIRE(index->maintain({}).ok());
    CHECK(index->info().rows == oracle->info().rows);
    CHECK(recall(*index, *oracle, queries, dim, {.target_recall = 0.99f}) > 0.95);
    for (const Row row : {again[0], gone[0], fresh[17]}) {
      const auto got = index->vector(row), want = oracle->vector(row);
      REQUIRE(got.ok() == want.ok());
      if (want.ok()) CHECK(*got == *want);
    }
  }
  CHECK(index->state()->segments.size() < 6);
}

TEST_CASE("ivf: filters of every width, radius, forced breadth") {
  const std::size_t dim = 24, n = 20000;
  const auto vectors = clustered(n, dim, 6), queries = clustered(30, dim, 7);
  auto index = Ivf::create(small_spec(dim)).value();
  auto oracle = make_flat(dim, Metric::l2);
  REQUIRE(index->add(rows_from(0, n), vectors).ok());
  REQUIRE(index->maintain({}).ok());
  REQUIRE(oracle->add(rows_from(0, n), vectors).ok());
  for (const std::size_t every : {1, 2, 10, 50, 300, 3000, 30000}) {
    CAPTURE(every);
    std::vector<std::uint64_t> words(n / 64 + 1);
    RowFilter filter{words, 0};
    for (Row row = 0; row < n; row += static_cast<Row>(every)) {
      words[row / 64] |= 1ull << (row % 64);
      ++filter.allowed_rows;
    }
    SearchOptions options;
    options.filter = &filter;
    options.target_recall = 0.97f;
    CHECK(recall(*index, *oracle, queries, dim, options) > 0.95);
    const auto hits = index->search(std::span(queries).first(dim), options).value();
    CHECK(hits.size() == std::min<std::size_t>(10, filter.allowed_rows));
    for (const Hit& hit : hits) CHECK(hit.row % every == 0);
  }
  const auto near = oracle->search(std::span(queries).first(dim), {.k = 60}).value();
  SearchOptions radius;
  radius.k = 500;
  radius.max_distance = near.back().distance;
  radius.target_recall = 0.99f;
  const auto hits = index->search(std::span(queries).first(dim), radius).value();
  CHECK(hits.size() > 55);
  CHECK(hits.size() <= 61);
  SearchOptions wide;
  wide.breadth = 32;
  CHECK(recall(*index, *oracle, queries, dim, wide) > 0.95);
  const auto batch = index->search_batch(queries, {}).value();
  REQUIRE(batch.size() == 30);
  for (std::size_t q = 0; q < 30; ++q)
    CHECK(batch[q] == index->search(std::span(queries).subspan(q * dim, dim), {}).value());
}

TEST_CASE("ivf: threads that share a query find what one thread finds") {
  const std::size_t dim = 24, n = 20'000;
  const auto vectors = clustered(n, dim, 6), queries = clustered(30, dim, 7);
  std::vector<std::uint64_t> words(n / 64 + 1, 0x5555'5555'5555'5555);
  const RowFilter filter{words, n / 2};
  for (const bool floats : {true, false}) {
    IvfSpec spec = small_spec(dim);
    spec.keep_floats = floats;
    spec.threads = 3;
    spec.share_rows = 500;
    auto index = Ivf::create(spec).value();
    REQUIRE(index->add(rows_from(0, n), vectors).ok());
    REQUIRE(index->maintain({}).ok());
    index->remove(rows_from(50, 300));
    REQUIRE(index->add(rows_from(0, 1000), std::span(vectors).last(1000 * dim)).ok());  // late ones
    for (const std::size_t breadth : {0, 10, 32})
      for (const RowFilter* some : {static_cast<const RowFilter*>(nullptr), &filter})
        for (std::size_t q = 0; q < queries.size(); q += dim) {
          SearchOptions options{.target_recall = 0.99f, .breadth = breadth, .filter = some};
          const auto one = index->search(std::span(queries).subspan(q, dim), options).value();
          options.is_alone = true;
          CHECK(index->search(std::span(queries).subspan(q, dim), options).value() == one);
        }
  }
}

TEST_CASE("ivf: other codes and moved centroids on a live index") {
  const std::size_t dim = 32, n = 5000;
  const auto vectors = clustered(n, dim, 8), queries = clustered(30, dim, 9);
  auto index = Ivf::create(small_spec(dim)).value();
  auto oracle = make_flat(dim, Metric::l2);
  CHECK(index->retrain({}).error().kind() == ErrorKind::unavailable);
  CHECK(index->wanted_sample(10) == 0);
  REQUIRE(index->wanted_sample(n) > 0);
  double told = 0;
  const auto tell = [&](double share) {
    CHECK(share >= told);
    CHECK(share <= 1);
    told = share;
  };
  REQUIRE(index->learn_sample(vectors, n, tell, {}).ok());
  CHECK(told > 0);
  REQUIRE(index->add(rows_from(0, n), vectors).ok());
  REQUIRE(oracle->add(rows_from(0, n), vectors).ok());
  const SearchOptions options{.target_recall = 0.98f};
  REQUIRE(index->maintain({}).ok());
  REQUIRE(index->recode({16, 4}, 1, {}).ok());
  CHECK(recall(*index, *oracle, queries, dim, options) > 0.93);
  CHECK(!index->recode({33000, 4}, 1, {}).ok());
  CHECK(!index->recode({0, 4}, 9, {}).ok());
  REQUIRE(index->recode({8, 8}, 1, {}).ok());
  CHECK(recall(*index, *oracle, queries, dim, options) > 0.93);
  REQUIRE(index->recode({0, 4}, 2, {}).ok());
  CHECK(recall(*index, *oracle, queries, dim, options) > 0.93);
  REQUIRE(index->retrain({}).ok());
  CHECK(recall(*index, *oracle, queries, dim, options) > 0.93);
  std::stop_source stop;
  stop.request_stop();
  CHECK(index->retrain(stop.get_token()).error().kind() == ErrorKind::cancelled);
  CHECK(recall(*index, *oracle, queries, dim, options) > 0.93);
  CHECK(index->info().rows == n);
}

TEST_CASE("ivf: tiny indexes and what makes no sense") {
  auto index = Ivf::create(small_spec(3)).value();
  CHECK(index->search(std::vector<float>{1, 2, 3}, {}).value().empty());
  REQUIRE(index->maintain({}).ok());
  const Row row = 7;
  REQUIRE(index->add({&row, 1}, std::vector<float>{1, 2, 3}).ok());
  CHECK(index->search(std::vector<float>{1, 2, 3}, {}).value() == std::vector<Hit>{{7, 0}});
  CHECK(!index->search(std::vector<float>{1, 2}, {}).ok());
  CHECK(!index->add({&row, 1}, std::vector<float>{1, 2, NAN}).ok());
  CHECK(!Ivf::create(small_spec(0)).ok());
  CHECK(!Ivf::create(small_spec(most_ivf_dim + 1)).ok());
  // Rows that are all the same.
  auto same = Ivf::create(small_spec(3, Metric::cosine)).value();
  REQUIRE(same->add(rows_from(0, 5000), std::vector<float>(15000, 0.0f)).ok());
  REQUIRE(same->maintain({}).ok());
  CHECK(same->search(std::vector<float>{1, 2, 3}, {}).value().size() == 10);
}

TEST_CASE("ivf: a file comes back as it was, loaded or mapped; a damaged one is refused") {
  const std::string path = temporary("hearth-ivf-test.index");
  const std::size_t dim = 12, n = 5000;
  const auto vectors = clustered(n + 100, dim, 10), queries = clustered(20, dim, 11);
  for (const bool floats : {true, false}) {
    IvfSpec spec = small_spec(dim, floats ? Metric::l2 : Metric::inner_product);
    spec.keep_floats = floats;
    auto index = Ivf::create(spec).value();
    REQUIRE(index->add(rows_from(0, n), std::span(vectors).first(n * dim)).ok());
    REQUIRE(index->maintain({}).ok());
    index->remove(rows_from(50, 30));
    REQUIRE(index->add(rows_from(n, 100), std::span(vectors).subspan(n * dim)).ok());
    REQUIRE(index->save(path).ok());
    for (const Residence residence : {Residence::loaded, Residence::mapped}) {
      auto opened = Ivf::open(path, residence).value();
      CHECK(opened->info().rows == n + 70);
      for (std::size_t q = 0; q < 20; ++q) {
        const auto query = std::span(queries).subspan(q * dim, dim);
        CHECK(opened->search(query, {}).value() == index->search(query, {}).value());
      }
      // An opened one is written as any other.
      opened->remove(rows_from(0, 10));
      REQUIRE(opened->add(rows_from(2, 1), std::span(vectors).first(dim)).ok());
      REQUIRE(opened->maintain({}).ok());
      CHECK(opened->vector(2).value() ==
            std::vector<float>(vectors.begin(), vectors.begin() + dim));
    }
  }
  std::filesystem::remove(path);
}

// Without waiting for the disk.
void write_plainly(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST_CASE("ivf: every prefix of a file and every flipped bit is an error") {
  const std::string path = temporary("hearth-ivf-damaged.index");
  const std::size_t dim = 4, n = 4200;
  IvfSpec spec = small_spec(dim);
  spec.lists = 16;
  spec.keep_floats = false;
  auto index = Ivf::create(spec).value();
  const auto vectors = clustered(n, dim, 12);
  REQUIRE(index->add(rows_from(0, n), vectors).ok());
  REQUIRE(index->maintain({}).ok());
  REQUIRE(index->add(rows_from(n, 3), std::span(vectors).first(3 * dim)).ok());
  REQUIRE(index->save(path).ok());
  const std::string whole = read_file(path, 1 << 24).value();
  REQUIRE(whole.size() > 300000);
  std::mt19937 random(13);
  for (std::size_t i = 0; i < 100; ++i) {
    const std::size_t size = i < 20 ? whole.size() - 1 - i : random() % whole.size();
    write_plainly(path, std::string_view(whole).substr(0, size));
    CHECK(!Ivf::open(path, Residence::loaded).ok());
    CHECK(!Ivf::open(path, Residence::mapped).ok());
  }
  std::vector<std::size_t> spots;
  for (std::size_t i = 0; i < 60; ++i) spots.push_back(i);
  for (std::size_t i = 0; i < 60; ++i) spots.push_back(whole.size() - 1 - i * 7);
  for (std::size_t i = 0; i < 100; ++i) spots.push_back(random() % whole.size());
  int lazily = 0;
  for (const std::size_t spot : spots) {
    std::string flipped = whole;
    flipped[spot] = static_cast<char>(flipped[spot] ^ 1 << (random() % 8));
    write_plainly(path, flipped);
    CHECK(!Ivf::open(path, Residence::loaded).ok());
    const auto mapped = Ivf::open(path, Residence::mapped);
    if (!mapped.ok()) continue;
    // Only a row can be found out later: by a search that looks into all lists.
    SearchOptions all;
    all.breadth = 16;
    const auto hits = (*mapped)->search(std::span(vectors).first(dim), all);
    REQUIRE(!hits.ok());
    CHECK(hits.error().kind() == ErrorKind::corrupt);
    ++lazily;
  }
  CHECK(lazily > 10);
  std::filesystem::remove(path);
}

TEST_CASE("ivf: readers beside a writer and its maintenance see whole states") {
  const std::size_t dim = 16, n = 6000;
  const auto vectors = clustered(2 * n, dim, 14);
  auto index = Ivf::create(small_spec(dim)).value();
  REQUIRE(index->add(rows_from(0, n), std::span(vectors).first(n * dim)).ok());
  REQUIRE(index->maintain({}).ok());
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> readers;
  for (int r = 0; r < 2; ++r)
    readers.emplace_back([&] {
      while (!done) {
        // Row 5 is only ever replaced by the same: it is there at every moment, once.
        const auto query = std::span(vectors).subspan(5 * dim, dim);
        const auto hits = index->search(query, {.target_recall = 0.99f}).value();
        int found = 0;
        for (const Hit& hit : hits) found += hit.row == 5;
        if (found != 1 || hits.size() != 10 || !index->vector(5).ok()) ++wrong;
      }
    });
  std::mt19937 random(15);
  for (int round = 0; round < 25; ++round) {
    REQUIRE(index->add(rows_from(5, 1), std::span(vectors).subspan(5 * dim, dim)).ok());
    std::vector<Row> some;
    for (int i = 0; i < 400; ++i) some.push_back(static_cast<Row>(10 + random() % (n - 10)));
    std::sort(some.begin(), some.end());
    some.erase(std::unique(some.begin(), some.end()), some.end());
    index->remove(some);
    REQUIRE(index->add(some, std::span(vectors).subspan(n * dim, some.size() * dim)).ok());
    if (round % 6 == 5) REQUIRE(index->maintain({}).ok());
    if (round == 12) REQUIRE(index->recode({8, 4}, 1, {}).ok());
  }
  done = true;
  readers.clear();
  CHECK(wrong == 0);
  CHECK(index->info().rows == n);
}

}  // namespace
}  // namespace hearth::vectors
