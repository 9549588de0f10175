// Schema: what a collection holds and how it is searched.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "vectors/index.h"

namespace hearth::vectors {

enum class FieldType { text, number, truth, list };

// Documents may have other fields too; those named here have this type or are absent.
struct Field {
  std::string name;
  FieldType type = FieldType::text;
};

struct IndexChoice {
  std::string kind = "auto";  // "auto", "flat", "hnsw", "ivf", "learned", "hybrid"
  Json parameters = Json::object();
};

struct Schema {
  std::size_t dim = 0;
  Metric metric = Metric::cosine;
  IndexChoice index;
  std::vector<Field> fields;
  std::string embedder;         // the model that makes vectors of texts; empty: callers do
  Json extra = Json::object();  // whatever the maker of the collection wants to remember
};

constexpr std::size_t max_dim = 65'536;
constexpr std::size_t max_id_bytes = 1024;
constexpr std::size_t max_text_bytes = 16 << 20;
constexpr std::size_t max_metadata_bytes = 1 << 20;
constexpr std::size_t max_fields = 256;
constexpr std::size_t max_name_bytes = 64;

std::string_view name_of(Metric metric);
Result<Metric> metric_of(std::string_view name);

// {"dim": 256, "metric": "cosine", "index": {"kind": "auto", ...parameters}, "fields": {"year":
// "number"}, "embedder": "builtin-embed"}
Json to_json(const Schema& schema);
Result<Schema> schema_from_json(const Json& json);

// Letters, digits, '.', '_' and '-', beginning with a letter or digit.  Error: invalid.
Status check_name(std::string_view name);

}  // namespace hearth::vectors
