// /api/collections: documents with vectors, over HTTP.
#include <fmt/core.h>

#include "base/utf8.h"
#include "server/collections/pool.h"
#include "server/reply.h"
#include "server/rows.h"
#include "vectors/store/wire.h"

namespace hearth::server {
namespace {

using vectors::Access;

constexpr std::size_t max_documents = 10'000;  // of one request
constexpr std::size_t max_queries = 1'000;
constexpr std::int64_t standard_page = 100, max_page = 1'000;

Checked<OpenCollection> open(Service& service, const Call& call, Access access) {
  CollectionPool* pool = TRY(pool_of(service));
  return TRY(pool->open(call.parts.at(0), access));
}

Checked<Json> list(Service& service, const Call&) {
  CollectionPool* pool = TRY(pool_of(service));
  Json all = Json::array();
  for (const std::string& name : pool->names()) {
    const auto collection = pool->open(name, Access::read);
    if (!collection.ok()) {
      all.push_back(Json::object({{"name", name}, {"problem", "cannot be opened"}}));
      continue;
    }
    all.push_back(vectors::to_json(TRY((*collection)->info())));
  }
  Json snapshots = Json::array();
  for (const std::string& name : pool->snapshots()) snapshots.push_back(name);
  return Json::object({{"collections", std::move(all)}, {"snapshots", std::move(snapshots)}});
}

// A model's name among those served; nothing: the vectors come with the documents.
Checked<std::string> read_embedder(Service& service, const Json& body) {
  const auto model = TRY(read_text(body, "model", 256));
  if (!model && body.find("dim")) return std::string();
  const Lease lease = TRY(service.find_model(model.value_or(std::string(builtin_embedder))));
  if (lease->model().info().kind == ModelKind::reranker)
    return invalid_value("model", "makes no vectors");
  return lease->id;
}

Checked<Json> create(Service& service, const Call& call) {
  CollectionPool* pool = TRY(pool_of(service));
  Json body = TRY(parse_body(call.request.body));
  const auto name = TRY(read_text(body, "name", vectors::max_name_bytes));
  if (!name) return invalid_value("name", "is missing");
  if (const auto snapshot = TRY(read_text(body, "snapshot", 2 * vectors::max_name_bytes))) {
    const OpenCollection restored = TRY(pool->restore(*name, *snapshot));
    return vectors::to_json(TRY(restored->info()));
  }
  const std::string embedder = TRY(read_embedder(service, body));
  if (!embedder.empty()) {
    const Lease lease = TRY(service.find_model(embedder));
    const auto dim = static_cast<std::int64_t>(lease->model().embedding_dim());
    if (const Json* asked = body.find("dim"); asked && *asked != Json(dim))
      return invalid_value("dim", fmt::format("the model's vectors have {} numbers", dim));
    body.set("dim", dim);
  }
  body.set("embedder", embedder);
  const vectors::Schema schema = TRY(vectors::schema_from_json(body));
  const OpenCollection made = TRY(pool->create(*name, schema));
  return vectors::to_json(TRY(made->info()));
}

Checked<Json> info(Service& service, const Call& call) {
  const OpenCollection collection = TRY(open(service, call, Access::read));
  return vectors::to_json(TRY(collection->info()));
}

Checked<Json> remove(Service& service, const Call& call) {
  CollectionPool* pool = TRY(pool_of(service));
  TRY(pool->remove(call.parts.at(0)));
  return Json::object({{"name", call.parts[0]}, {"removed", true}});
}

// Vectors for the documents that came without.
Check embed_missing(Service& service, const Call& call, const vectors::Collection& collection,
                    std::vector<vectors::Document>& documents) {
  std::vector<std::string> texts;
  for (const vectors::Document& document : documents) {
    if (!document.vector.empty()) continue;
    if (document.text.empty())
      return invalid_value("documents",
                           fmt::format("'{}' has neither vector nor text", printable(document.id)));
    texts.push_back(document.text);
  }
  if (texts.empty()) return Done{};
  auto vectors = TRY(embed_for(service, collection.schema(), texts, call.responder->stop()));
  std::size_t next = 0;
  for (vectors::Document& document : documents)
    if (document.vector.empty()) document.vector = std::move(vectors[next++]);
  return Done{};
}

Checked<Json> upsert(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const Json* list = body.find("documents");
  if (!list || !list->is_array() || list->size() == 0 || list->size() > max_documents)
    return invalid_value("documents", fmt::format("needs 1 to {} documents", max_documents));
  std::vector<vectors::Document> documents;
  for (const Json& item : list->as_array())
    documents.push_back(TRY(vectors::document_from_json(item)));
  const OpenCollection collection = TRY(open(service, call, Access::write));
  TRY(embed_missing(service, call, *collection, documents));
  const std::size_t written = documents.size();
  TRY(vectors::upsert(*collection, std::move(documents)));
  return Json::object({{"written", written}});
}

Checked<std::vector<std::string>> read_ids(const Json& body) {
  const Json* list = body.find("ids");
  if (!list || !list->is_array() || list->size() > max_documents)
    return invalid_value("ids", fmt::format("needs a list of at most {}", max_documents));
  std::vector<std::string> ids;
  for (const Json& id : list->as_array()) {
    if (!id.is_string()) return invalid_value("ids", "holds what is no text");
    ids.push_back(id.as_string());
  }
  return ids;
}

Checked<Json> get(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const auto ids = TRY(read_ids(body));
  const vectors::Parts parts = TRY(vectors::parts_member(body, {}));
  const OpenCollection collection = TRY(open(service, call, Access::read));
  Json documents = Json::array();
  for (const vectors::Document& document : TRY(collection->get(ids, parts)))
    documents.push_back(vectors::to_json(document, parts));
  return Json::object({{"documents", std::move(documents)}});
}

Checked<Json> get_one(Service& service, const Call& call) {
  const OpenCollection collection = TRY(open(service, call, Access::read));
  const std::vector<std::string> ids{call.rest};
  const vectors::Parts parts{.vector = true};
  const auto found = TRY(collection->get(ids, parts));
  if (found.empty())
    return Problem{404, "not_found", fmt::format("there is no document '{}'", printable(call.rest)),
                   "", 0};
  return vectors::to_json(found[0], parts);
}

Checked<Json> delete_some(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const auto filter = TRY(vectors::filter_member(body));
  if (filter.has_value() == (body.find("ids") != nullptr))
    return invalid_value("ids", "needs either ids or a filter");
  const OpenCollection collection = TRY(open(service, call, Access::write));
  std::size_t removed = 0;
  if (filter) {
    removed = TRY(collection->remove_where(*filter));
  } else {
    const auto ids = TRY(read_ids(body));
    removed = TRY(collection->get(ids, {false, false, false})).size();
    TRY(vectors::remove(*collection, ids));
  }
  return Json::object({{"removed", removed}});
}

Checked<Json> delete_one(Service& service, const Call& call) {
  const OpenCollection collection = TRY(open(service, call, Access::write));
  const std::vector<std::string> ids{call.rest};
  const std::size_t removed = TRY(collection->get(ids, {false, false, false})).size();
  TRY(vectors::remove(*collection, ids));
  return Json::object({{"removed", removed}});
}

Checked<Json> scroll(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const auto limit = TRY(read_integer(body, "limit", 1, max_page)).value_or(standard_page);
  const auto from = TRY(read_text(body, "from", 32)).value_or("");
  const auto filter = TRY(vectors::filter_member(body));
  const vectors::Parts parts = TRY(vectors::parts_member(body, {}));
  const OpenCollection collection = TRY(open(service, call, Access::read));
  const vectors::Page page = TRY(collection->scroll(from, static_cast<std::size_t>(limit),
                                                    filter ? &*filter : nullptr, parts));
  return vectors::to_json(page, parts);
}

Checked<Json> count(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body.empty() ? "{}" : call.request.body));
  const auto filter = TRY(vectors::filter_member(body));
  const OpenCollection collection = TRY(open(service, call, Access::read));
  return Json::object({{"count", TRY(collection->count(filter ? &*filter : nullptr))}});
}

// "query": a text that is embedded and, unless "by" says otherwise, looked for by its words too.
Checked<vectors::Query> read_query(Service& service, const Call& call, const Json& json,
                                   const vectors::Collection& collection) {
  vectors::Query query = TRY(vectors::query_from_json(json));
  const auto text = TRY(read_text(json, "query", 64 << 10));
  if (!text || text->empty()) return query;
  const auto by = TRY(read_text(json, "by", 16)).value_or("both");
  if (by != "both" && by != "words" && by != "vector")
    return invalid_value("by", "needs to be both, words or vector");
  const vectors::Schema schema = collection.schema();
  if (by != "vector") query.text = *text;
  if (by == "vector" || (by == "both" && !schema.embedder.empty()))
    query.vector =
        std::move(TRY(embed_for(service, schema, {*text}, call.responder->stop())).at(0));
  return query;
}

Json matches_json(const std::vector<vectors::Match>& matches, const vectors::Query& query) {
  Json list = Json::array();
  for (const vectors::Match& match : matches) list.push_back(vectors::to_json(match, query));
  return list;
}

// "rerank": the name of a cross-encoder, which orders the answers to a text.
Checked<std::vector<vectors::Match>> answer(Service& service, const Call& call, const Json& body,
                                            const vectors::Collection& collection,
                                            vectors::Query query) {
  const auto model = TRY(read_text(body, "rerank", 256));
  if (!model) return TRY(collection.search(query));
  std::string text = TRY(read_text(body, "query", 64 << 10)).value_or("");
  if (text.empty()) text = query.text;
  if (text.empty()) return invalid_value("rerank", "needs a query that is a text");
  const std::size_t k = query.k;
  query.k = std::min<std::size_t>(k * reranked_share, 10'000);
  query.parts.text = true;
  std::vector<vectors::Match> matches = TRY(collection.search(query));
  TRY(rerank_for(service, *model, text, k, matches, call.responder->stop()));
  return matches;
}

Checked<Json> query(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const OpenCollection collection = TRY(open(service, call, Access::read));
  const Json* many = body.find("queries");
  if (!many) {
    const vectors::Query one = TRY(read_query(service, call, body, *collection));
    const auto matches = TRY(answer(service, call, body, *collection, one));
    return Json::object({{"matches", matches_json(matches, one)}});
  }
  if (!many->is_array() || many->size() == 0 || many->size() > max_queries)
    return invalid_value("queries", fmt::format("needs 1 to {}", max_queries));
  std::vector<vectors::Query> queries;
  for (const Json& item : many->as_array())
    queries.push_back(TRY(read_query(service, call, item, *collection)));
  const auto answers = TRY(collection->search_batch(queries));
  Json all = Json::array();
  for (std::size_t i = 0; i < answers.size(); ++i)
    all.push_back(Json::object({{"matches", matches_json(answers[i], queries[i])}}));
  return Json::object({{"answers", std::move(all)}});
}

Checked<Json> learn(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  vectors::Feedback feedback = TRY(vectors::feedback_from_json(body));
  const OpenCollection collection = TRY(open(service, call, Access::write));
  if (feedback.vector.empty()) {
    const auto text = TRY(read_text(body, "query", 64 << 10));
    if (!text || text->empty()) return invalid_value("query", "needs a text, or a vector");
    const auto schema = collection->schema();
    feedback.vector =
        std::move(TRY(embed_for(service, schema, {*text}, call.responder->stop())).at(0));
  }
  TRY(collection->learn_from(feedback));
  return Json::object({{"learned", true}});
}

Checked<Json> forget(Service& service, const Call& call) {
  const OpenCollection collection = TRY(open(service, call, Access::write));
  TRY(collection->forget_feedback());
  return Json::object({{"forgotten", true}});
}

Checked<Json> snapshot(Service& service, const Call& call) {
  CollectionPool* pool = TRY(pool_of(service));
  const Json body = TRY(parse_body(call.request.body.empty() ? "{}" : call.request.body));
  const auto label = TRY(read_text(body, "label", vectors::max_name_bytes));
  const std::string used = label.value_or(fmt::format("{}", unix_seconds()));
  TRY(pool->snapshot(call.parts.at(0), used));
  return Json::object({{"name", call.parts[0]}, {"snapshot", call.parts[0] + "-" + used}});
}

Checked<Json> reindex(Service& service, const Call& call) {
  Json body = TRY(parse_body(call.request.body));
  const auto kind = TRY(read_text(body, "kind", 32));
  if (!kind) return invalid_value("kind", "is missing");
  vectors::IndexChoice choice{*kind, Json::object()};
  for (const auto& [name, value] : body.as_object())
    if (name != "kind") choice.parameters.set(name, value);
  const OpenCollection collection = TRY(open(service, call, Access::write));
  TRY(collection->reindex(choice, {}, call.responder->stop()));
  return vectors::to_json(TRY(collection->info()));
}

Checked<Json> tune(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body.empty() ? "{}" : call.request.body));
  vectors::TuneOptions options;
  options.recall = TRY(read_number(body, "recall", {0, 1, true})).value_or(options.recall);
  options.queries =
      static_cast<std::size_t>(TRY(read_integer(body, "queries", 1, 10'000)).value_or(100));
  const OpenCollection collection = TRY(open(service, call, Access::write));
  return TRY(collection->tune(options, call.responder->stop()));
}

constexpr auto on_worker = Endpoint::Place::embedder;  // they wait for vectors and disks

}  // namespace

constexpr Endpoint collections_endpoints[] = {
    {"GET", "/api/collections", "List the collections of documents.", Scope::collections, "",
     "CollectionList", on_worker, reply_json<list>},
    {"POST", "/api/collections", "Make a collection.", Scope::collections, "CollectionCreate",
     "Collection", on_worker, reply_json<create>},
    {"GET", "/api/collections/{name}", "What a collection holds.", Scope::collections, "",
     "Collection", on_worker, reply_json<info>},
    {"DELETE", "/api/collections/{name}", "Remove a collection.", Scope::collections, "",
     "CollectionGone", on_worker, reply_json<remove>},
    {"POST", "/api/collections/{name}/documents",
     "Write documents; those of the same id are replaced.  All or none.", Scope::collections,
     "CollectionDocuments", "CollectionWritten", on_worker, reply_json<upsert>},
    {"GET", "/api/collections/{name}/documents/{id}", "One document.", Scope::collections, "",
     "CollectionDocument", on_worker, reply_json<get_one>},
    {"DELETE", "/api/collections/{name}/documents/{id}", "Remove one document.", Scope::collections,
     "", "CollectionRemoved", on_worker, reply_json<delete_one>},
    {"POST", "/api/collections/{name}/get", "Documents by their ids.", Scope::collections,
     "CollectionGet", "CollectionDocuments", on_worker, reply_json<get>},
    {"POST", "/api/collections/{name}/delete", "Remove documents, by ids or a filter.",
     Scope::collections, "CollectionDelete", "CollectionRemoved", on_worker,
     reply_json<delete_some>},
    {"POST", "/api/collections/{name}/scroll", "Documents in the order they were written.",
     Scope::collections, "CollectionScroll", "CollectionPage", on_worker, reply_json<scroll>},
    {"POST", "/api/collections/{name}/count", "How many documents a filter means.",
     Scope::collections, "CollectionCount", "CollectionCounted", on_worker, reply_json<count>},
    {"POST", "/api/collections/{name}/query", "Search, by vector, words or both.",
     Scope::collections, "CollectionQuery", "CollectionAnswer", on_worker, reply_json<query>},
    {"POST", "/api/collections/{name}/feedback",
     "Say which answers to a query were right: a learned index comes nearer to them.",
     Scope::collections, "CollectionFeedback", "CollectionLearned", on_worker, reply_json<learn>},
    {"DELETE", "/api/collections/{name}/feedback", "Forget all feedback.", Scope::collections, "",
     "CollectionForgotten", on_worker, reply_json<forget>},
    {"POST", "/api/collections/{name}/snapshot", "Copy a collection as it is now.",
     Scope::collections, "CollectionSnapshot", "CollectionSnapshotMade", on_worker,
     reply_json<snapshot>},
    {"POST", "/api/collections/{name}/reindex",
     "Build another kind of index while reads and writes go on.", Scope::collections,
     "CollectionReindex", "Collection", on_worker, reply_json<reindex>},
    {"POST", "/api/collections/{name}/tune",
     "Measure recall and speed, and keep the setting that reaches a recall.", Scope::collections,
     "CollectionTune", "CollectionTuned", on_worker, reply_json<tune>},
};

std::span<const Endpoint> collection_rows() { return collections_endpoints; }

}  // namespace hearth::server
