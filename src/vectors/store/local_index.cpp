// Local collections: the index, built, saved and kept up to date.
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/log.h"
#include "vectors/store/encoding.h"
#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

constexpr std::string_view index_rows_magic = "HEARTHIR";
constexpr std::size_t fill_rows = 1024;         // given to an index at a time
constexpr std::size_t min_saved_rows = 10'000;  // a smaller index is built in no time
constexpr std::size_t enough_caught_up = 1000;  // rows that a writer may wait for

std::string encode_rows(const Bits& rows, std::span<const Row> unsure) {
  std::string text;
  put(text, std::uint64_t{rows.words().size()});
  for (const std::uint64_t word : rows.words()) put(text, word);
  for (const Row row : unsure) put(text, row);
  return text;
}

}  // namespace

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
  unsaved_rows_ = live_rows_.load();
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
  Status filled = fill_index(*index, rows, stop);
  while (filled.ok()) {
    const Lead lead(*this);
    const std::vector<Row> changed = std::exchange(changed_rows_, {});
    filled = catch_up(*index, changed);
    if (!filled.ok() || changed.size() > enough_caught_up) continue;
    Manifest next = manifest_;
    next.schema.index = choice;
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
  const std::size_t due = std::max<std::size_t>(min_saved_rows, live_rows_ / 10);
  if (!options_.indexes.load || unsaved_rows_ < due || live_rows_ < min_saved_rows) return Done{};
  const std::string file = fresh_name("index");
  const std::string rows_file = file + ".rows";
  std::shared_ptr<Index> index;
  Bits rows;
  std::size_t unsaved = 0;
  {
    const Lead lead(*this);
    index = index_;
    rows = live_;
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
  const std::optional<SavedIndex> old = std::exchange(next.index, SavedIndex{file, rows_file});
  TRY(install(std::move(next), [] {}));
  unsaved_rows_ -= std::min<std::size_t>(unsaved, unsaved_rows_);
  if (old) {
    remove_file(path_of(old->file));
    remove_file(path_of(old->rows_file));
  }
  return Done{};
}

}  // namespace hearth::vectors
