#include "vectors/auto.h"

#include <fmt/core.h>

#include <algorithm>

namespace hearth::vectors {
namespace {

constexpr std::size_t copied_at_once = 2048;

}  // namespace

Suited suited_kind(const AutoSpec& spec, std::size_t rows, std::size_t changed_rows) {
  if (rows < spec.flat_rows)
    return {"flat", fmt::format("fewer than {} rows are compared one by one", spec.flat_rows)};
  const auto changed = static_cast<float>(changed_rows) / static_cast<float>(rows);
  if (rows < spec.graph_rows && spec.dim <= spec.graph_dim)
    return {"hnsw", fmt::format("up to {} rows of at most {} numbers: a graph answers soonest",
                                spec.graph_rows, spec.graph_dim)};
  if (rows < spec.graph_rows && changed > spec.graph_changes)
    return {"hnsw", "many rows change: a graph takes changes in place"};
  return {"ivf",
          fmt::format("{} rows of {} numbers: lists are small and soon built", rows, spec.dim)};
}

AutoIndex::AutoIndex(const AutoSpec& spec, MakeKind make, std::shared_ptr<Index> first)
    : spec_(spec), make_(std::move(make)), current_(std::move(first)) {}

Result<std::unique_ptr<Index>> AutoIndex::create(const AutoSpec& spec, MakeKind make,
                                                 std::unique_ptr<Index> first) {
  std::string why = "goes on as it was";
  if (first != nullptr) {
    const IndexInfo info = first->info();
    const Suited suited = suited_kind(spec, info.rows, 0);
    if (suited.kind == info.kind) why = suited.why;
  }
  if (first == nullptr) {
    first = TRY(make("flat"));
    why = suited_kind(spec, 0, 0).why;
  }
  std::unique_ptr<AutoIndex> index(
      new AutoIndex(spec, std::move(make), std::shared_ptr<Index>(std::move(first))));
  index->why_.with([&](std::string& kept) { kept = std::move(why); });
  return std::unique_ptr<Index>(std::move(index));
}

std::shared_ptr<Index> AutoIndex::current() const {
  return current_.with([](const auto& index) { return index; });
}

Status AutoIndex::add(std::span<const Row> rows, std::span<const float> vectors) {
  const std::lock_guard lock(writing_);
  const auto index = current();
  const std::size_t before = index->info().rows;
  TRY(index->add(rows, vectors));
  pending_.changed += rows.size() - std::min(rows.size(), index->info().rows - before);
  if (pending_.recording) pending_.rows.insert(rows.begin(), rows.end());
  return Done{};
}

void AutoIndex::remove(std::span<const Row> rows) {
  const std::lock_guard lock(writing_);
  current()->remove(rows);
  pending_.changed += rows.size();
  if (pending_.recording) pending_.rows.insert(rows.begin(), rows.end());
}

Result<std::vector<Hit>> AutoIndex::search(std::span<const float> query,
                                           const SearchOptions& options) const {
  return current()->search(query, options);
}

Result<std::vector<std::vector<Hit>>> AutoIndex::search_batch(std::span<const float> queries,
                                                              const SearchOptions& options) const {
  return current()->search_batch(queries, options);
}

Result<std::vector<float>> AutoIndex::vector(Row row) const { return current()->vector(row); }

IndexInfo AutoIndex::info() const {
  IndexInfo info = current()->info();
  info.explanation =
      fmt::format("chosen by itself: {}; {}", why_.with([](const std::string& why) { return why; }),
                  info.explanation);
  return info;
}

Status AutoIndex::learn_from(std::span<const float> query, std::span<const Row> relevant,
                             std::span<const Row> irrelevant) {
  return current()->learn_from(query, relevant, irrelevant);
}

Status AutoIndex::forget_feedback() { return current()->forget_feedback(); }

Status AutoIndex::save(const std::string& path) const { return current()->save(path); }

// Rows that come or go meanwhile are taken care of by replay().  Row numbers are small, so looking
// at each of them in turn finds all.
Status AutoIndex::copy_rows(Index& from, Index& to, std::stop_token stop) {
  const std::size_t wanted = from.info().rows;
  std::vector<Row> rows;
  std::vector<float> vectors;
  const auto give = [&]() -> Status {
    TRY(to.add(rows, vectors));
    rows.clear();
    vectors.clear();
    return Done{};
  };
  std::size_t found = 0;
  for (std::uint64_t row = 0; row < ~Row{0} && found < wanted; ++row) {
    const auto vector = from.vector(static_cast<Row>(row));
    if (row % 4096 == 0 && stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    if (!vector) continue;
    ++found;
    rows.push_back(static_cast<Row>(row));
    vectors.insert(vectors.end(), vector->begin(), vector->end());
    if (rows.size() == copied_at_once) TRY(give());
  }
  return give();
}

Status AutoIndex::replay(Index& from, Index& to) {
  for (const Row row : pending_.rows) {
    const auto vector = from.vector(row);
    if (!vector)
      to.remove({&row, 1});
    else
      TRY(to.add({&row, 1}, *vector));
  }
  pending_.rows.clear();
  return Done{};
}

Status AutoIndex::become(const Suited& suited, std::stop_token stop) {
  std::shared_ptr<Index> next = TRY(make_(suited.kind));
  const auto now = current();
  const auto record = [&](bool recording) {
    const std::lock_guard lock(writing_);
    pending_.recording = recording;
    pending_.rows.clear();
  };
  record(true);
  const Status built = [&]() -> Status {
    TRY(copy_rows(*now, *next, stop));
    return next->maintain(stop);
  }();
  if (!built.ok()) {
    record(false);
    return built;
  }
  const std::lock_guard lock(writing_);
  pending_.recording = false;
  TRY(replay(*now, *next));
  current_.with([&](auto& index) { index = std::move(next); });
  why_.with([&](std::string& why) { why = suited.why; });
  return Done{};
}

Status AutoIndex::maintain(std::stop_token stop) {
  const std::lock_guard one(maintaining_);
  const IndexInfo info = current()->info();
  std::size_t changed;
  {
    const std::lock_guard lock(writing_);
    changed = std::exchange(pending_.changed, 0);
  }
  const Suited suited = suited_kind(spec_, info.rows, changed);
  // A graph or lists with somewhat fewer rows than they are made for are left as they are.
  const bool shrinks = suited.kind == "flat" && info.rows * 2 > spec_.flat_rows;
  const bool wavers = info.kind == "hnsw" && suited.kind == "ivf" && info.rows < spec_.graph_rows;
  if (suited.kind != info.kind && !shrinks && !wavers) return become(suited, stop);
  return current()->maintain(stop);
}

}  // namespace hearth::vectors
