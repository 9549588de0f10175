// The work of an IVF index that nobody waits for: training, sealing, merging, measuring.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "base/thread_pool.h"
#include "kernels/search_select.h"
#include "vectors/ivf/ivf.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t seal_rows = 4096;  // late rows from which they are sealed into lists
constexpr std::size_t tier_width = 4;    // segments of like size that are merged into one
constexpr std::size_t most_segments = 12;
constexpr double most_dead = 0.2;       // share of dead rows from which a segment is rewritten
constexpr double grown_enough = 2.5;    // wanted lists over those there are, to train anew
constexpr double changed_enough = 0.1;  // share of changed rows from which plans are measured anew

Error stopped() { return Error(ErrorKind::cancelled, "stopped"); }

// The live rows of a tail: what a segment is built of.
struct TailSource {
  std::vector<std::uint32_t> places;
  SegmentSource source;

  explicit TailSource(const FlatSnapshot& rows) {
    places.reserve(rows.live);
    for (std::size_t c = 0; c < rows.chunks.size(); ++c) {
      const ChunkView chunk = rows.view(c);
      for (std::size_t i = 0; i < chunk.count; ++i)
        if (!chunk.is_dead(i)) places.push_back(static_cast<std::uint32_t>(c * chunk_rows + i));
    }
    source.count = places.size();
    source.id = [this, &rows](std::size_t i) {
      return rows.chunks[places[i] / chunk_rows]->rows[places[i] % chunk_rows];
    };
    source.vector = [this, &rows](std::size_t i, float*) {
      const std::byte* chunk = rows.chunks[places[i] / chunk_rows]->data.data();
      return reinterpret_cast<const float*>(chunk + places[i] % chunk_rows * rows.stride);
    };
  }
  TailSource(const TailSource&) = delete;
};

std::size_t tier_of(std::size_t rows) {
  std::size_t tier = 0;
  for (; rows > seal_rows * tier_width; rows /= tier_width) ++tier;
  return tier;
}

// Rows that died in `now` since `before` was taken die in what was made of `before`.
void carry_deaths(SegmentView& made, std::span<const SegmentView> before,
                  std::span<const SegmentView> now) {
  std::shared_ptr<DeadBits> bits;
  for (std::size_t g = 0; g < before.size(); ++g) {
    if (now[g].dead == before[g].dead) continue;
    for (std::size_t place = 0; place < before[g].segment->count(); ++place) {
      if (!now[g].is_dead(place) || before[g].is_dead(place)) continue;
      const Slot to = made.segment->places->find(before[g].segment->arrays.ids[place]);
      if (to == no_place) continue;
      if (bits == nullptr) bits = std::make_shared<DeadBits>(made.segment->count() / 64 + 1);
      (*bits)[to / 64] |= std::uint64_t{1} << (to % 64);
      --made.live;
    }
  }
  made.dead = bits;
}

}  // namespace

// Random rows of everything, in random order.
std::vector<float> Ivf::sample_of(const IvfState& state, std::size_t rows) const {
  std::mt19937_64 random(3);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> all;  // segment (or tail), place
  const std::uint32_t tail = static_cast<std::uint32_t>(state.segments.size());
  all.reserve(state.rows());
  for (std::uint32_t g = 0; g < tail; ++g)
    for (std::uint32_t p = 0; p < state.segments[g].segment->count(); ++p)
      if (!state.segments[g].is_dead(p)) all.emplace_back(g, p);
  const TailSource late(*state.tail);
  for (std::uint32_t i = 0; i < late.source.count; ++i) all.emplace_back(tail, i);
  rows = std::min(rows, all.size());
  std::vector<float> sample(rows * spec_.dim);
  for (std::size_t i = 0; i < rows; ++i) {
    std::swap(all[i], all[i + random() % (all.size() - i)]);
    const auto [g, place] = all[i];
    float* out = &sample[i * spec_.dim];
    if (g == tail)
      std::memcpy(out, late.source.vector(place, nullptr), spec_.dim * sizeof(float));
    else
      decode_row(*state.trained, *state.segments[g].segment, place, out);
  }
  return sample;
}

// All sealed rows as one segment of another training.
Status Ivf::rebuild(std::shared_ptr<const Trained> trained, std::stop_token stop) {
  const auto before = state();
  std::shared_ptr<Segment> segment;
  if (!before->segments.empty()) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> rows;
    for (std::uint32_t g = 0; g < before->segments.size(); ++g)
      for (std::uint32_t p = 0; p < before->segments[g].segment->count(); ++p)
        if (!before->segments[g].is_dead(p)) rows.emplace_back(g, p);
    SegmentSource source;
    source.count = rows.size();
    source.id = [&](std::size_t i) {
      return before->segments[rows[i].first].segment->arrays.ids[rows[i].second];
    };
    source.vector = [&](std::size_t i, float* scratch) -> const float* {
      const Segment& from = *before->segments[rows[i].first].segment;
      if (const float* exact = from.exact(rows[i].second)) return exact;
      decode_row(*before->trained, from, rows[i].second, scratch);
      return scratch;
    };
    const bool floats = spec_.keep_floats && !before->segments[0].segment->arrays.floats.empty();
    segment = TRY(build_segment(*trained, source, floats, building_.get(), stop));
  }
  const std::lock_guard lock(writing_);
  IvfState next = *state();
  if (segment != nullptr) {
    SegmentView view{segment, nullptr, segment->count()};
    carry_deaths(view, before->segments, next.segments);
    next.segments.assign(1, view);
  }
  next.trained = std::move(trained);
  next.tuning = nullptr;
  publish(std::move(next));
  return Done{};
}

std::size_t Ivf::lists_of(std::size_t rows) const {
  return spec_.lists > 0 ? spec_.lists : lists_for(rows);
}

std::size_t Ivf::wanted_sample(std::size_t rows) const {
  const std::size_t lists = lists_of(rows);
  return rows >= std::max(spec_.train_at, lists) ? std::min(rows, lists * sample_rows_per_list) : 0;
}

Status Ivf::learn_sample(std::span<const float> sample, std::size_t rows,
                         const std::function<void(double share)>& done, std::stop_token stop) {
  TRY(check(sample, sample.size() / spec_.dim));
  const std::lock_guard lock(maintaining_);
  if (sample.size() / spec_.dim < lists_of(rows)) return Done{};  // maintain() will see more
  IvfSpec spec = spec_;
  if (done)
    spec.progress = [&](const KMeansProgress& at) {
      done(at.elapsed_s / std::max(at.elapsed_s + at.remaining_s, 1e-9));
    };
  const std::vector<float> unit = unit_vectors(sample);
  auto trained = TRY(train_ivf(spec, lists_of(rows), unit, building_.get(), stop));
  return rebuild(std::move(trained), stop);
}

Status Ivf::retrain(std::stop_token stop) {
  const std::lock_guard lock(maintaining_);
  const auto now = state();
  if (now->trained == nullptr) return Error(ErrorKind::unavailable, "the index is not trained yet");
  const Trained& old = *now->trained;
  const std::size_t lists = old.centroids.count();
  const std::vector<float> sample = sample_of(*now, lists * sample_rows_per_list);
  const std::size_t n = sample.size() / spec_.dim, padded = old.padded();
  if (n < lists) return Error(ErrorKind::unavailable, "there are fewer rows than lists");
  std::vector<float> rotated(n * padded);
  for (std::size_t i = 0; i < n; ++i) old.rotate(&rotated[i * padded], &sample[i * spec_.dim]);
  KMeansSpec means = {.clusters = lists, .dim = padded, .iterations = 6};
  means.initial = old.centroids.values();
  means.pool = building_.get();
  means.kernels = &old.kernels;
  means.progress = spec_.progress;
  KMeansResult found = TRY(kmeans(means, rotated, stop));
  const Trained moved(spec_.dim, old.metric, old.seed, old.kernels, old.mean,
                      std::move(found.centroids));
  auto trained = TRY(with_codes(moved, spec_, sample));
  TRY(rebuild(std::move(trained), stop));
  return measure(stop);
}

Status Ivf::recode(const PqSpec& pq, int bits, std::stop_token stop) {
  const std::lock_guard lock(maintaining_);
  if (pq.segments == 0 && (bits < 1 || bits > most_code_bits ||
                           spec_.dim * static_cast<std::size_t>(bits) > most_ivf_dim))
    return Error(ErrorKind::invalid, fmt::format("{} bits: needs 1 to {}", bits, most_code_bits));
  IvfSpec spec = spec_;
  spec.pq = pq;
  spec.code_bits = bits;
  const auto now = state();
  if (now->trained != nullptr) {
    const std::vector<float> sample = sample_of(*now, 20000);
    auto trained = TRY(with_codes(*now->trained, spec, sample));
    TRY(rebuild(std::move(trained), stop));
  }
  spec_.pq = pq;  // what later trainings use; readers never look at it
  spec_.code_bits = bits;
  return measure(stop);
}

Status Ivf::seal(std::stop_token stop) {
  std::shared_ptr<const FlatSnapshot> rows;
  std::shared_ptr<const Trained> trained;
  {
    const std::lock_guard lock(writing_);
    IvfState next = *state();
    trained = next.trained;
    if (sealing_ == nullptr) {  // otherwise an earlier attempt was stopped: it goes on
      sealing_ = std::move(tail_);
      tail_ = std::make_unique<FlatRows>(codec_.row_bytes());
    }
    rows = sealing_->snapshot();
    next.sealing = rows;
    next.tail = tail_->snapshot();
    publish(std::move(next));
  }
  const TailSource source(*rows);
  const auto segment = TRY(
      build_segment(*trained, source.source, spec_.keep_floats, building_.get(), std::move(stop)));

  const std::lock_guard lock(writing_);
  IvfState next = *state();
  SegmentView view{segment, nullptr, segment->count()};
  const auto latest = sealing_->snapshot();
  std::shared_ptr<DeadBits> bits;
  for (const std::uint32_t place : source.places) {
    const ChunkView chunk = latest->view(place / chunk_rows);
    if (!chunk.is_dead(place % chunk_rows)) continue;
    const Slot to = segment->places->find(chunk.rows[place % chunk_rows]);
    if (bits == nullptr) bits = std::make_shared<DeadBits>(segment->count() / 64 + 1);
    (*bits)[to / 64] |= std::uint64_t{1} << (to % 64);
    --view.live;
  }
  view.dead = bits;
  next.segments.push_back(std::move(view));
  next.sealing = nullptr;
  publish(std::move(next));
  sealing_.reset();
  return Done{};
}

// One merge at a time, until nothing is due.
Status Ivf::merge(std::stop_token stop) {
  for (;;) {
    if (stop.stop_requested()) return stopped();
    const auto now = state();
    std::vector<std::size_t> chosen;
    for (std::size_t g = 0; g < now->segments.size() && chosen.empty(); ++g) {
      const SegmentView& view = now->segments[g];
      const double count = static_cast<double>(view.segment->count());
      if (count - static_cast<double>(view.live) > most_dead * count) chosen.push_back(g);
    }
    for (std::size_t tier = 0; tier < 20 && chosen.empty(); ++tier) {
      for (std::size_t g = 0; g < now->segments.size(); ++g)
        if (tier_of(now->segments[g].live) == tier) chosen.push_back(g);
      if (chosen.size() < tier_width) chosen.clear();
    }
    if (chosen.empty() && now->segments.size() > most_segments)
      for (std::size_t g = 0; g < now->segments.size(); ++g) chosen.push_back(g);
    if (chosen.empty()) return Done{};

    std::vector<SegmentView> before;
    for (const std::size_t g : chosen) before.push_back(now->segments[g]);
    const auto segment = TRY(merge_segments(*now->trained, before));
    const std::lock_guard lock(writing_);
    IvfState next = *state();
    std::vector<SegmentView> latest, kept;
    for (std::size_t g = 0; g < next.segments.size(); ++g)
      (std::find(chosen.begin(), chosen.end(), g) != chosen.end() ? latest : kept)
          .push_back(next.segments[g]);
    SegmentView view{segment, nullptr, segment->count()};
    carry_deaths(view, before, latest);
    if (segment->count() > 0) kept.push_back(std::move(view));
    next.segments = std::move(kept);
    publish(std::move(next));
  }
}

Status Ivf::measure(std::stop_token stop) {
  const auto now = state();
  if (now->segments.empty()) return Done{};
  auto tuning = std::make_shared<Tuning>(
      tune(*now->trained, now->segments, spec_.tuning_queries, building_.get(), stop));
  if (stop.stop_requested()) return stopped();
  tuning->rows = now->rows();
  const std::lock_guard lock(writing_);
  IvfState next = *state();
  if (next.trained != now->trained) return Done{};
  next.tuning = std::move(tuning);
  changes_ = 0;
  publish(std::move(next));
  return Done{};
}

Status Ivf::maintain(std::stop_token stop) {
  const std::lock_guard lock(maintaining_);
  auto now = state();
  const std::size_t wanted = lists_of(now->rows());
  const bool is_new = now->trained == nullptr;
  const bool outgrown = !is_new && spec_.lists == 0 &&
                        static_cast<double>(wanted) >
                            grown_enough * static_cast<double>(now->trained->centroids.count());
  if ((is_new && now->rows() >= std::max(spec_.train_at, wanted)) || outgrown) {
    const std::vector<float> sample = sample_of(*now, wanted * sample_rows_per_list);
    auto trained = TRY(train_ivf(spec_, wanted, sample, building_.get(), stop));
    TRY(rebuild(std::move(trained), stop));
  }
  now = state();
  if (now->trained == nullptr) return Done{};
  if (now->tail->live >= seal_rows || now->sealing != nullptr) TRY(seal(stop));
  TRY(merge(stop));
  now = state();
  const auto changes = [&] {
    const std::lock_guard writing(writing_);
    return static_cast<double>(changes_);
  }();
  const bool due = changes > changed_enough * static_cast<double>(now->rows());
  return now->tuning == nullptr || due ? measure(stop) : Status(Done{});
}

}  // namespace hearth::vectors
