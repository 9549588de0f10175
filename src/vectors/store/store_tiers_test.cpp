// Tiers, indexes that lag behind their documents, feedback, and what these promise.
#include <array>
#include <atomic>
#include <thread>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "vectors/store/store_test_support.h"

namespace hearth::vectors {
namespace {

TEST_CASE("checksums are those of the standard, with and without the instruction") {
  // Source: RFC 3720, appendix B.4.
  std::array<unsigned char, 32> bytes{};
  const auto sum = [&] { return crc32c(std::as_bytes(std::span(bytes))); };
  CHECK(sum() == 0x8a9136aa);
  bytes.fill(0xff);
  CHECK(sum() == 0x62a8ab43);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i);
  CHECK(sum() == 0x46dd794e);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const auto part = std::as_bytes(std::span(bytes)).first(size);
    CHECK(crc32c(part, 7) == crc32c_by_tables(part, 7));
  }
}

TierInfo tier(const Collection& collection, std::string_view name) {
  const auto info = collection.info();
  REQUIRE(info.ok());
  for (const TierInfo& one : info->tiers)
    if (one.name == name) return one;
  return {};
}

StoreOptions tight(const std::shared_ptr<FakeFiles>& files) {
  StoreOptions options = options_for(files);
  options.flush_bytes = 1;
  options.segment_bytes = 1;  // every segment stays by itself
  options.warm_bytes = 40'000;
  return options;
}

// Ten segments, of which only a few fit what may be mapped.
std::unique_ptr<Collection> mostly_cold(const StoreOptions& options) {
  auto collection = of_three_numbers(options);
  for (int part = 0; part < 10; ++part) {
    REQUIRE(upsert(*collection, numbered(part * 60, part * 60 + 60)).ok());
    const Status done = collection->maintain({});
    REQUIRE_MESSAGE(done.ok(), done.error().message());
  }
  for (int round = 0; round < 20; ++round) REQUIRE(collection->maintain({}).ok());
  return collection;
}

TEST_CASE("what does not fit is cold, and is found all the same") {
  auto files = std::make_shared<FakeFiles>();
  auto collection = mostly_cold(tight(files));
  for (const bool is_reopened : {false, true}) {
    CAPTURE(is_reopened);
    CHECK(tier(*collection, "cold").segments >= 2);
    CHECK(tier(*collection, "warm").segments >= 1);
    CHECK(tier(*collection, "warm").bytes <= 40'000);
    CHECK(collection->count(nullptr).value_or(0) == 600);
    for (const int i : {0, 30, 299, 599}) {
      const Ids one{fmt::format("{}", i)};
      const auto got = collection->get(one, {.vector = true});
      REQUIRE(got.ok());
      REQUIRE(got->size() == 1);
      CHECK((*got)[0].text == fmt::format("text number {}", i));
      CHECK((*got)[0].vector == point(i));
      Query query = near(i, 3);
      const auto found = ids(collection->search(query));
      query.is_exact = true;
      CHECK(found == ids(collection->search(query)));
      CHECK(found[0] == one[0]);
    }
    const auto filter = parse_filter("n < 17 or n >= 590");
    CHECK(collection->count(&*filter).value_or(0) == 27);
    Query words;
    words.text = "number 7";
    CHECK(ids(collection->search(words))[0] == "7");
    if (is_reopened) break;
    collection.reset();
    auto again = open_collection(folder, Access::write, tight(files));
    REQUIRE(again.ok());
    collection = std::move(*again);
  }
  // Removed and replaced ones are gone from the cold too, and their places are given back.
  REQUIRE(upsert(*collection, {document("5", {9, 9, 9}, "anew")}).ok());
  const auto most = parse_filter("n < 250");
  CHECK(collection->remove_where(*most).value_or(0) == 249);
  for (int round = 0; round < 5; ++round) REQUIRE(collection->maintain({}).ok());
  CHECK(collection->count(nullptr).value_or(0) == 351);
  CHECK((*collection->get(Ids{"5"}, {}))[0].text == "anew");
}

TEST_CASE("cold documents that are used come back, and the most used are kept in memory") {
  auto files = std::make_shared<FakeFiles>();
  auto collection = mostly_cold(tight(files));
  const std::size_t cold_before = tier(*collection, "cold").segments;
  for (int round = 0; round < 3000; ++round)
    REQUIRE(collection->get(Ids{fmt::format("{}", round % 60)}, {}).ok());
  REQUIRE(collection->maintain({}).ok());
  CHECK(tier(*collection, "cold").segments < cold_before);
  REQUIRE(collection->maintain({}).ok());
  CHECK(tier(*collection, "hot").segments == 1);
  CHECK((*collection->get(Ids{"7"}, {.vector = true}))[0].vector == point(7));
  for (int round = 0; round < 12; ++round) REQUIRE(collection->maintain({}).ok());
  CHECK(tier(*collection, "hot").segments == 0);  // nobody asks any more
}

TEST_CASE("a flipped bit of a cold file is told, never answered with") {
  auto files = std::make_shared<FakeFiles>();
  mostly_cold(tight(files)).reset();
  std::vector<std::string> cold;
  for (const std::string& path : files->paths())
    if (path.find("/cold-") != path.npos) cold.push_back(path);
  REQUIRE(!cold.empty());
  std::mt19937 random(5);
  int told = 0;
  for (int round = 0; round < 60; ++round) {
    auto left = files->after_kill();
    const std::string& path = cold[random() % cold.size()];
    left->change(path, [&](std::string& text) {
      const std::size_t at = random() % text.size();
      text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
    });
    const auto collection = open_collection(folder, Access::read, options_for(left));
    if (!collection.ok()) {
      ++told;
      CHECK(collection.error().kind() == ErrorKind::corrupt);
      continue;
    }
    for (int i = 0; i < 600; i += 7) {
      const auto got = (*collection)->get(Ids{fmt::format("{}", i)}, {.vector = true});
      if (!got.ok()) {
        ++told;
        continue;
      }
      REQUIRE(got->size() == 1);
      CHECK((*got)[0].vector == point(i));
      CHECK((*got)[0].text == fmt::format("text number {}", i));
    }
  }
  CHECK(told > 0);
}

}  // namespace
}  // namespace hearth::vectors
