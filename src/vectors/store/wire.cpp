#include "vectors/store/wire.h"

#include <fmt/core.h>

#include <limits>

namespace hearth::vectors {
namespace {

Result<std::size_t> count_member(const Json& json, std::string_view name, std::size_t fallback) {
  const auto value = TRY(optional<std::int64_t>(json, name, static_cast<std::int64_t>(fallback)));
  if (value < 0)
    return Error(ErrorKind::invalid, fmt::format("'{}' = {}: needs a whole number", name, value));
  return static_cast<std::size_t>(value);
}

Result<std::optional<double>> number_member(const Json& json, std::string_view name) {
  const Json* value = json.find(name);
  if (!value || value->is_null()) return std::optional<double>();
  return std::optional<double>(TRY(required<double>(json, name)));
}

Json vector_json(std::span<const float> vector) {
  return Json(Json::Array(vector.begin(), vector.end()));
}

}  // namespace

Result<std::vector<float>> vector_from_json(const Json& json) {
  if (!json.is_array() || json.size() > max_dim)
    return Error(ErrorKind::invalid,
                 fmt::format("'vector': needs a list of at most {} numbers", max_dim));
  std::vector<float> vector;
  for (const Json& value : json.as_array()) {
    constexpr double most = std::numeric_limits<float>::max();
    if (!value.is_number() || !(std::abs(value.as_number()) <= most))
      return Error(ErrorKind::invalid, "'vector': holds what is no number of 32 bits");
    vector.push_back(static_cast<float>(value.as_number()));
  }
  return vector;
}

Json to_json(const Document& document, const Parts& parts) {
  Json json = Json::object({{"id", document.id}});
  if (parts.vector) json.set("vector", vector_json(document.vector));
  if (parts.text) json.set("text", document.text);
  if (parts.metadata) json.set("metadata", document.metadata);
  return json;
}

Json to_json(const Page& page, const Parts& parts) {
  Json documents = Json::array();
  for (const Document& document : page.documents) documents.push_back(to_json(document, parts));
  return Json::object({{"documents", std::move(documents)},
                       {"next", page.next.empty() ? Json() : Json(page.next)}});
}

Result<Document> document_from_json(const Json& json, const std::string& fallback_id) {
  if (!json.is_object())
    return Error(ErrorKind::invalid,
                 fmt::format("a document is an object, not a {}", json.type_name()));
  static constexpr std::string_view known[] = {"id", "vector", "text", "metadata"};
  for (const auto& [name, value] : json.as_object())
    if (std::find(std::begin(known), std::end(known), name) == std::end(known))
      return Error(ErrorKind::invalid,
                   fmt::format("a document has id, vector, text and metadata, no '{}'", name));
  Document document;
  const Json* id = json.find("id");
  if (id && id->is_integer())
    document.id = fmt::format("{}", id->as_integer());
  else
    document.id = TRY(optional<std::string>(json, "id", fallback_id));
  document.text = TRY(optional<std::string>(json, "text", ""));
  if (const Json* vector = json.find("vector"); vector && !vector->is_null())
    document.vector = TRY(vector_from_json(*vector));
  if (const Json* metadata = json.find("metadata"); metadata && !metadata->is_null())
    document.metadata = *metadata;
  return document;
}

Json to_json(const Match& match, const Query& query) {
  Json json = to_json(match.document, query.parts);
  json.set("score", match.score);
  if (!query.vector.empty()) json.set("distance", match.distance);
  if (!query.group_by.empty()) json.set("group", match.group);
  return json;
}

Result<std::optional<Filter>> filter_member(const Json& json) {
  const Json* filter = json.find("filter");
  if (!filter || filter->is_null()) return std::optional<Filter>();
  if (filter->is_string()) return std::optional<Filter>(TRY(parse_filter(filter->as_string())));
  return std::optional<Filter>(TRY(filter_from_json(*filter)));
}

Result<Parts> parts_member(const Json& json, const Parts& fallback) {
  const Json* include = json.find("include");
  if (!include || include->is_null()) return fallback;
  const Error wrong(ErrorKind::invalid, "'include': needs a list of vector, text and metadata");
  if (!include->is_array()) return wrong;
  Parts parts{false, false, false};
  for (const Json& part : include->as_array()) {
    if (part == Json("vector"))
      parts.vector = true;
    else if (part == Json("text"))
      parts.text = true;
    else if (part == Json("metadata"))
      parts.metadata = true;
    else
      return wrong;
  }
  return parts;
}

Result<Query> query_from_json(const Json& json) {
  Query query;
  if (const Json* vector = json.find("vector"); vector && !vector->is_null())
    query.vector = TRY(vector_from_json(*vector));
  query.text = TRY(optional<std::string>(json, "text", ""));
  query.filter = TRY(filter_member(json));
  query.k = TRY(count_member(json, "k", query.k));
  query.breadth = TRY(count_member(json, "breadth", 0));
  if (const auto radius = TRY(number_member(json, "max_distance")))
    query.max_distance = static_cast<float>(*radius);
  if (const auto target = TRY(number_member(json, "target_recall")))
    query.target_recall = static_cast<float>(*target);
  query.mmr = TRY(number_member(json, "mmr"));
  query.group_by = TRY(optional<std::string>(json, "group_by", ""));
  query.group_size = TRY(count_member(json, "group_size", query.group_size));
  query.is_exact = TRY(optional<bool>(json, "exact", false));
  query.parts = TRY(parts_member(json, query.parts));
  return query;
}

Result<Feedback> feedback_from_json(const Json& json) {
  Feedback feedback;
  if (const Json* vector = json.find("vector"); vector && !vector->is_null())
    feedback.vector = TRY(vector_from_json(*vector));
  for (const auto& [name, ids] :
       {std::pair("relevant", &feedback.relevant), std::pair("irrelevant", &feedback.irrelevant)}) {
    const Json* list = json.find(name);
    if (!list || list->is_null()) continue;
    if (!list->is_array()) return Error(ErrorKind::invalid, fmt::format("'{}': needs ids", name));
    for (const Json& id : list->as_array()) {
      if (!id.is_string()) return Error(ErrorKind::invalid, fmt::format("'{}': needs ids", name));
      ids->push_back(id.as_string());
    }
  }
  return feedback;
}

Json to_json(const CollectionInfo& info) {
  const IndexInfo& index = info.index;
  Json tiers = Json::object();
  for (const TierInfo& tier : info.tiers)
    tiers.set(tier.name, Json::object({{"segments", tier.segments}, {"bytes", tier.bytes}}));
  Json json = Json::object({{"name", info.name},
                            {"documents", info.documents},
                            {"schema", to_json(info.schema)},
                            {"index", Json::object({{"kind", index.kind},
                                                    {"explanation", index.explanation},
                                                    {"rows", index.rows},
                                                    {"removed", index.removed},
                                                    {"memory_bytes", index.memory_bytes},
                                                    {"mapped_bytes", index.mapped_bytes}})},
                            {"unindexed", info.unindexed},
                            {"segments", info.segments},
                            {"tiers", std::move(tiers)},
                            {"removed", info.removed},
                            {"disk_bytes", info.disk_bytes},
                            {"log_bytes", info.log_bytes},
                            {"read_only", info.is_read_only},
                            {"synced", info.is_synced},
                            {"recall", info.recall},
                            {"tuning", info.tuning}});
  if (info.truncated_log_bytes > 0) json.set("truncated_log_bytes", info.truncated_log_bytes);
  if (!info.problem.empty()) json.set("problem", info.problem);
  return json;
}

}  // namespace hearth::vectors
