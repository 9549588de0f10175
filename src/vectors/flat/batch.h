// Many queries against the rows of a flat index at once.
#pragma once

#include <span>
#include <vector>

#include "vectors/flat/flat_rows.h"
#include "vectors/flat/row_codec.h"

namespace hearth::vectors {

// queries: [n, dim], of length one if the metric is cosine.  Exact: the same hits as one by one.
std::vector<std::vector<Hit>> flat_batch(const RowCodec& codec, const FlatSnapshot& rows,
                                         std::span<const float> queries,
                                         const SearchOptions& options, int threads);

// Offers the rows of one chunk that may be answered.
class TopHits;
void scan_chunk(const RowQuery& query, const ChunkView& chunk, const RowFilter* filter,
                TopHits& top);

}  // namespace hearth::vectors
