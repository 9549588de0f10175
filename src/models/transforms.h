// Transforms: stored tensors that need more than another name to become rows of outputs.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "formats/package.h"
#include "ops/matrix.h"

namespace hearth::models {

using Bytes = std::vector<std::byte>;

// Rows [first, first + count) of a matrix, in place.
ops::StoredMatrix slice_rows(const ops::StoredMatrix& matrix, std::uint64_t first,
                             std::uint64_t count);

// Row i of the result is row order[i] of `data`.
Bytes pick_rows(std::span<const std::byte> data, std::size_t row_bytes,
                std::span<const std::size_t> order);

// [rows, columns] to [columns, rows]; elements of `element_bytes`.
Bytes transpose(std::span<const std::byte> data, std::size_t rows, std::size_t columns,
                std::size_t element_bytes);

// [heads][q, k, v][head_dim] to [q, k, v][heads][head_dim].
std::vector<std::size_t> order_by_head(std::size_t heads, std::size_t head_dim);
// [groups][parts, one after the other] to the first part of all groups, the second, ...
std::vector<std::size_t> order_by_group(std::size_t groups, std::span<const std::size_t> parts);
// gate, up, gate, up, ... to all gates, all ups.
std::vector<std::size_t> order_of_alternating(std::size_t rows);

// Rows of heads whose halves turn together, to rows whose neighbours do: (i, i + half) of the first
// `rotary` rows of every head become (2i, 2i + 1).
std::vector<std::size_t> order_of_pairs(std::size_t heads, std::size_t head_dim,
                                        std::size_t rotary);
// What undoes an order.
std::vector<std::size_t> inverse_order(std::span<const std::size_t> order);

// gpt-oss: 16 bytes of 32 weights (weight 2i low, 2i + 1 high) and a scale each, to the mxfp4
// blocks of GGUF (scale first; weight i low, i + 16 high).
Bytes mxfp4_blocks(std::span<const std::byte> blocks, std::span<const std::byte> scales);

}  // namespace hearth::models
