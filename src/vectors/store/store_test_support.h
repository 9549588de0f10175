// What tests of the store share: a store in memory, and short ways to fill and ask it.
#pragma once

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "vectors/store/fake_files.h"
#include "vectors/store/test_index.h"

namespace hearth::vectors {

inline const std::string folder = "store/things";

inline StoreOptions options_for(std::shared_ptr<FakeFiles> files) {
  StoreOptions options;
  options.files = std::move(files);
  options.indexes = plain_indexes();
  options.has_background = false;
  return options;
}

inline Document document(std::string id, std::vector<float> vector, std::string text = "",
                         Json metadata = Json::object()) {
  return {std::move(id), std::move(vector), std::move(text), std::move(metadata)};
}

inline std::unique_ptr<Collection> made(const std::shared_ptr<FakeFiles>& files, std::size_t dim,
                                        Metric metric = Metric::l2) {
  Schema schema;
  schema.dim = dim;
  schema.metric = metric;
  auto collection = create_collection(folder, schema, options_for(files));
  REQUIRE(collection.ok());
  return std::move(*collection);
}

inline std::vector<std::string> ids(const Result<std::vector<Match>>& matches) {
  REQUIRE(matches.ok());
  std::vector<std::string> all;
  for (const Match& match : *matches) all.push_back(match.document.id);
  return all;
}
using Ids = std::vector<std::string>;

// Documents of three numbers, the text of each its number.
inline std::vector<float> point(int i) {
  return {static_cast<float>(i % 13), static_cast<float>(i % 7), static_cast<float>(i)};
}

inline std::vector<Document> numbered(int first, int last) {
  std::vector<Document> all;
  for (int i = first; i < last; ++i)
    all.push_back(document(fmt::format("{}", i), point(i), fmt::format("text number {}", i),
                           Json::object({{"n", i}})));
  return all;
}

inline Query near(int i, std::size_t k) {
  Query query;
  query.vector = point(i);
  query.k = k;
  return query;
}

inline std::unique_ptr<Collection> of_three_numbers(const StoreOptions& options) {
  Schema schema;
  schema.dim = 3;
  schema.metric = Metric::l2;
  auto collection = create_collection(folder, schema, options);
  REQUIRE(collection.ok());
  return std::move(*collection);
}

}  // namespace hearth::vectors
