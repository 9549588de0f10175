// The store and its files: several processes, damage, another index, snapshots.
#include <filesystem>
#include <random>

#include "vectors/store/store_test_support.h"

namespace hearth::vectors {
namespace {

TEST_CASE("one process writes, others read") {
  auto files = std::make_shared<FakeFiles>();
  auto writer = made(files, 1);
  REQUIRE(upsert(*writer, {document("a", {1})}).ok());
  const auto second = open_collection(folder, Access::write, options_for(files));
  REQUIRE(!second.ok());
  CHECK(second.error().kind() == ErrorKind::unavailable);
  const auto reader = open_collection(folder, Access::read, options_for(files));
  REQUIRE(reader.ok());
  CHECK((*reader)->count(nullptr).value_or(0) == 1);
  CHECK(upsert(**reader, {document("b", {1})}).error().kind() == ErrorKind::unavailable);
  REQUIRE(upsert(*writer, {document("b", {1})}).ok());
  CHECK((*reader)->count(nullptr).value_or(0) == 1);  // as it was when it was opened
  CHECK((*open_collection(folder, Access::read, options_for(files)))->count(nullptr).value_or(0) ==
        2);
}

constexpr int old_documents = 200;

// A collection of a segment and a log, as a killed process leaves it.
std::shared_ptr<FakeFiles> left_by_a_crash() {
  auto files = std::make_shared<FakeFiles>();
  auto collection = made(files, 16);
  for (int i = 0; i < old_documents; ++i)
    REQUIRE(upsert(*collection, {document(fmt::format("old{}", i), std::vector<float>(16, 1.0f),
                                          std::string(1000, 'x'))})
                .ok());
  collection.reset();
  collection = std::move(*open_collection(folder, Access::write, options_for(files)));
  for (int i = 0; i < 5; ++i)
    REQUIRE(upsert(*collection,
                   {document(fmt::format("new{}", i), std::vector<float>(16, 2.0f), "text")})
                .ok());
  return files->after_kill();
}

std::string log_path(const FakeFiles& files) {
  for (const std::string& path : files.paths())
    if (path.find("/log-") != path.npos) return path;
  return "";
}

TEST_CASE("a log cut anywhere gives the writes before the cut") {
  const auto crashed = left_by_a_crash();
  const std::string path = log_path(*crashed);
  const std::size_t size = crashed->content(path).size();
  std::size_t last = 0;
  for (std::size_t cut = 0; cut <= size; ++cut) {
    CAPTURE(cut);
    auto files = crashed->after_kill();
    files->change(path, [&](std::string& text) { text.resize(cut); });
    if (cut % 3 == 0) files->change(path, [&](std::string& text) { text.append(17, '\0'); });
    const auto collection = open_collection(folder, Access::read, options_for(files));
    if (!collection.ok()) {
      CHECK(cut < 32);  // its header is damaged and more follows
      CHECK(cut % 3 == 0);
      continue;
    }
    const std::size_t found = (*collection)->count(nullptr).value_or(0);
    CHECK(found >= old_documents + last);
    last = found - old_documents;
    CHECK(last <= 5);
  }
  CHECK(last == 5);
}

TEST_CASE("a flipped bit is told, never answered with") {
  const auto crashed = left_by_a_crash();
  std::mt19937 random(11);
  for (int round = 0; round < 100; ++round) {
    auto files = crashed->after_kill();
    std::string path;
    do path = files->paths()[random() % files->paths().size()];
    while (files->content(path).empty());
    const std::size_t at = random() % files->content(path).size();
    CAPTURE(path);
    CAPTURE(at);
    files->change(path, [&](std::string& text) {
      text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
    });
    const auto collection = open_collection(folder, Access::write, options_for(files));
    if (!collection.ok()) {
      CHECK((collection.error().kind() == ErrorKind::corrupt ||
             collection.error().kind() == ErrorKind::unsupported));
      continue;
    }
    const auto info = (*collection)->info();
    REQUIRE(info.ok());
    // Either a damaged part is told and nothing is written any more, or it was the tail of the log,
    // or it was in bytes that hold nothing.
    std::size_t wrong = 0, found = 0;
    for (int i = 0; i < old_documents; ++i) {
      const std::vector<std::string> one{fmt::format("old{}", i)};
      const auto got = (*collection)->get(one, {.vector = true});
      if (!got.ok() || got->empty()) continue;
      ++found;
      wrong += (*got)[0].text != std::string(1000, 'x') ||
               (*got)[0].vector != std::vector<float>(16, 1.0f);
    }
    CHECK(wrong == 0);
    if (found < old_documents) {
      CHECK(!info->problem.empty());
      CHECK(info->is_read_only);
      CHECK(found > 0);  // the rest can still be read
    }
  }
}

TEST_CASE("damage in the middle of the log is no tail") {
  const auto crashed = left_by_a_crash();
  const std::string path = log_path(*crashed);
  crashed->change(path, [&](std::string& text) { text[100] ^= 1; });
  const auto collection = open_collection(folder, Access::write, options_for(crashed));
  REQUIRE(!collection.ok());
  CHECK(collection.error().kind() == ErrorKind::corrupt);
  CHECK(collection.error().message().find("damaged at byte 32") != std::string::npos);
}

TEST_CASE("another index, a snapshot, while writes go on") {
  auto files = std::make_shared<FakeFiles>();
  auto collection = made(files, 1);
  for (int i = 0; i < 50; ++i)
    REQUIRE(upsert(*collection, {document(fmt::format("{}", i), {static_cast<float>(i)})}).ok());
  std::jthread writer([&] {
    for (int i = 50; i < 400; ++i)
      if (!upsert(*collection, {document(fmt::format("{}", i), {static_cast<float>(i)})}).ok())
        break;
  });
  for (int round = 0; round < 5; ++round) {
    REQUIRE(collection->reindex({"flat", Json::object()}, {}, {}).ok());
    REQUIRE(collection->maintain({}).ok());
    REQUIRE(collection->snapshot(fmt::format("copies/c{}", round)).ok());
  }
  writer.join();
  CHECK(!collection->snapshot("copies/c0").ok());
  CHECK(collection->info()->index.rows == 400);
  Query query;
  query.vector = {0};
  query.k = 1000;
  CHECK(ids(collection->search(query)).size() == 400);
  std::size_t before = 50;
  for (int round = 0; round < 5; ++round) {
    auto copy =
        open_collection(fmt::format("copies/c{}", round), Access::write, options_for(files));
    REQUIRE(copy.ok());
    const std::size_t held = (*copy)->count(nullptr).value_or(0);
    CHECK(held >= before);
    before = held;
    CHECK(ids((*copy)->search(query)).size() == held);
  }
}

}  // namespace
}  // namespace hearth::vectors
