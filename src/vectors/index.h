// What every vector index can do.  An index holds rows: small numbers that the store gives out, one
// for each vector; the store maps them to documents.  It knows nothing of texts, metadata or files'
// places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::vectors {

using Row = std::uint32_t;

// Distances: smaller is nearer.  l2: squared Euclidean; inner_product: minus the product;
// cosine: one minus the cosine (the index normalises; a zero vector is at distance one of all).
enum class Metric { l2, inner_product, cosine };

struct Hit {
  Row row;
  float distance;
  friend bool operator==(const Hit&, const Hit&) = default;
};

// Where the arrays of an index that was saved are when it is opened.
enum class Residence {
  loaded,  // in memory
  mapped,  // in the file; they are read when they are first touched
};

// Which rows may be answered: bit r of words[r / 64].  Rows past the end are not allowed.
struct RowFilter {
  std::span<const std::uint64_t> words;
  std::size_t allowed_rows;  // how many bits are set

  bool allows(Row row) const {
    return row / 64 < words.size() && (words[row / 64] >> (row % 64) & 1) != 0;
  }
};

struct SearchOptions {
  std::size_t k = 10;
  // Rows farther than this are left out (radius search).
  std::optional<float> max_distance = {};
  // Recall@k to reach; the index turns it into probes or breadth by what it measured.
  float target_recall = 0.95f;
  // Forces the index's own knob (lists to probe, ef), whatever the target.  0: by target.
  std::size_t breadth = 0;
  const RowFilter* filter = nullptr;  // null: every row
  // No other search wants the processors: where this one is long, threads of the index share it.
  // The answer is the same.
  bool is_alone = false;
};

struct IndexInfo {
  std::string kind;         // "flat", "ivf", "hnsw", "learned", "hybrid"
  std::string explanation;  // one sentence for people: why it is as it is
  std::size_t rows = 0;     // rows that can be found
  std::size_t removed = 0;  // rows removed whose place is not yet reused
  std::size_t memory_bytes = 0;
  std::size_t mapped_bytes = 0;
  bool has_lessons = false;  // it has learned from feedback since it was trained
};

// Thread-safe: any number of searches beside one writer (writers take turns inside).  A search sees
// each row either before or after a concurrent write, never half of it.
class Index {
 public:
  virtual ~Index() = default;

  // Adds rows, or replaces those it holds.  vectors: [rows.size(), dim] f32, all finite.
  virtual Status add(std::span<const Row> rows, std::span<const float> vectors) = 0;
  // Rows that it does not hold are ignored.
  virtual void remove(std::span<const Row> rows) = 0;

  // The nearest rows, nearest first, at most k.  query: [dim] f32.
  virtual Result<std::vector<Hit>> search(std::span<const float> query,
                                          const SearchOptions& options) const = 0;
  // queries: [n, dim] f32; one answer each.
  virtual Result<std::vector<std::vector<Hit>>> search_batch(
      std::span<const float> queries, const SearchOptions& options) const = 0;

  // The vector of a row as exactly as the index keeps it, [dim] f32.  Error not_found.
  virtual Result<std::vector<float>> vector(Row row) const = 0;
  virtual IndexInfo info() const = 0;

  // An index that learns from a sample before rows come can sort them as they come, and then needs
  // no memory for all of them at once.  How many of `rows` it asks to see first; 0: none.
  virtual std::size_t wanted_sample(std::size_t rows) const {
    (void)rows;
    return 0;
  }
  // sample: [n, dim], drawn evenly from `rows` that will come.  done(share) is told how far it is;
  // it may be null.
  virtual Status learn_sample(std::span<const float> sample, std::size_t rows,
                              const std::function<void(double share)>& done, std::stop_token stop) {
    (void)sample, (void)rows, (void)done, (void)stop;
    return Done{};
  }

  // Background work that is due (sealing, compaction, retraining), done now.
  virtual Status maintain(std::stop_token stop) = 0;

  // Learns from what somebody thought of answers to a query, within bounds, until it is told to
  // forget it.  Error unsupported: an index of this kind learns nothing.
  virtual Status learn_from(std::span<const float> query, std::span<const Row> relevant,
                            std::span<const Row> irrelevant) {
    (void)query, (void)relevant, (void)irrelevant;
    return Error(ErrorKind::unsupported,
                 "only learned and hybrid indexes learn from feedback: see `hearth index reindex`");
  }
  virtual Status forget_feedback() { return Done{}; }

  // The index as one file (own magic, version, checksum), written whole and renamed into place.
  virtual Status save(const std::string& path) const = 0;
};

}  // namespace hearth::vectors
