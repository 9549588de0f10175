#include "vectors/store/schema.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/utf8.h"

namespace hearth::vectors {
namespace {

struct MetricName {
  std::string_view name;
  Metric metric;
};
// The first name of each is the one written.
constexpr MetricName metrics[] = {{"cosine", Metric::cosine},
                                  {"l2", Metric::l2},
                                  {"inner_product", Metric::inner_product},
                                  {"euclidean", Metric::l2},
                                  {"dot", Metric::inner_product},
                                  {"ip", Metric::inner_product}};

constexpr std::string_view field_types[] = {"text", "number", "truth", "list"};

Result<IndexChoice> index_from_json(const Json& json) {
  IndexChoice choice;
  if (json.is_string()) {
    choice.kind = json.as_string();
    return choice;
  }
  if (!json.is_object()) return Error(ErrorKind::invalid, "'index': needs a name or an object");
  for (const auto& [name, value] : json.as_object()) {
    if (name == "kind" && value.is_string())
      choice.kind = value.as_string();
    else
      choice.parameters.set(name, value);
  }
  return choice;
}

Result<std::vector<Field>> fields_from_json(const Json& json) {
  if (!json.is_object() || json.size() > max_fields)
    return Error(ErrorKind::invalid,
                 fmt::format("'fields': needs an object of at most {} fields", max_fields));
  std::vector<Field> fields;
  for (const auto& [name, value] : json.as_object()) {
    const auto* type = std::find(std::begin(field_types), std::end(field_types),
                                 value.is_string() ? std::string_view(value.as_string()) : "");
    if (type == std::end(field_types))
      return Error(
          ErrorKind::invalid,
          fmt::format("'fields': '{}' needs to be text, number, truth or list", printable(name)));
    fields.push_back({name, static_cast<FieldType>(type - field_types)});
  }
  return fields;
}

}  // namespace

std::string_view name_of(Metric metric) {
  for (const MetricName& row : metrics)
    if (row.metric == metric) return row.name;
  return "";
}

Result<Metric> metric_of(std::string_view name) {
  for (const MetricName& row : metrics)
    if (row.name == name) return row.metric;
  return Error(ErrorKind::invalid,
               fmt::format("metric = '{}': needs cosine, l2 or inner_product", printable(name)));
}

Json to_json(const Schema& schema) {
  Json index = Json::object({{"kind", schema.index.kind}});
  for (const auto& [name, value] : schema.index.parameters.as_object()) index.set(name, value);
  Json fields = Json::object();
  for (const Field& field : schema.fields)
    fields.set(field.name, field_types[static_cast<std::size_t>(field.type)]);
  Json json = Json::object({{"dim", schema.dim},
                            {"metric", name_of(schema.metric)},
                            {"index", std::move(index)},
                            {"fields", std::move(fields)}});
  if (!schema.embedder.empty()) json.set("embedder", schema.embedder);
  if (schema.extra.size() > 0) json.set("extra", schema.extra);
  return json;
}

Result<Schema> schema_from_json(const Json& json) {
  Schema schema;
  const auto dim = TRY(required<std::int64_t>(json, "dim"));
  if (dim < 1 || dim > static_cast<std::int64_t>(max_dim))
    return Error(ErrorKind::invalid,
                 fmt::format("'dim' = {}: needs a whole number from 1 to {}", dim, max_dim));
  schema.dim = static_cast<std::size_t>(dim);
  const std::string metric = TRY(optional<std::string>(json, "metric", "cosine"));
  schema.metric = TRY(metric_of(metric));
  if (const Json* index = json.find("index"); index && !index->is_null())
    schema.index = TRY(index_from_json(*index));
  if (const Json* fields = json.find("fields"); fields && !fields->is_null())
    schema.fields = TRY(fields_from_json(*fields));
  schema.embedder = TRY(optional<std::string>(json, "embedder", ""));
  if (const Json* extra = json.find("extra"); extra && extra->is_object()) schema.extra = *extra;
  return schema;
}

Status check_name(std::string_view name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const bool is_good = !name.empty() && name.size() <= max_name_bytes && is_plain(name[0]) &&
                       std::all_of(name.begin(), name.end(), [&](char c) {
                         return is_plain(c) || c == '.' || c == '_' || c == '-';
                       });
  if (is_good) return Done{};
  return Error(ErrorKind::invalid,
               fmt::format("collection '{}': a name is 1 to {} letters, digits, '.', '_' or '-', "
                           "beginning with a letter or digit",
                           printable(name), max_name_bytes));
}

}  // namespace hearth::vectors
