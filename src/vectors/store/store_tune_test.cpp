// Tuning: what was measured, and what it is good for.
#include <filesystem>
#include <random>

#include "vectors/store/store_test_support.h"

namespace hearth::vectors {
namespace {

TEST_CASE("tuning says what was measured and keeps it") {
  auto files = std::make_shared<FakeFiles>();
  auto collection = made(files, 2);
  CHECK(!collection->tune({}, {}).ok());
  std::vector<Document> all;
  for (int i = 0; i < 300; ++i)
    all.push_back(
        document(fmt::format("{}", i), {static_cast<float>(i % 17), static_cast<float>(i)}));
  REQUIRE(upsert(*collection, all).ok());
  const auto tuned = collection->tune({}, {});
  REQUIRE(tuned.ok());
  CHECK(tuned->find("measured")->as_number() == 1);
  collection.reset();
  collection = std::move(*open_collection(folder, Access::write, options_for(files)));
  CHECK(*collection->info()->tuning.find("documents") == Json(300));
}

// Finds all rows when it is asked for more than 0.9, and a third of them otherwise.
struct Sloppy final : PlainIndex {
  using PlainIndex::PlainIndex;
  Result<std::vector<Hit>> search(std::span<const float> query,
                                  const SearchOptions& options) const override {
    auto hits = TRY(PlainIndex::search(query, options));
    if (options.target_recall <= 0.9f) hits.resize(hits.size() / 3);
    return hits;
  }
};

TEST_CASE("a target recall is what was measured, not what the index says of itself") {
  auto files = std::make_shared<FakeFiles>();
  StoreOptions options = options_for(files);
  options.indexes.make = [](const Schema& schema) -> Result<std::unique_ptr<Index>> {
    return std::unique_ptr<Index>(new Sloppy(schema.dim, schema.metric));
  };
  Schema schema;
  schema.dim = 1;
  schema.metric = Metric::l2;
  auto created = create_collection(folder, schema, options);
  REQUIRE(created.ok());
  Collection& collection = **created;
  std::vector<Document> all;
  for (int i = 0; i < 1200; ++i)
    all.push_back(document(fmt::format("{}", i), {static_cast<float>(i)}));
  REQUIRE(upsert(collection, all).ok());
  Query query;
  query.vector = {70};
  const auto found = [&](std::optional<float> target) {
    query.target_recall = target;
    return ids(collection.search(query)).size();
  };
  CHECK(found(0.8f) == 3);
  REQUIRE(collection.tune({.recall = 0.8}, {}).ok());
  CHECK(found(0.8f) == 10);  // 0.8 of the index's own is not 0.8
  CHECK(found(0.2f) == 3);
  CHECK(found(std::nullopt) == 10);
  CHECK(found(0.99f) == 10);
  // What is sampled in the background is told, of the queries that were asked.
  REQUIRE(collection.maintain({}).ok());
  const Json sampled = collection.info()->recall;
  REQUIRE(sampled.find("recall") != nullptr);
  CHECK(sampled.find("recall")->as_number() == 1);
  CHECK(*sampled.find("of") == Json("recent queries"));
  // Another half as many documents: measured again by itself.
  for (int i = 1200; i < 1900; ++i)
    REQUIRE(upsert(collection, {document(fmt::format("{}", i), {static_cast<float>(i)})}).ok());
  REQUIRE(collection.maintain({}).ok());
  CHECK(*collection.info()->tuning.find("documents") == Json(1900));
}

}  // namespace
}  // namespace hearth::vectors
