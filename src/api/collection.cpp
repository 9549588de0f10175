// The C API of collections.
#include <fmt/core.h>

#include "api/handles.h"
#include "vectors/store/local.h"
#include "vectors/store/wire.h"

struct hearth_collection {
  std::unique_ptr<hearth::vectors::Collection> collection;
  hearth::Lease model;  // null: none
};

namespace hearth {
namespace {

Result<std::unique_ptr<vectors::Collection>> open(const std::string& folder,
                                                  const hearth_collection_options& options) {
  if (options.read_only != 0) return vectors::open_collection(folder, vectors::Access::read);
  if (vectors::is_collection(folder) || !options.schema)
    return vectors::open_collection(folder, vectors::Access::write);
  Json json = TRY(parse_json(options.schema));
  if (!json.is_object()) return Error(ErrorKind::invalid, "schema: needs an object");
  if (options.model && !json.find("dim"))
    json.set("dim", static_cast<std::int64_t>(options.model->lease->model().embedding_dim()));
  const vectors::Schema schema = TRY(vectors::schema_from_json(json));
  return vectors::create_collection(folder, schema);
}

Result<std::vector<float>> embed_one(const hearth_collection& handle, const std::string& text) {
  if (!handle.model)
    return Error(ErrorKind::invalid, "a text without a vector, and the collection has no model");
  return std::move(TRY(embed_texts(*handle.model, {text}, {})).at(0));
}

Status upsert(hearth_collection& handle, const char* text) {
  const Json list = TRY(parse_json(text));
  if (!list.is_array()) return Error(ErrorKind::invalid, "documents: needs a list");
  std::vector<vectors::Document> documents;
  for (const Json& item : list.as_array()) {
    documents.push_back(TRY(vectors::document_from_json(item)));
    if (documents.back().vector.empty())
      documents.back().vector = TRY(embed_one(handle, documents.back().text));
  }
  return vectors::upsert(*handle.collection, std::move(documents));
}

Result<Json> search_one(const hearth_collection& handle, const Json& json) {
  vectors::Query query = TRY(vectors::query_from_json(json));
  const std::string words = TRY(optional<std::string>(json, "query", ""));
  if (!words.empty()) {
    query.text = words;
    if (handle.model) query.vector = TRY(embed_one(handle, words));
  }
  Json matches = Json::array();
  for (const vectors::Match& match : TRY(handle.collection->search(query)))
    matches.push_back(vectors::to_json(match, query));
  return matches;
}

Result<Json> search(const hearth_collection& handle, const Json& json) {
  if (!json.is_array()) return search_one(handle, json);
  Json all = Json::array();
  for (const Json& query : json.as_array()) all.push_back(TRY(search_one(handle, query)));
  return all;
}

Result<Json> get(const hearth_collection& handle, const Json& json) {
  const Json* list = json.find("ids");
  std::vector<std::string> ids;
  if (!list || !list->is_array()) return Error(ErrorKind::invalid, "'ids': needs a list");
  for (const Json& id : list->as_array()) {
    if (!id.is_string()) return Error(ErrorKind::invalid, "'ids': holds what is no text");
    ids.push_back(id.as_string());
  }
  const vectors::Parts parts = TRY(vectors::parts_member(json, {}));
  Json documents = Json::array();
  for (const vectors::Document& document : TRY(handle.collection->get(ids, parts)))
    documents.push_back(vectors::to_json(document, parts));
  return Json::object({{"documents", std::move(documents)}});
}

Result<Json> scroll(const hearth_collection& handle, const Json& json) {
  const std::string from = TRY(optional<std::string>(json, "from", ""));
  const auto limit = TRY(optional<std::int64_t>(json, "limit", std::int64_t{100}));
  if (limit < 1) return Error(ErrorKind::invalid, "'limit': needs 1 or more");
  const auto filter = TRY(vectors::filter_member(json));
  const vectors::Parts parts = TRY(vectors::parts_member(json, {}));
  const vectors::Page page = TRY(handle.collection->scroll(from, static_cast<std::size_t>(limit),
                                                           filter ? &*filter : nullptr, parts));
  return vectors::to_json(page, parts);
}

Result<std::size_t> remove_where(hearth_collection& handle, std::string_view text) {
  const bool is_json = text.find_first_not_of(" \t\r\n") != text.npos &&
                       text[text.find_first_not_of(" \t\r\n")] == '{';
  Json wish{std::string(text)};
  if (is_json) wish = TRY(parse_json(text));
  const auto filter = TRY(vectors::filter_member(Json::object({{"filter", std::move(wish)}})));
  return handle.collection->remove_where(*filter);
}

Status reindex(hearth_collection& handle, const Json& json) {
  vectors::IndexChoice choice{TRY(required<std::string>(json, "kind")), Json::object()};
  for (const auto& [name, value] : json.as_object())
    if (name != "kind") choice.parameters.set(name, value);
  return handle.collection->reindex(choice, {}, {});
}

Result<Json> tune(hearth_collection& handle, const Json& json) {
  vectors::TuneOptions options;
  options.recall = TRY(optional<double>(json, "recall", options.recall));
  const auto queries = TRY(optional<std::int64_t>(json, "queries", std::int64_t{100}));
  options.queries = queries < 1 ? 0 : static_cast<std::size_t>(queries);
  return handle.collection->tune(options, {});
}

Status learn(hearth_collection& handle, const Json& json) {
  vectors::Feedback feedback = TRY(vectors::feedback_from_json(json));
  const std::string text = TRY(optional<std::string>(json, "query", ""));
  if (feedback.vector.empty() && !text.empty()) feedback.vector = TRY(embed_one(handle, text));
  return handle.collection->learn_from(feedback);
}

// Reads the request, calls `use` and gives its answer on.
template <typename Use>
hearth_status answer(const char* request, hearth_on_text on_answer, void* user, hearth_error* error,
                     Use use) {
  const auto json = parse_json(request);
  if (!json.ok()) return report(error, json.error());
  const Result<Json> made = use(*json);
  if (!made.ok()) return report(error, made.error());
  const std::string text = write_json(*made);
  on_answer(text.data(), text.size(), user);
  return HEARTH_OK;
}

hearth_status done(hearth_error* error, const Status& status) {
  return status.ok() ? HEARTH_OK : report(error, status.error());
}

}  // namespace
}  // namespace hearth

using namespace hearth;

hearth_status hearth_collection_open(const char* folder, const hearth_collection_options* given,
                                     hearth_collection** collection, hearth_error* error) {
  if (!folder || !collection)
    return report(error, HEARTH_INVALID, "hearth_collection_open: a NULL argument");
  const auto options = complete(given, hearth_collection_options HEARTH_COLLECTION_OPTIONS_INIT);
  auto opened = open(folder, options);
  if (!opened.ok()) return report(error, opened.error());
  *collection =
      new hearth_collection{std::move(*opened), options.model ? options.model->lease : Lease()};
  return HEARTH_OK;
}

void hearth_collection_close(hearth_collection* collection) { delete collection; }

hearth_status hearth_collection_upsert(hearth_collection* collection, const char* documents,
                                       hearth_error* error) {
  if (!collection || !documents)
    return report(error, HEARTH_INVALID, "hearth_collection_upsert: a NULL argument");
  Status done = upsert(*collection, documents);
  return done.ok() ? HEARTH_OK : report(error, done.error());
}

hearth_status hearth_collection_upsert_vectors(hearth_collection* collection,
                                               const char* const* ids, const float* numbers,
                                               size_t count, hearth_error* error) {
  if (!collection || (count > 0 && (!ids || !numbers)))
    return report(error, HEARTH_INVALID, "hearth_collection_upsert_vectors: a NULL argument");
  const std::size_t dim = collection->collection->schema().dim;
  std::vector<vectors::Document> documents(count);
  for (std::size_t i = 0; i < count; ++i) {
    documents[i].id = ids[i];
    documents[i].vector.assign(numbers + i * dim, numbers + (i + 1) * dim);
  }
  Status done = vectors::upsert(*collection->collection, std::move(documents));
  return done.ok() ? HEARTH_OK : report(error, done.error());
}

hearth_status hearth_collection_remove(hearth_collection* collection, const char* const* ids,
                                       size_t count, hearth_error* error) {
  if (!collection || (count > 0 && !ids))
    return report(error, HEARTH_INVALID, "hearth_collection_remove: a NULL argument");
  Status done = vectors::remove(*collection->collection, {ids, ids + count});
  return done.ok() ? HEARTH_OK : report(error, done.error());
}

hearth_status hearth_collection_search(hearth_collection* collection, const char* query,
                                       hearth_on_text on_answer, void* user, hearth_error* error) {
  if (!collection || !query || !on_answer)
    return report(error, HEARTH_INVALID, "hearth_collection_search: a NULL argument");
  return answer(query, on_answer, user, error,
                [&](const Json& json) { return search(*collection, json); });
}

hearth_status hearth_collection_get(hearth_collection* collection, const char* request,
                                    hearth_on_text on_answer, void* user, hearth_error* error) {
  if (!collection || !request || !on_answer)
    return report(error, HEARTH_INVALID, "hearth_collection_get: a NULL argument");
  return answer(request, on_answer, user, error,
                [&](const Json& json) { return get(*collection, json); });
}

hearth_status hearth_collection_scroll(hearth_collection* collection, const char* request,
                                       hearth_on_text on_answer, void* user, hearth_error* error) {
  if (!collection || !request || !on_answer)
    return report(error, HEARTH_INVALID, "hearth_collection_scroll: a NULL argument");
  return answer(request, on_answer, user, error,
                [&](const Json& json) { return scroll(*collection, json); });
}

hearth_status hearth_collection_remove_where(hearth_collection* collection, const char* filter,
                                             uint64_t* removed, hearth_error* error) {
  if (!collection || !filter)
    return report(error, HEARTH_INVALID, "hearth_collection_remove_where: a NULL argument");
  const auto count = remove_where(*collection, filter);
  if (!count.ok()) return report(error, count.error());
  if (removed) *removed = *count;
  return HEARTH_OK;
}

hearth_status hearth_collection_info(hearth_collection* collection, hearth_on_text on_answer,
                                     void* user, hearth_error* error) {
  if (!collection || !on_answer)
    return report(error, HEARTH_INVALID, "hearth_collection_info: a NULL argument");
  return answer("{}", on_answer, user, error, [&](const Json&) -> Result<Json> {
    return vectors::to_json(TRY(collection->collection->info()));
  });
}

hearth_status hearth_collection_reindex(hearth_collection* collection, const char* index,
                                        hearth_error* error) {
  if (!collection || !index)
    return report(error, HEARTH_INVALID, "hearth_collection_reindex: a NULL argument");
  const auto json = parse_json(index);
  if (!json.ok()) return report(error, json.error());
  return done(error, reindex(*collection, *json));
}

hearth_status hearth_collection_tune(hearth_collection* collection, const char* options,
                                     hearth_on_text on_answer, void* user, hearth_error* error) {
  if (!collection || !on_answer)
    return report(error, HEARTH_INVALID, "hearth_collection_tune: a NULL argument");
  return answer(options ? options : "{}", on_answer, user, error,
                [&](const Json& json) { return tune(*collection, json); });
}

hearth_status hearth_collection_feedback(hearth_collection* collection, const char* feedback,
                                         hearth_error* error) {
  if (!collection)
    return report(error, HEARTH_INVALID, "hearth_collection_feedback: a NULL argument");
  if (!feedback) return done(error, collection->collection->forget_feedback());
  const auto json = parse_json(feedback);
  if (!json.ok()) return report(error, json.error());
  return done(error, learn(*collection, *json));
}

hearth_status hearth_collection_snapshot(hearth_collection* collection, const char* folder,
                                         hearth_error* error) {
  if (!collection || !folder)
    return report(error, HEARTH_INVALID, "hearth_collection_snapshot: a NULL argument");
  return done(error, collection->collection->snapshot(folder));
}

hearth_status hearth_collection_count(hearth_collection* collection, uint64_t* count,
                                      hearth_error* error) {
  if (!collection || !count)
    return report(error, HEARTH_INVALID, "hearth_collection_count: a NULL argument");
  const auto counted = collection->collection->count(nullptr);
  if (!counted.ok()) return report(error, counted.error());
  *count = *counted;
  return HEARTH_OK;
}
