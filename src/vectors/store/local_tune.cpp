// Local collections: how good the answers are, measured against the exact ones.
#include <fmt/core.h>

#include <chrono>

#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t sampled_k = 10;
constexpr std::size_t sampled_queries = 20;  // in the background, at a time
constexpr double sample_seconds = 0.5;       // but no more queries than so long,
constexpr std::size_t least_queries = 8;     // if there are so many
constexpr std::size_t min_rows = 1000;       // fewer are compared one by one anyway
constexpr double recall_slack = 0.01;        // below what was asked for: measured again,
constexpr double some_changed = 0.02, many_changed = 0.2;  // once such a share of rows changed
constexpr float targets[] = {0.5f, 0.7f, 0.8f, 0.9f, 0.95f, 0.97f, 0.98f, 0.99f, 0.995f, 1.0f};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

}  // namespace

// The exact answers, until the time is over; how many there are.
Result<std::size_t> LocalCollection::answer_exactly(std::span<Probe> probes, std::size_t k,
                                                    double max_seconds) const {
  const auto begun = Clock::now();
  std::size_t answered = 0;
  for (Probe& probe : probes) {
    if (answered >= least_queries && seconds_since(begun) > max_seconds) break;
    Query query;
    query.vector = probe.vector;
    if (probe.filter) probe.allowed = TRY(select_rows(*probe.filter));
    probe.exact = TRY(exact_rows(query, k, probe.allowed.get()));
    ++answered;
  }
  return answered;
}

// Share of the exact answers that the index finds at one target, and queries per second: of a
// second round, when what the first one touched is in memory.
Result<Json> LocalCollection::measure(std::span<const Probe> probes, std::size_t k,
                                      float target_recall) const {
  SearchOptions options;
  options.k = k;
  options.target_recall = target_recall;
  std::size_t found = 0, wanted = 0;
  for (const Probe& probe : probes) {
    const auto hits = TRY(indexed_rows(probe.vector, options, probe.allowed.get()));
    wanted += probe.exact.size();
    // By distance: of rows equally far, any is right.
    const float farthest = probe.exact.empty() ? 0 : probe.exact.back().distance;
    constexpr float tolerance = 1e-5f;
    for (const Scored& hit : hits)
      if (std::any_of(probe.exact.begin(), probe.exact.end(),
                      [&](const Scored& one) { return one.row == hit.row; }) ||
          hit.distance <= farthest - tolerance * std::abs(farthest))
        ++found;
  }
  const auto began = Clock::now();
  for (const Probe& probe : probes) TRY(indexed_rows(probe.vector, options, probe.allowed.get()));
  const double spent = seconds_since(began);
  const double recall =
      wanted == 0 ? 1 : std::min(1.0, static_cast<double>(found) / static_cast<double>(wanted));
  return Json::object(
      {{"target", target_recall},
       {"recall", recall},
       {"queries_per_second", spent > 0 ? static_cast<double>(probes.size()) / spent : 0},
       {"queries", probes.size()},
       {"k", k}});
}

// Queries that nobody has: points between two documents.
Result<std::vector<LocalCollection::Probe>> LocalCollection::held_out(std::size_t n) const {
  std::vector<Probe> probes;
  const std::shared_lock lock(state_mutex_);
  std::vector<Row> rows;
  live_.each([&](Row row) {
    rows.push_back(row);
    return true;
  });
  const std::size_t step = std::max<std::size_t>(1, rows.size() / n);
  for (std::size_t i = 0; i < rows.size() && probes.size() < n; i += step) {
    const auto a = TRY(view_of(rows[i])), b = TRY(view_of(rows[(i + step / 2) % rows.size()]));
    std::vector<float> middle(a.vector.begin(), a.vector.end());
    // Nearer to one of them: the middle of far ones would be near to nothing.
    for (std::size_t d = 0; d < middle.size(); ++d) middle[d] += 0.2f * (b.vector[d] - middle[d]);
    probes.push_back({std::move(middle), std::nullopt});
  }
  return probes;
}

Result<Json> LocalCollection::tune(const TuneOptions& options, std::stop_token stop) {
  TRY(check_writable());
  if (!(options.recall > 0 && options.recall <= 1) || options.queries < 1 ||
      options.queries > 10'000 || options.k < 1 || options.k > 1000)
    return Error(ErrorKind::invalid,
                 "tune: needs a recall above 0, up to 1, 1 to 10000 queries and a k of 1 to 1000");
  const std::lock_guard work_lock(work_mutex_);
  TRY(fill_gap(stop));
  return tune_now(options, stop);
}

Result<Json> LocalCollection::tune_now(const TuneOptions& options, std::stop_token stop) {
  std::vector<Probe> probes = TRY(held_out(options.queries));
  if (probes.empty()) return Error(ErrorKind::invalid, "tune: the collection is empty");
  constexpr double no_limit = 1e9;
  TRY(answer_exactly(probes, options.k, no_limit));
  Json table = Json::array(), best;
  for (const float target : targets) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    Json row = TRY(measure(probes, options.k, target));
    const bool is_enough = row.find("recall")->as_number() >= options.recall;
    table.push_back(row);
    best = std::move(row);
    if (is_enough) break;
  }
  Json tuning = Json::object({{"recall", options.recall},
                              {"target", *best.find("target")},
                              {"measured", *best.find("recall")},
                              {"queries_per_second", *best.find("queries_per_second")},
                              {"queries", options.queries},
                              {"k", options.k},
                              {"index", index_->info().kind},
                              {"documents", live_rows_.load()},
                              {"table", std::move(table)}});
  {
    const Lead lead(*this);
    Manifest next = manifest_;
    next.tuning = tuning;
    next.recall = Json();  // it was measured with another setting
    TRY(install(std::move(next), [] {}));
  }
  return tuning;
}

// Measures again once the index is of another kind, there are many other documents, or the sampled
// recall says that the setting does not do any more.
Status LocalCollection::keep_tuned(std::stop_token stop) {
  Json tuning, recall;
  {
    const std::shared_lock lock(state_mutex_);
    tuning = manifest_.tuning;
    recall = manifest_.recall;
  }
  const Json* wanted = tuning.find("recall");
  const Json* then = tuning.find("documents");
  if (!wanted || !then || live_rows_ == 0) return Done{};
  const Json* kind = tuning.find("index");
  const double before = then->as_number(), now = static_cast<double>(live_rows_);
  const double change = std::abs(now - before) / std::max(before, 1.0);
  const Json* sampled = recall.find("recall");
  const bool is_low = sampled && sampled->as_number() < wanted->as_number() - recall_slack;
  const bool is_other = !kind || *kind != Json(index_->info().kind);
  if (!is_other && change < many_changed && !(is_low && change >= some_changed)) return Done{};
  TuneOptions options;
  options.recall = wanted->as_number();
  if (const Json* k = tuning.find("k")) options.k = static_cast<std::size_t>(k->as_integer());
  TRY(tune_now(options, stop));
  return Done{};
}

// Answers exactly a few of the queries that were asked of late, those with filters too, or points
// between documents where nobody asked, and writes down the share the index finds.
Status LocalCollection::sample_recall(std::stop_token stop) {
  if (live_rows_ < min_rows || stop.stop_requested()) return Done{};
  Json last;
  float target = 0.95f;
  {
    const std::shared_lock lock(state_mutex_);
    last = manifest_.recall;
    if (const Json* tuned = manifest_.tuning.find("target"))
      target = static_cast<float>(tuned->as_number());
  }
  const std::size_t fresh = fresh_queries_.exchange(0);
  const Json* counted = last.find("documents");
  const bool is_same = counted && *counted == Json(live_rows_.load());
  if (is_same && fresh == 0) return Done{};
  auto probes = recent_queries_.with([](const std::deque<Probe>& kept) {
    return std::vector(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(
                                                        std::min(kept.size(), sampled_queries)));
  });
  const bool is_asked = !probes.empty();
  if (!is_asked) probes = TRY(held_out(sampled_queries));
  probes.resize(TRY(answer_exactly(probes, sampled_k, sample_seconds)));
  Json measured = TRY(measure(probes, sampled_k, target));
  measured.set("of", is_asked ? "recent queries" : "points between documents");
  measured.set("documents", live_rows_.load());
  measured.set("at", std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count());
  const Lead lead(*this);
  Manifest next = manifest_;
  next.recall = std::move(measured);
  return install(std::move(next), [] {});
}

}  // namespace hearth::vectors
