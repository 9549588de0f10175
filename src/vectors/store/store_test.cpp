// The store: writing, reading, searching, filters.
#include <random>

#include "vectors/store/store_test_support.h"

namespace hearth::vectors {
namespace {

TEST_CASE("documents are written, replaced, removed and read") {
  auto files = std::make_shared<FakeFiles>();
  auto collection = made(files, 2);
  REQUIRE(upsert(*collection, {document("a", {1, 0}, "one"), document("b", {0, 1}, "two")}).ok());
  REQUIRE(upsert(*collection, {document("a", {2, 0}, "three"), document("c", {5, 5}, "four"),
                               document("c", {6, 6}, "five")})
              .ok());
  REQUIRE(remove(*collection, {"b", "nobody"}).ok());
  for (const bool is_reopened : {false, true}) {
    CAPTURE(is_reopened);
    CHECK(collection->count(nullptr).value_or(0) == 2);
    const Ids asked{"c", "b", "a"};
    const auto got = collection->get(asked, {.vector = true});
    REQUIRE(got.ok());
    REQUIRE(got->size() == 2);
    CHECK((*got)[0].text == "five");
    CHECK((*got)[1].vector == std::vector<float>{2, 0});
    Query query;
    query.vector = {0, 0};
    CHECK(ids(collection->search(query)) == Ids{"a", "c"});
    if (is_reopened) break;
    collection.reset();
    collection = std::move(*open_collection(folder, Access::write, options_for(files)));
  }
}

TEST_CASE("what makes no sense is refused, and the document is named") {
  auto files = std::make_shared<FakeFiles>();
  Schema schema;
  schema.dim = 2;
  schema.fields = {{"year", FieldType::number}};
  auto created = create_collection(folder, schema, options_for(files));
  REQUIRE(created.ok());
  Collection& collection = **created;
  const float nan = std::nanf("");
  const struct {
    std::string what;
    Document bad;
    const char* says;
  } rows[] = {
      {"no id", document("", {1, 1}), "an id"},
      {"long id", document(std::string(max_id_bytes + 1, 'x'), {1, 1}), "an id"},
      {"NUL in an id", document(std::string("a\0b", 3), {1, 1}), "an id"},
      {"short vector", document("x", {1}), "1 numbers: needs 2"},
      {"no number", document("x", {1, nan}), "no number"},
      {"text of other bytes", document("x", {1, 1}, "\xff"), "UTF-8"},
      {"metadata a list", document("x", {1, 1}, "", Json::array()), "no object"},
      {"field of another type", document("x", {1, 1}, "", Json::object({{"year", "new"}})), "year"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Status written = upsert(collection, {document("good", {1, 1}), row.bad});
    REQUIRE(!written.ok());
    CHECK(written.error().kind() == ErrorKind::invalid);
    CHECK(written.error().message().find(row.says) != std::string::npos);
    CHECK(collection.count(nullptr).value_or(9) == 0);  // nor is the good one there
  }
  Query query;
  CHECK(!collection.search(query).ok());
  query.vector = {1, 1};
  for (const std::size_t k : {std::size_t{0}, std::size_t{10'001}, ~std::size_t{0}}) {
    query.k = k;
    CHECK(!collection.search(query).ok());
  }
  for (const std::string name : {"", "..", ".hidden", "-x", "\xc3\xa9"})
    CHECK(!create_collection("store/" + name, schema, options_for(files)).ok());
}

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

TEST_CASE("radius, groups, variety, words and both together") {
  auto files = std::make_shared<FakeFiles>();
  auto collection = made(files, 2);
  const auto about = [](const char* topic) { return Json::object({{"topic", topic}}); };
  REQUIRE(upsert(*collection, {document("a", {0, 0}, "cats sleep all day", about("cats")),
                               document("b", {0, 1}, "a cat slept here", about("cats")),
                               document("c", {0, 3}, "dogs run", about("dogs")),
                               document("d", {4, 0}, "the dog and the cat", about("both")),
                               document("e", {9, 9}, "nothing of the kind")})
              .ok());
  Query query;
  query.vector = {0, 0};
  CHECK(ids(collection->search(query)) == Ids{"a", "b", "c", "d", "e"});
  query.max_distance = 9;
  CHECK(ids(collection->search(query)) == Ids{"a", "b", "c"});
  query.max_distance.reset();
  query.group_by = "topic";
  CHECK(ids(collection->search(query)) == Ids{"a", "c", "d", "e"});
  query.group_by.clear();
  query.k = 2;
  query.mmr = 0.4;
  CHECK(ids(collection->search(query)) == Ids{"a", "e"});
  query.mmr = 1;
  CHECK(ids(collection->search(query)) == Ids{"a", "b"});
  query.mmr.reset();

  Query words;
  words.text = "Sleeping dogs?";
  const auto by_words = ids(collection->search(words));
  CHECK(std::set<std::string>(by_words.begin(), by_words.end()) ==
        std::set<std::string>{"a", "c", "d"});  // "slept" is another word
  words.text = "!!! \" OR ( *";
  CHECK(ids(collection->search(words)).empty());
  query.text = "dog";
  query.k = 3;
  const auto fused = ids(collection->search(query));
  CHECK(fused.size() == 3);
  CHECK(std::set<std::string>(fused.begin(), fused.end()) == std::set<std::string>{"a", "c", "d"});

  REQUIRE(remove(*collection, {"c"}).ok());
  REQUIRE(upsert(*collection, {document("d", {4, 0}, "birds")}).ok());
  words.text = "dogs";
  CHECK(ids(collection->search(words)).empty());
  words.text = "bird";
  CHECK(ids(collection->search(words)) == Ids{"d"});
  std::vector<Query> batch(3);
  for (std::size_t i = 0; i < 3; ++i) batch[i].vector = {static_cast<float>(4 * i), 0};
  const auto answers = collection->search_batch(batch);
  REQUIRE(answers.ok());
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(ids((*answers)[i]) == ids(collection->search(batch[i])));
}

}  // namespace
}  // namespace hearth::vectors
