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
  Status reindex(const IndexChoice& choice, std::stop_token stop) override;
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
  std::vector<LogStep> plan(std::span<Pending* const> group) const;
  void publish(const std::vector<LogStep>& steps);
  // With the state's lock held by the caller alone.
  void apply(const std::vector<LogStep>& steps);

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
  // Every live row from `from` on, in order, until use(row, document) returns false.
  Status each_live(const std::function<bool(Row, const DocumentView&)>& use, Row from = 0) const;

  // ---- reading, without it ----
  // The rows a filter allows, live ones only.
  Result<std::shared_ptr<const Bits>> select_rows(const Filter& filter) const;
  Status prepare_fields(std::vector<std::string> names) const;
  struct Scored {
    Row row;
    float distance;
    double score;
  };
  Result<std::vector<Scored>> near_rows(const Query& query, std::size_t n,
                                        const Bits* allowed) const;
  Result<std::vector<Scored>> exact_rows(const Query& query, std::size_t n,
                                         const Bits* allowed) const;
  Result<std::vector<Scored>> word_rows(const Query& query, std::size_t n,
                                        const Bits* allowed) const;
  Result<std::vector<Match>> resolve(const Query& query, std::vector<Scored> found) const;
  Status sync_words() const;  // brings the words up to the documents
  Status sample_recall(std::stop_token stop);
  void remember_query(const Query& query) const;

  // ---- background work: local_work.cpp ----
  Status flush(bool is_forced);
  Status write_frozen();
  std::string fresh_name(std::string_view kind);
  Status compact();
  bool should_compact() const;
  Result<std::shared_ptr<const Segment>> merge(
      std::span<const std::shared_ptr<const Segment>> inputs, const Bits& live,
      const std::string& file) const;
  Status save_index();
  Result<std::shared_ptr<Index>> load_index();
  // Brings an index up to the rows that came and went while it was built.
  Status catch_up(Index& index, std::span<const Row> changed) const;
  Status rebuild_index(const IndexChoice& choice, std::stop_token stop);
  Status install(Manifest next, const std::function<void()>& change);
  Status sync_log();
  void work(std::stop_token stop);
  Status fill_index(Index& index, const Bits& rows, std::stop_token stop) const;
  Result<Json> measure(std::span<const std::vector<float>> queries, std::size_t k,
                       float target_recall) const;
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
  mutable std::shared_mutex state_mutex_;
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
  std::uint64_t truncated_log_bytes_ = 0;
  Row opened_next_row_ = 0;  // as the manifest had it: rows before it are nobody else's
  std::string damage_;       // why nothing may be written; empty: it may

  // The leader's own.
  std::optional<LogWriter> log_;
  std::uint64_t next_epoch_ = 0;
  std::vector<std::uint64_t> old_epochs_;      // logs before log_ that are not in a segment yet
  std::uint64_t unflushed_bytes_ = 0;          // in those
  std::atomic<std::size_t> unsaved_rows_ = 0;  // changes since the index was saved
  std::atomic<bool> is_index_behind_ = false;  // it refused a change: it must be built again
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
  mutable Guarded<std::deque<std::vector<float>>> recent_queries_;
  Guarded<Json> recall_;
  Guarded<std::string> problem_;

  std::mutex work_mutex_;  // background work is done by one thread at a time
  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  bool has_work_ = false;
  std::jthread background_;  // last: it ends first
};

float distance_between(Metric metric, std::span<const float> a, std::span<const float> b);
Document to_document(const DocumentView& view, const Parts& parts);

}  // namespace hearth::vectors
