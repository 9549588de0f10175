#include "models/transforms.h"

#include <cstring>

#include "base/check.h"

namespace hearth::models {
namespace {

std::size_t row_bytes_of(const ops::StoredMatrix& matrix) {
  const DtypeInfo& type = info(matrix.dtype);
  return matrix.columns / type.block_elements * type.block_bytes;
}

}  // namespace

ops::StoredMatrix slice_rows(const ops::StoredMatrix& matrix, std::uint64_t first,
                             std::uint64_t count) {
  HEARTH_CHECK(first + count <= matrix.rows);
  const std::size_t bytes = row_bytes_of(matrix);
  return {matrix.dtype, count, matrix.columns, matrix.data.subspan(first * bytes, count * bytes)};
}

Bytes pick_rows(std::span<const std::byte> data, std::size_t row_bytes,
                std::span<const std::size_t> order) {
  Bytes out(order.size() * row_bytes);
  for (std::size_t i = 0; i < order.size(); ++i)
    std::memcpy(out.data() + i * row_bytes, data.data() + order[i] * row_bytes, row_bytes);
  return out;
}

Bytes transpose(std::span<const std::byte> data, std::size_t rows, std::size_t columns,
                std::size_t element_bytes) {
  Bytes out(data.size());
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      std::memcpy(out.data() + (c * rows + r) * element_bytes,
                  data.data() + (r * columns + c) * element_bytes, element_bytes);
  return out;
}

std::vector<std::size_t> order_by_head(std::size_t heads, std::size_t head_dim) {
  std::vector<std::size_t> order;
  for (std::size_t part = 0; part < 3; ++part)
    for (std::size_t head = 0; head < heads; ++head)
      for (std::size_t d = 0; d < head_dim; ++d) order.push_back((head * 3 + part) * head_dim + d);
  return order;
}

std::vector<std::size_t> order_by_group(std::size_t groups, std::span<const std::size_t> parts) {
  std::size_t group_rows = 0;
  for (const std::size_t rows : parts) group_rows += rows;
  std::vector<std::size_t> order;
  std::size_t first = 0;
  for (const std::size_t rows : parts) {
    for (std::size_t group = 0; group < groups; ++group)
      for (std::size_t i = 0; i < rows; ++i) order.push_back(group * group_rows + first + i);
    first += rows;
  }
  return order;
}

std::vector<std::size_t> order_of_alternating(std::size_t rows) {
  std::vector<std::size_t> order;
  for (std::size_t first = 0; first < 2; ++first)
    for (std::size_t row = first; row < rows; row += 2) order.push_back(row);
  return order;
}

std::vector<std::size_t> order_of_pairs(std::size_t heads, std::size_t head_dim,
                                        std::size_t rotary) {
  std::vector<std::size_t> order;
  for (std::size_t head = 0; head < heads; ++head)
    for (std::size_t d = 0; d < head_dim; ++d)
      order.push_back(head * head_dim + (d < rotary ? d % 2 * (rotary / 2) + d / 2 : d));
  return order;
}

std::vector<std::size_t> inverse_order(std::span<const std::size_t> order) {
  std::vector<std::size_t> inverse(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) inverse[order[i]] = i;
  return inverse;
}

Bytes mxfp4_blocks(std::span<const std::byte> blocks, std::span<const std::byte> scales) {
  constexpr std::size_t half = 16, whole = 17;
  Bytes out(scales.size() * whole);
  for (std::size_t b = 0; b < scales.size(); ++b) {
    const std::byte* from = blocks.data() + b * half;
    std::byte* to = out.data() + b * whole;
    to[0] = scales[b];
    const auto weight = [&](std::size_t i) {
      return i % 2 == 0 ? from[i / 2] & std::byte{15} : from[i / 2] >> 4;
    };
    for (std::size_t i = 0; i < half; ++i) to[1 + i] = weight(i) | weight(i + half) << 4;
  }
  return out;
}

}  // namespace hearth::models
