// An index that learns where its rows lie: a small network gives each row 32 bits, tables of parts
// of these bits lead a query to candidates, and their own bytes rank them.  A quarter of the memory
// of a graph, at less speed.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "base/guarded.h"
#include "vectors/flat/row_codec.h"
#include "vectors/graph/readers.h"
#include "vectors/graph/row_map.h"
#include "vectors/index.h"
#include "vectors/learned/code_tables.h"
#include "vectors/learned/drift.h"
#include "vectors/learned/trainer.h"

namespace hearth::vectors {

struct LearnedSpec {
  std::size_t dim = 0;
  Metric metric = Metric::l2;
  Storage storage = Storage::int8;  // of the rows that rank; f32: exactly
  int radius = 2;                   // bits of a part of a code that may differ; more if recall asks
  std::size_t segments = 0;         // parts of a code, each with a table: 2 or 4; 0: by rows
  std::size_t sample_rows = 8192;   // that a training looks at
  double retrain_seconds = 3600;    // at least so long between trainings that drift asks for
  float drift_threshold = 0.1f;     // of either measure
  TrainingOptions training;
  bool hybrid = false;     // candidates of codes are ranked exactly: see hybrid.h
  std::string model_path;  // a trained model to begin with; empty: none
  OnProgress on_progress;  // of a training inside maintain()
};

Status check_spec(const LearnedSpec& spec);  // error invalid: a number outside of its limits
// What Learned::save_model wrote.  Errors: io, corrupt.
Result<CodeModel> read_model_file(const std::string& path);

// Thread-safe.
class Learned final : public Index {
 public:
  static constexpr std::string_view magic = "HRTHLRND", hybrid_magic = "HRTHHYBR";
  static constexpr std::string_view model_magic = "HRTHCODE";
  // Errors: invalid (a number outside of its limits, a model of another dimension), io, corrupt.
  static Result<std::unique_ptr<Index>> create(const LearnedSpec& spec);
  // What save() wrote, of either magic.
  static Result<std::unique_ptr<Index>> open(const std::string& path, bool hybrid = false);
  ~Learned() override;

  Status add(std::span<const Row> rows, std::span<const float> vectors) override;
  void remove(std::span<const Row> rows) override;
  Result<std::vector<Hit>> search(std::span<const float> query,
                                  const SearchOptions& options) const override;
  Result<std::vector<std::vector<Hit>>> search_batch(std::span<const float> queries,
                                                     const SearchOptions& options) const override;
  Result<std::vector<float>> vector(Row row) const override;
  IndexInfo info() const override;
  // Trains when there is no model yet, when rows drifted, or when there are many more of them.
  Status maintain(std::stop_token stop) override;
  Status save(const std::string& path) const override;

  // Trains now, on a sample of the rows; readers go on with the model before.
  Status train(std::stop_token stop);
  // The model alone, for LearnedSpec::model_path.
  Status save_model(const std::string& path) const;

  // Turns the encoder of queries a little, so that this one comes nearer to the relevant rows than
  // to the others.  All turns together stay within a twentieth of the encoder's own weights; rows
  // keep their codes, so forget_feedback() takes everything back.  Error invalid: not trained yet.
  Status learn_from(std::span<const float> query, std::span<const Row> relevant,
                    std::span<const Row> irrelevant) override;
  Status forget_feedback() override;

  // Of the rows added since the last training.
  Drift drift() const;

  // Row numbers of the rows that the codes take for nearest, at most n; for HybridIndex.
  Result<std::vector<Row>> candidates(std::span<const float> query, std::size_t n,
                                      const RowFilter* filter) const;

 private:
  struct Chunk;
  struct View;    // what one search sees
  struct Writer;  // what only writers touch
  struct Scan;    // one query

  explicit Learned(const LearnedSpec& spec);
  std::shared_ptr<const View> view() const;
  void publish(std::shared_ptr<View> view) const;
  void append_chunk(View& view) const;
  void own_last(View& view) const;
  void make_tables(View& view) const;
  Drift drift_of(const View& view) const;
  Status append(View& view, std::span<const Row> rows, std::span<const float> vectors);
  void encode(const View& view, std::size_t first, std::size_t last) const;
  std::vector<float> sample(const View& view, std::size_t n) const;
  Status train_locked(std::stop_token stop);
  Status compact(std::stop_token stop);
  bool wants_training(const View& view) const;
  void tune(const View& view) const;
  std::size_t breadth_for(std::size_t k, float target) const;

  Status check(std::span<const float> vectors, std::size_t n) const;
  std::vector<float> prepared(std::span<const float> query) const;
  CodeQuery code_query(const View& view, const std::vector<float>& query) const;
  void collect(const View& view, const CodeQuery& query, std::size_t keep, int radius,
               const RowFilter* filter, std::vector<Slot>& slots) const;
  std::vector<Slot> live_slots(const View& view, const RowFilter* filter) const;
  std::vector<Hit> rank(const View& view, const std::vector<float>& query, std::vector<Slot>& slots,
                        const SearchOptions& options) const;
  std::vector<Hit> answer(const View& view, std::span<const float> query,
                          const SearchOptions& options) const;
  Status read(ByteReader& in, std::shared_ptr<const MappedFile> file);

  static constexpr std::array<std::size_t, 9> breadths{100,  200,  400,   800,  1600,
                                                       3200, 6400, 12800, 25600};

  const LearnedSpec spec_;
  const RowCodec codec_;
  mutable Guarded<std::shared_ptr<const View>> view_;
  mutable Readers readers_;
  std::atomic<std::size_t> live_ = 0, dead_ = 0;
  mutable std::array<std::atomic<float>, breadths.size()> recall_{};  // of each breadth; 0: unknown
  mutable std::atomic<int> radius_;
  mutable std::mutex writing_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace hearth::vectors
