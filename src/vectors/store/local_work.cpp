// Local collections: what happens beside reading and writing: segments and merging.
#include <fmt/core.h>

#include <chrono>

#include "base/log.h"
#include "base/store_files.h"
#include "vectors/store/cold.h"
#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t word_rows_at_once = 2000;
constexpr std::size_t max_dead_share = 3;  // a third of a segment gone: it is written anew
constexpr std::size_t min_compacted_rows = 1000;
constexpr auto idle_wait = std::chrono::seconds(30), relaxed_wait = std::chrono::seconds(1),
               failed_wait = std::chrono::seconds(1);
constexpr std::uint64_t cold_bytes = 128u << 20;  // of one cold file: it is made in memory

// A segment or a cold one, whichever is written.
class TierWriter {
 public:
  static Result<TierWriter> create(Files& files, const std::string& path, Tier tier,
                                   std::size_t dim, std::uint64_t store_id) {
    TierWriter writer;
    if (tier == Tier::cold)
      writer.cold_ = TRY(ColdWriter::create(dim, store_id));
    else
      writer.warm_ = TRY(SegmentWriter::create(files, path, dim, store_id));
    return writer;
  }
  Status add(Row row, const DocumentView& view) {
    return cold_ ? cold_->add(row, view) : warm_->add(row, view);
  }
  std::size_t count() const { return cold_ ? cold_->count() : warm_->count(); }
  bool is_full() const { return cold_ && cold_->bytes() >= cold_bytes; }
  Status commit(Files& files, const std::string& path, std::span<const Row> dead) {
    return cold_ ? cold_->commit(files, path, dead) : warm_->commit(dead);
  }

 private:
  std::unique_ptr<ColdWriter> cold_;
  std::optional<SegmentWriter> warm_;
};

}  // namespace

// ---- Segments ----

// What was acknowledged without reaching the disk must not be outlived by what was made of it.
Status LocalCollection::sync_log() { return log_ ? log_->sync() : Status(Done{}); }

// Makes `next` the manifest, on the disk first.  The caller leads.
Status LocalCollection::install(Manifest next, const std::function<void()>& change) {
  next.next_row = next_row_;
  TRY(files_->sync_folder(folder_));  // the files it names are found after a loss of power
  TRY(write_manifest(*files_, folder_, next));
  const std::unique_lock lock(state_mutex_);
  manifest_ = std::move(next);
  change();
  return Done{};
}

Status LocalCollection::flush(bool is_forced) {
  TRY(check_writable());
  {
    const Lead lead(*this);
    const std::uint64_t bytes = unflushed_bytes_ + (log_ ? log_->bytes() : 0);
    if (!frozen_ && !log_ && old_epochs_.empty()) return Done{};
    if (!frozen_ && !is_forced && bytes < options_.flush_bytes) return Done{};
    if (!frozen_) {
      TRY(sync_log());
      if (log_) old_epochs_.push_back(log_->epoch());
      log_.reset();
      unflushed_bytes_ = 0;
      const std::unique_lock lock(state_mutex_);
      for (std::size_t i = 0; i < active_->documents.size(); ++i)
        if (!live_.has(active_->first + static_cast<Row>(i))) active_->documents[i].reset();
      frozen_ = std::exchange(active_, std::make_shared<MemoryRows>());
      active_->first = next_row_;
    }
  }
  return write_frozen();
}

// Never given again: a manifest that has it may be on the disk even if we are told that it is not.
std::string LocalCollection::fresh_name(std::string_view kind) {
  const Lead lead(*this);
  return fmt::format("{}-{}", kind, manifest_.next_file++);
}

Status LocalCollection::write_frozen() {
  const std::string file = fresh_name("segment");
  std::shared_ptr<const Segment> segment;
  SegmentWriter writer =
      TRY(SegmentWriter::create(*files_, path_of(file), made_with_.dim, store_id_));
  for (std::size_t i = 0; i < frozen_->documents.size(); ++i)
    if (const auto& document = frozen_->documents[i])
      TRY(writer.add(frozen_->first + static_cast<Row>(i),
                     {document->id, document->text, document->metadata, document->vector}));
  const bool is_needed = writer.count() > 0 || !frozen_->dead.empty();
  if (is_needed) {
    TRY(writer.commit(frozen_->dead));
    segment = TRY(Segment::open(*files_, path_of(file), made_with_.dim, store_id_));
  } else {
    remove_file(path_of(file));
  }
  const Lead lead(*this);
  Manifest next = manifest_;
  if (is_needed) next.segments.push_back(file);
  // Logs made since the freezing are not in the segment.
  next.log_floor = log_ ? log_->epoch() : next_epoch_;
  TRY(install(std::move(next), [&] {
    if (segment) segments_.push_back(segment);
    frozen_.reset();
  }));
  for (const std::uint64_t epoch : std::exchange(old_epochs_, {}))
    remove_file(path_of(log_name(epoch)));
  return Done{};
}

std::size_t LocalCollection::live_rows_of(const Segment& segment) const {
  const auto rows = segment.rows();
  if (rows.empty()) return 0;
  const std::shared_lock lock(state_mutex_);
  return live_.count_between(rows.front(), rows.back());
}

// Small segments are merged, the newest first, and older ones as long as they are not much larger:
// each document is written anew a few times in its life.  Where a third of the rows is dead, those
// left are written anew.
std::optional<LocalCollection::Run> LocalCollection::due_merge() const {
  const std::size_t end = segments_.size();
  const auto is_settled = [&](const Segment& segment) {
    return segment.tier() == Tier::cold || segment.bytes() >= options_.segment_bytes;
  };
  const auto is_dying = [&](std::size_t all, std::size_t kept) {
    return all > min_compacted_rows && (all - std::min(all, kept)) * max_dead_share > all;
  };
  std::size_t tail = end;  // from here on, small ones
  while (tail > 0 && !is_settled(*segments_[tail - 1])) --tail;
  if (end - tail > options_.max_segments) {
    std::size_t first = end;
    std::uint64_t bytes = 0;
    while (first > tail && (end - first < 2 || segments_[first - 1]->bytes() <= 2 * bytes))
      bytes += segments_[--first]->bytes();
    return Run{first, end};
  }
  std::size_t all = 0, kept = 0;
  for (std::size_t i = tail; i < end; ++i) {
    all += segments_[i]->rows().size();
    kept += live_rows_of(*segments_[i]);
  }
  if (is_dying(all, kept)) return Run{tail, end};
  for (std::size_t i = 0; i < tail; ++i)
    if (is_dying(segments_[i]->rows().size(), live_rows_of(*segments_[i]))) return Run{i, i + 1};
  return std::nullopt;
}

Status LocalCollection::write_segments(Run run, const Bits& live, Tier tier,
                                       std::vector<std::string>& files) {
  std::vector<Row> dead;
  // A death is kept as long as an older segment has the dead.
  for (std::size_t i = run.first; i < run.last; ++i)
    for (const Row row : segments_[i]->dead())
      for (std::size_t older = 0; older < run.first; ++older)
        if (segments_[older]->find(row) >= 0) {
          dead.push_back(row);
          break;
        }
  const std::string_view kind = tier == Tier::cold ? "cold" : "segment";
  std::optional<TierWriter> writer;
  const auto finish = [&]() -> Status {
    if (!writer) return Done{};
    TRY(writer->commit(*files_, path_of(files.back()), std::exchange(dead, {})));
    writer.reset();
    return Done{};
  };
  const auto begin = [&]() -> Status {
    files.push_back(fresh_name(kind));
    writer =
        TRY(TierWriter::create(*files_, path_of(files.back()), tier, made_with_.dim, store_id_));
    return Done{};
  };
  for (std::size_t s = run.first; s < run.last; ++s) {
    const Segment& segment = *segments_[s];
    for (std::size_t i = 0; i < segment.rows().size(); ++i) {
      if (!live.has(segment.rows()[i])) continue;
      if (!writer) TRY(begin());
      const DocumentView view = TRY(segment.document(i));
      TRY(writer->add(segment.rows()[i], view));
      if (writer->is_full()) TRY(finish());
    }
  }
  if (!writer && !dead.empty()) TRY(begin());
  return finish();
}

Status LocalCollection::rewrite(Run run, Tier tier) {
  Bits live;
  {
    const Lead lead(*this);
    live = live_;
  }
  std::vector<std::string> files;
  TRY(write_segments(run, live, tier, files));
  std::vector<std::shared_ptr<const Segment>> made;
  std::uint64_t uses = 0;
  for (std::size_t i = run.first; i < run.last; ++i) uses += segments_[i]->uses();
  for (const std::string& file : files) {
    made.push_back(TRY(Segment::open(*files_, path_of(file), made_with_.dim, store_id_, tier)));
    made.back()->set_uses(uses / files.size());
  }
  const Lead lead(*this);
  TRY(sync_log());
  Manifest next = manifest_;
  const auto at = [](auto& list, std::size_t i) {
    return list.begin() + static_cast<std::ptrdiff_t>(i);
  };
  const std::vector<std::string> old(at(next.segments, run.first), at(next.segments, run.last));
  next.segments.erase(at(next.segments, run.first), at(next.segments, run.last));
  next.segments.insert(at(next.segments, run.first), files.begin(), files.end());
  TRY(install(std::move(next), [&] {
    segments_.erase(at(segments_, run.first), at(segments_, run.last));
    segments_.insert(at(segments_, run.first), made.begin(), made.end());
    // Indexes of fields keep the dead: half of their rows now, they are made anew when asked for.
    if (next_row_ / 2 > live_rows_) fields_.clear();
  }));
  for (const std::string& name : old) remove_file(path_of(name));
  return Done{};
}

// ---- Words ----

Status LocalCollection::sync_words() const {
  if (!words_) {
    auto opened = WordIndex::open(path_of(words_name));
    if (!opened.ok()) opened = WordIndex::open("");
    words_ = TRY(std::move(opened));
    // Rows from there on may have been lost with the power and given to others since.
    if (access_ == Access::write && TRY(words_->state()).limit > opened_next_row_)
      TRY(words_->clear());
  }
  for (;;) {
    WordIndex::State state = TRY(words_->state());
    std::vector<Row> rows;
    std::vector<std::string> texts;
    Row limit = 0;
    {
      const std::shared_lock lock(state_mutex_);
      const bool is_ahead = state.limit > next_row_ && access_ == Access::write;
      if (is_ahead || state.rows > 2 * live_rows_ + word_rows_at_once) {
        TRY(words_->clear());
        state = {};
      }
      if (state.limit >= next_row_) return Done{};
      limit = next_row_;
      TRY(each_live(
          [&](Row row, const DocumentView& view) {
            if (rows.size() == word_rows_at_once) {
              limit = row;
              return false;
            }
            rows.push_back(row);
            texts.emplace_back(view.text);
            return true;
          },
          state.limit));
    }
    TRY(words_->add(state, rows, texts, limit));
  }
}

// ---- All of it ----

Status LocalCollection::maintain(std::stop_token stop) {
  TRY(check_writable());
  const std::lock_guard work_lock(work_mutex_);
  TRY(flush(false));
  while (const auto run = due_merge()) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    const std::size_t before = segments_.size();
    const bool is_cold = segments_[run->first]->tier() == Tier::cold;
    TRY(rewrite(*run, is_cold ? Tier::cold : Tier::warm));
    if (run->last - run->first > 1 && segments_.size() >= before) break;
  }
  keep_reserve();
  TRY(settle_tiers(stop));
  TRY(fill_gap(stop));
  TRY(index_->maintain(stop));
  TRY(repeat_lessons());
  TRY(save_index());
  TRY(keep_tuned(stop));
  return sample_recall(stop);
}

void LocalCollection::wake_background() const {
  const std::lock_guard lock(wake_mutex_);
  has_work_ = true;
  wake_.notify_all();
}

// Only brings the index up to the documents, once searches show that it pays.
void LocalCollection::work_for_readers(std::stop_token stop) {
  {
    std::unique_lock lock(wake_mutex_);
    wake_.wait(lock, stop, [&] { return has_work_; });
  }
  if (stop.stop_requested()) return;
  const std::lock_guard work_lock(work_mutex_);
  Status done = fill_gap(stop);
  if (done.ok()) done = index_->maintain(stop);
  if (!done.ok() && !stop.stop_requested())
    log_warning("collection.work name={} problem={}", name_, done.error().message());
}

void LocalCollection::work(std::stop_token stop) {
  const auto wait = options_.is_synced
                        ? idle_wait
                        : std::chrono::duration_cast<std::chrono::seconds>(relaxed_wait);
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(wake_mutex_);
      wake_.wait_for(lock, stop, wait, [&] { return has_work_ || unindexed_rows_ > 0; });
      has_work_ = false;
    }
    if (stop.stop_requested()) return;
    Status done = Done{};
    if (!options_.is_synced) {
      const Lead lead(*this);
      done = sync_log();
    }
    if (done.ok()) done = maintain(stop);
    const bool is_new = problem_.with([&](std::string& text) {
      const std::string now = done.ok() ? "" : done.error().message();
      return !now.empty() && std::exchange(text, now) != now;
    });
    if (is_new && !stop.stop_requested())
      log_warning("collection.work name={} problem={}", name_, done.error().message());
    // What failed is not tried again at once.
    if (!done.ok()) {
      std::unique_lock lock(wake_mutex_);
      wake_.wait_for(lock, stop, failed_wait, [] { return false; });
    }
  }
}

void LocalCollection::start_background() {
  background_ = std::jthread([this](std::stop_token stop) {
    access_ == Access::write ? work(stop) : work_for_readers(stop);
  });
}

Status LocalCollection::set_extra(const Json& extra) {
  TRY(check_writable());
  const Lead lead(*this);
  Manifest next = manifest_;
  next.schema.extra = extra;
  return install(std::move(next), [] {});
}

Status LocalCollection::snapshot(const std::string& target) {
  TRY(check_writable());
  TRY(check_name(file_name(target)));
  const std::lock_guard work_lock(work_mutex_);
  TRY(flush(true));
  if (files_->list(target).ok())
    return Error(ErrorKind::invalid, fmt::format("{}: exists already", target));
  TRY(files_->make_folder(target));
  // Segments go by work alone, which waits: writers may go on.
  Manifest copy;
  {
    const Lead lead(*this);
    copy = manifest_;
  }
  copy.index.reset();
  for (const std::string& file : copy.segments)
    TRY(files_->link(path_of(file), join_path(target, file)));
  if (lessons_.with([](const auto& lessons) { return !lessons.empty(); }))
    TRY(files_->link(path_of(lessons_name), join_path(target, lessons_name)));
  TRY(files_->sync_folder(target));
  TRY(write_manifest(*files_, target, copy));
  return files_->sync_folder(parent_folder(target));
}

Result<std::size_t> LocalCollection::remove_where(const Filter& filter) {
  std::vector<std::string> ids;
  const auto rows = TRY(select_rows(filter));
  {
    const std::shared_lock lock(state_mutex_);
    rows->each([&](Row row) {
      if (live_.has(row)) ids.emplace_back(id_of(row));
      return true;
    });
  }
  constexpr std::size_t at_once = 10'000;
  for (std::size_t i = 0; i < ids.size(); i += at_once) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(i);
    const std::vector<std::string> batch(
        begin, begin + static_cast<std::ptrdiff_t>(std::min(at_once, ids.size() - i)));
    TRY(write({{}, batch}));
  }
  return ids.size();
}

Result<CollectionInfo> LocalCollection::info() const {
  CollectionInfo info;
  info.problem = problem_.with([](const std::string& text) { return text; });
  const std::shared_lock lock(state_mutex_);
  info.name = name_;
  info.folder = folder_;
  info.schema = manifest_.schema;
  info.documents = live_rows_;
  info.segments = segments_.size();
  std::size_t held = active_->documents.size() + (frozen_ ? frozen_->documents.size() : 0);
  for (const Tier tier : {Tier::hot, Tier::warm, Tier::cold})
    info.tiers.push_back({std::string(name_of(tier)), 0, 0});
  for (const auto& segment : segments_) {
    held += segment->rows().size();
    info.disk_bytes += segment->bytes();
    TierInfo& tier = info.tiers[static_cast<std::size_t>(segment->tier())];
    ++tier.segments;
    tier.bytes += segment->bytes();
  }
  info.unindexed = unindexed_rows_;
  info.is_synced = options_.is_synced;
  info.removed = held - std::min<std::size_t>(held, live_rows_);
  info.truncated_log_bytes = truncated_log_bytes_;
  info.is_read_only = access_ != Access::write || !damage_.empty();
  if (!damage_.empty()) info.problem = damage_;
  info.index = index_->info();
  info.tuning = manifest_.tuning;
  info.recall = manifest_.recall;
  for (const std::string& file : list_folder(folder_).value_or({}))
    if (log_epoch(file))
      info.log_bytes += file_identity(path_of(file)).value_or(FileIdentity()).bytes;
  return info;
}

}  // namespace hearth::vectors
