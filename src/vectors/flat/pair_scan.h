// Exact batches faster than rows one by one: pairs of rows and queries are first compared as bytes,
// with a bound on what rounding may hide; only pairs that may be among the nearest are compared
// exactly.  No hit is lost.
#pragma once

#include <span>

#include "vectors/flat/flat_rows.h"
#include "vectors/flat/row_codec.h"
#include "vectors/top_hits.h"

namespace hearth::vectors {

// Fewer queries or rows are not worth it.
constexpr std::size_t least_pair_queries = 16, least_pair_rows = 1024;

// Queries that are scanned together: their bytes should stay in the second-level cache.
std::size_t pair_queries(std::size_t dim);

// Rows are f32.  queries: [top.size(), dim]; answers are offered to top[q].
void scan_pairs(const RowCodec& codec, const FlatSnapshot& rows, std::span<const float> queries,
                const RowFilter* filter, std::span<TopHits> top);

}  // namespace hearth::vectors
