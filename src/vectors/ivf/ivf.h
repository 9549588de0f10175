// Inverted lists: rows near the same centroid lie together, a query looks into few lists.  Codes of
// one bit for each number are scanned, the best ranked again by bytes and by floats.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/guarded.h"
#include "vectors/flat/flat_rows.h"
#include "vectors/flat/row_codec.h"
#include "vectors/index.h"
#include "vectors/ivf/search.h"
#include "vectors/ivf/trained.h"
#include "vectors/ivf/tuning.h"

namespace hearth::vectors {

// What one search sees.  Immutable.
struct IvfState {
  std::shared_ptr<const Trained> trained;  // null: not yet
  std::vector<SegmentView> segments;
  // Rows not in segments: those being sealed into one (may be null) and the latest.
  std::shared_ptr<const FlatSnapshot> sealing, tail;
  std::shared_ptr<const Tuning> tuning;

  std::size_t rows() const;
};

// Thread-safe.  A search takes no lock that a writer holds for longer than it takes to copy a
// pointer.
class Ivf final : public Index {
 public:
  static Result<std::unique_ptr<Ivf>> create(const IvfSpec& spec);
  static Result<std::unique_ptr<Ivf>> open(const std::string& path, Residence residence,
                                           int threads = 1,
                                           const kernels::SearchKernels* kernels = nullptr);
  static constexpr std::string_view magic = "HRTHIVF1";

  Status add(std::span<const Row> rows, std::span<const float> vectors) override;
  void remove(std::span<const Row> rows) override;
  Result<std::vector<Hit>> search(std::span<const float> query,
                                  const SearchOptions& options) const override;
  Result<std::vector<std::vector<Hit>>> search_batch(std::span<const float> queries,
                                                     const SearchOptions& options) const override;
  Result<std::vector<float>> vector(Row row) const override;
  IndexInfo info() const override;
  // Trains when there are rows enough, seals late rows into lists, merges segments, takes back the
  // places of removed rows, measures plans for target recalls.
  Status maintain(std::stop_token stop) override;
  Status save(const std::string& path) const override;

  // After this rows go into lists from the first maintain() on.
  std::size_t wanted_sample(std::size_t rows) const override;
  Status learn_sample(std::span<const float> sample, std::size_t rows,
                      const std::function<void(double share)>& done, std::stop_token stop) override;
  // Moves the centroids by the rows there are now, and sorts all rows anew.
  Status retrain(std::stop_token stop);
  // Other codes for all rows, from now on: product quantisation, or `bits` signs where segments is
  // 0.
  Status recode(const PqSpec& pq, int bits, std::stop_token stop);
  std::shared_ptr<const IvfState> state() const {
    return state_.with([](const auto& state) { return state; });
  }

 private:
  explicit Ivf(const IvfSpec& spec);

  void publish(IvfState state);
  std::size_t lists_of(std::size_t rows) const;
  std::vector<float> unit_vectors(std::span<const float> vectors) const;
  Status check(std::span<const float> vectors, std::size_t count) const;
  void kill_sealed(IvfState& state, std::span<const Row> rows) const;
  Status rebuild(std::shared_ptr<const Trained> trained, std::stop_token stop);
  Status seal(std::stop_token stop);
  Status merge(std::stop_token stop);
  Status measure(std::stop_token stop);
  std::vector<float> sample_of(const IvfState& state, std::size_t rows) const;
  Result<std::vector<Hit>> search_one(const IvfState& state, const float* query,
                                      const SearchOptions& options) const;
  std::optional<ProbePlan> batch_plan(const IvfState& state, std::size_t queries,
                                      const SearchOptions& options) const;
  Status search_together(const IvfState& state, const ProbePlan& plan,
                         std::span<const float> queries, const SearchOptions& options,
                         std::span<std::vector<Hit>> answers) const;
  void search_tails(const IvfState& state, const float* query, const SearchOptions& options,
                    TopHits& top) const;
  ThreadPool* pool_for(const SearchOptions& options) const;
  bool search_exactly(const IvfState& state, SegmentSearch& search, const SearchOptions& options,
                      TopHits& top) const;
  float distance_scale() const { return spec_.metric == Metric::cosine ? 0.5f : 1.0f; }

  IvfSpec spec_;
  RowCodec codec_;                                    // of the tails
  std::unique_ptr<ThreadPool> building_, searching_;  // null for one thread
  mutable ScratchPool scratches_;
  std::mutex maintaining_;  // one maintain() at a time; taken before writing_
  std::mutex writing_;
  std::size_t changes_ = 0;  // rows written or removed since plans were measured; under writing_
  std::unique_ptr<FlatRows> tail_, sealing_;  // the writer's; their snapshots are in the state
  Guarded<std::shared_ptr<const IvfState>> state_;

  friend struct IvfFile;
};

}  // namespace hearth::vectors
