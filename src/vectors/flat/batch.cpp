#include "vectors/flat/batch.h"

#include <algorithm>

#include "base/thread_pool.h"
#include "vectors/flat/pair_scan.h"
#include "vectors/top_hits.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t some_rows = 256;    // whose distances are made at once
constexpr std::size_t some_queries = 32;  // that share a chunk while it is near
constexpr std::size_t some_chunks = 4;    // that a thread takes at a time

// Offers the rows of one chunk that may be answered.
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

}  // namespace

void scan_rows(const RowQuery& query, const FlatSnapshot& rows, const SearchOptions& options,
               ThreadPool* pool, TopHits& top) {
  if (pool == nullptr) {
    for (const ChunkView& chunk : rows.views()) scan_chunk(query, chunk, options.filter, top);
    return;
  }
  std::vector<TopHits> found(static_cast<std::size_t>(pool->threads()),
                             TopHits(options.k, options.max_distance));
  pool->parallel_for(rows.chunks.size(), some_chunks,
                     [&](std::size_t begin, std::size_t end, int worker) {
                       TopHits& mine = found[static_cast<std::size_t>(worker)];
                       for (std::size_t c = begin; c < end; ++c)
                         scan_chunk(query, rows.view(c), options.filter, mine);
                     });
  for (TopHits& part : found)
    for (const Hit& hit : std::move(part).take()) top.offer(hit.row, hit.distance);
}

std::vector<std::vector<Hit>> flat_batch(const RowCodec& codec, const FlatSnapshot& rows,
                                         std::span<const float> queries,
                                         const SearchOptions& options, ThreadPool* pool) {
  const std::size_t dim = codec.dim(), n = queries.size() / dim;
  const std::size_t threads = pool == nullptr ? 1 : static_cast<std::size_t>(pool->threads());
  const std::size_t each = n / threads + 1;
  // Where few rows may be answered, most of what pairs would compare is in vain.
  const bool by_pairs = codec.storage() == Storage::f32 && each >= least_pair_queries &&
                        rows.count >= least_pair_rows &&
                        (options.filter == nullptr || options.filter->allowed_rows > rows.live / 8);
  const std::size_t together = by_pairs ? std::min(each, pair_queries(dim)) : some_queries;
  std::vector<std::vector<Hit>> answers(n);
  auto group = [&](std::size_t begin, std::size_t end, int) {
    std::vector<TopHits> top(end - begin, TopHits(options.k, options.max_distance));
    const auto part = queries.subspan(begin * dim, (end - begin) * dim);
    if (by_pairs) {
      scan_pairs(codec, rows, part, options.filter, top);
    } else {
      std::vector<RowQuery> ready;
      for (std::size_t q = 0; q < top.size(); ++q)
        ready.emplace_back(codec, part.subspan(q * dim, dim));
      for (const ChunkView& chunk : rows.views())
        for (std::size_t q = 0; q < top.size(); ++q)
          scan_chunk(ready[q], chunk, options.filter, top[q]);
    }
    for (std::size_t q = begin; q < end; ++q) answers[q] = std::move(top[q - begin]).take();
  };
  if (pool != nullptr)
    pool->parallel_for(n, together, group);
  else
    for (std::size_t q = 0; q < n; q += together) group(q, std::min(n, q + together), 0);
  return answers;
}

}  // namespace hearth::vectors
