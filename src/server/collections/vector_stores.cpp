// /v1/vector_stores: OpenAI's face of collections.  Source: OpenAI API reference, "Vector stores".
//
// A store is a collection named by its id.  Each piece of a file is a document with the fields
// file_id, filename, chunk and attributes; the first piece tells what the file is.
#include <fmt/core.h>

#include <cmath>

#include "base/utf8.h"
#include "server/collections/files.h"
#include "server/collections/pool.h"
#include "server/reply.h"
#include "server/rows.h"
#include "vectors/store/wire.h"
#include "vectors/text/chunks.h"
#include "vectors/text/readable.h"

namespace hearth::server {
namespace {

using vectors::Access;
using vectors::Filter;

constexpr std::string_view prefix = "vs_", batch_prefix = "vsfb_";
constexpr std::size_t max_name_bytes = 256, max_attributes = 16, max_files = 500;
constexpr std::int64_t max_results = 50, standard_results = 10;
// OpenAI counts tokens; a token is taken for so many bytes.
constexpr std::int64_t bytes_per_token = 4;
constexpr std::int64_t standard_chunk_tokens = 300, standard_overlap_tokens = 40;

Problem no_such_store(std::string_view id) {
  return {404, "not_found", fmt::format("Vector store '{}' not found", printable(id)), "", 0};
}

Checked<OpenCollection> open_store(Service& service, const Call& call, Access access) {
  CollectionPool* pool = TRY(pool_of(service));
  const std::string& id = call.parts.at(0);
  if (!id.starts_with(prefix)) return no_such_store(id);
  auto opened = pool->open(id, access);
  if (!opened.ok() && (opened.error().kind() == ErrorKind::not_found ||
                       opened.error().kind() == ErrorKind::invalid))
    return no_such_store(id);
  return TRY(std::move(opened));
}

Filter equal(std::string field, Json value) {
  return {Filter::Op::equal, std::move(field), std::move(value), {}};
}
Filter both(Filter a, Filter b) { return {Filter::Op::all, "", {}, {std::move(a), std::move(b)}}; }

// The first piece of every file, oldest first.
Checked<std::vector<vectors::Document>> first_pieces(const vectors::Collection& store) {
  const Filter first = equal("chunk", 0);
  std::vector<vectors::Document> found;
  std::string from;
  do {
    vectors::Page page = TRY(store.scroll(from, 1000, &first, {.text = false}));
    for (auto& document : page.documents) found.push_back(std::move(document));
    from = std::move(page.next);
  } while (!from.empty());
  return found;
}

Json member(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value ? *value : Json();
}

Checked<Json> describe(const vectors::Collection& store) {
  const vectors::CollectionInfo info = TRY(store.info());
  const Json& extra = info.schema.extra;
  const std::size_t files = TRY(first_pieces(store)).size();
  return Json::object({{"id", info.name},
                       {"object", "vector_store"},
                       {"created_at", member(extra, "created_at")},
                       {"name", member(extra, "name")},
                       {"usage_bytes", info.disk_bytes + info.log_bytes},
                       {"file_counts", Json::object({{"in_progress", 0},
                                                     {"completed", files},
                                                     {"failed", 0},
                                                     {"cancelled", 0},
                                                     {"total", files}})},
                       {"status", "completed"},
                       {"expires_at", nullptr},
                       {"last_active_at", unix_seconds()},
                       {"metadata", member(extra, "metadata")}});
}

Json describe_file(const vectors::Document& first, const std::string& store) {
  return Json::object({{"id", member(first.metadata, "file_id")},
                       {"object", "vector_store.file"},
                       {"usage_bytes", member(first.metadata, "bytes")},
                       {"created_at", member(first.metadata, "created_at")},
                       {"vector_store_id", store},
                       {"status", "completed"},
                       {"last_error", nullptr},
                       {"chunking_strategy", member(first.metadata, "chunking_strategy")},
                       {"attributes", member(first.metadata, "attributes")}});
}

Checked<Json> read_attributes(const Json& body, std::string_view name) {
  const Json* given = body.find(name);
  if (!given || given->is_null()) return Json::object();
  if (!given->is_object() || given->size() > max_attributes)
    return invalid_value(name, fmt::format("needs an object of at most {} values", max_attributes));
  for (const auto& [key, value] : given->as_object())
    if (!value.is_string() && !value.is_number() && !value.is_bool())
      return invalid_value(name, fmt::format("'{}' is no text, number or truth", printable(key)));
  return *given;
}

struct Chunking {
  vectors::ChunkOptions options;
  Json told;
};
Checked<Chunking> read_chunking(const Json& body) {
  std::int64_t size = standard_chunk_tokens, overlap = standard_overlap_tokens;
  const Json* given = body.find("chunking_strategy");
  if (given && member(*given, "type") == Json("static")) {
    const Json* wish = given->find("static");
    if (!wish || !wish->is_object()) return invalid_value("chunking_strategy", "needs 'static'");
    size = TRY(read_integer(*wish, "max_chunk_size_tokens", 100, 4096)).value_or(800);
    overlap = TRY(read_integer(*wish, "chunk_overlap_tokens", 0, size / 2)).value_or(size / 2);
  }
  Chunking chunking;
  chunking.options = {static_cast<std::size_t>(size * bytes_per_token),
                      static_cast<std::size_t>(overlap * bytes_per_token)};
  chunking.told = Json::object({{"type", "static"},
                                {"static", Json::object({{"max_chunk_size_tokens", size},
                                                         {"chunk_overlap_tokens", overlap}})}});
  return chunking;
}

struct Attachment {
  std::string file_id;
  Json attributes;
  Chunking chunking;
  std::string batch = {};  // its id; empty: it comes by itself
};

// The pieces of the file become documents, in the place of those it had, as one.
Checked<Json> attach(Service& service, const Call& call, vectors::Collection& store,
                     const Attachment& wish) {
  const StoredFile file = TRY(find_file(service, wish.file_id, call.tenant));
  const auto text =
      vectors::readable_text(TRY(read_stored_file(service, file)), call.responder->stop());
  if (!text)
    return Problem{400, "unsupported_file", "the file is " + text.error().message(), "file_id", 0};
  const auto chunks = vectors::split_text(*text, wish.chunking.options);
  if (chunks.empty()) return Problem{400, "unsupported_file", "the file is empty", "file_id", 0};
  vectors::Batch batch;
  std::vector<std::string> texts;
  for (const vectors::Chunk& chunk : chunks) {
    vectors::Document document;
    document.id = fmt::format("{}#{}", file.id, batch.upserts.size());
    document.text = chunk.text;
    document.metadata = Json::object({{"file_id", file.id},
                                      {"filename", file.name},
                                      {"chunk", batch.upserts.size()},
                                      {"attributes", wish.attributes}});
    if (batch.upserts.empty()) {
      document.metadata.set("bytes", file.bytes);
      document.metadata.set("created_at", unix_seconds());
      document.metadata.set("chunking_strategy", wish.chunking.told);
      if (!wish.batch.empty()) document.metadata.set("batch", wish.batch);
    }
    texts.push_back(chunk.heading.empty() ? chunk.text : chunk.heading + "\n" + chunk.text);
    batch.upserts.push_back(std::move(document));
  }
  auto made = TRY(embed_for(service, store.schema(), texts, call.responder->stop()));
  for (std::size_t i = 0; i < made.size(); ++i) batch.upserts[i].vector = std::move(made[i]);
  const Filter of_file = equal("file_id", file.id);
  const Filter beyond{Filter::Op::at_least, "chunk", Json(batch.upserts.size()), {}};
  const Filter stale = both(of_file, beyond);
  const vectors::Page old = TRY(store.scroll("", 10'000, &stale, {false, false, false}));
  for (const vectors::Document& document : old.documents) batch.removals.push_back(document.id);
  TRY(store.write(batch));
  return describe_file(batch.upserts[0], store.name());
}

Checked<std::vector<std::string>> read_file_ids(const Json& body) {
  std::vector<std::string> ids;
  const Json* list = body.find("file_ids");
  if (!list || list->is_null()) return ids;
  if (!list->is_array() || list->size() > max_files)
    return invalid_value("file_ids", fmt::format("needs a list of at most {}", max_files));
  for (const Json& id : list->as_array()) {
    if (!id.is_string()) return invalid_value("file_ids", "holds what is no text");
    ids.push_back(id.as_string());
  }
  return ids;
}

Check refuse_expiry(const Json& body) {
  const Json* expiry = body.find("expires_after");
  if (!expiry || expiry->is_null()) return Done{};
  return invalid_value("expires_after", "is not done here: a store stays until it is deleted");
}

Checked<Json> create(Service& service, const Call& call) {
  CollectionPool* pool = TRY(pool_of(service));
  const Json body = TRY(parse_body(call.request.body.empty() ? "{}" : call.request.body));
  const auto name = TRY(read_text(body, "name", max_name_bytes));
  const Json metadata = TRY(read_attributes(body, "metadata"));
  const auto file_ids = TRY(read_file_ids(body));
  const Chunking chunking = TRY(read_chunking(body));
  TRY(refuse_expiry(body));
  const auto model = TRY(read_text(body, "model", max_name_bytes));  // ours: which one embeds
  const Lease lease = TRY(service.find_model(model.value_or(std::string(builtin_embedder))));
  for (const std::string& id : file_ids) TRY(find_file(service, id, call.tenant));
  vectors::Schema schema;
  schema.dim = static_cast<std::size_t>(lease->model().embedding_dim());
  schema.embedder = lease->id;
  schema.extra = Json::object({{"name", name ? Json(*name) : Json()},
                               {"created_at", unix_seconds()},
                               {"metadata", metadata}});
  const OpenCollection store = TRY(pool->create(fresh_id(prefix), schema));
  for (const std::string& id : file_ids)
    TRY(attach(service, call, *store, {id, Json::object(), chunking, {}}));
  return describe(*store);
}

Checked<Json> list(Service& service, const Call& call) {
  CollectionPool* pool = TRY(pool_of(service));
  std::vector<Json> items;
  for (const std::string& name : pool->names()) {
    if (!name.starts_with(prefix)) continue;
    const auto store = pool->open(name, Access::read);
    if (store.ok()) items.push_back(TRY(describe(**store)));
  }
  std::sort(items.begin(), items.end(), [](const Json& a, const Json& b) {
    const double x = a.find("created_at")->as_number(), y = b.find("created_at")->as_number();
    return x != y ? x < y : a.find("id")->as_string() < b.find("id")->as_string();
  });
  return list_page(call, std::move(items));
}

Checked<Json> show(Service& service, const Call& call) {
  return describe(*TRY(open_store(service, call, Access::read)));
}

Checked<Json> update(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const OpenCollection store = TRY(open_store(service, call, Access::write));
  TRY(refuse_expiry(body));
  Json extra = store->schema().extra;
  if (const auto name = TRY(read_text(body, "name", max_name_bytes))) extra.set("name", *name);
  if (body.find("metadata")) extra.set("metadata", TRY(read_attributes(body, "metadata")));
  TRY(store->set_extra(extra));
  return describe(*store);
}

Checked<Json> remove(Service& service, const Call& call) {
  TRY(open_store(service, call, Access::read));
  CollectionPool* pool = TRY(pool_of(service));
  TRY(pool->remove(call.parts.at(0)));
  return Json::object(
      {{"id", call.parts[0]}, {"object", "vector_store.deleted"}, {"deleted", true}});
}

Checked<Json> add_file(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const auto id = TRY(read_text(body, "file_id", 64));
  if (!id) return invalid_value("file_id", "is missing");
  Attachment wish;
  wish.file_id = *id;
  wish.attributes = TRY(read_attributes(body, "attributes"));
  wish.chunking = TRY(read_chunking(body));
  const OpenCollection store = TRY(open_store(service, call, Access::write));
  return attach(service, call, *store, wish);
}

Checked<vectors::Document> find_first(const vectors::Collection& store, const std::string& file) {
  const std::vector<std::string> ids{file + "#0"};
  auto found = TRY(store.get(ids, {.vector = true}));
  if (found.empty())
    return Problem{404, "not_found",
                   fmt::format("No file '{}' in vector store '{}'", printable(file), store.name()),
                   "", 0};
  return std::move(found[0]);
}

Checked<Json> show_file(Service& service, const Call& call) {
  const OpenCollection store = TRY(open_store(service, call, Access::read));
  return describe_file(TRY(find_first(*store, call.parts.at(1))), store->name());
}

Checked<Json> list_files(Service& service, const Call& call) {
  const OpenCollection store = TRY(open_store(service, call, Access::read));
  std::vector<Json> items;
  for (const vectors::Document& first : TRY(first_pieces(*store)))
    items.push_back(describe_file(first, store->name()));
  return list_page(call, std::move(items));
}

Checked<std::vector<vectors::Document>> pieces_of(const vectors::Collection& store,
                                                  const std::string& file, bool has_vectors) {
  TRY(find_first(store, file));
  const Filter filter = equal("file_id", file);
  auto page = TRY(store.scroll("", 10'000, &filter, {.vector = has_vectors}));
  std::sort(page.documents.begin(), page.documents.end(), [](const auto& a, const auto& b) {
    return member(a.metadata, "chunk").as_number() < member(b.metadata, "chunk").as_number();
  });
  return std::move(page.documents);
}

Checked<Json> update_file(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const Json attributes = TRY(read_attributes(body, "attributes"));
  const OpenCollection store = TRY(open_store(service, call, Access::write));
  vectors::Batch batch;
  batch.upserts = TRY(pieces_of(*store, call.parts.at(1), true));
  for (vectors::Document& document : batch.upserts) document.metadata.set("attributes", attributes);
  TRY(store->write(batch));
  return describe_file(batch.upserts.at(0), store->name());
}

Checked<Json> remove_file(Service& service, const Call& call) {
  const OpenCollection store = TRY(open_store(service, call, Access::write));
  TRY(find_first(*store, call.parts.at(1)));
  TRY(store->remove_where(equal("file_id", call.parts[1])));
  return Json::object(
      {{"id", call.parts[1]}, {"object", "vector_store.file.deleted"}, {"deleted", true}});
}

Checked<Json> file_content(Service& service, const Call& call) {
  const OpenCollection store = TRY(open_store(service, call, Access::read));
  Json data = Json::array();
  for (const vectors::Document& piece : TRY(pieces_of(*store, call.parts.at(1), false)))
    data.push_back(Json::object({{"type", "text"}, {"text", piece.text}}));
  return Json::object({{"object", "vector_store.file_content.page"},
                       {"data", std::move(data)},
                       {"has_more", false},
                       {"next_page", nullptr}});
}

Json batch_json(const std::string& id, const Json& created, const std::string& store,
                std::size_t files) {
  return Json::object({{"id", id},
                       {"object", "vector_store.file_batch"},
                       {"created_at", created},
                       {"vector_store_id", store},
                       {"status", "completed"},
                       {"file_counts", Json::object({{"in_progress", 0},
                                                     {"completed", files},
                                                     {"failed", 0},
                                                     {"cancelled", 0},
                                                     {"total", files}})}});
}

// Every file is there, or none of those behind the first that fails: batches are done when they
// are answered, and their files remember them.
Checked<Json> add_batch(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const auto ids = TRY(read_file_ids(body));
  if (ids.empty()) return invalid_value("file_ids", "is missing");
  const Json attributes = TRY(read_attributes(body, "attributes"));
  const Chunking chunking = TRY(read_chunking(body));
  const OpenCollection store = TRY(open_store(service, call, Access::write));
  for (const std::string& id : ids) TRY(find_file(service, id, call.tenant));
  const std::string batch = fresh_id(batch_prefix);
  for (const std::string& id : ids)
    TRY(attach(service, call, *store, {id, attributes, chunking, batch}));
  return batch_json(batch, unix_seconds(), store->name(), ids.size());
}

Checked<std::vector<vectors::Document>> files_of_batch(const vectors::Collection& store,
                                                       const std::string& batch) {
  std::vector<vectors::Document> found = TRY(first_pieces(store));
  std::erase_if(found, [&](const vectors::Document& first) {
    return member(first.metadata, "batch") != Json(batch);
  });
  if (!batch.starts_with(batch_prefix) || found.empty())
    return Problem{404, "not_found", fmt::format("No such file batch '{}'", printable(batch)), "",
                   0};
  return found;
}

Checked<Json> show_batch(Service& service, const Call& call) {
  const OpenCollection store = TRY(open_store(service, call, Access::read));
  const auto files = TRY(files_of_batch(*store, call.parts.at(1)));
  return batch_json(call.parts[1], member(files[0].metadata, "created_at"), store->name(),
                    files.size());
}

Checked<Json> list_batch(Service& service, const Call& call) {
  const OpenCollection store = TRY(open_store(service, call, Access::read));
  std::vector<Json> items;
  for (const vectors::Document& first : TRY(files_of_batch(*store, call.parts.at(1))))
    items.push_back(describe_file(first, store->name()));
  return list_page(call, std::move(items));
}

// Conditions are about attributes.
void point_to_attributes(Filter& filter) {
  if (!filter.field.empty()) filter.field = "attributes." + filter.field;
  for (Filter& part : filter.parts) point_to_attributes(part);
}

Checked<std::string> read_search_text(const Json& body) {
  const Json* query = body.find("query");
  std::string text;
  if (query && query->is_array())
    for (const Json& part : query->as_array())
      text += part.is_string() ? (text.empty() ? "" : " ") + part.as_string() : "";
  else
    text = TRY(read_text(body, "query", 64 << 10)).value_or("");
  if (text.empty()) return invalid_value("query", "is missing");
  return text;
}

struct Ranking {
  double threshold = 0;
  std::string model;  // a served cross-encoder; empty: none
};
Checked<Ranking> read_ranking(const Json& body) {
  Ranking ranking;
  const Json* given = body.find("ranking_options");
  if (!given || !given->is_object()) return ranking;
  ranking.threshold = TRY(read_number(*given, "score_threshold", {0, 1})).value_or(0);
  const std::string ranker = TRY(read_text(*given, "ranker", max_name_bytes)).value_or("auto");
  // Those are OpenAI's own names.
  if (ranker != "auto" && ranker != "none" && !ranker.starts_with("default-"))
    ranking.model = ranker;
  return ranking;
}

Checked<Json> search(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const std::string text = TRY(read_search_text(body));
  vectors::Query query;
  query.text = text;
  query.k = static_cast<std::size_t>(
      TRY(read_integer(body, "max_num_results", 1, max_results)).value_or(standard_results));
  if (const Json* filters = body.find("filters"); filters && !filters->is_null()) {
    query.filter = TRY(vectors::filter_from_json(*filters));
    point_to_attributes(*query.filter);
  }
  const Ranking ranking = TRY(read_ranking(body));
  const OpenCollection store = TRY(open_store(service, call, Access::read));
  query.vector =
      std::move(TRY(embed_for(service, store->schema(), {text}, call.responder->stop())).at(0));
  const bool is_ranked = !ranking.model.empty();
  const std::size_t k = query.k;
  if (is_ranked) query.k *= reranked_share;
  std::vector<vectors::Match> matches = TRY(store->search(query));
  if (is_ranked) TRY(rerank_for(service, ranking.model, text, k, matches, call.responder->stop()));
  Json data = Json::array();
  for (const vectors::Match& match : matches) {
    // A cross-encoder's log-odds, or fused ranks, so that the first of both searches has 1.
    const double score = is_ranked ? 1 / (1 + std::exp(-match.score)) : match.score * (60 + 1) / 2;
    if (score < ranking.threshold) continue;
    const Json& metadata = match.document.metadata;
    data.push_back(Json::object(
        {{"file_id", member(metadata, "file_id")},
         {"filename", member(metadata, "filename")},
         {"score", score},
         {"attributes", member(metadata, "attributes")},
         {"content",
          Json(Json::Array{Json::object({{"type", "text"}, {"text", match.document.text}})})}}));
  }
  return Json::object({{"object", "vector_store.search_results.page"},
                       {"search_query", Json(Json::Array{Json(text)})},
                       {"data", std::move(data)},
                       {"has_more", false},
                       {"next_page", nullptr}});
}

constexpr auto on_worker = Endpoint::Place::embedder;

constexpr Endpoint rows[] = {
    {"POST", "/v1/vector_stores", "Make a vector store.", Scope::collections, "VectorStoreCreate",
     "VectorStore", on_worker, reply_json<create>},
    {"GET", "/v1/vector_stores", "List the vector stores.", Scope::collections, "",
     "VectorStoreList", on_worker, reply_json<list>},
    {"GET", "/v1/vector_stores/{vector_store_id}", "What a vector store is.", Scope::collections,
     "", "VectorStore", on_worker, reply_json<show>},
    {"POST", "/v1/vector_stores/{vector_store_id}", "Change its name or metadata.",
     Scope::collections, "VectorStoreCreate", "VectorStore", on_worker, reply_json<update>},
    {"DELETE", "/v1/vector_stores/{vector_store_id}", "Delete a vector store.", Scope::collections,
     "", "Deleted", on_worker, reply_json<remove>},
    {"POST", "/v1/vector_stores/{vector_store_id}/search", "Search a vector store.",
     Scope::collections, "VectorStoreSearch", "VectorStoreResults", on_worker, reply_json<search>},
    {"POST", "/v1/vector_stores/{vector_store_id}/files", "Put an uploaded file into a store.",
     Scope::collections, "VectorStoreFileCreate", "VectorStoreFile", on_worker,
     reply_json<add_file>},
    {"GET", "/v1/vector_stores/{vector_store_id}/files", "List the files of a store.",
     Scope::collections, "", "VectorStoreFileList", on_worker, reply_json<list_files>},
    {"GET", "/v1/vector_stores/{vector_store_id}/files/{file_id}", "A file of a store.",
     Scope::collections, "", "VectorStoreFile", on_worker, reply_json<show_file>},
    {"POST", "/v1/vector_stores/{vector_store_id}/files/{file_id}", "Change its attributes.",
     Scope::collections, "VectorStoreFileUpdate", "VectorStoreFile", on_worker,
     reply_json<update_file>},
    {"DELETE", "/v1/vector_stores/{vector_store_id}/files/{file_id}", "Take a file out of a store.",
     Scope::collections, "", "Deleted", on_worker, reply_json<remove_file>},
    {"GET", "/v1/vector_stores/{vector_store_id}/files/{file_id}/content", "The pieces of a file.",
     Scope::collections, "", "VectorStoreFileContent", on_worker, reply_json<file_content>},
    {"POST", "/v1/vector_stores/{vector_store_id}/file_batches", "Put several files into a store.",
     Scope::collections, "VectorStoreBatchCreate", "VectorStoreBatch", on_worker,
     reply_json<add_batch>},
    {"GET", "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}", "How far a batch is.",
     Scope::collections, "", "VectorStoreBatch", on_worker, reply_json<show_batch>},
    {"GET", "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files",
     "List the files of a batch.", Scope::collections, "", "VectorStoreFileList", on_worker,
     reply_json<list_batch>},
    {"POST", "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel",
     "A batch is done when it is answered: says so.", Scope::collections, "", "VectorStoreBatch",
     on_worker, reply_json<show_batch>},
};

}  // namespace

std::span<const Endpoint> vector_store_rows() { return rows; }

}  // namespace hearth::server
