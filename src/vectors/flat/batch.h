// One query, or many at once, against the rows of a flat index.
#pragma once

#include <span>
#include <vector>

#include "vectors/flat/flat_rows.h"
#include "vectors/flat/row_codec.h"
#include "vectors/top_hits.h"

namespace hearth {
class ThreadPool;
}

namespace hearth::vectors {

// queries: [n, dim], of length one if the metric is cosine.  Exact: the same hits as one by one.
// pool: null for one thread.
std::vector<std::vector<Hit>> flat_batch(const RowCodec& codec, const FlatSnapshot& rows,
                                         std::span<const float> queries,
                                         const SearchOptions& options, ThreadPool* pool);

// Offers the rows that may be answered.  Not null: the pool's threads each take some of them, which
// changes nothing of what is found.
void scan_rows(const RowQuery& query, const FlatSnapshot& rows, const SearchOptions& options,
               ThreadPool* pool, TopHits& top);

}  // namespace hearth::vectors
