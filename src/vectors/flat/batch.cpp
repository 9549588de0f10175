#include "vectors/flat/batch.h"

#include <algorithm>

#include "base/thread_pool.h"
#include "vectors/top_hits.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t some_rows = 256;    // whose distances are made at once
constexpr std::size_t some_queries = 32;  // that share a chunk while it is near

}  // namespace

void scan_chunk(const RowQuery& query, const ChunkView& chunk, const RowFilter* filter,
                TopHits& top) {
  float distances[some_rows];
  std::uint32_t chosen[some_rows];
  const bool all = filter == nullptr && chunk.dead == nullptr;
  for (std::size_t first = 0; first < chunk.count; first += some_rows) {
    const std::size_t count = std::min(some_rows, chunk.count - first);
    std::size_t n = 0;
    if (!all)
      for (std::size_t i = first; i < first + count; ++i) {
        chosen[n] = static_cast<std::uint32_t>(i);
        n += (filter == nullptr || filter->allows(chunk.rows[i])) && !chunk.is_dead(i);
      }
    const bool by_number = !all && n < count / 2;
    if (by_number)
      query.distances(distances, chunk.data, chosen, n);
    else
      query.distances(distances, chunk.data + first * chunk.stride, nullptr, count);
    for (std::size_t i = 0; i < (all ? count : n); ++i) {
      const std::size_t place = all ? first + i : chosen[i];
      top.offer(chunk.rows[place], distances[by_number ? i : place - first]);
    }
  }
}

std::vector<std::vector<Hit>> flat_batch(const RowCodec& codec, const FlatSnapshot& rows,
                                         std::span<const float> queries,
                                         const SearchOptions& options, int threads) {
  const std::size_t dim = codec.dim(), n = queries.size() / dim;
  std::vector<std::vector<Hit>> answers(n);
  auto group = [&](std::size_t begin, std::size_t end, int) {
    std::vector<RowQuery> ready;
    std::vector<TopHits> top;
    for (std::size_t q = begin; q < end; ++q) {
      ready.emplace_back(codec, queries.subspan(q * dim, dim));
      top.emplace_back(options.k, options.max_distance);
    }
    for (const ChunkView& chunk : rows.views())
      for (std::size_t q = begin; q < end; ++q)
        scan_chunk(ready[q - begin], chunk, options.filter, top[q - begin]);
    for (std::size_t q = begin; q < end; ++q) answers[q] = std::move(top[q - begin]).take();
  };
  ThreadPool pool(std::max(1, std::min<int>(threads, static_cast<int>(n / some_queries) + 1)));
  pool.parallel_for(n, some_queries, group);
  return answers;
}

}  // namespace hearth::vectors
