// For tests of the store: an index that compares everything.
#pragma once

#include <map>
#include <mutex>

#include "vectors/store/local_state.h"

namespace hearth::vectors {

class PlainIndex : public Index {
 public:
  PlainIndex(std::size_t dim, Metric metric) : dim_(dim), metric_(metric) {}

  Status add(std::span<const Row> rows, std::span<const float> vectors) override {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto vector = vectors.subspan(i * dim_, dim_);
      rows_[rows[i]].assign(vector.begin(), vector.end());
    }
    return Done{};
  }
  void remove(std::span<const Row> rows) override {
    const std::lock_guard lock(mutex_);
    for (const Row row : rows) rows_.erase(row);
  }
  Result<std::vector<Hit>> search(std::span<const float> query,
                                  const SearchOptions& options) const override {
    const std::lock_guard lock(mutex_);
    std::vector<Hit> hits;
    for (const auto& [row, vector] : rows_) {
      if (options.filter && !options.filter->allows(row)) continue;
      const float distance = distance_between(metric_, query, vector);
      if (!options.max_distance || distance <= *options.max_distance)
        hits.push_back({row, distance});
    }
    std::sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) {
      return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
    });
    if (hits.size() > options.k) hits.resize(options.k);
    return hits;
  }
  Result<std::vector<std::vector<Hit>>> search_batch(std::span<const float> queries,
                                                     const SearchOptions& options) const override {
    std::vector<std::vector<Hit>> all;
    for (std::size_t i = 0; i < queries.size(); i += dim_)
      all.push_back(TRY(search(queries.subspan(i, dim_), options)));
    return all;
  }
  Result<std::vector<float>> vector(Row row) const override {
    const std::lock_guard lock(mutex_);
    const auto found = rows_.find(row);
    if (found == rows_.end()) return Error(ErrorKind::not_found, "no such row");
    return found->second;
  }
  IndexInfo info() const override {
    IndexInfo info;
    const std::lock_guard lock(mutex_);
    info.kind = "plain";
    info.rows = rows_.size();
    info.has_lessons = lessons_ > 0;
    info.removed = lessons_;  // for tests to count
    return info;
  }
  Status learn_from(std::span<const float>, std::span<const Row> relevant,
                    std::span<const Row> irrelevant) override {
    const std::lock_guard lock(mutex_);
    lessons_ += relevant.size() + irrelevant.size();
    return Done{};
  }
  Status forget_feedback() override {
    const std::lock_guard lock(mutex_);
    lessons_ = 0;
    return Done{};
  }
  Status maintain(std::stop_token) override { return Done{}; }
  Status save(const std::string&) const override {
    return Error(ErrorKind::unsupported, "a plain index is not saved");
  }

 private:
  std::size_t dim_;
  Metric metric_;
  mutable std::mutex mutex_;
  std::map<Row, std::vector<float>> rows_;
  std::size_t lessons_ = 0;
};

inline IndexMaker plain_indexes() {
  return {[](const Schema& schema) -> Result<std::unique_ptr<Index>> {
            return std::unique_ptr<Index>(new PlainIndex(schema.dim, schema.metric));
          },
          {}};
}

}  // namespace hearth::vectors
