// Filters: what they find, and how they are written.
#include <random>

#include "vectors/store/store_test_support.h"

namespace hearth::vectors {
namespace {

Json random_metadata(std::mt19937& random) {
  Json metadata = Json::object();
  const auto maybe = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
  if (maybe(90)) metadata.set("n", static_cast<int>(random() % 20) - 5);
  if (maybe(30)) metadata.set("n", 0.5 * static_cast<double>(random() % 9));
  if (maybe(80))
    metadata.set("word", std::string(1 + random() % 3, static_cast<char>('a' + random() % 3)));
  if (maybe(50)) metadata.set("flag", maybe(50));
  if (maybe(20)) metadata.set("word", nullptr);
  if (maybe(10)) metadata.set("word", 7);
  if (maybe(60)) {
    Json tags = Json::array();
    for (auto i = random() % 3; i > 0; --i) tags.push_back(static_cast<int>(random() % 4));
    if (maybe(50)) tags.push_back("ab");
    metadata.set("tags", std::move(tags));
  }
  if (maybe(40)) metadata.set("in", Json::object({{"deep", static_cast<int>(random() % 3)}}));
  return metadata;
}

TEST_CASE("filters find what the obvious way finds") {
  const char* const filters[] = {"n = 3",
                                 "n != 3",
                                 "n < 0",
                                 "n <= 0",
                                 "n > 7",
                                 "n >= 7.5",
                                 "n in (1, 2, 'a')",
                                 "word = 'aa'",
                                 "word != aa",
                                 "word < 'b'",
                                 "word >= 'bb'",
                                 "word prefix 'c'",
                                 "word contains 'a'",
                                 "word is null",
                                 "word is not null",
                                 "flag = true",
                                 "flag < true",
                                 "flag >= false",
                                 "flag <= false",
                                 "flag > false",
                                 "flag <= true",
                                 "tags contains 2",
                                 "tags contains 'ab'",
                                 "tags = 2",
                                 "tags is null",
                                 "in.deep = 1",
                                 "in.deep in [0, 2]",
                                 "missing = 1",
                                 "missing is null",
                                 "not n = 3",
                                 "n > 2 and n < 9",
                                 "n < 0 or word = 'a'",
                                 "not (n < 0 or word = 'a') and flag = true",
                                 "n not in (1,2,3) and not word prefix 'a'",
                                 ""};
  auto files = std::make_shared<FakeFiles>();
  StoreOptions options = options_for(files);
  Schema schema;
  schema.dim = 1;
  auto created = create_collection(folder, schema, options);
  REQUIRE(created.ok());
  Collection& collection = **created;
  std::mt19937 random(3);
  std::map<std::string, Json> model;
  for (int round = 0; round < 5; ++round) {
    Batch batch;
    for (int i = 0; i < 150; ++i) {
      const std::string id = fmt::format("{}", random() % 400);
      batch.upserts.push_back(document(id, {1}, "", random_metadata(random)));
      model[id] = batch.upserts.back().metadata;
    }
    REQUIRE(collection.write(batch).ok());
    Batch removals;
    for (int i = 0; i < 20; ++i) removals.removals.push_back(fmt::format("{}", random() % 400));
    for (const std::string& id : removals.removals) model.erase(id);
    REQUIRE(collection.write(removals).ok());
    if (round == 2) REQUIRE(collection.maintain({}).ok());
    for (const char* text : filters) {
      CAPTURE(round);
      CAPTURE(std::string(text));
      const auto filter = parse_filter(text);
      REQUIRE(filter.ok());
      std::set<std::string> wanted, found;
      for (const auto& [id, metadata] : model)
        if (matches(*filter, metadata)) wanted.insert(id);
      const auto page = collection.scroll("", 1000, &*filter, {});
      REQUIRE(page.ok());
      for (const Document& one : page->documents) found.insert(one.id);
      CHECK(found == wanted);
      CHECK(collection.count(&*filter).value_or(~0u) == wanted.size());
      Query query;
      query.vector = {0};
      query.k = 1000;
      query.filter = *filter;
      CHECK(ids(collection.search(query)).size() == wanted.size());
    }
  }
}

TEST_CASE("filters are read from text and JSON, and bad ones say what they need") {
  const struct {
    std::string text, json;
  } same[] = {
      {"year >= 2020 and lang = 'de'", R"({"year": {"$gte": 2020}, "lang": "de"})"},
      {"a = 1 or b != 'x'", R"({"$or": [{"a": 1}, {"b": {"$ne": "x"}}]})"},
      {"not a is null", R"({"a": {"$exists": true}})"},
      {"a is null", R"({"a": null})"},
      {"not a in (1, 'b')", R"({"a": {"$nin": [1, "b"]}})"},
      {"year > 3", R"({"type": "gt", "key": "year", "value": 3})"},
      {"a = 1 and b = true",
       R"({"type": "and", "filters": [{"type": "eq", "key": "a", "value": 1}, {"type": "eq", "key": "b", "value": true}]})"},
      {"name = 'it''s'", R"({"name": "it's"})"},
  };
  for (const auto& row : same) {
    CAPTURE(row.text);
    const auto a = parse_filter(row.text);
    const auto b = filter_from_json(*parse_json(row.json));
    REQUIRE(a.ok());
    REQUIRE(b.ok());
    CHECK(describe(*a) == describe(*b));
  }
  for (const std::string text :
       {"year", "year >", "= 3", "a = 'x", "a in ()", "a in (1", "(a = 1", "a = 1 b", "a prefix 3",
        "a is 3", "and", "a = 1 or", "!", "a ~ 2"})
    CHECK_MESSAGE(!parse_filter(text).ok(), text);
  for (const std::string json :
       {"[]", "3", R"({"a": {"$gt": [1]}})", R"({"$and": []})", R"({"$nor": [{}]})", R"({"a": {}})",
        R"({"a": {"$in": 3}})", R"({"a": {"$what": 3}})",
        R"({"type": "like", "key": "a", "value": 1})"})
    CHECK_MESSAGE(!filter_from_json(*parse_json(json)).ok(), json);
  std::string deep = "a = 1";
  for (int i = 0; i < 40; ++i) deep = "(" + deep + ")";
  CHECK(!parse_filter(deep).ok());
  std::string nots;
  for (int i = 0; i < 10'000; ++i) nots += "not ";
  CHECK(!parse_filter(nots + "a = 1").ok());
}

}  // namespace
}  // namespace hearth::vectors
