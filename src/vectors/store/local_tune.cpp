// Local collections: how good the answers are, measured against the exact ones.
#include <fmt/core.h>

#include <chrono>

#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t sampled_k = 10;
constexpr std::size_t sampled_queries = 20;  // in the background, at a time
constexpr std::size_t min_rows = 1000;       // fewer are compared one by one anyway
constexpr float targets[] = {0.5f, 0.7f, 0.8f, 0.9f, 0.95f, 0.97f, 0.98f, 0.99f, 0.995f, 1.0f};

}  // namespace

// Share of the exact answers that the index finds, and queries per second, at one target.
Result<Json> LocalCollection::measure(std::span<const std::vector<float>> queries, std::size_t k,
                                      float target_recall) const {
  std::shared_ptr<Index> index;
  {
    const std::shared_lock lock(state_mutex_);
    index = index_;
  }
  SearchOptions options;
  options.k = k;
  options.target_recall = target_recall;
  std::size_t found = 0, wanted = 0;
  std::chrono::duration<double> spent{};
  for (const std::vector<float>& vector : queries) {
    Query query;
    query.vector = vector;
    const auto exact = TRY(exact_rows(query, k, nullptr));
    const auto began = std::chrono::steady_clock::now();
    const auto hits = TRY(index->search(vector, options));
    spent += std::chrono::steady_clock::now() - began;
    wanted += exact.size();
    // By distance: of rows equally far, any is right.
    const float farthest = exact.empty() ? 0 : exact.back().distance;
    constexpr float tolerance = 1e-5f;
    for (const Hit& hit : hits)
      if (std::any_of(exact.begin(), exact.end(),
                      [&](const Scored& one) { return one.row == hit.row; }) ||
          hit.distance <= farthest - tolerance * std::abs(farthest))
        ++found;
  }
  const double recall =
      wanted == 0 ? 1 : std::min(1.0, static_cast<double>(found) / static_cast<double>(wanted));
  return Json::object(
      {{"target", target_recall},
       {"recall", recall},
       {"queries_per_second",
        spent.count() > 0 ? static_cast<double>(queries.size()) / spent.count() : 0},
       {"queries", queries.size()},
       {"k", k}});
}

Result<Json> LocalCollection::tune(const TuneOptions& options, std::stop_token stop) {
  TRY(check_writable());
  if (!(options.recall > 0 && options.recall <= 1) || options.queries < 1 ||
      options.queries > 10'000 || options.k < 1 || options.k > 1000)
    return Error(ErrorKind::invalid,
                 "tune: needs a recall above 0, up to 1, 1 to 10000 queries and a k of 1 to 1000");
  // Queries that nobody has: points half way between two documents.
  std::vector<std::vector<float>> queries;
  {
    const std::shared_lock lock(state_mutex_);
    std::vector<Row> rows;
    live_.each([&](Row row) {
      rows.push_back(row);
      return true;
    });
    if (rows.empty()) return Error(ErrorKind::invalid, "tune: the collection is empty");
    const std::size_t step = std::max<std::size_t>(1, rows.size() / options.queries);
    for (std::size_t i = 0; i < rows.size() && queries.size() < options.queries; i += step) {
      const auto a = TRY(view_of(rows[i])), b = TRY(view_of(rows[(i + step / 2) % rows.size()]));
      std::vector<float> middle(a.vector.begin(), a.vector.end());
      // Nearer to one of them: the middle of far ones would be near to nothing.
      for (std::size_t d = 0; d < middle.size(); ++d) middle[d] += 0.2f * (b.vector[d] - middle[d]);
      queries.push_back(std::move(middle));
    }
  }
  Json table = Json::array(), best;
  for (const float target : targets) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    Json row = TRY(measure(queries, options.k, target));
    const bool is_enough = row.find("recall")->as_number() >= options.recall;
    table.push_back(row);
    best = std::move(row);
    if (is_enough) break;
  }
  Json tuning = Json::object({{"recall", options.recall},
                              {"target", *best.find("target")},
                              {"measured", *best.find("recall")},
                              {"queries_per_second", *best.find("queries_per_second")},
                              {"documents", live_rows_}});
  {
    const Lead lead(*this);
    Manifest next = manifest_;
    next.tuning = tuning;
    TRY(install(std::move(next), [] {}));
  }
  tuning.set("table", std::move(table));
  return tuning;
}

// Answers exactly a few of the queries that were asked of late, and remembers the share the index
// finds.
Status LocalCollection::sample_recall(std::stop_token stop) {
  if (live_rows_ < min_rows || stop.stop_requested()) return Done{};
  auto queries = recent_queries_.with([](const std::deque<std::vector<float>>& kept) {
    return std::vector(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(
                                                        std::min(kept.size(), sampled_queries)));
  });
  if (queries.empty()) return Done{};
  const float target = [&] {
    const Json* tuned = manifest_.tuning.find("target");
    return tuned ? static_cast<float>(tuned->as_number()) : 0.95f;
  }();
  Json measured = TRY(measure(queries, sampled_k, target));
  recall_.with([&](Json& json) { json = std::move(measured); });
  return Done{};
}

}  // namespace hearth::vectors
