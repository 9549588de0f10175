// Local collections: opening, recovery and writing.
#include "vectors/store/local.h"

#include <fmt/core.h>

#include <chrono>
#include <random>
#include <unordered_map>

#include "base/log.h"
#include "base/utf8.h"
#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

// The index takes late rows in: they are compared one by one until then.
constexpr std::size_t many_changes = 8192;
constexpr std::size_t max_batch = 100'000;
constexpr std::size_t max_batch_bytes = 512u << 20;
constexpr std::size_t max_group_bytes = 64u << 20;  // of several writes that reach the disk as one

Error invalid(std::string_view id, std::string_view what) {
  return Error(ErrorKind::invalid, fmt::format("document '{}': {}", printable(id), what));
}

bool has_type(const Json& value, FieldType type) {
  switch (type) {
    case FieldType::text:
      return value.is_string();
    case FieldType::number:
      return value.is_number();
    case FieldType::truth:
      return value.is_bool();
    case FieldType::list:
      return value.is_array();
  }
  return false;
}

Status check_id(std::string_view id) {
  if (id.empty() || id.size() > max_id_bytes || !is_utf8(id) || id.find('\0') != id.npos)
    return invalid(id, fmt::format("an id is 1 to {} bytes of UTF-8", max_id_bytes));
  return Done{};
}

Result<std::shared_ptr<const StoredDocument>> prepare(const Document& document,
                                                      const Schema& schema) {
  TRY(check_id(document.id));
  if (document.vector.size() != schema.dim)
    return invalid(document.id, fmt::format("a vector of {} numbers: needs {}",
                                            document.vector.size(), schema.dim));
  for (const float x : document.vector)
    if (!std::isfinite(x)) return invalid(document.id, "its vector holds what is no number");
  if (document.text.size() > max_text_bytes)
    return invalid(document.id, fmt::format("a text of over {} bytes", max_text_bytes));
  if (!is_utf8(document.text)) return invalid(document.id, "its text is not UTF-8");
  if (!document.metadata.is_object() && !document.metadata.is_null())
    return invalid(document.id, "its metadata is no object");
  for (const Field& field : schema.fields) {
    const Json* value = document.metadata.find(field.name);
    if (value && !value->is_null() && !has_type(*value, field.type))
      return invalid(document.id, fmt::format("field '{}' holds a {}", printable(field.name),
                                              value->type_name()));
  }
  auto stored = std::make_shared<StoredDocument>();
  stored->id = document.id;
  stored->vector = document.vector;
  stored->text = document.text;
  stored->metadata = document.metadata.is_null() ? "{}" : write_json(document.metadata);
  if (stored->metadata.size() > max_metadata_bytes)
    return invalid(document.id, fmt::format("metadata of over {} bytes", max_metadata_bytes));
  return std::shared_ptr<const StoredDocument>(std::move(stored));
}

}  // namespace

LocalCollection::LocalCollection(std::string folder_path, Access wanted, StoreOptions store_options)
    : folder_(std::move(folder_path)),
      name_(file_name(folder_)),
      access_(wanted),
      options_(std::move(store_options)),
      files_(options_.files ? options_.files : system_files()) {}

LocalCollection::~LocalCollection() {
  background_ = {};
  if (access_ != Access::write || !index_ || !damage_.empty()) return;
  // What is not written now is found in the log at the next opening.
  Status flushed = flush(true);
  if (flushed.ok()) flushed = save_index();
  if (!flushed.ok())
    log_warning("collection.close name={} problem={}", name_, flushed.error().message());
}

void LocalCollection::remove_file(const std::string& path) const {
  Status removed = files_->remove(path);
  if (!removed.ok() && removed.error().kind() != ErrorKind::not_found)
    log_warning("collection.remove problem={}", removed.error().message());
}

Schema LocalCollection::schema() const {
  const std::shared_lock lock(state_mutex_);
  return manifest_.schema;
}

// ---- Writing ----

LocalCollection::Lead::Lead(LocalCollection& collection) : collection_(collection) {
  std::unique_lock lock(collection_.commit_mutex_);
  collection_.commit_changed_.wait(lock, [&] { return !collection_.is_led_; });
  collection_.is_led_ = true;
}

LocalCollection::Lead::~Lead() {
  {
    const std::lock_guard lock(collection_.commit_mutex_);
    collection_.is_led_ = false;
  }
  collection_.commit_changed_.notify_all();
}

Status LocalCollection::check_writable() const {
  if (access_ != Access::write)
    return Error(ErrorKind::unavailable, fmt::format("collection '{}': opened for reading", name_));
  if (!damage_.empty())
    return Error(ErrorKind::corrupt,
                 fmt::format("collection '{}' takes no writes: {}", name_, damage_));
  return Done{};
}

Status LocalCollection::write(const Batch& batch) {
  TRY(check_writable());
  if (batch.upserts.size() + batch.removals.size() > max_batch)
    return Error(ErrorKind::invalid, fmt::format("over {} documents in one write", max_batch));
  Pending mine{{}, &batch.removals, 0, std::nullopt};
  for (const Document& document : batch.upserts) {
    mine.upserts.push_back(TRY(prepare(document, made_with_)));
    const StoredDocument& stored = *mine.upserts.back();
    mine.bytes += stored.id.size() + stored.text.size() + stored.metadata.size() +
                  stored.vector.size() * sizeof(float);
  }
  if (mine.bytes > max_batch_bytes)
    return Error(ErrorKind::invalid,
                 fmt::format("{} bytes in one write: at most {}", mine.bytes, max_batch_bytes));

  std::unique_lock lock(commit_mutex_);
  waiting_.push_back(&mine);
  for (;;) {
    commit_changed_.wait(lock, [&] { return mine.result || !is_led_; });
    if (mine.result) return std::move(*mine.result);
    // Nobody leads: this thread does, for those who wait.
    is_led_ = true;
    const std::vector<Pending*> group = take_group();
    lock.unlock();
    const Status done = commit(group);
    lock.lock();
    for (Pending* pending : group) pending->result = done;
    is_led_ = false;
    commit_changed_.notify_all();
  }
}

// Those who have waited longest, as many as one write takes.
std::vector<LocalCollection::Pending*> LocalCollection::take_group() {
  std::size_t bytes = 0, count = 0;
  while (count < waiting_.size() &&
         (count == 0 || bytes + waiting_[count]->bytes <= max_group_bytes))
    bytes += waiting_[count++]->bytes;
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Pending*> group(waiting_.begin(), end);
  waiting_.erase(waiting_.begin(), end);
  return group;
}

// What the group's writes come to, one after the other.
std::vector<LogStep> LocalCollection::plan(std::span<Pending* const> group) const {
  std::vector<LogStep> steps;
  std::unordered_map<std::string_view, Row> changed;  // within the group
  Row next = next_row_;
  const auto row_of = [&](std::string_view id) {
    const auto found = changed.find(id);
    return found != changed.end() ? found->second : find_id(id);
  };
  for (const Pending* pending : group) {
    for (const std::string& id : *pending->removals) {
      const Row dead = row_of(id);
      if (dead == no_row) continue;
      steps.push_back({nullptr, no_row, dead});
      changed[id] = no_row;
    }
    for (const auto& document : pending->upserts) {
      steps.push_back({document, next, row_of(document->id)});
      changed[document->id] = next++;
    }
  }
  return steps;
}

Status LocalCollection::append(const std::vector<LogStep>& steps) {
  if (!log_) {
    log_ = TRY(LogWriter::create(*files_, folder_, store_id_, next_epoch_));
    ++next_epoch_;
  }
  return log_->append(steps, options_.is_synced);
}

Status LocalCollection::commit(std::span<Pending* const> group) {
  TRY(check_writable());
  const std::vector<LogStep> steps = plan(group);
  if (steps.empty()) return Done{};
  if (steps.size() >= max_rows - next_row_)
    return Error(ErrorKind::exhausted,
                 fmt::format("collection '{}': its rows are used up; export and import it", name_));
  Status written = append(steps);
  // What makes room must not want for room.
  const bool is_removal = std::none_of(
      steps.begin(), steps.end(), [](const LogStep& step) { return step.document != nullptr; });
  if (!written.ok() && written.error().kind() == ErrorKind::exhausted && is_removal &&
      has_reserve_.exchange(false)) {
    remove_file(path_of(reserve_name));
    written = append(steps);
  }
  TRY(std::move(written));
  publish(steps);
  changes_since_work_ += steps.size();
  if (log_->bytes() + unflushed_bytes_ > options_.flush_bytes ||
      changes_since_work_ > many_changes) {
    changes_since_work_ = 0;
    wake_background();
  }
  return Done{};
}

void LocalCollection::publish(const std::vector<LogStep>& steps) {
  std::vector<Row> came, went;
  Bits dead_here;
  for (const LogStep& step : steps) {
    if (step.dead == no_row) continue;
    went.push_back(step.dead);
    if (step.dead >= next_row_) dead_here.set(step.dead - next_row_);
  }
  std::vector<float> vectors;
  for (const LogStep& step : steps) {
    if (!step.document || dead_here.has(step.row - next_row_)) continue;
    came.push_back(step.row);
    vectors.insert(vectors.end(), step.document->vector.begin(), step.document->vector.end());
  }
  // Read before the lock is taken: readers wait for as little as can be.
  std::vector<Json> metadata;
  const bool has_fields = [&] {
    const std::shared_lock lock(state_mutex_);
    return !fields_.empty();
  }();
  if (has_fields)
    for (const LogStep& step : steps)
      metadata.push_back(step.document ? parse_json(step.document->metadata).value_or(Json())
                                       : Json());
  // New rows are found before old ones are gone: a reader always finds one of the two.
  const std::shared_ptr<Index> index = index_;
  Status added = index->add(came, vectors);
  if (!added.ok()) problem_.with([&](std::string& text) { text = added.error().message(); });
  {
    const std::unique_lock lock(state_mutex_);
    apply(steps, metadata);
    if (!added.ok()) {
      for (const Row row : came) unindexed_.set(row);
      unindexed_rows_ += came.size();
    }
  }
  index->remove(went);
  unsaved_rows_ += came.size() + went.size();
  if (!is_tracking_) return;
  changed_rows_.insert(changed_rows_.end(), came.begin(), came.end());
  changed_rows_.insert(changed_rows_.end(), went.begin(), went.end());
}

void LocalCollection::apply(const std::vector<LogStep>& steps, std::span<const Json> metadata) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const LogStep& step = steps[i];
    // A segment that was merged before the crash has lost the row that its log removes.
    const bool had_row = step.dead != no_row && live_.has(step.dead);
    if (had_row) {
      if (!step.document) ids_.erase(id_of(step.dead), step.dead);
      live_.clear(step.dead);
      --live_rows_;
      if (unindexed_.has(step.dead)) {
        unindexed_.clear(step.dead);
        --unindexed_rows_;
      }
      if (step.dead < active_->first) active_->dead.push_back(step.dead);
    }
    if (!step.document) continue;
    active_->documents.resize(step.row - active_->first);  // a row that was never used
    active_->documents.push_back(step.document);
    ids_.set(step.document->id, had_row ? step.dead : no_row, step.row);
    live_.set(step.row);
    ++live_rows_;
    next_row_ = std::max(next_row_, step.row + 1);
    if (fields_.empty()) continue;
    const Json read =
        metadata.empty() ? parse_json(step.document->metadata).value_or(Json()) : Json();
    const Json& values = metadata.empty() ? read : metadata[i];
    for (auto& [name, field] : fields_) field->add(step.row, find_field(values, name));
  }
  ++changes_;
}

// ---- Making and removing ----

Result<std::unique_ptr<Collection>> open_collection(const std::string& folder, Access access,
                                                    const StoreOptions& options) {
  TRY(check_name(file_name(folder)));
  const auto files = options.files ? options.files : system_files();
  constexpr int attempts = 5;
  for (int attempt = 1;; ++attempt) {
    auto collection = std::make_unique<LocalCollection>(folder, access, options);
    Status opened = collection->open();
    if (opened.ok()) return std::unique_ptr<Collection>(std::move(collection));
    const Error& error = opened.error();
    // A reader may look while the writer puts a new segment in the place of old ones.
    const bool is_moved = access == Access::read && error.kind() == ErrorKind::not_found;
    if (is_moved && attempt < attempts && read_manifest(*files, folder).ok()) continue;
    return error;
  }
}

Result<std::unique_ptr<Collection>> create_collection(const std::string& folder,
                                                      const Schema& schema,
                                                      const StoreOptions& options) {
  TRY(check_name(file_name(folder)));
  if (schema.dim == 0 || schema.dim > max_dim)
    return Error(ErrorKind::invalid,
                 fmt::format("dim = {}: needs a whole number from 1 to {}", schema.dim, max_dim));
  const auto files = options.files ? options.files : system_files();
  const Error exists(ErrorKind::invalid,
                     fmt::format("collection '{}' exists already", file_name(folder)));
  if (read_manifest(*files, folder).ok()) return exists;
  TRY(options.indexes.make(schema));  // an unknown kind is told before anything is made
  TRY(files->make_folder(folder));
  TRY(files->sync_folder(parent_folder(folder)));
  {
    const auto lock = TRY(files->lock(join_path(folder, LocalCollection::lock_name)));
    // A folder without a manifest is one whose making was cut short.
    const auto there = read_manifest(*files, folder);
    if (there.ok() || there.error().kind() != ErrorKind::not_found) return exists;
    std::random_device random;
    Manifest manifest;
    manifest.store_id = std::uint64_t{random()} << 32 | random();
    manifest.schema = schema;
    TRY(write_manifest(*files, folder, manifest));
  }
  return open_collection(folder, Access::write, options);
}

Status remove_collection(const std::string& folder, const StoreOptions& options) {
  TRY(check_name(file_name(folder)));
  const auto files = options.files ? options.files : system_files();
  if (!is_collection(folder))
    return Error(ErrorKind::not_found,
                 fmt::format("there is no collection '{}'", file_name(folder)));
  {
    const auto lock = TRY(files->lock(join_path(folder, LocalCollection::lock_name)));
    // Without its manifest it is no collection any more, whatever happens next.
    TRY(files->remove(join_path(folder, manifest_name)));
    TRY(files->sync_folder(folder));
    for (const std::string& file : TRY(files->list(folder)))
      TRY(files->remove(join_path(folder, file)));
  }
  return files->remove_folder(folder);
}

bool is_collection(const std::string& folder) { return is_file(join_path(folder, manifest_name)); }

std::vector<std::string> list_collections(const std::string& folder) {
  std::vector<std::string> names;
  const auto found = list_folder(folder);
  if (!found.ok()) return names;
  for (const std::string& name : *found)
    if (check_name(name).ok() && is_collection(join_path(folder, name))) names.push_back(name);
  return names;
}

}  // namespace hearth::vectors
