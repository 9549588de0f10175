// Collection: documents with vectors, found by nearness, words and metadata.  An interface: the one
// here lives in a folder (local.h); one behind a database may stand beside it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "vectors/index.h"
#include "vectors/store/filter.h"
#include "vectors/store/schema.h"

namespace hearth::vectors {

struct Document {
  std::string id;
  std::vector<float> vector;  // [dim], all finite
  std::string text;
  Json metadata = Json::object();
};

// What of a document is wanted.
struct Parts {
  bool vector = false, text = true, metadata = true;
};

// Done as one: after a crash either all of it or nothing is there.  Removals come first.
struct Batch {
  std::vector<Document> upserts;  // of one id, the last one counts
  std::vector<std::string> removals;
};

struct Match {
  Document document;
  float distance = 0;  // by the collection's metric: smaller is nearer
  double score = 0;    // greater is better: of one kind within an answer
  Json group;          // of its group_by field
};

struct Query {
  std::vector<float> vector;  // empty: by text alone
  std::string text;           // words to look for, fused with the vector's answer; empty: none
  std::optional<Filter> filter;
  std::size_t k = 10;
  std::optional<float> max_distance;  // radius
  std::optional<float> target_recall;
  std::size_t breadth = 0;    // see SearchOptions
  std::optional<double> mmr;  // 0: as different as can be, 1: as near; answers are varied by it
  std::string group_by;       // at most `group_size` answers of each value of this field
  std::size_t group_size = 1;
  bool is_exact = false;  // compare with every document
  Parts parts;
};

struct Page {
  std::vector<Document> documents;  // in the order they were written
  std::string next;                 // where to go on; empty: the end
};

struct TierInfo {
  std::string name;  // "hot", "warm", "cold"
  std::size_t segments = 0;
  std::uint64_t bytes = 0;
};

struct CollectionInfo {
  std::string name;
  std::string folder;
  Schema schema;
  std::size_t documents = 0;
  std::size_t segments = 0, removed = 0;  // removed: places that compaction will give back
  std::vector<TierInfo> tiers;            // of the segments
  std::size_t unindexed = 0;  // documents not in the index yet, which every search looks through
  std::uint64_t disk_bytes = 0, log_bytes = 0;
  std::uint64_t truncated_log_bytes = 0;  // unfinished writes dropped when it was opened
  bool is_read_only = false;
  bool is_synced = true;  // false: a loss of power may take the writes of the last second
  IndexInfo index;
  Json tuning;          // null: not tuned
  Json recall;          // sampled: {"recall": 0.97, "queries": 50, ...}; null: not yet
  std::string problem;  // what background work failed with, last
};

struct TuneOptions {
  double recall = 0.95;
  std::size_t queries = 100, k = 10;
};

// What somebody thought of answers: the index learns from it, within bounds.
struct Feedback {
  std::vector<float> vector;                      // of the query
  std::vector<std::string> relevant, irrelevant;  // ids
};

using OnShare = std::function<void(double share)>;  // 0 to 1

// Thread-safe.  A write that has returned survives crashes and losses of power (see StoreOptions).
class Collection {
 public:
  virtual ~Collection() = default;

  virtual const std::string& name() const = 0;
  virtual Schema schema() const = 0;
  virtual Result<CollectionInfo> info() const = 0;

  // Errors: invalid (names the document), exhausted (disk full: nothing is changed, and it may work
  // later), unavailable (opened for reading only), io (reading goes on; writing needs a reopening).
  virtual Status write(const Batch& batch) = 0;
  virtual Result<std::size_t> remove_where(const Filter& filter) = 0;  // how many

  // Those that there are, in the order asked for.
  virtual Result<std::vector<Document>> get(std::span<const std::string> ids,
                                            const Parts& parts) const = 0;
  virtual Result<Page> scroll(std::string_view from, std::size_t limit, const Filter* filter,
                              const Parts& parts) const = 0;
  virtual Result<std::size_t> count(const Filter* filter) const = 0;
  // Best first.
  virtual Result<std::vector<Match>> search(const Query& query) const = 0;
  virtual Result<std::vector<std::vector<Match>>> search_batch(
      std::span<const Query> queries) const = 0;

  // Another index over the same documents, built while reads and writes go on.  done may be empty.
  virtual Status reindex(const IndexChoice& choice, const OnShare& done, std::stop_token stop) = 0;
  // Error unsupported: an index of this kind learns nothing.
  virtual Status learn_from(const Feedback& feedback) = 0;
  virtual Status forget_feedback() = 0;
  // Measures recall on held-out vectors and sets what a target recall means from now on.
  virtual Result<Json> tune(const TuneOptions& options, std::stop_token stop) = 0;
  // Replaces Schema::extra.
  virtual Status set_extra(const Json& extra) = 0;
  // A copy of this moment as a collection of its own in `folder`, which must not exist.
  virtual Status snapshot(const std::string& folder) = 0;
  // Background work that is due, done now.
  virtual Status maintain(std::stop_token stop) = 0;
};

inline Status upsert(Collection& collection, std::vector<Document> documents) {
  return collection.write({std::move(documents), {}});
}
inline Status remove(Collection& collection, std::vector<std::string> ids) {
  return collection.write({{}, std::move(ids)});
}

}  // namespace hearth::vectors
