// Documents, queries and answers as JSON: one form for the command line, the server and C.
#pragma once

#include "base/json.h"
#include "vectors/store/collection.h"

namespace hearth::vectors {

// {"id", "vector", "text", "metadata"}
Json to_json(const Document& document, const Parts& parts);
// {"documents", "next": null at the end}
Json to_json(const Page& page, const Parts& parts);
// A vector may be absent: then it is empty.  So may an id: then `fallback_id` is it.
Result<Document> document_from_json(const Json& json, const std::string& fallback_id = "");

// The document with "score" and "distance", and "group" where there are groups.
Json to_json(const Match& match, const Query& query);

// {"vector": [...], "text": "words", "k": 10, "filter": {...} or "text", "max_distance",
// "target_recall", "breadth", "mmr", "group_by", "group_size", "exact", "include": ["vector",
// "text", "metadata"]}
Result<Query> query_from_json(const Json& json);

// "filter" of a request: an object, or text as parse_filter reads it; nothing when absent.
Result<std::optional<Filter>> filter_member(const Json& json);
Result<Parts> parts_member(const Json& json, const Parts& fallback);
Result<std::vector<float>> vector_from_json(const Json& json);

// {"vector": [...], "relevant": ["id"], "irrelevant": ["id"]}; a vector may be absent.
Result<Feedback> feedback_from_json(const Json& json);

Json to_json(const CollectionInfo& info);

}  // namespace hearth::vectors
