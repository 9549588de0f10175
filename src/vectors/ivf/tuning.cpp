#include "vectors/ivf/tuning.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace hearth::vectors {
namespace {

constexpr std::size_t sample_queries = 300, hits = 10;
constexpr float infinity = std::numeric_limits<float>::infinity();

// What steps of a search take, in nanoseconds, for rows of 128 numbers: only their ratios matter.
constexpr double list_cost = 40, row_cost = 1, candidate_cost = 40;

struct Query {
  std::vector<float> vector;
  Row self;
  std::vector<Row> answer;  // the nearest, without itself
  float far_distance = 0;   // of the last of them
};

std::vector<Query> draw_queries(const Trained& trained, std::span<const SegmentView> segments) {
  std::mt19937_64 random(7);
  std::size_t rows = 0;
  for (const SegmentView& view : segments) rows += view.segment->count();
  std::vector<Query> queries;
  for (std::size_t tries = 0; tries < 4 * sample_queries && queries.size() < sample_queries;
       ++tries) {
    std::size_t place = random() % rows, g = 0;
    while (place >= segments[g].segment->count()) place -= segments[g++].segment->count();
    const Segment& segment = *segments[g].segment;
    if (segments[g].is_dead(place) || !segment.touch(segment.list_of(place))) continue;
    Query query{std::vector<float>(trained.dim()), segment.arrays.ids[place], {}, 0};
    decode_row(trained, segment, place, query.vector.data());
    queries.push_back(std::move(query));
  }
  return queries;
}

// By the bytes of all rows, the best of them by floats where there are any.
void answer(const Trained& trained, std::span<const SegmentView> segments, Query& query,
            SearchScratch& scratch) {
  SegmentSearch search(trained, segments, query.vector.data(), nullptr, scratch);
  TopHits near(5 * hits, {});
  std::vector<float> distances;
  std::vector<Candidate> best;
  for (std::size_t g = 0; g < segments.size(); ++g) {
    distances.resize(segments[g].segment->count());
    search.all_distances(*segments[g].segment, distances.data());
    for (std::size_t i = 0; i < distances.size(); ++i) {
      if (distances[i] > near.limit() || segments[g].is_dead(i)) continue;
      near.offer(static_cast<Row>(best.size()), distances[i]);
      best.push_back(
          {distances[i], static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(g) & 0xFF, 0});
    }
  }
  std::vector<Candidate> chosen;
  for (const Hit& hit : std::move(near).take()) chosen.push_back(best[hit.row]);
  TopHits top(hits + 1, {});
  search.offer_rows(chosen, 1, top);
  for (const Hit& hit : std::move(top).take()) {
    if (hit.row == query.self || query.answer.size() == hits) continue;
    query.answer.push_back(hit.row);
    query.far_distance = hit.distance;
  }
}

struct Measured {
  double recall = 0, lists = 0, rows = 0;
};

Measured measure(const Trained& trained, std::span<const SegmentView> segments,
                 std::span<const Query> queries, const ProbePlan& plan, ThreadPool* pool) {
  std::vector<Measured> each(queries.size());
  auto run = [&](std::size_t begin, std::size_t end, int) {
    SearchScratch scratch;
    for (std::size_t i = begin; i < end; ++i) {
      const Query& query = queries[i];
      SegmentSearch search(trained, segments, query.vector.data(), nullptr, scratch);
      TopHits top(hits + 1, {});
      search.run(plan, hits + 1, 1, top);
      std::size_t found = 0;
      for (const Hit& hit : std::move(top).take())
        found += std::find(query.answer.begin(), query.answer.end(), hit.row) != query.answer.end();
      each[i] = {static_cast<double>(found) / static_cast<double>(query.answer.size()),
                 static_cast<double>(search.counts().lists),
                 static_cast<double>(search.counts().rows)};
    }
  };
  if (pool != nullptr)
    pool->parallel_for(queries.size(), 16, run);
  else
    run(0, queries.size(), 0);
  Measured mean;
  const double n = static_cast<double>(queries.size());
  for (const Measured& m : each) {
    mean.recall += m.recall / n;
    mean.lists += m.lists / n;
    mean.rows += m.rows / n;
  }
  return mean;
}

// Between the largest gap that misses the target and the least that reaches it.
ProbePlan between(const ProbePlan& low, double low_recall, const ProbePlan& high,
                  double high_recall, double target) {
  ProbePlan plan = high;
  const double share = (target - low_recall) / std::max(high_recall - low_recall, 1e-9);
  plan.gap = low.gap + static_cast<float>(std::clamp(share, 0.0, 1.0)) * (high.gap - low.gap);
  return plan;
}

struct Point {
  ProbePlan plan;
  Measured measured;
};

// Keys of all lists less the least, for every query: how crowded it is around it.
class Crowds {
 public:
  Crowds(const Trained& trained, std::span<const Query> queries) {
    std::vector<float> rotated(trained.padded()), keys(trained.centroids.padded_count());
    const bool l2 = trained.metric == Metric::l2;
    for (const Query& query : queries) {
      trained.rotate_query(rotated.data(), query.vector.data());
      const float least = trained.centroids.keys(keys.data(), rotated.data(), l2);
      std::vector<float>& offsets = offsets_.emplace_back(keys);
      offsets.resize(trained.centroids.count());
      for (float& key : offsets) key = (key - least) * (l2 ? 1.0f : 0.5f);
      std::sort(offsets.begin(), offsets.end());
    }
  }

  // The geometric mean of how many lists are within a gap.
  float typical(float gap) const {
    double sum = 0;
    for (const auto& offsets : offsets_)
      sum += std::log(static_cast<double>(std::max<std::ptrdiff_t>(
          std::upper_bound(offsets.begin(), offsets.end(), gap) - offsets.begin(), 1)));
    return static_cast<float>(std::exp(sum / static_cast<double>(offsets_.size())));
  }

 private:
  std::vector<std::vector<float>> offsets_;
};

// Gaps by rising size until nothing more is found.
std::vector<Point> sweep(const Trained& trained, std::span<const SegmentView> segments,
                         std::span<const Query> queries, const Crowds& crowds, ProbePlan plan,
                         float unit, ThreadPool* pool) {
  std::vector<Point> points;
  double best = -1;
  int idle = 0;
  const double all = static_cast<double>(trained.centroids.count());
  for (float factor = 0.04f; factor < 200 && idle < 2; factor *= 1.5f) {
    plan.gap = unit * factor;
    plan.typical_lists = crowds.typical(plan.gap);
    const Measured now = measure(trained, segments, queries, plan, pool);
    points.push_back({plan, now});
    idle = now.recall <= best + 5e-4 && now.lists > 4 ? idle + 1 : 0;
    best = std::max(best, now.recall);
    if (now.recall >= 0.9995 || now.lists >= 0.999 * all) break;
  }
  return points;
}

// The plan of one sweep that reaches the target, and what it costs; infinity: none does.
std::pair<double, TunedPlan> cheapest(std::span<const Point> points, const Crowds& crowds,
                                      float target, double width) {
  TunedPlan chosen{target, 0, {}, 0, 0};
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i].measured.recall < target) continue;
    const Point& low = points[i == 0 ? 0 : i - 1];
    const Point& high = points[i];
    const double span = high.measured.recall - low.measured.recall;
    const double share = span > 0 ? (target - low.measured.recall) / span : 1;
    const double lists = low.measured.lists + share * (high.measured.lists - low.measured.lists);
    const double rows = low.measured.rows + share * (high.measured.rows - low.measured.rows);
    chosen.plan = between(low.plan, low.measured.recall, high.plan, high.measured.recall, target);
    chosen.plan.typical_lists = crowds.typical(chosen.plan.gap);
    chosen.reached = std::min(target, static_cast<float>(high.measured.recall));
    chosen.lists = static_cast<float>(lists);
    chosen.rows = static_cast<float>(rows);
    const double candidates = static_cast<double>(high.plan.candidates);
    return {lists * list_cost + width * (rows * row_cost + candidates * candidate_cost), chosen};
  }
  return {std::numeric_limits<double>::infinity(), chosen};
}

// The power with which crowding counts: the one that looks at the fewest rows at recall 0.95.
float learn_crowding(const Trained& trained, std::span<const SegmentView> segments,
                     std::span<const Query> queries, const Crowds& crowds, float unit,
                     ThreadPool* pool) {
  float best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (const float power : {0.0f, 0.15f, 0.3f, 0.5f}) {
    ProbePlan plan;
    plan.crowding = power;
    plan.candidates = 200;
    const auto points = sweep(trained, segments, queries, crowds, plan, unit, pool);
    const double cost = cheapest(points, crowds, 0.95f, 1).first;
    if (cost >= least) continue;
    least = cost;
    best = power;
  }
  return best;
}

}  // namespace

ProbePlan Tuning::plan_for(float target, std::size_t k, const Trained& trained) const {
  ProbePlan plan;
  if (plans.empty()) {
    plan.lists = std::max<std::size_t>(trained.centroids.count() / 8, 8);
    plan.candidates = std::max<std::size_t>(20 * k, 200);
    plan.exact = std::max<std::size_t>(2 * k, 20);
    return plan;
  }
  const TunedPlan* chosen = &plans.back();
  for (const TunedPlan& tuned : plans)
    if (tuned.target >= target - 1e-6f) {
      chosen = &tuned;
      break;
    }
  plan = chosen->plan;
  if (k > hits) {
    const double times = static_cast<double>(k) / hits;
    const double grown = static_cast<double>(plan.candidates) * std::pow(times, 0.8);
    plan.candidates = std::max(static_cast<std::size_t>(grown), 2 * k);
    plan.exact = std::max(plan.exact * k / hits, k + 10);
    plan.typical_distance = typical_distance;
  }
  return plan;
}

Tuning tune(const Trained& trained, std::span<const SegmentView> segments, ThreadPool* pool,
            std::stop_token stop) {
  Tuning tuning;
  std::vector<Query> queries = draw_queries(trained, segments);
  auto answer_some = [&](std::size_t begin, std::size_t end, int) {
    SearchScratch scratch;
    for (std::size_t i = begin; i < end && !stop.stop_requested(); ++i)
      answer(trained, segments, queries[i], scratch);
  };
  if (pool != nullptr)
    pool->parallel_for(queries.size(), 4, answer_some);
  else
    answer_some(0, queries.size(), 0);
  std::erase_if(queries, [](const Query& query) { return query.answer.empty(); });
  if (stop.stop_requested() || queries.empty()) return tuning;
  std::vector<float> far;
  for (const Query& query : queries) far.push_back(query.far_distance);
  std::nth_element(far.begin(), far.begin() + static_cast<std::ptrdiff_t>(far.size() / 2),
                   far.end());
  tuning.typical_distance = far[far.size() / 2];
  const float unit = std::max(std::abs(tuning.typical_distance), 1e-30f);

  const Crowds crowds(trained, queries);
  const double width = static_cast<double>(trained.padded()) / 128;
  const float crowding = learn_crowding(trained, segments, queries, crowds, unit, pool);
  std::vector<std::vector<Point>> sweeps;
  for (const std::size_t candidates : {25, 50, 100, 200, 400}) {
    if (stop.stop_requested()) return Tuning{};
    ProbePlan plan;
    plan.crowding = crowding;
    plan.candidates = candidates;
    plan.exact = std::min<std::size_t>(candidates, 20);
    sweeps.push_back(sweep(trained, segments, queries, crowds, plan, unit, pool));
  }
  for (const float target : tuned_targets) {
    TunedPlan chosen{target, 0, {}, 0, 0};
    double least = std::numeric_limits<double>::infinity();
    for (const auto& points : sweeps) {
      const auto [cost, tuned] = cheapest(points, crowds, target, width);
      if (cost >= least) continue;
      least = cost;
      chosen = tuned;
    }
    if (least < std::numeric_limits<double>::infinity()) tuning.plans.push_back(chosen);
  }
  if (tuning.plans.empty() || tuning.plans.back().target < tuned_targets[7]) {
    // The best there is, for targets that nothing reaches.
    const Point* best = &sweeps.back().back();
    for (const Point& point : sweeps.back())
      if (point.measured.recall > best->measured.recall) best = &point;
    tuning.plans.push_back({1, static_cast<float>(best->measured.recall), best->plan,
                            static_cast<float>(best->measured.lists),
                            static_cast<float>(best->measured.rows)});
  }
  return tuning;
}

}  // namespace hearth::vectors
