// An index that becomes what suits its rows: flat while they are few, then a graph or inverted
// lists, built beside the readers.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include "base/guarded.h"
#include "vectors/index.h"

namespace hearth::vectors {

// Makes an index of a kind: "flat", "hnsw" or "ivf".
using MakeKind = std::function<Result<std::unique_ptr<Index>>(const std::string& kind)>;

struct AutoSpec {
  std::size_t dim = 0;
  Metric metric = Metric::l2;
  std::size_t flat_rows = 20'000;    // fewer are compared one by one
  std::size_t graph_rows = 200'000;  // more are kept in lists, unless the vectors are narrow
  std::size_t graph_dim = 256;       // wider vectors are kept in lists
  float graph_changes = 0.05f;  // of the rows, between two looks: above, a graph takes them better
};

// Which kind suits; and why, as a sentence for people.
struct Suited {
  std::string kind, why;
};
Suited suited_kind(const AutoSpec& spec, std::size_t rows, std::size_t changed_rows);

// Thread-safe.
class AutoIndex final : public Index {
 public:
  // `first` null: begins flat.  Else it goes on with an index that holds rows already.
  static Result<std::unique_ptr<Index>> create(const AutoSpec& spec, MakeKind make,
                                               std::unique_ptr<Index> first);

  Status add(std::span<const Row> rows, std::span<const float> vectors) override;
  void remove(std::span<const Row> rows) override;
  Result<std::vector<Hit>> search(std::span<const float> query,
                                  const SearchOptions& options) const override;
  Result<std::vector<std::vector<Hit>>> search_batch(std::span<const float> queries,
                                                     const SearchOptions& options) const override;
  Result<std::vector<float>> vector(Row row) const override;
  IndexInfo info() const override;
  // Changes the kind when another suits better, then does what the index itself has due.
  Status maintain(std::stop_token stop) override;
  Status learn_from(std::span<const float> query, std::span<const Row> relevant,
                    std::span<const Row> irrelevant) override;
  Status forget_feedback() override;
  // The file of the index that it is at present; open_index() with a spec of kind "auto" makes it
  // one of this kind again.
  Status save(const std::string& path) const override;

 private:
  struct Pending {
    bool recording = false;        // a new index is being built
    std::unordered_set<Row> rows;  // changed since it began
    std::size_t changed = 0;       // rows that existed and changed since the last look
  };

  AutoIndex(const AutoSpec& spec, MakeKind make, std::shared_ptr<Index> first);
  std::shared_ptr<Index> current() const;
  Status become(const Suited& suited, std::stop_token stop);
  Status copy_rows(Index& from, Index& to, std::stop_token stop);
  Status replay(Index& from, Index& to);

  const AutoSpec spec_;
  const MakeKind make_;
  Guarded<std::shared_ptr<Index>> current_;
  Guarded<std::string> why_;
  mutable std::mutex writing_;  // held by writers, and while the kind changes hands
  std::mutex maintaining_;      // one change of kind at a time
  Pending pending_;             // under writing_
};

}  // namespace hearth::vectors
