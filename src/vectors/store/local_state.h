// The inside of a local collection, shared by the sources local_*.cpp.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "base/guarded.h"
#include "vectors/store/bits.h"
#include "vectors/store/field_index.h"
#include "vectors/store/id_table.h"
#include "vectors/store/local.h"
#include "vectors/store/log.h"
#include "vectors/store/manifest.h"
#include "vectors/store/segment.h"
#include "vectors/store/state_mutex.h"
#include "vectors/text/words.h"

namespace hearth::vectors {

// The documents of one log, by row from `first` on.
struct MemoryRows {
  Row first = 0;
  std::vector<std::shared_ptr<const StoredDocument>> documents;
  std::vector<Row> dead;  // rows before `first` that died while these were written
};

struct LocalCollection final : Collection {
  LocalCollection(std::string folder_path, Access wanted, StoreOptions store_options);
  ~LocalCollection() override;

  const std::string& name() const override { return name_; }
  Schema schema() const override;
  Result<CollectionInfo> info() const override;
  Status write(const Batch& batch) override;
  Result<std::size_t> remove_where(const Filter& filter) override;
  Result<std::vector<Document>> get(std::span<const std::string> ids,
                                    const Parts& parts) const override;
  Result<Page> scroll(std::string_view from, std::size_t limit, const Filter* filter,
                      const Parts& parts) const override;
  Result<std::size_t> count(const Filter* filter) const override;
  Result<std::vector<Match>> search(const Query& query) const override;
  Result<std::vector<std::vector<Match>>> search_batch(
      std::span<const Query> queries) const override;
  Status reindex(const IndexChoice& choice, const OnShare& done, std::stop_token stop) override;
  Status learn_from(const Feedback& feedback) override;
  Status forget_feedback() override;
  Result<Json> tune(const TuneOptions& options, std::stop_token stop) override;
  Status set_extra(const Json& extra) override;
  Status snapshot(const std::string& target) override;
  Status maintain(std::stop_token stop) override;

  // ---- opening: local.cpp ----
  Status open();
  Status open_segments();
  Status replay_logs();
  Status clean_folder();  // files that no manifest names, of work that was cut short
  Status open_index();
  void start_background();

  // ---- writing: local.cpp ----
  struct Pending {
    std::vector<std::shared_ptr<const StoredDocument>> upserts;
    const std::vector<std::string>* removals;
    std::size_t bytes = 0;
    std::optional<Status> result;
  };
  Status check_writable() const;
  std::vector<Pending*> take_group();
  Status commit(std::span<Pending* const> group);
  Status append(const std::vector<LogStep>& steps);
  void keep_reserve();
  std::vector<LogStep> plan(std::span<Pending* const> group) const;
  void publish(const std::vector<LogStep>& steps);
  // With the state's lock held by the caller alone.  metadata: of the steps' documents, or empty.
  void apply(const std::vector<LogStep>& steps, std::span<const Json> metadata);

  // Only one thread leads at a time: it alone changes the log, the manifest and the state.
  class Lead {
   public:
    explicit Lead(LocalCollection& collection);
    ~Lead();
    Lead(const Lead&) = delete;
    Lead& operator=(const Lead&) = delete;

   private:
    LocalCollection& collection_;
  };

  // ---- reading, with the state's lock held: local_read.cpp ----
  Result<DocumentView> view_of(Row row) const;
  std::string_view id_of(Row row) const;  // "" when it cannot be read
  Row find_id(std::string_view id) const;
  const Segment* segment_of(Row row) const;
  // Every live row from `from` on, in order, until use(row, document) returns false.
  Status each_live(const std::function<bool(Row, const DocumentView&)>& use, Row from = 0) const;

  // ---- reading, without it ----
  // The rows a filter allows, live ones only.
  Result<std::shared_ptr<const Bits>> select_rows(const Filter& filter) const;
  Status prepare_fields(std::vector<std::string> names) const;

  // ---- searching: local_search.cpp ----
  struct Scored {
    Row row;
    float distance;
    double score;
  };
  SearchOptions search_options(const Query& query, std::size_t n) const;
  Result<std::vector<Scored>> near_rows(const Query& query, std::size_t n,
                                        const Bits* allowed) const;
  // By the index, and one by one what it does not hold yet.
  Result<std::vector<Scored>> indexed_rows(std::span<const float> vector, SearchOptions options,
                                           const Bits* allowed) const;
  std::vector<Scored> scored(std::span<const Hit> hits) const;
  Result<std::vector<Scored>> exact_rows(const Query& query, std::size_t n,
                                         const Bits* allowed) const;
  Result<std::vector<Scored>> word_rows(const Query& query, std::size_t n,
                                        const Bits* allowed) const;
  Result<std::vector<Scored>> find_rows(const Query& query, std::size_t n,
                                        const Bits* allowed) const;
  Result<std::vector<Match>> resolve(const Query& query, std::vector<Scored> found) const;
  Status sync_words() const;  // brings the words up to the documents
  void remember_query(const Query& query) const;

  // ---- how good the answers are: local_tune.cpp ----
  struct Probe {
    std::vector<float> vector;
    std::optional<Filter> filter;
    // By answer_exactly(): the rows that the filter means, and the nearest of them.
    std::shared_ptr<const Bits> allowed = {};
    std::vector<Scored> exact = {};
  };
  Result<std::vector<Probe>> held_out(std::size_t n) const;
  Result<std::size_t> answer_exactly(std::span<Probe> probes, std::size_t k,
                                     double max_seconds) const;
  Result<Json> measure(std::span<const Probe> probes, std::size_t k, float target_recall) const;
  Result<Json> tune_now(const TuneOptions& options, std::stop_token stop);
  Status sample_recall(std::stop_token stop);
  Status keep_tuned(std::stop_token stop);

  // ---- background work: local_work.cpp ----
  Status flush(bool is_forced);
  Status write_frozen();
  std::string fresh_name(std::string_view kind);
  struct Run {
    std::size_t first = 0, last = 0;  // segments_[first] to segments_[last - 1]
  };
  std::optional<Run> due_merge() const;
  std::size_t live_rows_of(const Segment& segment) const;
  // Writes the live documents of the run anew, as one segment, or as cold ones.
  Status rewrite(Run run, Tier tier);
  Status write_segments(Run run, const Bits& live, Tier tier, std::vector<std::string>& files);

  // ---- tiers: local_tiers.cpp ----
  std::vector<Tier> wanted_tiers() const;
  Status settle_tiers(std::stop_token stop);
  Status load_segment(std::size_t index, Tier tier);

  // ---- feedback: local_lessons.cpp ----
  static constexpr std::string_view lessons_name = "LESSONS";
  static constexpr std::string_view lock_name = "LOCK", words_name = "words.sqlite",
                                    reserve_name = "RESERVE";
  // Rows stay below, so that no_row and the id table's marks are none of them.
  static constexpr Row max_rows = no_row - 16;
  Status read_lessons();
  Status write_lessons(const std::vector<Feedback>& lessons);
  Status teach(Index& index, const Feedback& lesson, bool is_strict) const;
  Status repeat_lessons();

  // ---- the index: local_index.cpp ----
  Status save_index();
  // The index as it was saved; rows that it lacks are added to `missing`.
  Result<std::shared_ptr<Index>> load_index(Bits& missing);
  // Brings what the index lacks into it.
  Status fill_gap(std::stop_token stop);
  // Brings an index up to the rows that came and went while it was built.
  Status catch_up(Index& index, std::span<const Row> changed) const;
  Status rebuild_index(const IndexChoice& choice, const OnShare& done, std::stop_token stop);
  Status install(Manifest next, const std::function<void()>& change);
  Status sync_log();
  void work(std::stop_token stop);
  void work_for_readers(std::stop_token stop);  // of a collection that is only read
  // Calls use for what is there of `rows`, some of them at a time.
  using UsePart = std::function<Status(std::span<const Row>, std::span<const float>)>;
  Status each_part(const Bits& rows, const UsePart& use, std::stop_token stop) const;
  Status fill_index(Index& index, const Bits& rows, const OnShare& done,
                    std::stop_token stop) const;
  std::string path_of(std::string_view file) const { return join_path(folder_, file); }
  void remove_file(const std::string& path) const;  // whose loss does no harm

  const std::string folder_, name_;
  const Access access_;
  const StoreOptions options_;
  const std::shared_ptr<Files> files_;
  Schema made_with_;  // set by open(); only the choice of the index changes later
  std::uint64_t store_id_ = 0;
  std::unique_ptr<StoreLock> lock_;

  // Changed by the leader, under the lock for the parts that readers see.
  mutable StateMutex state_mutex_;
  Manifest manifest_;
  std::vector<std::shared_ptr<const Segment>> segments_;  // rows ascend from one to the next
  std::shared_ptr<const MemoryRows> frozen_;              // being written as a segment
  std::shared_ptr<MemoryRows> active_ = std::make_shared<MemoryRows>();
  Bits live_;
  std::atomic<std::size_t> live_rows_ = 0;
  Row next_row_ = 0;
  std::uint64_t changes_ = 0;  // counts writes, for what is remembered between them
  IdTable ids_;
  mutable FieldIndexes fields_;
  std::shared_ptr<Index> index_;
  Bits unindexed_;  // live rows that it does not hold
  std::atomic<std::size_t> unindexed_rows_ = 0;
  std::uint64_t truncated_log_bytes_ = 0;
  Row opened_next_row_ = 0;  // as the manifest had it: rows before it are nobody else's
  std::string damage_;       // why nothing may be written; empty: it may

  // The leader's own.
  std::optional<LogWriter> log_;
  std::uint64_t next_epoch_ = 0;
  std::vector<std::uint64_t> old_epochs_;  // logs before log_ that are not in a segment yet
  std::uint64_t unflushed_bytes_ = 0;      // in those
  std::size_t changes_since_work_ = 0;
  std::atomic<bool> has_reserve_ = false;
  std::atomic<std::size_t> unsaved_rows_ = 0;  // changes since the index was saved
  bool is_tracking_ = false;                   // an index is built or saved:
  std::vector<Row> changed_rows_;              // rows that came or went meanwhile

  std::mutex commit_mutex_;
  std::condition_variable commit_changed_;
  std::vector<Pending*> waiting_;
  bool is_led_ = false;

  mutable std::mutex words_mutex_;
  mutable std::unique_ptr<WordIndex> words_;

  struct Selected {
    std::string filter;
    std::uint64_t changes = 0;
    std::shared_ptr<const Bits> rows;
  };
  mutable Guarded<std::deque<Selected>> selections_;
  mutable Guarded<std::deque<Probe>> recent_queries_;
  mutable std::atomic<int> searching_ = 0;              // searches under way
  mutable std::atomic<std::size_t> fresh_queries_ = 0;  // since the last sample
  mutable std::atomic<std::size_t> gap_searches_ = 0;   // that met rows not in the index
  Guarded<std::string> problem_;
  Guarded<std::vector<Feedback>> lessons_;

  std::mutex work_mutex_;  // background work is done by one thread at a time
  mutable std::mutex wake_mutex_;
  mutable std::condition_variable_any wake_;
  mutable bool has_work_ = false;
  void wake_background() const;
  std::jthread background_;  // last: it ends first
};

float distance_between(Metric metric, std::span<const float> a, std::span<const float> b);
Document to_document(const DocumentView& view, const Parts& parts);

}  // namespace hearth::vectors
