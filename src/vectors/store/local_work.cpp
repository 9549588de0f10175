// Local collections: what happens beside reading and writing: segments, merging, indexes.
#include <fmt/core.h>

#include <chrono>

#include "base/bytes.h"
#include "base/log.h"
#include "vectors/store/encoding.h"
#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

constexpr std::string_view index_rows_magic = "HEARTHIR";
constexpr std::string_view words_name = "words.sqlite";
constexpr std::size_t fill_rows = 1024;  // given to an index at a time
constexpr std::size_t word_rows_at_once = 2000;
constexpr std::size_t min_saved_rows = 10'000;  // a smaller index is built in no time
constexpr std::size_t max_dead_share = 3;       // a third of a segment gone: it is written anew
constexpr std::size_t enough_caught_up = 1000;
constexpr auto idle_wait = std::chrono::seconds(30), relaxed_wait = std::chrono::seconds(1);

std::string encode_rows(const Bits& rows, std::span<const Row> unsure) {
  std::string text;
  put(text, std::uint64_t{rows.words().size()});
  for (const std::uint64_t word : rows.words()) put(text, word);
  for (const Row row : unsure) put(text, row);
  return text;
}

}  // namespace

// ---- The index ----

Status LocalCollection::fill_index(Index& index, const Bits& rows, std::stop_token stop) const {
  std::vector<Row> batch;
  std::vector<float> vectors;
  const auto give = [&]() -> Status {
    Status added = index.add(batch, vectors);
    batch.clear();
    vectors.clear();
    return added;
  };
  Row from = 0;
  for (bool has_more = true; has_more;) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    {
      const std::shared_lock lock(state_mutex_);
      has_more = false;
      rows.each(
          [&](Row row) {
            has_more = batch.size() == fill_rows;
            if (has_more) return false;
            from = row + 1;
            const auto view = view_of(row);
            if (!view.ok()) return true;  // gone since, or damaged: told when it was opened
            batch.push_back(row);
            vectors.insert(vectors.end(), view->vector.begin(), view->vector.end());
            return true;
          },
          from);
    }
    TRY(give());
  }
  return Done{};
}

Result<std::shared_ptr<Index>> LocalCollection::load_index() {
  const auto& load = options_.indexes.load;
  if (!manifest_.index || !load) return Error(ErrorKind::not_found, "no index was saved");
  const std::string body =
      TRY(read_checked(*files_, path_of(manifest_.index->rows_file), index_rows_magic));
  ByteReader in(bytes_of(body));
  const auto words = TRY(in.value<std::uint64_t>());
  TRY(in.expect_records(words, sizeof(std::uint64_t)));
  Bits saved;
  saved.words().resize(words);
  for (std::uint64_t& word : saved.words()) word = TRY(in.value<std::uint64_t>());
  std::vector<Row> gone;
  while (in.remaining() > 0) {
    gone.push_back(TRY(in.value<Row>()));
    saved.clear(gone.back());
  }
  std::shared_ptr<Index> index = TRY(load(manifest_.schema, path_of(manifest_.index->file)));
  Bits missing = live_, dead = saved;
  missing.drop(saved);
  dead.drop(live_);
  dead.each([&](Row row) {
    gone.push_back(row);
    return true;
  });
  index->remove(gone);
  TRY(fill_index(*index, missing, {}));
  unsaved_rows_ = missing.count() + gone.size();
  return index;
}

Status LocalCollection::open_index() {
  auto loaded = load_index();
  if (loaded.ok()) {
    index_ = std::move(*loaded);
    return Done{};
  }
  if (loaded.error().kind() != ErrorKind::not_found)
    log_warning("collection.index name={} problem={} remedy=rebuild", name_,
                loaded.error().message());
  std::shared_ptr<Index> index = TRY(options_.indexes.make(manifest_.schema));
  TRY(fill_index(*index, live_, {}));
  index_ = std::move(index);
  unsaved_rows_ = live_rows_;
  return Done{};
}

Status LocalCollection::catch_up(Index& index, std::span<const Row> changed) const {
  std::vector<Row> came, went;
  std::vector<float> vectors;
  {
    const std::shared_lock lock(state_mutex_);
    Bits seen;
    for (const Row row : changed) {
      if (seen.has(row)) continue;
      seen.set(row);
      const auto view = live_.has(row) ? view_of(row) : Error(ErrorKind::not_found, "");
      if (!view.ok()) {
        went.push_back(row);
        continue;
      }
      came.push_back(row);
      vectors.insert(vectors.end(), view->vector.begin(), view->vector.end());
    }
  }
  index.remove(went);
  return index.add(came, vectors);
}

Status LocalCollection::rebuild_index(const IndexChoice& choice, std::stop_token stop) {
  Schema schema = manifest_.schema;
  schema.index = choice;
  std::shared_ptr<Index> index = TRY(options_.indexes.make(schema));
  Bits rows;
  {
    const Lead lead(*this);
    rows = live_;
    is_tracking_ = true;
    changed_rows_.clear();
  }
  Status filled = fill_index(*index, rows, stop);
  while (filled.ok()) {
    const Lead lead(*this);
    const std::vector<Row> changed = std::exchange(changed_rows_, {});
    filled = catch_up(*index, changed);
    if (!filled.ok() || changed.size() > enough_caught_up) continue;
    Manifest next = manifest_;
    next.schema = schema;
    next.index.reset();
    is_tracking_ = false;
    is_index_behind_ = false;
    unsaved_rows_ = rows.count();
    return install(std::move(next), [&] { index_ = index; });
  }
  const Lead lead(*this);
  is_tracking_ = false;
  changed_rows_.clear();
  return filled;
}

Status LocalCollection::reindex(const IndexChoice& choice, std::stop_token stop) {
  TRY(check_writable());
  const std::lock_guard work_lock(work_mutex_);
  TRY(rebuild_index(choice, stop));
  return save_index();
}

Status LocalCollection::save_index() {
  const std::size_t due = std::max(min_saved_rows, live_rows_ / 10);
  if (!options_.indexes.load || unsaved_rows_ < due || live_rows_ < min_saved_rows) return Done{};
  const std::string file = fmt::format("index-{}", manifest_.next_file);
  const std::string rows_file = file + ".rows";
  std::shared_ptr<Index> index;
  Bits rows;
  std::size_t unsaved = 0;
  {
    const Lead lead(*this);
    ++manifest_.next_file;
    index = index_;
    rows = live_;
    unsaved = unsaved_rows_;
    is_tracking_ = true;
    changed_rows_.clear();
  }
  Status saved = index->save(path_of(file));
  const Lead lead(*this);
  is_tracking_ = false;
  const std::vector<Row> unsure = std::exchange(changed_rows_, {});
  TRY(std::move(saved));
  TRY(write_checked(*files_, path_of(rows_file), index_rows_magic, encode_rows(rows, unsure)));
  TRY(sync_log());
  Manifest next = manifest_;
  const std::optional<SavedIndex> old = std::exchange(next.index, SavedIndex{file, rows_file});
  TRY(install(std::move(next), [] {}));
  unsaved_rows_ -= std::min(unsaved, unsaved_rows_);
  if (old) {
    remove_file(path_of(old->file));
    remove_file(path_of(old->rows_file));
  }
  return Done{};
}

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

Status LocalCollection::write_frozen() {
  const std::string file = fmt::format("segment-{}", manifest_.next_file);
  {
    // Never this name again: a manifest that names it may be on the disk even if we are told not.
    const Lead lead(*this);
    ++manifest_.next_file;
  }
  std::shared_ptr<const Segment> segment;
  SegmentWriter writer =
      TRY(SegmentWriter::create(*files_, path_of(file), manifest_.schema.dim, manifest_.store_id));
  for (std::size_t i = 0; i < frozen_->documents.size(); ++i)
    if (const auto& document = frozen_->documents[i])
      TRY(writer.add(frozen_->first + static_cast<Row>(i),
                     {document->id, document->text, document->metadata, document->vector}));
  const bool is_needed = writer.count() > 0 || !frozen_->dead.empty();
  if (is_needed) {
    TRY(writer.commit(frozen_->dead));
    segment = TRY(Segment::open(*files_, path_of(file), manifest_.schema.dim, manifest_.store_id));
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

bool LocalCollection::should_compact() const {
  if (segments_.size() > options_.max_segments) return true;
  const std::size_t kept = live_rows_ - std::min(live_rows_, active_->documents.size());
  std::size_t all = 0;
  for (const auto& segment : segments_) all += segment->rows().size();
  return all > enough_caught_up && (all - std::min(all, kept)) * max_dead_share > all;
}

Result<std::shared_ptr<const Segment>> LocalCollection::merge(
    std::span<const std::shared_ptr<const Segment>> inputs, const Bits& live,
    const std::string& file) const {
  SegmentWriter writer =
      TRY(SegmentWriter::create(*files_, path_of(file), manifest_.schema.dim, manifest_.store_id));
  std::vector<Row> dead;
  for (const auto& input : inputs) {
    for (std::size_t i = 0; i < input->rows().size(); ++i)
      if (live.has(input->rows()[i])) {
        const DocumentView view = TRY(input->document(i));
        TRY(writer.add(input->rows()[i], view));
      }
    // A death is kept as long as an older segment has the dead.
    for (const Row row : input->dead())
      for (const auto& older : segments_) {
        if (older == inputs.front()) break;
        if (older->find(row) < 0) continue;
        dead.push_back(row);
        break;
      }
  }
  if (writer.count() == 0 && dead.empty()) {
    remove_file(path_of(file));
    return std::shared_ptr<const Segment>();
  }
  TRY(writer.commit(dead));
  return Segment::open(*files_, path_of(file), manifest_.schema.dim, manifest_.store_id);
}

// Merges the newest segments, and older ones as long as they are not much larger: each document is
// written anew a few times in its life.
Status LocalCollection::compact() {
  std::size_t first = segments_.size();
  std::uint64_t bytes = 0;
  const bool is_crowded = segments_.size() > options_.max_segments;
  while (first > 0 && (!is_crowded || segments_.size() - first < 2 ||
                       segments_[first - 1]->bytes() <= 2 * bytes))
    bytes += segments_[--first]->bytes();
  const std::string file = fmt::format("segment-{}", manifest_.next_file);
  Bits live;
  {
    const Lead lead(*this);
    ++manifest_.next_file;
    live = live_;
  }
  const std::vector inputs(segments_.begin() + static_cast<std::ptrdiff_t>(first), segments_.end());
  const std::shared_ptr<const Segment> merged = TRY(merge(inputs, live, file));
  const Lead lead(*this);
  TRY(sync_log());
  Manifest next = manifest_;
  const std::vector<std::string> old(next.segments.begin() + static_cast<std::ptrdiff_t>(first),
                                     next.segments.end());
  next.segments.resize(first);
  if (merged) next.segments.push_back(file);
  TRY(install(std::move(next), [&] {
    segments_.resize(first);
    if (merged) segments_.push_back(merged);
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
  while (should_compact()) {
    const std::size_t before = segments_.size();
    TRY(compact());
    if (segments_.size() >= before) break;
  }
  if (is_index_behind_) TRY(rebuild_index(manifest_.schema.index, stop));
  TRY(index_->maintain(stop));
  TRY(save_index());
  return sample_recall(stop);
}

void LocalCollection::work(std::stop_token stop) {
  const auto wait = options_.is_synced
                        ? idle_wait
                        : std::chrono::duration_cast<std::chrono::seconds>(relaxed_wait);
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(wake_mutex_);
      wake_.wait_for(lock, stop, wait, [&] { return has_work_; });
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
  }
}

void LocalCollection::start_background() {
  background_ = std::jthread([this](std::stop_token stop) { work(stop); });
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
  Manifest copy = manifest_;
  copy.index.reset();
  for (const std::string& file : copy.segments)
    TRY(files_->link(path_of(file), join_path(target, file)));
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
  info.recall = recall_.with([](const Json& json) { return json; });
  info.problem = problem_.with([](const std::string& text) { return text; });
  const std::shared_lock lock(state_mutex_);
  info.name = name_;
  info.folder = folder_;
  info.schema = manifest_.schema;
  info.documents = live_rows_;
  info.segments = segments_.size();
  std::size_t held = active_->documents.size() + (frozen_ ? frozen_->documents.size() : 0);
  for (const auto& segment : segments_) {
    held += segment->rows().size();
    info.disk_bytes += segment->bytes();
  }
  info.removed = held - std::min(held, live_rows_);
  info.truncated_log_bytes = truncated_log_bytes_;
  info.is_read_only = access_ != Access::write || !damage_.empty();
  if (!damage_.empty()) info.problem = damage_;
  info.index = index_->info();
  info.tuning = manifest_.tuning;
  for (const std::string& file : list_folder(folder_).value_or({}))
    if (log_epoch(file)) info.log_bytes += stamp_of(path_of(file)).value_or({}).bytes;
  return info;
}

}  // namespace hearth::vectors
