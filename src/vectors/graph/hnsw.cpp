#include "vectors/graph/hnsw.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "vectors/flat/row_codec.h"
#include "vectors/graph/hnsw_writer.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t parallel_rows = 512;  // fewer are not worth a team
constexpr std::size_t least_capacity = 256;
constexpr std::size_t batch_share = 24;  // a batch is at most this share of the graph
constexpr std::size_t most_batch = 16384;
constexpr std::size_t held_out_rows = 300;
constexpr std::size_t tuned_rows = 4000;  // smaller indexes are not tuned while rows come

using kernels::RowType;

std::uint64_t packed(Entry entry) {
  return std::uint64_t{entry.slot} << 32 | static_cast<std::uint32_t>(entry.level);
}

}  // namespace

Status check_spec(const HnswSpec& spec) {
  const auto outside = [](std::size_t value, std::size_t least, std::size_t most) {
    return value < least || value > most;
  };
  if (outside(spec.dim, 1, most_dim))
    return Error(ErrorKind::invalid, fmt::format("dim = {}: needs 1 to {}", spec.dim, most_dim));
  if (outside(spec.m, 2, most_m))
    return Error(ErrorKind::invalid, fmt::format("m = {}: needs 2 to {}", spec.m, most_m));
  if (outside(spec.ef_construction, 8, most_ef))
    return Error(ErrorKind::invalid,
                 fmt::format("ef_construction = {}: needs 8 to {}", spec.ef_construction, most_ef));
  return Done{};
}

Hnsw::Hnsw(const HnswSpec& spec)
    : spec_(spec), entry_(packed({})), writer_(std::make_unique<Writer>()) {}

Hnsw::~Hnsw() = default;

Result<std::unique_ptr<Index>> Hnsw::create(const HnswSpec& spec) {
  TRY(check_spec(spec));
  std::unique_ptr<Hnsw> index(new Hnsw(spec));
  index->writer_->arrays =
      TRY(Arrays::allocate({spec.dim, spec.metric, spec.m}, RowType::f32, 0, 1));
  index->arrays_ = index->writer_->arrays.get();
  return std::unique_ptr<Index>(std::move(index));
}

Entry Hnsw::entry() const {
  const std::uint64_t entry = entry_.load(std::memory_order_acquire);
  return {static_cast<Slot>(entry >> 32), static_cast<int>(entry & 0xFF)};
}

// Room for `more` rows beside those there are.  When the arrays grow the codec is trained anew: the
// first rows of an index say little about those that follow.
Status Hnsw::reserve(std::size_t more, std::span<const float> coming) {
  Writer& w = *writer_;
  const std::size_t used = used_, dim = spec_.dim;
  const std::size_t slots = used + more - std::min(more, w.free.size());
  // An index that begins with numbers that halves hold keeps halves until one comes that they do
  // not.
  RowType type = w.arrays->row_type;
  const bool halves = (used == 0 && spec_.metric != Metric::cosine) || type == RowType::f16;
  if (!coming.empty() && halves) type = fit_halves(coming) ? RowType::f16 : RowType::f32;
  const bool same_type = type == w.arrays->row_type;
  const bool drifted = w.encoded > 100 * dim && w.clipped * 50 > w.encoded;
  const bool blocks_low =
      w.blocks + more / spec_.m * 2 + most_levels + 64 > w.arrays->upper_capacity;
  if (slots <= w.arrays->capacity && !blocks_low && !drifted && same_type &&
      w.arrays->file == nullptr)
    return Done{};
  if (slots > most_slots)
    return Error(ErrorKind::exhausted, fmt::format("an index holds at most {} rows", most_slots));
  std::size_t capacity = std::max(w.arrays->capacity, least_capacity);
  if (slots > capacity) capacity = std::max(slots, used < 4 * more ? slots : used + used / 2);
  const std::size_t blocks =
      std::max(w.arrays->upper_capacity, w.blocks + (capacity - used) / spec_.m * 2 + 256);
  auto grown = TRY(w.arrays->grown(type, capacity, blocks, used));

  std::vector<float> sample, row(dim);
  const std::size_t n = coming.size() / dim, all = used + n,
                    taken = std::min<std::size_t>(all, 4000);
  for (std::size_t i = 0; i < taken; ++i) {
    const std::size_t at = i * all / taken;
    if (at < used)
      grown->copy_row(row.data(), static_cast<Slot>(at));
    else
      std::copy_n(&coming[(at - used) * dim], dim, row.data());
    sample.insert(sample.end(), row.begin(), row.end());
    if (spec_.metric == Metric::cosine && at >= used) normalise(std::span(sample).last(dim));
  }
  if (taken > 0) grown->codec = Codec::train(spec_.metric, dim, sample);
  for (std::size_t slot = 0; slot < used; ++slot) {
    grown->copy_row(row.data(), static_cast<Slot>(slot));
    grown->codec.encode(grown->codes + slot * grown->codec.stride, row.data());
  }
  w.clipped = w.encoded = 0;
  w.dead.resize(capacity);
  arrays_.store(grown.get(), std::memory_order_seq_cst);
  std::swap(w.arrays, grown);
  readers_.wait_for_readers();  // before the old arrays go
  return Done{};
}

// A slot for the row, complete but for links: nobody meets it yet.
Slot Hnsw::place(Row row, const float* vector) {
  Writer& w = *writer_;
  Arrays& arrays = *w.arrays;
  Slot slot;
  if (w.free.empty()) {
    slot = static_cast<Slot>(used_.load(std::memory_order_relaxed));
  } else {
    slot = w.free.back();
    w.free.pop_back();
  }
  w.row.assign(vector, vector + spec_.dim);
  if (spec_.metric == Metric::cosine) normalise(w.row);
  arrays.set_row(slot, w.row.data());
  w.clipped += arrays.codec.encode(arrays.codes + slot * arrays.codec.stride, w.row.data());
  w.encoded += spec_.dim;

  const double unit = (static_cast<double>(w.random() >> 11) + 1) * 0x1p-53;
  const double height = -std::log(unit) / std::log(static_cast<double>(spec_.m));
  const int level = std::min(static_cast<int>(height), most_levels);
  std::uint32_t block = 0;
  if (level > 0) {
    auto& spare = w.free_blocks[static_cast<std::size_t>(level)];
    if (spare.empty()) {
      block = static_cast<std::uint32_t>(w.blocks);
      w.blocks += static_cast<std::size_t>(level);
    } else {
      block = spare.back();
      spare.pop_back();
    }
  }
  arrays.upper[slot] = block << 4 | static_cast<std::uint32_t>(level);
  for (int l = 0; l <= level; ++l) arrays.at(slot, l).assign({});
  arrays.set_owner(slot, row);
  w.dead[slot] = false;
  if (slot == used_) used_.store(slot + 1, std::memory_order_release);
  return slot;
}

// The row is at the slot from here on; where it was before is dead.
void Hnsw::supersede(Row row, Slot slot) {
  const Slot old = map_.find(row);
  map_.set(row, slot);
  if (old == no_slot) {
    ++live_;
  } else {
    writer_->dead[old] = true;
    ++dead_;
  }
}

Linker Hnsw::linker(std::size_t rows) {
  Writer& w = *writer_;
  const int processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int threads = spec_.threads > 0 ? spec_.threads : processors;
  if (rows >= parallel_rows && threads > 1 && w.team == nullptr)
    w.team = std::make_unique<ThreadPool>(threads);
  const std::size_t needed = w.team == nullptr ? 1 : static_cast<std::size_t>(w.team->threads());
  while (w.scratch.size() < needed) w.scratch.push_back(std::make_unique<Scratch>());
  return {*w.arrays, w.scratch, {spec_.ef_construction, w.team.get()}};
}

// Batches do not see themselves, so each is small beside the graph it joins, and a row that rises
// above the entry goes alone.
void Hnsw::link(std::span<const Slot> slots) {
  Writer& w = *writer_;
  Linker team = linker(slots.size());
  for (std::size_t i = 0; i < slots.size();) {
    const Entry top = entry();
    std::size_t n = std::clamp<std::size_t>(w.linked / batch_share, 1, most_batch);
    n = std::min(n, slots.size() - i);
    const auto rises = [&](Slot slot) {
      return top.slot == no_slot || w.arrays->level_of(slot) > top.level;
    };
    std::size_t calm = 0;
    while (calm < n && !rises(slots[i + calm])) ++calm;
    n = std::max<std::size_t>(calm, 1);
    const auto batch = slots.subspan(i, n);
    team.insert(batch, top, w.dead);
    for (const Slot slot : batch) supersede(w.arrays->owner(slot), slot);
    if (rises(batch[0])) entry_ = packed({batch[0], w.arrays->level_of(batch[0])});
    w.linked += n;
    i += n;
  }
}

Status Hnsw::add(std::span<const Row> rows, std::span<const float> vectors) {
  if (vectors.size() != rows.size() * spec_.dim)
    return Error(ErrorKind::invalid,
                 fmt::format("{} numbers: needs {} for {} rows of {}", vectors.size(),
                             rows.size() * spec_.dim, rows.size(), spec_.dim));
  if (!all_finite(vectors)) return Error(ErrorKind::invalid, "a vector that is not finite");
  std::vector<std::uint64_t> keys(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == no_row) return Error(ErrorKind::invalid, fmt::format("row {}", rows[i]));
    keys[i] = std::uint64_t{rows[i]} << 32 | i;
  }
  std::sort(keys.begin(), keys.end());
  std::vector<std::uint32_t> order;  // the last of each row, in the order given
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (i + 1 == keys.size() || keys[i] >> 32 != keys[i + 1] >> 32)
      order.push_back(static_cast<std::uint32_t>(keys[i]));
  std::sort(order.begin(), order.end());
  const std::lock_guard lock(writing_);
  return add_unique(rows, vectors, order);
}

Status Hnsw::add_unique(std::span<const Row> rows, std::span<const float> vectors,
                        std::span<const std::uint32_t> order) {
  if (order.empty()) return Done{};
  Writer& w = *writer_;
  TRY(reserve(order.size(), vectors));
  std::vector<Slot> slots;
  slots.reserve(order.size());
  for (const std::uint32_t i : order) slots.push_back(place(rows[i], &vectors[i * spec_.dim]));

  // The last rows to come in are held out until what the index finds was measured with them.
  const bool worth =
      live_ + slots.size() >= tuned_rows && live_ + slots.size() >= 2 * tuning_.rows();
  const std::size_t held = worth ? std::min(held_out_rows, slots.size() / 16) : 0;
  link(std::span(slots).first(slots.size() - held));
  if (worth && held >= 50) {
    tune(vectors_of(std::span(slots).last(held)), {});
  }
  link(std::span(slots).last(held));
  if (worth && held < 50) {
    const std::vector<Slot> sample = sample_slots(held_out_rows);
    tune(vectors_of(sample), sample);
  }
  w.team.reset();
  if (dead_ > 256 && dead_ * 8 > live_) return drop_dead({});
  return Done{};
}

void Hnsw::remove(std::span<const Row> rows) {
  const std::lock_guard lock(writing_);
  for (const Row row : rows) {
    const Slot slot = map_.find(row);
    if (slot == no_slot) continue;
    map_.set(row, no_slot);
    writer_->dead[slot] = true;
    --live_;
    ++dead_;
  }
  if (dead_ > 256 && dead_ * 8 > live_) (void)drop_dead({});  // without a stop it cannot end early
}

void Hnsw::choose_entry() {
  const Writer& w = *writer_;
  Entry best;
  for (std::size_t i = 0; i < used_; ++i) {
    const Slot slot = static_cast<Slot>(i);
    if (w.dead[slot] || map_.find(w.arrays->owner(slot)) != slot) continue;
    const int level = w.arrays->level_of(slot);
    if (best.slot == no_slot || level > best.level) best = {slot, level};
  }
  entry_ = packed(best);
}

void Hnsw::forget_slot(Slot slot) {
  Writer& w = *writer_;
  const int level = w.arrays->level_of(slot);
  for (int l = 0; l <= level; ++l) w.arrays->at(slot, l).assign({});
  if (level > 0)
    w.free_blocks[static_cast<std::size_t>(level)].push_back(w.arrays->upper[slot] >> 4);
  w.arrays->upper[slot] = 0;
  w.arrays->set_owner(slot, no_row);
  w.dead[slot] = false;
  w.free.push_back(slot);
}

// Takes the dead out of every list; when no reader can be among them their slots are free.
Status Hnsw::drop_dead(std::stop_token stop) {
  if (dead_ == 0) return Done{};
  Writer& w = *writer_;
  TRY(reserve(0, {}));  // links of a mapped file cannot be changed
  if (const Entry top = entry(); top.slot != no_slot && w.dead[top.slot]) choose_entry();
  TRY(linker(used_).repair(used_, w.dead, stop));
  readers_.wait_for_readers();
  for (std::size_t slot = 0; slot < used_; ++slot)
    if (w.dead[slot]) forget_slot(static_cast<Slot>(slot));
  w.linked = live_;
  w.dropped += dead_;
  dead_ = 0;
  w.team.reset();
  return Done{};
}

Status Hnsw::maintain(std::stop_token stop) {
  const std::lock_guard lock(writing_);
  Writer& w = *writer_;
  TRY(drop_dead(stop));
  if (w.arrays->file == nullptr && live_ > 0) {
    std::vector<bool> absent(used_);
    for (const Slot slot : w.free) absent[slot] = true;
    linker(0).reconnect(used_, entry(), absent);
  }
  const std::size_t measured = tuning_.rows();
  const bool other_size = live_ * 2 >= measured * 3 || live_ * 2 < measured;
  const bool due = live_ >= 1000 && (other_size || w.dropped * 10 >= live_);
  if (!due || stop.stop_requested()) return Done{};
  const std::vector<Slot> sample = sample_slots(held_out_rows);
  tune(vectors_of(sample), sample);
  return Done{};
}

}  // namespace hearth::vectors
