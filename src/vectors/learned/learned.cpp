#include "vectors/learned/learned.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "kernels/search_select.h"
#include "vectors/learned/learned_view.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t encoded_at_once = 512;
constexpr std::size_t drift_window = 1000;  // the latest rows, in which drift is looked for
constexpr std::size_t drift_rows = 500;     // of them, that are measured
constexpr std::size_t least_drift_rows = 64;
constexpr float most_turn = 0.05f;  // of a layer's weights, by feedback; see learn_from

}  // namespace

Status check_spec(const LearnedSpec& spec) {
  const auto refuse = [](std::string_view name, auto value, std::string_view needs) {
    return Error(ErrorKind::invalid, fmt::format("{} = {}: needs {}", name, value, needs));
  };
  if (spec.dim < 1 || spec.dim > most_flat_dim) return refuse("dim", spec.dim, "1 to 65536");
  if (spec.radius < 0 || spec.radius > 16) return refuse("radius", spec.radius, "0 to 16");
  if (spec.segments != 0 && spec.segments != 2 && spec.segments != 4)
    return refuse("segments", spec.segments, "0, 2 or 4");
  if (spec.storage == Storage::binary)
    return Error(ErrorKind::invalid, "storage = binary: needs f32, f16, bf16 or int8");
  if (spec.sample_rows < least_training_rows || spec.sample_rows > 65536)
    return refuse("sample_rows", spec.sample_rows, "256 to 65536");
  if (spec.training.hidden < 1 || spec.training.hidden > 4096)
    return refuse("hidden", spec.training.hidden, "1 to 4096");
  return Done{};
}

Learned::Learned(const LearnedSpec& spec)
    : spec_(spec),
      codec_(spec.dim, spec.metric, spec.storage, kernels::best_search_kernels()),
      radius_(spec.radius),
      writer_(std::make_unique<Writer>()) {
  auto empty = std::make_shared<View>();
  empty->map = std::make_shared<RowMap>();
  publish(std::move(empty));
}

Learned::~Learned() = default;

Result<std::unique_ptr<Index>> Learned::create(const LearnedSpec& spec) {
  TRY(check_spec(spec));
  std::unique_ptr<Learned> index(new Learned(spec));
  if (!spec.model_path.empty()) {
    auto model = TRY(read_model_file(spec.model_path));
    if (model.dim() != spec.dim)
      return Error(ErrorKind::invalid, fmt::format("{}: a model of dimension {}: needs {}",
                                                   spec.model_path, model.dim(), spec.dim));
    auto view = std::make_shared<View>(*index->view());
    view->model = std::make_shared<const CodeModel>(std::move(model));
    view->tables = std::make_shared<const CodeTables>(std::span<const std::uint32_t>{}, 0);
    index->publish(std::move(view));
  }
  return std::unique_ptr<Index>(std::move(index));
}

std::shared_ptr<const Learned::View> Learned::view() const {
  return view_.with([](const auto& view) { return view; });
}

void Learned::publish(std::shared_ptr<View> view) const {
  std::shared_ptr<const View> old = std::move(view);
  view_.with([&](auto& current) { std::swap(current, old); });
}

Status Learned::check(std::span<const float> vectors, std::size_t n) const {
  if (vectors.size() != n * spec_.dim)
    return Error(ErrorKind::invalid, fmt::format("{} numbers: needs {} for {} vectors of {}",
                                                 vectors.size(), n * spec_.dim, n, spec_.dim));
  if (!all_finite(vectors)) return Error(ErrorKind::invalid, "a vector that is not finite");
  return Done{};
}

std::vector<float> Learned::prepared(std::span<const float> query) const {
  std::vector<float> vector(query.begin(), query.end());
  if (spec_.metric == Metric::cosine) normalise(vector);
  return vector;
}

// Codes of slots [first, last).
void Learned::encode(const View& view, std::size_t first, std::size_t last) const {
  std::vector<float> vectors;
  for (std::size_t at = first; at < last; at += encoded_at_once) {
    const std::size_t n = std::min(encoded_at_once, last - at);
    vectors.resize(n * spec_.dim);
    for (std::size_t i = 0; i < n; ++i)
      codec_.decode(std::span(vectors).subspan(i * spec_.dim, spec_.dim),
                    view.row(static_cast<Slot>(at + i), codec_.row_bytes()));
    const Table embeddings = view.model->encoder.encode(view.model->standardised(vectors));
    for (std::size_t i = 0; i < n; ++i)
      (*view.codes[(at + i) / chunk_rows])[(at + i) % chunk_rows] =
          view.model->code(embeddings.row(i));
  }
}

void Learned::append_chunk(View& view) const {
  auto chunk = std::make_shared<Chunk>();
  chunk->row_space.resize(chunk_rows * codec_.row_bytes());
  chunk->owner_space.resize(chunk_rows);
  chunk->rows = chunk->row_space.data();
  chunk->owners = chunk->owner_space.data();
  view.chunks.push_back(std::move(chunk));
  if (view.model != nullptr)
    view.codes.push_back(std::make_shared<std::vector<std::uint32_t>>(chunk_rows));
}

// Rows go to the end; nobody's view counts them yet.
Status Learned::append(View& view, std::span<const Row> rows, std::span<const float> vectors) {
  const std::size_t first = view.used, row_bytes = codec_.row_bytes();
  if (rows.size() > most_slots - first)
    return Error(ErrorKind::exhausted, fmt::format("an index holds at most {} rows", most_slots));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (view.used == view.chunks.size() * chunk_rows) append_chunk(view);
    Chunk& chunk = *view.chunks.back();
    const std::size_t at = view.used % chunk_rows;
    codec_.encode(chunk.row_space.data() + at * row_bytes,
                  prepared(vectors.subspan(i * spec_.dim, spec_.dim)));
    chunk.owner_space[at] = rows[i];
    ++view.used;
  }
  if (view.model != nullptr) encode(view, first, view.used);
  return Done{};
}

// Every reader knows the new slots before a row moves to one: see View::resolve.
Status Learned::add(std::span<const Row> rows, std::span<const float> vectors) {
  TRY(check(vectors, rows.size()));
  if (std::find(rows.begin(), rows.end(), no_row) != rows.end())
    return Error(ErrorKind::invalid, fmt::format("row {}", no_row));
  if (rows.empty()) return Done{};
  const std::lock_guard lock(writing_);
  auto next = std::make_shared<View>(*view());
  const std::size_t first = next->used;
  if (first % chunk_rows != 0 && next->chunks.back()->row_space.empty()) own_last(*next);
  TRY(append(*next, rows, vectors));
  const std::shared_ptr<RowMap> map = next->map;
  publish(std::move(next));
  readers_.wait_for_readers();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (map->find(rows[i]) == no_slot)
      ++live_;
    else
      ++dead_;
    map->set(rows[i], static_cast<Slot>(first + i));
  }
  return Done{};
}

// The last chunk of a mapped file, which is not written, in memory of its own.
void Learned::own_last(View& view) const {
  const Chunk& mapped = *view.chunks.back();
  const std::size_t n = view.used % chunk_rows, row_bytes = codec_.row_bytes();
  auto chunk = std::make_shared<Chunk>();
  chunk->row_space.resize(chunk_rows * row_bytes);
  chunk->owner_space.resize(chunk_rows);
  std::copy_n(mapped.rows, n * row_bytes, chunk->row_space.begin());
  std::copy_n(mapped.owners, n, chunk->owner_space.begin());
  chunk->rows = chunk->row_space.data();
  chunk->owners = chunk->owner_space.data();
  view.chunks.back() = std::move(chunk);
}

void Learned::remove(std::span<const Row> rows) {
  const std::lock_guard lock(writing_);
  const auto now = view();
  for (const Row row : rows) {
    if (now->map->find(row) == no_slot) continue;
    now->map->set(row, no_slot);
    --live_;
    ++dead_;
  }
}

std::vector<float> Learned::sample(const View& view, std::size_t n) const {
  const std::vector<Slot> live = live_slots(view, nullptr);
  n = std::min(n, live.size());
  std::vector<float> rows(n * spec_.dim);
  for (std::size_t i = 0; i < n; ++i)
    codec_.decode(std::span(rows).subspan(i * spec_.dim, spec_.dim),
                  view.row(live[i * live.size() / n], codec_.row_bytes()));
  return rows;
}

Status Learned::train(std::stop_token stop) {
  const std::lock_guard lock(writing_);
  return train_locked(stop);
}

Status Learned::train_locked(std::stop_token stop) {
  const auto now = view();
  const std::vector<float> rows = sample(*now, spec_.sample_rows);
  CodeModel model = TRY(train_codes(rows, spec_.dim, spec_.training, stop, spec_.on_progress));
  auto next = std::make_shared<View>(*now);
  const std::size_t kept = std::min(drift_rows, rows.size() / spec_.dim);
  next->reference = std::make_shared<const Table>(
      model.encoder.encode(model.standardised(std::span(rows).first(kept * spec_.dim))));
  next->model = std::make_shared<const CodeModel>(std::move(model));
  next->query_encoder = nullptr;
  next->codes.clear();
  for (std::size_t i = 0; i < next->chunks.size(); ++i)
    next->codes.push_back(std::make_shared<std::vector<std::uint32_t>>(chunk_rows));
  encode(*next, 0, next->used);
  make_tables(*next);
  tune(*next);
  writer_->trained_rows = live_;
  writer_->since = next->used;
  writer_->feedback = 0;
  writer_->trained_at = std::chrono::steady_clock::now();
  publish(std::move(next));
  return Done{};
}

void Learned::make_tables(View& view) const {
  std::vector<std::uint32_t> codes(view.used);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = view.code(static_cast<Slot>(i));
  view.tables = std::make_shared<const CodeTables>(codes, spec_.segments);
}

Drift Learned::drift() const {
  const std::lock_guard lock(writing_);
  return drift_of(*view());
}

Drift Learned::drift_of(const View& view) const {
  if (view.reference == nullptr || view.used < writer_->since + least_drift_rows) return {};
  const std::size_t fresh = std::min(drift_window, view.used - writer_->since);
  const std::size_t first = view.used - fresh, n = std::min(drift_rows, fresh);
  std::vector<float> rows(n * spec_.dim);
  for (std::size_t i = 0; i < n; ++i)
    codec_.decode(std::span(rows).subspan(i * spec_.dim, spec_.dim),
                  view.row(static_cast<Slot>(first + i * fresh / n), codec_.row_bytes()));
  return measure_drift(*view.reference, view.model->encoder.encode(view.model->standardised(rows)));
}

bool Learned::wants_training(const View& view) const {
  if (live_ < 2 * least_training_rows) return false;
  if (view.model == nullptr) return true;
  const std::size_t then = writer_->trained_rows;
  if (then == 0) return false;  // a model given from outside stays until it drifts
  if (live_ >= 4 * then && then < spec_.sample_rows) return true;
  const std::chrono::duration<double> age = std::chrono::steady_clock::now() - writer_->trained_at;
  if (age.count() < spec_.retrain_seconds) return false;
  const Drift drift = drift_of(view);
  return drift.mmd > spec_.drift_threshold || drift.kl > spec_.drift_threshold;
}

// Copies the rows that are left to the front.
Status Learned::compact(std::stop_token stop) {
  const auto now = view();
  auto next = std::make_shared<View>(*now);
  next->chunks.clear();
  next->codes.clear();
  next->map = std::make_shared<RowMap>();
  next->used = 0;
  next->file = nullptr;
  std::vector<float> vector(spec_.dim);
  for (const Slot slot : live_slots(*now, nullptr)) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    if (next->used % chunk_rows == 0) append_chunk(*next);
    Chunk& chunk = *next->chunks.back();
    const std::size_t at = next->used % chunk_rows, row_bytes = codec_.row_bytes();
    std::copy_n(now->row(slot, row_bytes), row_bytes, chunk.row_space.data() + at * row_bytes);
    chunk.owner_space[at] = now->owner(slot);
    if (next->model != nullptr) (*next->codes.back())[at] = now->code(slot);
    next->map->set(now->owner(slot), static_cast<Slot>(next->used++));
  }
  if (next->model != nullptr) make_tables(*next);
  dead_ = 0;
  writer_->since = std::min(writer_->since, next->used);
  publish(std::move(next));
  return Done{};
}

Status Learned::maintain(std::stop_token stop) {
  const std::lock_guard lock(writing_);
  if (dead_ * 5 > live_) TRY(compact(stop));
  const auto now = view();
  if (wants_training(*now)) return train_locked(stop);
  if (now->model == nullptr || now->tables->rows() == now->used) return Done{};
  auto next = std::make_shared<View>(*now);  // the rows that came since join the tables
  make_tables(*next);
  if (now->tables->rows() * 2 < next->used) tune(*next);
  publish(std::move(next));
  return Done{};
}

// One step against the gradient of the triplets (query, relevant, irrelevant), with rows held
// where they are, then back within reach of the encoder trained.
Status Learned::learn_from(std::span<const float> query, std::span<const Row> relevant,
                           std::span<const Row> irrelevant) {
  TRY(check(query, 1));
  const std::lock_guard lock(writing_);
  const auto now = view();
  if (now->model == nullptr) return Error(ErrorKind::invalid, "nothing is learned yet");
  const CodeModel& model = *now->model;
  const auto embedding_of = [&](Row row, std::vector<float>& embedding) {
    const Slot slot = now->map->find(row);
    if (slot == no_slot) return false;
    std::vector<float> vector(spec_.dim);
    codec_.decode(vector, now->row(slot, codec_.row_bytes()));
    embedding = model.encoder.encode(model.standardised(vector)).values;
    return true;
  };
  std::vector<float> pull(CodeModel::bits), embedding;
  for (const auto& [rows, sign] : {std::pair{relevant, 1.0f}, std::pair{irrelevant, -1.0f}})
    for (const Row row : rows)
      if (embedding_of(row, embedding))
        for (std::size_t b = 0; b < CodeModel::bits; ++b)
          pull[b] += sign * embedding[b] / static_cast<float>(rows.size());
  const Encoder& before = now->query_encoder != nullptr ? *now->query_encoder : model.encoder;
  auto turned = std::make_shared<Encoder>(before);
  turn_encoder(*turned, model.encoder, model.standardised(prepared(query)), pull, most_turn);
  auto next = std::make_shared<View>(*now);
  next->query_encoder = std::move(turned);
  ++writer_->feedback;
  publish(std::move(next));
  return Done{};
}

Status Learned::forget_feedback() {
  const std::lock_guard lock(writing_);
  auto next = std::make_shared<View>(*view());
  next->query_encoder = nullptr;
  writer_->feedback = 0;
  publish(std::move(next));
  return Done{};
}

}  // namespace hearth::vectors
