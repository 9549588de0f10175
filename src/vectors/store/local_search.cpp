// Local collections: searching.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_map>

#include "vectors/store/local_state.h"
#include "vectors/text/fusion.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t max_k = 10'000;
constexpr std::size_t max_query_bytes = 64 << 10;
constexpr std::size_t kept_queries = 200;
constexpr float standard_recall = 0.95f;
// Of a reader, over rows that the index lacks, before it brings them in.
constexpr std::size_t patient_searches = 8;
// Of each way to search, when several are fused, grouped or varied.
constexpr std::size_t min_candidates = 100, candidates_per_answer = 4;

// Counts a search while it lasts.
class Counted {
 public:
  explicit Counted(std::atomic<int>& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<int>& count_;
};

double score_of(Metric metric, float distance) {
  const double d = static_cast<double>(distance);
  return metric == Metric::cosine ? 1 - d : metric == Metric::inner_product ? -d : 1 / (1 + d);
}

constexpr auto is_nearer = [](const auto& a, const auto& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
};

Status check(const Query& query, std::size_t dim) {
  const auto wrong = [](std::string message) { return Error(ErrorKind::invalid, message); };
  if (query.vector.empty() && query.text.empty()) return wrong("query: needs a vector or a text");
  if (!query.vector.empty() && query.vector.size() != dim)
    return wrong(fmt::format("query: a vector of {} numbers: needs {}", query.vector.size(), dim));
  for (const float x : query.vector)
    if (!std::isfinite(x)) return wrong("query: its vector holds what is no number");
  if (query.text.size() > max_query_bytes)
    return wrong(fmt::format("query: a text of over {} bytes", max_query_bytes));
  if (query.k < 1 || query.k > max_k)
    return wrong(fmt::format("k = {}: needs 1 to {}", query.k, max_k));
  if (query.mmr && (*query.mmr < 0 || *query.mmr > 1)) return wrong("mmr: needs 0 to 1");
  if (query.group_size < 1 || query.group_size > max_k) return wrong("group_size: needs 1 or more");
  if (query.target_recall && !(*query.target_recall > 0 && *query.target_recall <= 1))
    return wrong("target_recall: needs to be above 0, up to 1");
  return Done{};
}

}  // namespace

// In slices, so that writers need not wait for all of it.
Result<std::vector<LocalCollection::Scored>> LocalCollection::exact_rows(
    const Query& query, std::size_t n, const Bits* allowed) const {
  constexpr Row slice = 4096;
  const Metric metric = made_with_.metric;
  std::vector<Scored> best;  // a heap, the farthest on top
  Status status = Done{};
  const auto look = [&](Row row) {
    const auto view = view_of(row);
    if (!view.ok()) {
      if (!damage_.empty()) return true;  // told when it was opened
      status = view.error();
      return false;
    }
    const float distance = distance_between(metric, query.vector, view->vector);
    if (query.max_distance && distance > *query.max_distance) return true;
    const Scored candidate{row, distance, score_of(metric, distance)};
    if (best.size() == n && !is_nearer(candidate, best.front())) return true;
    if (best.size() == n) {
      std::pop_heap(best.begin(), best.end(), is_nearer);
      best.pop_back();
    }
    best.push_back(candidate);
    std::push_heap(best.begin(), best.end(), is_nearer);
    return true;
  };
  for (Row from = 0;;) {
    const std::shared_lock lock(state_mutex_);
    const Bits& rows = allowed ? *allowed : live_;
    std::size_t seen = 0;
    bool is_over = true;
    rows.each(
        [&](Row row) {
          if (seen++ == slice) {
            from = row;
            is_over = false;
            return false;
          }
          return !live_.has(row) || look(row);
        },
        from);
    TRY(std::move(status));
    if (is_over) break;
  }
  std::sort_heap(best.begin(), best.end(), is_nearer);
  return best;
}

// What was measured says what to ask of the index: the least that reached as much.
SearchOptions LocalCollection::search_options(const Query& query, std::size_t n) const {
  SearchOptions options;
  options.k = n;
  options.max_distance = query.max_distance;
  options.breadth = query.breadth;
  options.is_alone = searching_ == 1;
  const std::shared_lock lock(state_mutex_);
  const Json* tuned = manifest_.tuning.find("recall");
  const float standard = tuned ? static_cast<float>(tuned->as_number()) : standard_recall;
  const float asked = query.target_recall.value_or(standard);
  options.target_recall = asked;
  const Json* table = manifest_.tuning.find("table");
  if (!table || !table->is_array()) return options;
  for (const Json& row : table->as_array()) {
    const Json *target = row.find("target"), *recall = row.find("recall");
    if (!target || !recall || !target->is_number() || !recall->is_number()) continue;
    options.target_recall = static_cast<float>(target->as_number());
    if (static_cast<float>(recall->as_number()) >= asked) return options;
  }
  options.target_recall = std::max(options.target_recall, asked);
  return options;
}

std::vector<LocalCollection::Scored> LocalCollection::scored(std::span<const Hit> hits) const {
  std::vector<Scored> found;
  for (const Hit& hit : hits)
    found.push_back({hit.row, hit.distance, score_of(made_with_.metric, hit.distance)});
  return found;
}

Result<std::vector<LocalCollection::Scored>> LocalCollection::near_rows(const Query& query,
                                                                        std::size_t n,
                                                                        const Bits* allowed) const {
  return indexed_rows(query.vector, search_options(query, n), allowed);
}

Result<std::vector<LocalCollection::Scored>> LocalCollection::indexed_rows(
    std::span<const float> vector, SearchOptions options, const Bits* allowed) const {
  std::shared_ptr<Index> index;
  Bits gap;
  {
    const std::shared_lock lock(state_mutex_);
    index = index_;
    if (unindexed_rows_ > 0) gap = unindexed_;
  }
  RowFilter filter{};
  if (allowed) {
    filter = {allowed->words(), allowed->count()};
    options.filter = &filter;
    if (filter.allowed_rows == 0) return std::vector<Scored>{};
    gap.keep(*allowed);
  }
  const auto hits = TRY(index->search(vector, options));
  std::vector<Scored> found = scored(hits);
  if (gap.is_empty()) return found;
  if (access_ == Access::read && ++gap_searches_ == patient_searches) wake_background();
  Query query;
  query.vector.assign(vector.begin(), vector.end());
  query.max_distance = options.max_distance;
  std::vector<Scored> rest = TRY(exact_rows(query, options.k, &gap));
  // What came into the index meanwhile may be in both.
  std::erase_if(rest, [&](const Scored& one) {
    return std::any_of(found.begin(), found.end(),
                       [&](const Scored& other) { return other.row == one.row; });
  });
  found.insert(found.end(), rest.begin(), rest.end());
  std::sort(found.begin(), found.end(), is_nearer);
  if (found.size() > options.k) found.resize(options.k);
  return found;
}

Result<std::vector<LocalCollection::Scored>> LocalCollection::word_rows(const Query& query,
                                                                        std::size_t n,
                                                                        const Bits* allowed) const {
  const std::lock_guard words_lock(words_mutex_);
  TRY(sync_words());
  const Bits live = [&] {
    const std::shared_lock lock(state_mutex_);
    return live_;
  }();
  const auto hits = TRY(words_->search(
      query.text, n, [&](Row row) { return live.has(row) && (!allowed || allowed->has(row)); }));
  const std::shared_lock lock(state_mutex_);
  std::vector<Scored> found;
  for (const WordHit& hit : hits) {
    float distance = 0;
    const auto view = view_of(hit.row);
    if (!query.vector.empty() && view.ok())
      distance = distance_between(made_with_.metric, query.vector, view->vector);
    found.push_back({hit.row, distance, hit.score});
  }
  return found;
}

void LocalCollection::remember_query(const Query& query) const {
  ++fresh_queries_;
  recent_queries_.with([&](std::deque<Probe>& kept) {
    kept.push_front({query.vector, query.filter});
    if (kept.size() > kept_queries) kept.pop_back();
  });
}

Result<std::vector<LocalCollection::Scored>> LocalCollection::find_rows(const Query& query,
                                                                        std::size_t n,
                                                                        const Bits* allowed) const {
  std::vector<Scored> found;
  if (!query.vector.empty())
    found = query.is_exact ? TRY(exact_rows(query, n, allowed)) : TRY(near_rows(query, n, allowed));
  if (query.text.empty()) return found;
  std::vector<Scored> by_words = TRY(word_rows(query, n, allowed));
  if (query.vector.empty()) return by_words;
  const auto fused = fuse_ranks({found, by_words}, [](const Scored& one) { return one.row; });
  std::unordered_map<Row, Scored> by_row;
  for (const auto& list : {found, by_words})
    for (const Scored& one : list) by_row.emplace(one.row, one);
  found.clear();
  for (const auto& [row, score] : fused) found.push_back({row, by_row.at(row).distance, score});
  return found;
}

Result<std::vector<Match>> LocalCollection::search(const Query& query) const {
  TRY(check(query, made_with_.dim));
  const Counted counted(searching_);
  std::shared_ptr<const Bits> allowed;
  if (query.filter) allowed = TRY(select_rows(*query.filter));
  const bool is_fused = !query.vector.empty() && !query.text.empty();
  const bool is_chosen_from = is_fused || query.mmr || !query.group_by.empty();
  std::size_t n =
      is_chosen_from ? std::max(min_candidates, query.k * candidates_per_answer) : query.k;
  if (!query.vector.empty() && !query.is_exact) remember_query(query);
  for (;;) {
    std::vector<Scored> found = TRY(find_rows(query, n, allowed.get()));
    const bool is_all = found.size() < n || n >= live_rows_;
    std::vector<Match> matches = TRY(resolve(query, std::move(found)));
    // A large group may leave no room for others: look farther.
    if (query.group_by.empty() || matches.size() >= query.k || is_all) return matches;
    n *= 8;
  }
}

// From rows to documents; groups and varied answers are chosen here.
Result<std::vector<Match>> LocalCollection::resolve(const Query& query,
                                                    std::vector<Scored> found) const {
  const std::shared_lock lock(state_mutex_);
  const Metric metric = made_with_.metric;
  Parts parts = query.parts;
  if (!query.group_by.empty()) parts.metadata = true;
  if (query.mmr) parts.vector = true;
  std::vector<Match> matches;
  std::set<Row> taken;
  std::map<std::string, std::size_t> group_sizes;
  for (const Scored& one : found) {
    if (matches.size() == query.k && !query.mmr) break;
    Row row = one.row;
    float distance = one.distance;
    if (!live_.has(row)) {
      // Written anew since the index was asked: the document counts as it is now.
      const auto old = view_of(row);
      row = old.ok() ? find_id(old->id) : no_row;
      if (row == no_row || query.filter) continue;
      if (!query.vector.empty())
        distance = distance_between(metric, query.vector, TRY(view_of(row)).vector);
    }
    if (!taken.insert(row).second) continue;
    if (const Segment* segment = segment_of(row)) segment->note_use();
    Match match{to_document(TRY(view_of(row)), parts), distance, one.score, {}};
    if (!query.group_by.empty()) {
      if (const Json* group = find_field(match.document.metadata, query.group_by))
        match.group = *group;
      if (group_sizes[write_json(match.group)]++ >= query.group_size) continue;
    }
    matches.push_back(std::move(match));
  }
  if (query.mmr) matches = choose_varied(std::move(matches), *query.mmr, query.k, metric);
  if (!query.parts.vector || !query.parts.metadata)
    for (Match& match : matches) {
      if (!query.parts.vector) match.document.vector.clear();
      if (!query.parts.metadata) match.document.metadata = Json::object();
    }
  return matches;
}

Result<std::vector<std::vector<Match>>> LocalCollection::search_batch(
    std::span<const Query> queries) const {
  std::vector<std::vector<Match>> answers(queries.size());
  const auto is_plain = [](const Query& query) {
    return !query.vector.empty() && query.text.empty() && !query.filter && !query.is_exact &&
           !query.mmr && query.group_by.empty();
  };
  const auto is_alike = [&](const Query& query) {
    const Query& first = queries.front();
    return is_plain(query) && query.k == first.k && query.max_distance == first.max_distance &&
           query.target_recall == first.target_recall && query.breadth == first.breadth;
  };
  if (queries.size() < 2 || unindexed_rows_ > 0 ||
      !std::all_of(queries.begin(), queries.end(), is_alike)) {
    for (std::size_t i = 0; i < queries.size(); ++i) answers[i] = TRY(search(queries[i]));
    return answers;
  }
  std::vector<float> flat;
  for (const Query& query : queries) {
    TRY(check(query, made_with_.dim));
    flat.insert(flat.end(), query.vector.begin(), query.vector.end());
  }
  std::shared_ptr<Index> index;
  {
    const std::shared_lock lock(state_mutex_);
    index = index_;
  }
  remember_query(queries.front());
  const Counted counted(searching_);
  const SearchOptions options = search_options(queries.front(), queries.front().k);
  const auto all = TRY(index->search_batch(flat, options));
  for (std::size_t i = 0; i < queries.size(); ++i)
    answers[i] = TRY(resolve(queries[i], scored(all[i])));
  return answers;
}

}  // namespace hearth::vectors
