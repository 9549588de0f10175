// WordIndex: the words of documents, ranked by BM25.  SQLite's FTS5 behind a small face.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vectors/index.h"

namespace hearth::vectors {

struct WordHit {
  Row row;
  double score;  // BM25: greater is better
};

// What it holds can always be made again from the documents.  Used by one thread at a time.
class WordIndex {
 public:
  // path "": in memory.
  static Result<std::unique_ptr<WordIndex>> open(const std::string& path);
  virtual ~WordIndex() = default;

  // How far it is.  Several processes may bring it on; none adds what another has added.
  struct State {
    Row limit = 0;         // rows below it have been added, or were gone when their turn came
    std::size_t rows = 0;  // added; those gone since count too
  };
  virtual Result<State> state() = 0;
  // texts[i] is that of rows[i], all at or after `before.limit`; the limit becomes `new_limit`.
  // All or nothing; nothing when the state is not `before` any more.
  virtual Status add(const State& before, const std::vector<Row>& rows,
                     const std::vector<std::string>& texts, Row new_limit) = 0;
  virtual Status clear() = 0;
  // The best n of those that allows(row) accepts.  query: any text; its words are looked for, each
  // counting for itself.
  virtual Result<std::vector<WordHit>> search(std::string_view query, std::size_t n,
                                              const std::function<bool(Row)>& allows) = 0;
};

}  // namespace hearth::vectors
