// The OpenAPI schemas of /api/collections, /v1/vector_stores and /v1/files.
#include "server/schemas.h"

namespace hearth::server::schema {
namespace {

Json text() { return type("string"); }
Json number(std::string_view help) { return type("number", help); }
Json truth(std::string_view help) { return type("boolean", help); }

Json filter() {
  return type("object", "{\"year\": {\"$gte\": 2020}}, or a text such as year >= 2020.");
}
Json include() { return list_of(type("string", "vector, text, metadata")); }

void add_documents(Json& all) {
  all.set("CollectionDocument",
          object_of(Json::object({{"id", text()},
                                  {"vector", list_of(number("Made of the text when absent."))},
                                  {"text", text()},
                                  {"metadata", type("object")}}),
                    {"id"}));
  all.set("CollectionDocuments",
          object_of(Json::object({{"documents", list_of(reference("CollectionDocument"))}}),
                    {"documents"}));
  all.set("CollectionWritten", object_of(Json::object({{"written", type("integer")}})));
  all.set("CollectionRemoved", object_of(Json::object({{"removed", type("integer")}})));
  all.set("CollectionCounted", object_of(Json::object({{"count", type("integer")}})));
  all.set("CollectionGet",
          object_of(Json::object({{"ids", list_of(text())}, {"include", include()}}), {"ids"}));
  all.set("CollectionDelete",
          object_of(Json::object({{"ids", list_of(text())}, {"filter", filter()}})));
  all.set("CollectionCount", object_of(Json::object({{"filter", filter()}})));
  all.set("CollectionScroll",
          object_of(Json::object({{"from", type("string", "The `next` of the page before.")},
                                  {"limit", whole(1, 1000, "100 when absent.")},
                                  {"filter", filter()},
                                  {"include", include()}})));
  all.set("CollectionPage",
          object_of(Json::object({{"documents", list_of(reference("CollectionDocument"))},
                                  {"next", type("string", "null: the end.")}})));
}

void add_queries(Json& all) {
  all.set("CollectionQuery",
          object_of(Json::object(
              {{"query", type("string", "A text: found by its words and its meaning.")},
               {"by", type("string", "both, words or vector: how `query` is looked for.")},
               {"vector", list_of(number(""))},
               {"text", type("string", "Words alone.")},
               {"k", whole(1, 10'000, "10 when absent.")},
               {"filter", filter()},
               {"max_distance", number("Answers farther away are left out.")},
               {"target_recall", number("The share of the true nearest that is enough.")},
               {"breadth", type("integer", "The index's own knob, in place of target_recall.")},
               {"exact", truth("Compare with every document.")},
               {"mmr", number("Vary the answers: 1: not at all, 0: as much as can be.")},
               {"group_by", type("string", "A field: so many answers of each of its values.")},
               {"group_size", type("integer")},
               {"include", include()},
               {"rerank", type("string", "A served cross-encoder that orders the answers.")},
               {"queries", list_of(type("object", "Several queries in one request."))}})));
  const Json match = object_of(Json::object({{"id", text()},
                                             {"score", number("Greater is better.")},
                                             {"distance", number("By the collection's metric.")},
                                             {"text", text()},
                                             {"metadata", type("object")}}));
  all.set("CollectionMatch", match);
  all.set("CollectionAnswer",
          object_of(Json::object({{"matches", list_of(reference("CollectionMatch"))}})));
}

void add_collection_itself(Json& all) {
  all.set("CollectionCreate",
          object_of(Json::object(
                        {{"name", text()},
                         {"model", type("string", "Makes the vectors; builtin-embed when absent.")},
                         {"snapshot", type("string", "Restores this one; nothing else is needed.")},
                         {"dim", type("integer", "Length of vectors that you give; no model.")},
                         {"metric", type("string", "cosine, l2 or inner_product.")},
                         {"index", type("object", "{\"kind\": \"hnsw\", \"m\": 32}")},
                         {"fields", type("object", "{\"year\": \"number\"}: checked types.")}}),
                    {"name"}));
  all.set("Collection", object_of(Json::object({{"name", text()},
                                                {"documents", type("integer")},
                                                {"schema", type("object")},
                                                {"index", type("object")},
                                                {"segments", type("integer")},
                                                {"unindexed", type("integer")},
                                                {"tiers", type("object", "hot, warm, cold")},
                                                {"disk_bytes", type("integer")},
                                                {"synced", truth("A write survives power loss.")},
                                                {"recall", type("object", "As sampled.")},
                                                {"tuning", type("object")}})));
  all.set("CollectionList",
          object_of(Json::object({{"collections", list_of(reference("Collection"))},
                                  {"snapshots", list_of(text())}})));
  all.set("CollectionReindex",
          object_of(Json::object({{"kind", text()},
                                  {"m", type("integer", "And other parameters of the kind.")}}),
                    {"kind"}));
  all.set("CollectionTune",
          object_of(Json::object({{"recall", number("0.95 when absent.")},
                                  {"queries", whole(1, 10'000, "100 when absent.")}})));
  all.set("CollectionTuned",
          object_of(Json::object({{"recall", number("Asked for.")},
                                  {"measured", number("Reached.")},
                                  {"target", number("What the index is asked for from now on.")},
                                  {"queries_per_second", number("One query at a time.")},
                                  {"table", list_of(type("object", "Every target measured."))}})));
  all.set("CollectionFeedback",
          object_of(Json::object({{"query", type("string", "The text that was asked.")},
                                  {"vector", list_of(number("In place of it."))},
                                  {"relevant", list_of(type("string", "Ids of documents."))},
                                  {"irrelevant", list_of(text())}})));
  all.set("CollectionLearned", object_of(Json::object({{"learned", truth("")}})));
  all.set("CollectionForgotten", object_of(Json::object({{"forgotten", truth("")}})));
  all.set("CollectionGone", object_of(Json::object({{"name", text()}, {"removed", truth("")}})));
  all.set("CollectionSnapshotMade",
          object_of(Json::object({{"name", text()}, {"snapshot", text()}})));
  all.set("CollectionSnapshot",
          object_of(Json::object({{"label", type("string", "The time when absent.")}})));
}

void add_vector_stores(Json& all) {
  all.set("File", object_of(Json::object({{"id", text()},
                                          {"object", text()},
                                          {"bytes", type("integer")},
                                          {"created_at", type("integer")},
                                          {"filename", text()},
                                          {"purpose", text()}})));
  all.set("FileList",
          object_of(Json::object({{"object", text()}, {"data", list_of(reference("File"))}})));
  all.set("VectorStoreCreate",
          object_of(Json::object(
              {{"name", text()},
               {"file_ids", list_of(text())},
               {"metadata", type("object")},
               {"chunking_strategy", type("object")},
               {"model", type("string", "Makes the vectors; builtin-embed when absent.")}})));
  all.set("VectorStore", object_of(Json::object({{"id", text()},
                                                 {"object", text()},
                                                 {"created_at", type("integer")},
                                                 {"name", text()},
                                                 {"usage_bytes", type("integer")},
                                                 {"file_counts", type("object")},
                                                 {"status", text()},
                                                 {"metadata", type("object")}})));
  all.set(
      "VectorStoreList",
      object_of(Json::object({{"object", text()}, {"data", list_of(reference("VectorStore"))}})));
  all.set("VectorStoreFileCreate", object_of(Json::object({{"file_id", text()},
                                                           {"attributes", type("object")},
                                                           {"chunking_strategy", type("object")}}),
                                             {"file_id"}));
  all.set("VectorStoreFile", object_of(Json::object({{"id", text()},
                                                     {"object", text()},
                                                     {"vector_store_id", text()},
                                                     {"status", text()},
                                                     {"attributes", type("object")}})));
  all.set("VectorStoreFileList",
          object_of(
              Json::object({{"object", text()}, {"data", list_of(reference("VectorStoreFile"))}})));
  all.set("VectorStoreFileUpdate", object_of(Json::object({{"attributes", type("object")}})));
  all.set("VectorStoreFileContent",
          object_of(Json::object({{"object", text()}, {"data", list_of(type("object"))}})));
  all.set("VectorStoreBatchCreate", object_of(Json::object({{"file_ids", list_of(text())},
                                                            {"attributes", type("object")},
                                                            {"chunking_strategy", type("object")}}),
                                              {"file_ids"}));
  all.set("VectorStoreBatch", object_of(Json::object({{"id", text()},
                                                      {"object", text()},
                                                      {"vector_store_id", text()},
                                                      {"status", text()},
                                                      {"file_counts", type("object")}})));
  all.set(
      "Deleted",
      object_of(Json::object({{"id", text()}, {"object", text()}, {"deleted", type("boolean")}})));
  all.set("VectorStoreSearch",
          object_of(Json::object({{"query", any_of({text(), list_of(text())})},
                                  {"max_num_results", whole(1, 50, "10 when absent.")},
                                  {"filters", type("object", "About attributes.")},
                                  {"ranking_options",
                                   type("object", "score_threshold; ranker: a cross-encoder")}}),
                    {"query"}));
  all.set("VectorStoreResults", object_of(Json::object({{"object", text()},
                                                        {"search_query", list_of(text())},
                                                        {"data", list_of(type("object"))},
                                                        {"has_more", type("boolean")}})));
}

}  // namespace

void add_collections(Json& all) {
  add_collection_itself(all);
  add_documents(all);
  add_queries(all);
  add_vector_stores(all);
}

}  // namespace hearth::server::schema
