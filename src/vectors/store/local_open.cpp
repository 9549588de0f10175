// Local collections: from the files of the last time to rows, ids and logs.
#include <fmt/core.h>

#include <algorithm>

#include "base/log.h"
#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t reserve_bytes = 64 << 10;

}  // namespace

Status LocalCollection::open() {
  if (access_ == Access::write) lock_ = TRY(files_->lock(path_of(lock_name)));
  manifest_ = TRY(read_manifest(*files_, folder_));
  next_row_ = opened_next_row_ = manifest_.next_row;
  made_with_ = manifest_.schema;
  store_id_ = manifest_.store_id;
  TRY(open_segments());
  TRY(replay_logs());
  if (access_ == Access::write) TRY(clean_folder());
  TRY(read_lessons());
  TRY(open_index());
  TRY(repeat_lessons());
  if (access_ == Access::write) keep_reserve();
  if (options_.has_background && (access_ == Access::write || unindexed_rows_ > 0))
    start_background();
  return Done{};
}

Status LocalCollection::open_segments() {
  Bits dead;
  for (const std::string& file : manifest_.segments) {
    auto segment =
        TRY(Segment::open(*files_, path_of(file), manifest_.schema.dim, manifest_.store_id));
    const auto rows = segment->rows();
    if (!rows.empty() && (rows.back() >= manifest_.next_row ||
                          (!segments_.empty() && !segments_.back()->rows().empty() &&
                           rows.front() <= segments_.back()->rows().back())))
      return Error(ErrorKind::corrupt,
                   fmt::format("{}: its rows are those of other segments", segment->path()));
    for (const Row row : segment->dead()) dead.set(row);
    for (const Row row : rows) live_.set(row);
    segments_.push_back(std::move(segment));
  }
  live_.drop(dead);
  live_rows_ = live_.count();
  for (const auto& segment : segments_) {
    const auto rows = segment->rows();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!live_.has(rows[i])) continue;
      const auto id = segment->id(i);
      if (id.ok())
        ids_.set(*id, no_row, rows[i]);
      else if (damage_.empty())
        damage_ = id.error().message();
    }
  }
  return Done{};
}

Status LocalCollection::replay_logs() {
  std::vector<std::uint64_t> epochs;
  for (const std::string& file : TRY(files_->list(folder_)))
    if (const auto epoch = log_epoch(file); epoch && *epoch >= manifest_.log_floor)
      epochs.push_back(*epoch);
  std::sort(epochs.begin(), epochs.end());
  next_epoch_ = epochs.empty() ? manifest_.log_floor : epochs.back() + 1;
  bool is_first = true;
  for (const std::uint64_t epoch : epochs) {
    const std::string path = path_of(log_name(epoch));
    const LogContents contents =
        TRY(read_log(*files_, path, manifest_.store_id, epoch, manifest_.schema.dim));
    if (contents.dropped_bytes > 0) {
      // Only the last log can end in a write that was not finished.
      if (epoch != epochs.back())
        return Error(ErrorKind::corrupt, fmt::format("{}: cut short, and later logs exist", path));
      truncated_log_bytes_ = contents.dropped_bytes;
      if (access_ == Access::write && contents.good_bytes > 0) {
        const auto file = TRY(files_->append_to(path));
        TRY(file->truncate(contents.good_bytes));
        TRY(file->sync());
      }
    }
    for (const LogStep& step : contents.steps) {
      if (step.document && is_first) {
        active_->first = step.row;
        is_first = false;
      }
      if (step.document && step.row < active_->first + active_->documents.size())
        return Error(ErrorKind::corrupt, fmt::format("{}: row {} comes twice", path, step.row));
      if (step.document && step.row >= max_rows)
        return Error(ErrorKind::corrupt, fmt::format("{}: row {}", path, step.row));
    }
    if (is_first) active_->first = next_row_;
    apply(contents.steps, {});
    old_epochs_.push_back(epoch);
    unflushed_bytes_ += contents.good_bytes;
  }
  if (epochs.empty()) active_->first = next_row_;
  return Done{};
}

Status LocalCollection::clean_folder() {
  std::vector<std::string> kept(manifest_.segments);
  kept.insert(kept.end(),
              {std::string(manifest_name), std::string(lock_name), std::string(lessons_name)});
  if (manifest_.index) {
    kept.push_back(manifest_.index->file);
    kept.push_back(manifest_.index->rows_file);
  }
  for (const std::string& file : TRY(files_->list(folder_))) {
    if (std::find(kept.begin(), kept.end(), file) != kept.end()) continue;
    if (file.starts_with(words_name)) continue;  // SQLite looks after its own
    if (file == reserve_name) {
      has_reserve_ = true;
      continue;
    }
    const auto epoch = log_epoch(file);
    if (epoch && *epoch >= manifest_.log_floor) continue;
    remove_file(path_of(file));
  }
  return Done{};
}

// Room that only removals may use.  Without it the disk is full already.
void LocalCollection::keep_reserve() {
  if (has_reserve_) return;
  const std::string path = path_of(reserve_name);
  const Status kept = [&]() -> Status {
    const auto file = TRY(files_->create(path));
    const std::vector<std::byte> zeros(reserve_bytes);
    TRY(file->append(zeros));
    return file->sync();
  }();
  if (kept.ok())
    has_reserve_ = true;
  else
    remove_file(path);
}

}  // namespace hearth::vectors
