// Readers beside upkeep and writers, and what they teach an index.
#include <array>
#include <atomic>
#include <thread>

#include "base/bytes.h"
#include "vectors/store/store_test_support.h"

namespace hearth::vectors {
namespace {

TEST_CASE("a collection answers at once, whatever its index lacks") {
  auto files = std::make_shared<FakeFiles>();
  {
    auto collection = of_three_numbers(options_for(files));
    REQUIRE(upsert(*collection, numbered(0, 3000)).ok());
  }
  StoreOptions options = options_for(files);
  options.has_background = true;
  options.indexed_at_once = 0;
  for (const Access access : {Access::read, Access::write}) {
    auto opened = open_collection(folder, access, options);
    REQUIRE(opened.ok());
    Collection& collection = **opened;
    if (access == Access::read) CHECK(collection.info()->unindexed == 3000);
    for (int round = 0; round < 10; ++round) {
      const auto matches = collection.search(near(100 * round, 5));
      Query exact = near(100 * round, 5);
      exact.is_exact = true;
      CHECK(ids(matches) == ids(collection.search(exact)));
      if (access != Access::write) continue;
      // Writers go on beside it.
      REQUIRE(upsert(collection, {document(fmt::format("{}", round), {100, 100, 100})}).ok());
      REQUIRE(remove(collection, {fmt::format("{}", 1000 + round)}).ok());
    }
    for (int i = 0; i < 500 && collection.info()->unindexed > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(collection.info()->unindexed == 0);
    CHECK(collection.info()->index.rows == (access == Access::read ? 3000 : 2990));
  }
}

// Sees a sample before rows come, and puts up with few of them between two looks.
class SamplingIndex : public PlainIndex {
 public:
  struct Seen {
    std::size_t sampled = 0, of = 0, waiting = 0, most_waiting = 0;
  };
  SamplingIndex(std::size_t dim, Seen& seen) : PlainIndex(dim, Metric::l2), seen_(seen) {}

  std::size_t wanted_sample(std::size_t rows) const override { return rows / 10; }
  Status learn_sample(std::span<const float> sample, std::size_t rows, const OnShare& done,
                      std::stop_token) override {
    CHECK(info().rows == 0);
    seen_.sampled = sample.size() / 3;
    seen_.of = rows;
    done(0.5);
    return Done{};
  }
  Status add(std::span<const Row> rows, std::span<const float> vectors) override {
    seen_.waiting += rows.size();
    seen_.most_waiting = std::max(seen_.most_waiting, seen_.waiting);
    return PlainIndex::add(rows, vectors);
  }
  Status maintain(std::stop_token) override {
    seen_.waiting = 0;
    return Done{};
  }

 private:
  Seen& seen_;
};

TEST_CASE("an index that asks for a sample is filled bit by bit") {
  SamplingIndex::Seen seen;
  StoreOptions options = options_for(std::make_shared<FakeFiles>());
  options.waiting_bytes = 2048 * 3 * sizeof(float);
  auto collection = of_three_numbers(options);
  options.indexes.make = [&](const Schema& schema) -> Result<std::unique_ptr<Index>> {
    return std::unique_ptr<Index>(new SamplingIndex(schema.dim, seen));
  };
  REQUIRE(upsert(*collection, numbered(0, 10'000)).ok());
  collection.reset();
  collection = std::move(*open_collection(folder, Access::write, options));
  double share = 0;
  const auto done = [&](double now) {
    CHECK(now >= share);
    share = now;
  };
  seen = {};
  REQUIRE(collection->reindex({"flat", Json::object()}, done, {}).ok());
  CHECK(share == 1);
  CHECK(seen.sampled == 1000);
  CHECK(seen.of == 10'000);
  CHECK(seen.most_waiting == 2048);
  CHECK(collection->info()->index.rows == 10'000);
  CHECK(ids(collection->search(near(77, 1))) == Ids{"77"});
}

TEST_CASE("groups are filled from far away where one of them is large") {
  auto files = std::make_shared<FakeFiles>();
  auto collection = of_three_numbers(options_for(files));
  std::vector<Document> all = numbered(0, 2000);
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i].metadata = Json::object({{"of", i < 1990 ? 0 : static_cast<int>(i)}});
  REQUIRE(upsert(*collection, all).ok());
  Query query = near(0, 5);
  query.group_by = "of";
  CHECK(ids(collection->search(query)).size() == 5);
}

TEST_CASE("a writer gets its turn among readers who never leave together") {
  StateMutex mutex;
  std::atomic<bool> is_over = false;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] {
      while (!is_over) {
        const std::shared_lock lock(mutex);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  for (int i = 0; i < 5; ++i) const std::unique_lock lock(mutex);
  is_over = true;
}

TEST_CASE("feedback is kept for every index that learns, and can be taken back") {
  auto files = std::make_shared<FakeFiles>();
  auto collection = of_three_numbers(options_for(files));
  REQUIRE(upsert(*collection, numbered(0, 20)).ok());
  const auto lessons = [&] { return collection->info()->index.removed; };
  REQUIRE(collection->learn_from({point(3), {"3", "4"}, {"5"}}).ok());
  CHECK(lessons() == 3);
  CHECK(collection->learn_from({point(3), {"nobody"}, {}}).error().kind() == ErrorKind::not_found);
  CHECK(collection->learn_from({point(3), {}, {}}).error().kind() == ErrorKind::invalid);
  CHECK(collection->learn_from({{1}, {"3"}, {}}).error().kind() == ErrorKind::invalid);
  REQUIRE(remove(*collection, {"4"}).ok());
  collection.reset();
  collection = std::move(*open_collection(folder, Access::write, options_for(files)));
  CHECK(lessons() == 2);  // what is left of it
  REQUIRE(collection->reindex({"flat", Json::object()}, {}, {}).ok());
  REQUIRE(collection->maintain({}).ok());
  CHECK(lessons() == 2);
  REQUIRE(collection->snapshot("copies/taught").ok());
  REQUIRE(collection->forget_feedback().ok());
  CHECK(lessons() == 0);
  collection.reset();
  collection = std::move(*open_collection(folder, Access::write, options_for(files)));
  CHECK(lessons() == 0);
  collection = std::move(*open_collection("copies/taught", Access::write, options_for(files)));
  CHECK(lessons() == 2);
}

}  // namespace
}  // namespace hearth::vectors
