// Filters from every row down to a single one, on every kind of index: recall against the
// exact answer, however the index goes about it.
#include <doctest/doctest.h>
#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "vectors/make_index.h"
#include "vectors/store/local.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t dim = 16;
constexpr int rows = 2500;

// Around forty centres.
std::vector<float> point(std::minstd_rand& random) {
  std::minstd_rand centre(random() % 40 + 1);
  std::vector<float> vector;
  for (std::size_t i = 0; i < dim; ++i)
    vector.push_back(static_cast<float>(centre() % 1000) / 100 +
                     static_cast<float>(random() % 1000) / 400);
  return vector;
}

TEST_CASE("filters of every selectivity find nearly all of the nearest, on every index") {
  std::string scratch = std::filesystem::temp_directory_path() / "hearth-filter-XXXXXX";
  REQUIRE(::mkdtemp(scratch.data()) != nullptr);
  std::minstd_rand random(3);
  Schema schema;
  schema.dim = dim;
  schema.metric = Metric::l2;
  StoreOptions options;
  options.is_synced = false;
  options.has_background = false;
  auto created = create_collection(scratch + "/points", schema, options);
  REQUIRE(created.ok());
  Collection& collection = **created;
  std::vector<Document> all;
  for (int i = 0; i < rows; ++i)
    all.push_back({fmt::format("{}", i), point(random), "", Json::object({{"n", i}})});
  REQUIRE(upsert(collection, std::move(all)).ok());
  for (const std::string_view kind : index_kinds()) {
    const std::string name(kind);
    CAPTURE(name);
    REQUIRE(collection.reindex({name, Json::object()}, {}, {}).ok());
    REQUIRE(collection.maintain({}).ok());
    for (const int share : {rows, rows / 2, rows / 10, rows / 100, rows / 1000, 1}) {
      CAPTURE(share);
      const auto filter = parse_filter(fmt::format("n < {}", share));
      std::size_t found = 0, wanted = 0;
      for (int i = 0; i < 25; ++i) {
        Query query;
        query.vector = point(random);
        query.filter = *filter;
        const auto got = collection.search(query);
        query.is_exact = true;
        const auto exact = collection.search(query);
        REQUIRE(got.ok());
        REQUIRE(exact.ok());
        CHECK(got->size() == std::min<std::size_t>(10, static_cast<std::size_t>(share)));
        wanted += exact->size();
        for (const Match& match : *got)
          for (const Match& one : *exact) found += one.document.id == match.document.id;
      }
      const double recall = static_cast<double>(found) / static_cast<double>(wanted);
      CHECK(recall >= 0.95);
    }
  }
  // What was asked is sampled, filters and all, and told.
  const auto info = collection.info();
  REQUIRE(info.ok());
  REQUIRE(info->recall.find("recall") != nullptr);
  CHECK(info->recall.find("recall")->as_number() >= 0.95);
  CHECK(*info->recall.find("of") == Json("recent queries"));
  created->reset();
  std::filesystem::remove_all(scratch);
}

}  // namespace
}  // namespace hearth::vectors
