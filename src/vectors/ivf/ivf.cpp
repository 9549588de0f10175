#include "vectors/ivf/ivf.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/thread_pool.h"
#include "kernels/search_select.h"
#include "vectors/flat/batch.h"
#include "vectors/ivf/batch.h"

namespace hearth::vectors {
namespace {

// Below these shares of matching rows, or so many of them, the rows are compared one by one.
constexpr double exact_share = 0.005;
constexpr std::size_t exact_rows = 500;

std::unique_ptr<ThreadPool> pool_of(int threads) {
  return threads > 1 ? std::make_unique<ThreadPool>(threads) : nullptr;
}

}  // namespace

std::size_t IvfState::rows() const {
  std::size_t n = tail->live + (sealing != nullptr ? sealing->live : 0);
  for (const SegmentView& view : segments) n += view.live;
  return n;
}

Ivf::Ivf(const IvfSpec& spec)
    : spec_(spec),
      codec_(spec.dim, spec.metric, Storage::f32,
             spec.kernels != nullptr ? *spec.kernels : kernels::best_search_kernels()),
      building_(pool_of(spec.threads)),
      searching_(pool_of(spec.threads)),
      tail_(std::make_unique<FlatRows>(codec_.row_bytes())) {
  IvfState state;
  state.tail = tail_->snapshot();
  publish(std::move(state));
}

Result<std::unique_ptr<Ivf>> Ivf::create(const IvfSpec& spec) {
  if (spec.dim == 0 || spec.dim > most_ivf_dim)
    return Error(ErrorKind::invalid,
                 fmt::format("{} dimensions: needs 1 to {}", spec.dim, most_ivf_dim));
  if (spec.code_bits < 1 || spec.code_bits > most_code_bits ||
      spec.dim * static_cast<std::size_t>(spec.code_bits) > most_ivf_dim)
    return Error(ErrorKind::invalid,
                 fmt::format("{} bits of {} dimensions: needs 1 to {} bits, {} in all",
                             spec.code_bits, spec.dim, most_code_bits, most_ivf_dim));
  if (spec.lists > most_clusters)
    return Error(ErrorKind::invalid,
                 fmt::format("{} lists: needs at most {}", spec.lists, most_clusters));
  return std::unique_ptr<Ivf>(new Ivf(spec));
}

void Ivf::publish(IvfState state) {
  auto next = std::make_shared<const IvfState>(std::move(state));
  state_.with([&](auto& current) { current.swap(next); });  // the old one ends outside the lock
}

Status Ivf::check(std::span<const float> vectors, std::size_t count) const {
  if (vectors.size() != count * spec_.dim)
    return Error(ErrorKind::invalid, fmt::format("{} vectors with {} numbers: needs {} for each",
                                                 count, vectors.size(), spec_.dim));
  if (!all_finite(vectors)) return Error(ErrorKind::invalid, "a vector holds NaN or infinity");
  return Done{};
}

std::vector<float> Ivf::unit_vectors(std::span<const float> vectors) const {
  std::vector<float> copy(vectors.begin(), vectors.end());
  if (spec_.metric == Metric::cosine)
    for (std::size_t i = 0; i < copy.size(); i += spec_.dim)
      normalise(std::span(copy).subspan(i, spec_.dim));
  return copy;
}

// Marks the rows dead in the segments of a state that is being made.
void Ivf::kill_sealed(IvfState& state, std::span<const Row> rows) const {
  for (SegmentView& view : state.segments) {
    std::shared_ptr<DeadBits> bits;
    for (const Row row : rows) {
      const Slot place = view.segment->places->find(row);
      if (place == no_place || view.is_dead(place)) continue;
      if (bits == nullptr) {
        bits = view.dead != nullptr ? std::make_shared<DeadBits>(*view.dead)
                                    : std::make_shared<DeadBits>(view.segment->count() / 64 + 1);
        view.dead = bits;
      }
      (*bits)[place / 64] |= std::uint64_t{1} << (place % 64);
      --view.live;
    }
  }
}

Status Ivf::add(std::span<const Row> rows, std::span<const float> vectors) {
  TRY(check(vectors, rows.size()));
  const std::lock_guard lock(writing_);
  std::vector<float> unit(spec_.dim);
  TRY(tail_->add(rows, [&](std::size_t i, std::byte* place) {
    auto vector = vectors.subspan(i * spec_.dim, spec_.dim);
    if (spec_.metric == Metric::cosine) {
      std::copy(vector.begin(), vector.end(), unit.begin());
      normalise(unit);
      vector = unit;
    }
    codec_.encode(place, vector);
  }));
  IvfState next = *state();
  if (sealing_ != nullptr) {
    sealing_->remove(rows);
    next.sealing = sealing_->snapshot();
  }
  kill_sealed(next, rows);
  next.tail = tail_->snapshot();
  changes_ += rows.size();
  publish(std::move(next));
  return Done{};
}

void Ivf::remove(std::span<const Row> rows) {
  const std::lock_guard lock(writing_);
  IvfState next = *state();
  tail_->remove(rows);
  next.tail = tail_->snapshot();
  if (sealing_ != nullptr) {
    sealing_->remove(rows);
    next.sealing = sealing_->snapshot();
  }
  kill_sealed(next, rows);
  changes_ += rows.size();
  publish(std::move(next));
}

void Ivf::search_tails(const IvfState& state, const float* query, const SearchOptions& options,
                       TopHits& top) const {
  const RowQuery ready(codec_, std::span(query, spec_.dim));
  for (const auto& rows : {state.sealing, state.tail})
    if (rows != nullptr)
      scan_rows(ready, *rows, options,
                rows->count >= spec_.share_rows ? pool_for(options) : nullptr, top);
}

// Whose threads may share one query; null: none.
ThreadPool* Ivf::pool_for(const SearchOptions& options) const {
  return options.is_alone ? searching_.get() : nullptr;
}

bool Ivf::search_exactly(const IvfState& state, SegmentSearch& search, const SearchOptions& options,
                         TopHits& top) const {
  std::vector<Candidate> rows;
  const auto words = options.filter->words;
  for (std::size_t w = 0; w < words.size(); ++w)
    for (std::uint64_t bits = words[w]; bits != 0; bits &= bits - 1) {
      const Row row = static_cast<Row>(64 * w) + static_cast<Row>(std::countr_zero(bits));
      for (std::size_t g = 0; g < state.segments.size(); ++g) {
        const SegmentView& view = state.segments[g];
        const Slot place = view.segment->places->find(row);
        if (place == no_place || view.is_dead(place)) continue;
        if (!view.segment->touch(view.segment->list_of(place))) return false;
        rows.push_back({0, place, static_cast<std::uint32_t>(g) & 0xFF, 0});
      }
    }
  search.offer_rows(rows, distance_scale(), top);
  return true;
}

Result<std::vector<Hit>> Ivf::search_one(const IvfState& state, const float* query,
                                         const SearchOptions& options) const {
  TopHits top(options.k, options.max_distance);
  if (options.k == 0) return std::vector<Hit>{};
  if (!state.segments.empty()) {
    auto scratch = scratches_.take();
    bool whole;
    {
      SegmentSearch search(*state.trained, state.segments, query, options.filter, *scratch);
      search.share(pool_for(options), spec_.share_rows);
      const double rows = static_cast<double>(state.rows());
      const bool few = options.filter != nullptr &&
                       (options.filter->allowed_rows <= exact_rows ||
                        static_cast<double>(options.filter->allowed_rows) < exact_share * rows);
      if (few) {
        whole = search_exactly(state, search, options, top);
      } else {
        static const Tuning unmeasured;
        const Tuning& tuning = state.tuning != nullptr ? *state.tuning : unmeasured;
        ProbePlan plan = tuning.plan_for(options.target_recall, options.k, *state.trained);
        if (options.breadth > 0) plan.lists = options.breadth;
        if (options.filter != nullptr || options.max_distance)
          plan.typical_distance = tuning.typical_distance;
        if (options.max_distance) plan.radius = *options.max_distance / distance_scale();
        whole = search.run(plan, options.k, distance_scale(), top);
      }
    }
    scratches_.give(std::move(scratch));
    if (!whole) return Error(ErrorKind::corrupt, "a list of the index does not fit its checksum");
  }
  search_tails(state, query, options, top);
  return std::move(top).take();
}

Result<std::vector<Hit>> Ivf::search(std::span<const float> query,
                                     const SearchOptions& options) const {
  TRY(check(query, 1));
  const auto now = state();
  if (spec_.metric != Metric::cosine) return search_one(*now, query.data(), options);
  const std::vector<float> unit = unit_vectors(query);
  return search_one(*now, unit.data(), options);
}

// The plan by which a batch is answered list by list; none: one query after another is better.
std::optional<ProbePlan> Ivf::batch_plan(const IvfState& state, std::size_t queries,
                                         const SearchOptions& options) const {
  if (state.segments.empty() || state.tuning == nullptr || options.k == 0) return std::nullopt;
  if (options.filter != nullptr || options.max_distance) return std::nullopt;
  ProbePlan plan = state.tuning->plan_for(options.target_recall, options.k, *state.trained);
  if (plan.typical_distance != 0) return std::nullopt;
  plan.lists = options.breadth;
  double lists = static_cast<double>(options.breadth);
  for (const TunedPlan& tuned : state.tuning->plans)
    if (options.breadth == 0 && tuned.plan.gap == plan.gap) lists = tuned.lists;
  const double sharing = static_cast<double>(std::min(queries, most_batch_queries)) * lists /
                         static_cast<double>(state.trained->centroids.count());
  return sharing >= least_sharing ? std::optional(plan) : std::nullopt;
}

Status Ivf::search_together(const IvfState& state, const ProbePlan& plan,
                            std::span<const float> queries, const SearchOptions& options,
                            std::span<std::vector<Hit>> answers) const {
  std::vector<TopHits> top(answers.size(), TopHits(options.k, {}));
  BatchSearch search(*state.trained, state.segments, queries, nullptr);
  if (!search.run(plan, distance_scale(), top))
    return Error(ErrorKind::corrupt, "a list of the index does not fit its checksum");
  for (std::size_t q = 0; q < answers.size(); ++q) {
    search_tails(state, &queries[q * spec_.dim], options, top[q]);
    answers[q] = std::move(top[q]).take();
  }
  return Done{};
}

Result<std::vector<std::vector<Hit>>> Ivf::search_batch(std::span<const float> queries,
                                                        const SearchOptions& options) const {
  const std::size_t n = queries.size() / spec_.dim;
  TRY(check(queries, n));
  const auto now = state();
  const std::vector<float> unit = unit_vectors(queries);
  std::vector<std::vector<Hit>> answers(n);
  Guarded<std::optional<Error>> failure;
  const std::size_t threads =
      searching_ == nullptr ? 1 : static_cast<std::size_t>(searching_->threads());
  const auto plan = batch_plan(*now, n / threads, options);
  auto some = [&](std::size_t begin, std::size_t end, int) {
    const auto fail = [&](const Error& error) {
      failure.with([&](auto& first) { first = error; });
    };
    if (plan) {
      const auto part = std::span(unit).subspan(begin * spec_.dim, (end - begin) * spec_.dim);
      const auto done = search_together(*now, *plan, part, options,
                                        std::span(answers).subspan(begin, end - begin));
      if (!done.ok()) fail(done.error());
      return;
    }
    for (std::size_t q = begin; q < end; ++q) {
      auto hits = search_one(*now, unit.data() + q * spec_.dim, options);
      if (hits.ok())
        answers[q] = std::move(*hits);
      else
        fail(hits.error());
    }
  };
  const std::size_t chunk = plan ? std::min(most_batch_queries, n / threads + 1) : 8;
  if (searching_ != nullptr)
    searching_->parallel_for(n, chunk, some);
  else
    for (std::size_t q = 0; q < n; q += chunk) some(q, std::min(n, q + chunk), 0);
  if (const auto error = failure.with([](auto& first) { return first; })) return *error;
  return answers;
}

namespace {

// Of a living row.  Places are those of the writer, who may have replaced the row since.
Slot place_in(const FlatSnapshot& rows, Row row) {
  const auto lives_at = [&](Slot place) {
    const ChunkView chunk = rows.view(place / chunk_rows);
    return chunk.rows[place % chunk_rows] == row && !chunk.is_dead(place % chunk_rows);
  };
  const Slot newest = rows.places->find(row);
  if (newest == no_place) return no_place;
  if (newest < rows.count) return lives_at(newest) ? newest : no_place;
  for (Slot place = static_cast<Slot>(rows.count); place-- > 0;)
    if (lives_at(place)) return place;
  return no_place;
}

}  // namespace

Result<std::vector<float>> Ivf::vector(Row row) const {
  std::vector<float> result(spec_.dim);
  const auto now = state();
  for (const auto& rows : {now->tail, now->sealing}) {
    if (rows == nullptr) continue;
    const Slot place = place_in(*rows, row);
    if (place == no_place) continue;
    const ChunkView chunk = rows->view(place / chunk_rows);
    codec_.decode(result, chunk.data + place % chunk_rows * chunk.stride);
    return result;
  }
  for (const SegmentView& view : now->segments) {
    const Slot place = view.segment->places->find(row);
    if (place == no_place || view.is_dead(place)) continue;
    if (!view.segment->touch(view.segment->list_of(place)))
      return Error(ErrorKind::corrupt, "a list of the index does not fit its checksum");
    decode_row(*now->trained, *view.segment, place, result.data());
    return result;
  }
  return Error(ErrorKind::not_found, fmt::format("row {} is not in the index", row));
}

IndexInfo Ivf::info() const {
  const auto now = state();
  IndexInfo info;
  info.kind = "ivf";
  info.rows = now->rows();
  info.memory_bytes = now->tail->memory_bytes();
  if (now->sealing != nullptr) info.memory_bytes += now->sealing->memory_bytes();
  info.removed = now->tail->count - now->tail->live;
  for (const SegmentView& view : now->segments) {
    info.removed += view.segment->count() - view.live;
    info.memory_bytes += view.segment->memory_bytes();
    info.mapped_bytes += view.segment->mapped_bytes();
  }
  if (now->trained == nullptr) {
    info.explanation =
        fmt::format("{} rows, not yet cut into lists: every row is compared", info.rows);
    return info;
  }
  info.memory_bytes += now->trained->centroids.count() * now->trained->padded() * 5;
  info.explanation =
      fmt::format("{} lists in {} segments, {} late rows", now->trained->centroids.count(),
                  now->segments.size(), now->tail->live);
  if (now->tuning != nullptr)
    for (const TunedPlan& tuned : now->tuning->plans)
      if (tuned.target == 0.95f)
        info.explanation += fmt::format("; recall@10 0.95 looks at {:.0f} lists, {:.0f} rows",
                                        tuned.lists, tuned.rows);
  return info;
}

}  // namespace hearth::vectors
