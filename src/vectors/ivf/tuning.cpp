#include "vectors/ivf/tuning.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "vectors/ivf/batch.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t hits = 10;

// What steps of a search take, in nanoseconds, for rows of 128 numbers: only their ratios matter.
constexpr double list_cost = 130, row_cost = 3, candidate_cost = 140, centroid_cost = 4;

// What plans are made of: candidates, how many of them are measured exactly (0: enough for any),
// and tenths of the chunks of centroids (10: all).
struct Sweep {
  std::size_t candidates, exact, chunk_tenths;
};
constexpr Sweep swept[] = {{15, 11, 1}, {17, 11, 1}, {20, 11, 1}, {24, 12, 1}, {30, 0, 1},
                           {60, 0, 1},  {30, 0, 3},  {60, 0, 3},  {100, 0, 3}, {100, 0, 6},
                           {150, 0, 6}, {250, 0, 6}, {400, 0, 10}};

// A row's own list may lie in a chunk whose mean is not the nearest.
constexpr std::size_t least_chunks = 5;

struct Query {
  std::vector<float> vector;
  Row self;
  std::vector<Row> answer;  // the nearest, without itself
  float far_distance = 0;   // of the last of them
};

std::vector<Query> draw_queries(const Trained& trained, std::span<const SegmentView> segments,
                                std::size_t wanted) {
  std::mt19937_64 random(7);
  std::size_t rows = 0;
  for (const SegmentView& view : segments) rows += view.segment->count();
  std::vector<Query> queries;
  for (std::size_t tries = 0; tries < 4 * wanted && queries.size() < wanted; ++tries) {
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

// Exact answers: all lists, by bytes, many of the best by floats where there are any.  False: a
// list is damaged.
bool answer(const Trained& trained, std::span<const SegmentView> segments,
            std::span<Query> queries) {
  std::vector<float> vectors;
  for (const Query& query : queries)
    vectors.insert(vectors.end(), query.vector.begin(), query.vector.end());
  std::vector<TopHits> top(queries.size(), TopHits(hits + 1, {}));
  ProbePlan plan;
  plan.lists = trained.centroids.count();
  plan.exact = 5 * hits;
  if (!BatchSearch(trained, segments, vectors, nullptr).run(plan, 1, top)) return false;
  for (std::size_t i = 0; i < queries.size(); ++i)
    for (const Hit& hit : std::move(top[i]).take()) {
      Query& query = queries[i];
      if (hit.row == query.self || query.answer.size() == hits) continue;
      query.answer.push_back(hit.row);
      query.far_distance = hit.distance;
    }
  return true;
}

struct Measured {
  double recall = 0;  // the mean less its standard error: other queries would rarely find it lower
  double lists = 0, rows = 0, gap = 0;
  double centroids = 0;  // compared with each query
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
                 static_cast<double>(search.counts().rows),
                 static_cast<double>(search.counts().gap)};
    }
  };
  if (pool != nullptr)
    pool->parallel_for(queries.size(), 16, run);
  else
    run(0, queries.size(), 0);
  Measured mean;
  double squares = 0;
  const double n = static_cast<double>(queries.size());
  for (const Measured& m : each) {
    mean.recall += m.recall / n;
    squares += m.recall * m.recall / n;
    mean.lists += m.lists / n;
    mean.rows += m.rows / n;
    mean.gap += m.gap / n;
  }
  mean.recall -= std::sqrt(std::max(squares - mean.recall * mean.recall, 0.0) / n);
  return mean;
}

// Between the plan that just misses the target and the one that reaches it.
ProbePlan between(const ProbePlan& low, double low_recall, const ProbePlan& high,
                  double high_recall, double target) {
  ProbePlan plan = high;
  const double share = (target - low_recall) / std::max(high_recall - low_recall, 1e-9);
  const float part = static_cast<float>(std::clamp(share, 0.0, 1.0));
  plan.gap = low.gap + part * (high.gap - low.gap);
  plan.depth = low.depth + part * (high.depth - low.depth);
  return plan;
}

struct Point {
  ProbePlan plan;
  Measured measured;
};

// Solves the least squares of rows . x = values, slightly drawn towards zero.
template <std::size_t n>
std::array<double, n> least_squares(const std::vector<std::array<double, n>>& rows,
                                    const std::vector<double>& values) {
  double a[n][n + 1] = {};
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) a[i][j] += rows[r][i] * rows[r][j];
      a[i][n] += rows[r][i] * values[r];
    }
  for (std::size_t i = 0; i < n; ++i) a[i][i] += 1e-3 * static_cast<double>(rows.size());
  for (std::size_t i = 0; i < n; ++i)  // positive definite: no pivots
    for (std::size_t r = 0; r < n; ++r) {
      if (r == i) continue;
      const double factor = a[r][i] / a[i][i];
      for (std::size_t j = i; j <= n; ++j) a[r][j] -= factor * a[i][j];
    }
  std::array<double, n> x;
  for (std::size_t i = 0; i < n; ++i) x[i] = a[i][n] / a[i][i];
  return x;
}

// Where the answers of the queries lie, and the model that makes it likeliest.
class GapStudy {
 public:
  GapStudy(const Trained& trained, std::span<const SegmentView> segments,
           std::span<const Query> queries, float unit);
  GapModel learn(const Trained& trained, std::span<const SegmentView> segments,
                 std::span<const Query> queries) const;

 private:
  struct Spread {
    std::vector<float> lists;    // gaps of those that count
    std::vector<float> answers;  // gaps of the lists that hold them
  };
  static constexpr std::size_t numbers = 1 + features;  // the rate and weights
  using Parameters = std::array<double, numbers>;
  double fit(float power, const std::vector<Parameters>& inputs, std::size_t used,
             Parameters& found) const;
  static float median(std::vector<float> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  }
  float unit_, first_, wide_;
  std::vector<Spread> spreads_;
};

GapStudy::GapStudy(const Trained& trained, std::span<const SegmentView> segments,
                   std::span<const Query> queries, float unit)
    : unit_(unit) {
  const bool l2 = trained.metric == Metric::l2;
  const std::size_t n = trained.centroids.count();
  std::vector<float> rotated(trained.padded()), keys(trained.centroids.padded_count());
  std::vector<float> few, many;
  for (const Query& query : queries) {
    trained.rotate_query(rotated.data(), query.vector.data());
    const float least = trained.centroids.keys(keys.data(), rotated.data(), l2);
    Spread spread;
    spread.lists.resize(n);
    for (std::size_t p = 0; p < n; ++p)
      spread.lists[trained.centroids.id(p)] = (l2 ? 1.0f : 0.5f) * (keys[p] - least);
    for (const Row row : query.answer)
      for (const SegmentView& view : segments)
        if (const Slot place = view.segment->places->find(row);
            place != no_place && !view.is_dead(place))
          spread.answers.push_back(spread.lists[view.segment->list_of(place)]);
    std::sort(spread.lists.begin(), spread.lists.end());
    few.push_back(spread.lists[std::min(n - 1, std::max<std::size_t>(n / 512, 2))]);
    many.push_back(spread.lists[std::min(n - 1, std::max<std::size_t>(n / 20, 12))]);
    spreads_.push_back(std::move(spread));
  }
  first_ = median(few);
  wide_ = std::max(median(many), std::numeric_limits<float>::min());
  for (Spread& spread : spreads_) {
    std::erase_if(spread.lists, [&](float gap) { return gap > wide_; });
    std::erase_if(spread.answers, [&](float gap) { return gap > wide_; });
  }
}

// Newton's steps up the likelihood; returns its logarithm, in gaps of any power.
double GapStudy::fit(float power, const std::vector<Parameters>& inputs, std::size_t used,
                     Parameters& found) const {
  double likelihood = 0;
  for (int step = 0; step < 25; ++step) {
    std::vector<Parameters> rows;
    std::vector<double> values;
    likelihood = 0;
    for (std::size_t i = 0; i < spreads_.size(); ++i) {
      double log_rate = 0;
      for (std::size_t p = 0; p < used; ++p) log_rate += found[p] * inputs[i][p];
      const double rate = std::exp(std::clamp(log_rate, -80.0, 80.0));
      double sum = 0, mean = 0, square = 0, seen = 0;
      for (const float gap : spreads_[i].lists) {
        const double grown = std::pow(static_cast<double>(gap / wide_), power);
        const double weight = std::exp(-rate * grown);
        sum += weight;
        mean += weight * grown;
        square += weight * grown * grown;
      }
      mean /= sum;
      const double variance = square / sum - mean * mean;
      const double n = static_cast<double>(spreads_[i].answers.size());
      for (const float gap : spreads_[i].answers)
        seen += std::pow(static_cast<double>(gap / wide_), power);
      likelihood -= rate * seen + n * std::log(sum);
      const double weight = std::sqrt(n * variance) * rate + 1e-9;
      Parameters row{};
      for (std::size_t p = 0; p < used; ++p) row[p] = weight * inputs[i][p];
      rows.push_back(row);
      values.push_back(rate * (n * mean - seen) / weight);
    }
    const Parameters change = least_squares<numbers>(rows, values);
    for (std::size_t p = 0; p < used; ++p) found[p] += std::clamp(change[p], -0.7, 0.7);
  }
  return likelihood;
}

GapModel GapStudy::learn(const Trained& trained, std::span<const SegmentView> segments,
                         std::span<const Query> queries) const {
  GapModel model;
  model.unit = unit_;
  model.first = first_;
  model.wide = wide_;
  std::vector<Features> seen;
  SearchScratch scratch;
  for (const Query& query : queries) {
    SegmentSearch search(trained, segments, query.vector.data(), nullptr, scratch);
    ProbePlan plan;
    plan.model = model;
    const auto found = search.features_of(plan);
    if (!found) return {};
    seen.push_back(*found);
    for (std::size_t f = 0; f < features; ++f)
      model.typical[f] += (*found)[f] / static_cast<float>(queries.size());
  }
  std::vector<Parameters> inputs;
  for (const Features& each : seen) {
    Parameters input{1};
    for (std::size_t f = 0; f < features; ++f)
      input[1 + f] = std::clamp(each[f] - model.typical[f], -4.0f, 4.0f);
    inputs.push_back(input);
  }
  double best = -std::numeric_limits<double>::infinity();
  for (const float power : {1.0f, 1.5f, 2.0f}) {
    Parameters alone{1}, together{1};
    const double likelihood = fit(power, inputs, numbers, alone);
    if (!(likelihood > best)) continue;
    best = likelihood;
    fit(power, inputs, numbers - 1, together);
    model.power = power;
    model.rate = static_cast<float>(alone[0] - power * std::log(static_cast<double>(wide_)));
    for (std::size_t f = 0; f < features; ++f) {
      model.weights[f] = static_cast<float>(alone[1 + f]);
      model.batch_weights[f] = static_cast<float>(together[1 + f]);
    }
  }
  return model;
}

// Rising depths until nothing more is found.
std::vector<Point> sweep(const Trained& trained, std::span<const SegmentView> segments,
                         std::span<const Query> queries, ProbePlan plan, float unit,
                         ThreadPool* pool) {
  std::vector<Point> points;
  double best = -1;
  int idle = 0;
  const double all = static_cast<double>(trained.centroids.count());
  const bool modelled = plan.model.wide > 0;
  float factor = 0.04f;
  for (plan.depth = 1; plan.depth < 40 && idle < 2; plan.depth += plan.depth < 8 ? 0.5f : 1.0f) {
    plan.gap = unit * (factor *= 1.3f);
    Measured now = measure(trained, segments, queries, plan, pool);
    if (modelled) plan.gap = static_cast<float>(now.gap);
    now.centroids = plan.chunks == 0 ? all
                                     : all * static_cast<double>(plan.chunks) /
                                           static_cast<double>(trained.centroids.chunks());
    // The first depths may all lie within the model's first gap.
    const bool looks_farther = points.empty() || now.lists > points.back().measured.lists;
    points.push_back({plan, now});
    if (looks_farther) idle = now.recall <= best + 5e-4 && now.lists > 4 ? idle + 1 : 0;
    best = std::max(best, now.recall);
    if (now.recall >= 0.9995 || now.lists >= 0.999 * all) break;
  }
  return points;
}

// The plan of one sweep that reaches the target, and what it costs; infinity: none does.
std::pair<double, TunedPlan> cheapest(std::span<const Point> points, float target, double width) {
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
    chosen.reached = std::min(target, static_cast<float>(high.measured.recall));
    chosen.lists = static_cast<float>(lists);
    chosen.rows = static_cast<float>(rows);
    const double candidates = static_cast<double>(high.plan.candidates);
    return {lists * list_cost + width * (rows * row_cost + candidates * candidate_cost +
                                         high.measured.centroids * centroid_cost),
            chosen};
  }
  return {std::numeric_limits<double>::infinity(), chosen};
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

Tuning tune(const Trained& trained, std::span<const SegmentView> segments,
            std::size_t wanted_queries, ThreadPool* pool, std::stop_token stop) {
  Tuning tuning;
  std::vector<Query> queries = draw_queries(trained, segments, wanted_queries);
  std::atomic<bool> whole = true;
  auto answer_some = [&](std::size_t begin, std::size_t end, int) {
    if (!stop.stop_requested() &&
        !answer(trained, segments, std::span(queries).subspan(begin, end - begin)))
      whole = false;
  };
  if (pool != nullptr)
    pool->parallel_for(queries.size(), (queries.size() + 1) / 2, answer_some);
  else
    answer_some(0, queries.size(), 0);
  if (!whole) return tuning;
  std::erase_if(queries, [](const Query& query) { return query.answer.empty(); });
  if (stop.stop_requested() || queries.empty()) return tuning;
  std::vector<float> far;
  for (const Query& query : queries) far.push_back(query.far_distance);
  std::nth_element(far.begin(), far.begin() + static_cast<std::ptrdiff_t>(far.size() / 2),
                   far.end());
  tuning.typical_distance = far[far.size() / 2];
  const float unit = std::max(std::abs(tuning.typical_distance), 1e-30f);

  const GapModel model =
      GapStudy(trained, segments, queries, unit).learn(trained, segments, queries);
  const double width = static_cast<double>(trained.padded()) / 128;
  std::vector<std::vector<Point>> sweeps;
  for (const auto& [candidates, exact, chunk_tenths] : swept) {
    if (stop.stop_requested()) return Tuning{};
    if (trained.centroids.chunks() == 0 && candidates == 100 && chunk_tenths == 3) continue;
    ProbePlan plan;
    plan.model = model;
    plan.candidates = candidates;
    const std::size_t chunks = trained.centroids.chunks();
    plan.chunks = std::min(chunks, std::max(chunks * chunk_tenths / 10, least_chunks));
    const std::size_t enough = trained.padded() >= 512 ? 14 : 20;
    plan.exact = exact > 0 ? exact : std::min(candidates, enough);
    sweeps.push_back(sweep(trained, segments, queries, plan, unit, pool));
  }
  for (const float target : tuned_targets) {
    TunedPlan chosen{target, 0, {}, 0, 0};
    double least = std::numeric_limits<double>::infinity();
    for (const auto& points : sweeps) {
      const auto [cost, tuned] = cheapest(points, target, width);
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
