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

Result<std::string> search(const hearth_collection& handle, const char* text) {
  const Json json = TRY(parse_json(text));
  vectors::Query query = TRY(vectors::query_from_json(json));
  const std::string words = TRY(optional<std::string>(json, "query", ""));
  if (!words.empty()) {
    query.text = words;
    if (handle.model) query.vector = TRY(embed_one(handle, words));
  }
  Json matches = Json::array();
  for (const vectors::Match& match : TRY(handle.collection->search(query)))
    matches.push_back(vectors::to_json(match, query));
  return write_json(matches);
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
  const auto answer = search(*collection, query);
  if (!answer.ok()) return report(error, answer.error());
  on_answer(answer->data(), answer->size(), user);
  return HEARTH_OK;
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
