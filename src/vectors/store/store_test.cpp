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
