// Local collections: the index, built, saved and kept up to date.
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/log.h"
#include "vectors/ivf/kmeans.h"
#include "vectors/store/encoding.h"
#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

constexpr std::string_view index_rows_magic = "HEARTHIR";
constexpr std::size_t fill_rows = 1024;         // given to an index at a time
constexpr std::size_t gap_rows = 256;           // while searches look through the rest
constexpr std::size_t min_saved_rows = 10'000;  // a smaller index is built in no time,
constexpr std::size_t min_learned_rows = 500;   // but for one that is trained
constexpr std::size_t enough_caught_up = 1000;  // rows that a writer may wait for

std::string encode_rows(const Bits& rows, std::span<const Row> unsure) {
  std::string text;
  put(text, std::uint64_t{rows.words().size()});
  for (const std::uint64_t word : rows.words()) put(text, word);
  for (const Row row : unsure) put(text, row);
  return text;
}

}  // namespace

Status LocalCollection::each_part(const Bits& rows, const UsePart& use,
                                  std::stop_token stop) const {
  std::vector<Row> part;
  std::vector<float> vectors;
  Row from = 0;
  for (bool has_more = true; has_more;) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    {
      const std::shared_lock lock(state_mutex_);
      has_more = false;
      rows.each(
          [&](Row row) {
            has_more = part.size() == fill_rows;
            if (has_more) return false;
            from = row + 1;
            const auto view = view_of(row);
            if (!view.ok()) return true;  // gone since, or damaged: told when it was opened
            part.push_back(row);
            vectors.insert(vectors.end(), view->vector.begin(), view->vector.end());
            return true;
          },
          from);
    }
    TRY(use(part, vectors));
    part.clear();
    vectors.clear();
  }
  return Done{};
}

// An index that asks for a sample gets one of all rows first.  Then it sorts them as they come, and
// never holds more of them unsorted than `waiting_bytes`.
Status LocalCollection::fill_index(Index& index, const Bits& rows, const OnShare& done,
                                   std::stop_token stop) const {
  const std::size_t all = rows.count(), dim = made_with_.dim;
  const std::size_t wanted = index.wanted_sample(all);
  const double learning = wanted > 0 ? 0.5 : 0;  // about that much of the time
  const auto tell = [&](double share) {
    if (done) done(share);
  };
  if (wanted > 0) {
    Reservoir sample(dim, wanted, 1);
    TRY(each_part(
        rows,
        [&](std::span<const Row>, std::span<const float> vectors) {
          sample.offer(vectors);
          return Status(Done{});
        },
        stop));
    TRY(index.learn_sample(
        sample.rows(), all, [&](double share) { tell(learning * share); }, stop));
  }
  const std::size_t most_raw = std::max(options_.waiting_bytes / (sizeof(float) * dim), fill_rows);
  std::size_t given = 0, raw = 0;
  return each_part(
      rows,
      [&](std::span<const Row> part, std::span<const float> vectors) -> Status {
        TRY(index.add(part, vectors));
        given += part.size();
        raw += part.size();
        if (wanted > 0 && raw >= most_raw) {
          TRY(index.maintain(stop));
          raw = 0;
        }
        tell(learning + (1 - learning) * static_cast<double>(given) /
                            static_cast<double>(std::max<std::size_t>(all, 1)));
        return Done{};
      },
      stop);
}

// Beside writers, who put their own rows into the index themselves.
Status LocalCollection::fill_gap(std::stop_token stop) {
  std::vector<Row> batch, gone;
  std::vector<float> vectors;
  for (;;) {
    if (unindexed_rows_ == 0) return Done{};
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    std::shared_ptr<Index> index;
    {
      const std::shared_lock lock(state_mutex_);
      index = index_;
      unindexed_.each([&](Row row) {
        const auto view = view_of(row);
        batch.push_back(row);
        if (!view.ok()) {  // damaged: told when it was opened
          gone.push_back(row);
          batch.pop_back();
        } else {
          vectors.insert(vectors.end(), view->vector.begin(), view->vector.end());
        }
        return batch.size() < gap_rows;
      });
    }
    TRY(index->add(batch, vectors));
    unsaved_rows_ += batch.size();
    {
      const std::unique_lock lock(state_mutex_);
      for (const std::vector<Row>* rows : {&batch, &gone})
        for (const Row row : *rows) {
          if (!unindexed_.has(row)) continue;
          unindexed_.clear(row);
          --unindexed_rows_;
        }
      gone.clear();
      // Whoever removed a row before now did not find it in the index.
      for (const Row row : batch)
        if (!live_.has(row)) gone.push_back(row);
    }
    index->remove(gone);
    batch.clear();
    vectors.clear();
    gone.clear();
  }
}

Result<std::shared_ptr<Index>> LocalCollection::load_index(Bits& missing) {
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
  Bits dead = saved;
  dead.drop(live_);
  dead.each([&](Row row) {
    gone.push_back(row);
    return true;
  });
  index->remove(gone);
  missing = live_;
  missing.drop(saved);
  unsaved_rows_ = gone.size();
  return index;
}

// Answers can be given at once: what the index lacks is compared one by one until it is in it.
Status LocalCollection::open_index() {
  auto loaded = load_index(unindexed_);
  if (loaded.ok()) {
    index_ = std::move(*loaded);
  } else {
    if (loaded.error().kind() != ErrorKind::not_found)
      log_warning("collection.index name={} problem={} remedy=rebuild", name_,
                  loaded.error().message());
    index_ = TRY(options_.indexes.make(manifest_.schema));
    unindexed_ = live_;
  }
  unindexed_rows_ = unindexed_.count();
  const bool is_little = unindexed_rows_ <= options_.indexed_at_once;
  return is_little || !options_.has_background ? fill_gap({}) : Status(Done{});
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

Status LocalCollection::rebuild_index(const IndexChoice& choice, const OnShare& done,
                                      std::stop_token stop) {
  Schema wanted = schema();
  wanted.index = choice;
  std::shared_ptr<Index> index = TRY(options_.indexes.make(wanted));
  Bits rows;
  {
    const Lead lead(*this);
    rows = live_;
    is_tracking_ = true;
    changed_rows_.clear();
  }
  Status filled = fill_index(*index, rows, done, stop);
  if (filled.ok()) filled = index->maintain(stop);  // lists are made and networks trained
  while (filled.ok()) {
    const Lead lead(*this);
    const std::vector<Row> changed = std::exchange(changed_rows_, {});
    filled = catch_up(*index, changed);
    if (!filled.ok() || changed.size() > enough_caught_up) continue;
    Manifest next = manifest_;
    next.schema.index = choice;
    next.index.reset();
    is_tracking_ = false;
    unsaved_rows_ = rows.count();
    return install(std::move(next), [&] {
      index_ = index;
      unindexed_ = {};
      unindexed_rows_ = 0;
    });
  }
  const Lead lead(*this);
  is_tracking_ = false;
  changed_rows_.clear();
  return filled;
}

Status LocalCollection::reindex(const IndexChoice& choice, const OnShare& done,
                                std::stop_token stop) {
  TRY(check_writable());
  const std::lock_guard work_lock(work_mutex_);
  TRY(rebuild_index(choice, done, stop));
  return save_index();
}

// When much has changed, or the index is of another kind now.
Status LocalCollection::save_index() {
  if (!options_.indexes.load) return Done{};
  const std::string kind = index_->info().kind;
  const std::size_t least =
      kind == "learned" || kind == "hybrid" ? min_learned_rows : min_saved_rows;
  const bool is_large = live_rows_ >= least;
  const std::size_t due = std::max<std::size_t>(least, live_rows_ / 10);
  const bool is_other = is_large && (!manifest_.index || manifest_.index->kind != kind);
  const bool is_changed = is_large && unsaved_rows_ >= due;
  if (!is_other && !is_changed) return Done{};
  const std::string file = fresh_name("index");
  const std::string rows_file = file + ".rows";
  std::shared_ptr<Index> index;
  Bits rows;
  std::size_t unsaved = 0;
  {
    const Lead lead(*this);
    index = index_;
    rows = live_;
    rows.drop(unindexed_);
    unsaved = unsaved_rows_.load();
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
  const std::optional<SavedIndex> old =
      std::exchange(next.index, SavedIndex{file, rows_file, kind});
  TRY(install(std::move(next), [] {}));
  unsaved_rows_ -= std::min<std::size_t>(unsaved, unsaved_rows_);
  if (old) {
    remove_file(path_of(old->file));
    remove_file(path_of(old->rows_file));
  }
  return Done{};
}

}  // namespace hearth::vectors
