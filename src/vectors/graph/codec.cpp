#include "vectors/graph/codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace hearth::vectors {
namespace {

constexpr float middle = 63.5f, largest = 127;
constexpr std::size_t sample_rows = 2000;
constexpr float outside = 0.001f;  // share of values left out at either end of a component

float quantile(std::vector<float>& values, float share) {
  const auto at = static_cast<std::size_t>(share * static_cast<float>(values.size() - 1) + 0.5f);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace

Codec Codec::train(Metric metric, std::size_t dim, std::span<const float> rows) {
  Codec codec{metric, dim, stride_for(dim), std::vector<float>(dim), 1};
  const std::size_t n = rows.size() / dim, used = std::min(n, sample_rows);
  std::vector<float> column(used), spread;
  spread.reserve(used * std::min<std::size_t>(dim, 64));
  const std::size_t every = (dim + 63) / 64;  // components whose spread is looked at
  for (std::size_t d = 0; d < dim; ++d) {
    for (std::size_t i = 0; i < used; ++i) column[i] = rows[i * n / used * dim + d];
    const float low = quantile(column, outside), high = quantile(column, 1 - outside);
    codec.offsets[d] = low + (high - low) / 2;
    if (d % every != 0 && dim > 64) continue;
    for (const float value : column) spread.push_back(std::abs(value - codec.offsets[d]));
  }
  const float reach = quantile(spread, 1 - outside);
  codec.scale = reach > 0 ? reach / middle : 1;
  return codec;
}

std::size_t Codec::encode(std::uint8_t* code, const float* row) const {
  const std::size_t n = dim;
  const float inverse = 1 / scale, *from = offsets.data();
  int clipped = 0;
  for (std::size_t d = 0; d < n; ++d) {
    const float value = (row[d] - from[d]) * inverse + (middle + 0.5f);
    const float held = value > 0 ? value : 0, within = held < largest ? held : largest;
    clipped += (value < -4) | (value > largest + 4);
    code[d] = static_cast<std::uint8_t>(static_cast<int>(within));
  }
  std::memset(code + n, 0, stride - n);
  return static_cast<std::size_t>(clipped);
}

void Codec::encode_query(std::uint8_t* query, const float* row) const {
  if (metric != Metric::inner_product) {
    encode(query, row);
    return;
  }
  float most = 0;
  for (std::size_t d = 0; d < dim; ++d) most = std::max(most, std::abs(row[d]));
  const float factor = most > 0 ? largest / most : 0;
  for (std::size_t d = 0; d < dim; ++d)
    query[d] = static_cast<std::uint8_t>(static_cast<std::int8_t>(std::lrint(row[d] * factor)));
  std::memset(query + dim, 0, stride - dim);
}

}  // namespace hearth::vectors
