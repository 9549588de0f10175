#include "vectors/flat/row_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/half.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t some_rows = 64;

std::size_t bytes_of_row(std::size_t dim, Storage storage) {
  switch (storage) {
    case Storage::f32:
      return dim * 4;
    case Storage::f16:
    case Storage::bf16:
      return dim * 2;
    case Storage::int8:
      return sizeof(ByteTerms) + (dim + 3) / 4 * 4;
    case Storage::binary:
      return (dim + 7) / 8;
  }
  return 0;
}

void encode_bytes(std::byte* row, std::span<const float> vector) {
  const auto [low, high] = std::minmax_element(vector.begin(), vector.end());
  ByteTerms terms{*low, (*high - *low) / 255, 0};
  const float inverse = terms.scale > 0 ? 1 / terms.scale : 0;
  double norm = 0;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    const float code = std::round((vector[i] - terms.offset) * inverse);
    const auto byte = static_cast<std::uint8_t>(std::clamp(code, 0.0f, 255.0f));
    row[sizeof terms + i] = std::byte{byte};
    const double x = terms.offset + terms.scale * static_cast<float>(byte);
    norm += x * x;
  }
  terms.norm = static_cast<float>(norm);
  std::memcpy(row, &terms, sizeof terms);
}

void encode_bits(std::uint8_t* row, std::span<const float> vector) {
  std::fill_n(row, (vector.size() + 7) / 8, std::uint8_t{0});
  for (std::size_t i = 0; i < vector.size(); ++i)
    if (vector[i] >= 0) row[i / 8] = static_cast<std::uint8_t>(row[i / 8] | 1u << (i % 8));
}

}  // namespace

void normalise(std::span<float> vector) {
  double norm = 0;
  for (const float x : vector) norm += static_cast<double>(x) * x;
  if (norm == 0) return;
  const double factor = 1 / std::sqrt(norm);
  for (float& x : vector) x = static_cast<float>(x * factor);
}

bool all_finite(std::span<const float> values) {
  constexpr std::uint32_t exponent = 0x7f800000;
  std::uint32_t bad = 0;
  for (const float x : values) bad |= (std::bit_cast<std::uint32_t>(x) & exponent) == exponent;
  return bad == 0;
}

RowCodec::RowCodec(std::size_t dim, Metric metric, Storage storage,
                   const kernels::SearchKernels& kernels)
    : dim_(dim),
      row_bytes_(bytes_of_row(dim, storage)),
      metric_(metric),
      storage_(storage),
      kernels_(kernels) {}

void RowCodec::encode(std::byte* row, std::span<const float> vector) const {
  switch (storage_) {
    case Storage::f32:
      std::memcpy(row, vector.data(), row_bytes_);
      return;
    case Storage::f16:
    case Storage::bf16:
      for (std::size_t i = 0; i < dim_; ++i) {
        const std::uint16_t half =
            storage_ == Storage::f16 ? f32_to_f16(vector[i]) : f32_to_bf16(vector[i]);
        std::memcpy(row + 2 * i, &half, 2);
      }
      return;
    case Storage::int8:
      return encode_bytes(row, vector);
    case Storage::binary:
      return encode_bits(reinterpret_cast<std::uint8_t*>(row), vector);
  }
}

void RowCodec::decode(std::span<float> vector, const std::byte* row) const {
  if (storage_ == Storage::f32) {
    std::memcpy(vector.data(), row, row_bytes_);
    return;
  }
  ByteTerms terms{};
  if (storage_ == Storage::int8) std::memcpy(&terms, row, sizeof terms);
  for (std::size_t i = 0; i < dim_; ++i) {
    if (storage_ == Storage::int8) {
      vector[i] = terms.offset +
                  terms.scale * static_cast<float>(std::to_integer<int>(row[sizeof terms + i]));
    } else if (storage_ == Storage::binary) {
      vector[i] = (std::to_integer<unsigned>(row[i / 8]) >> (i % 8) & 1u) != 0 ? 1.0f : -1.0f;
    } else {
      std::uint16_t half;
      std::memcpy(&half, row + 2 * i, 2);
      vector[i] = storage_ == Storage::f16 ? f16_to_f32(half) : bf16_to_f32(half);
    }
  }
}

RowQuery::RowQuery(const RowCodec& codec, std::span<const float> vector)
    : codec_(codec), vector_(vector) {
  if (codec.storage() == Storage::binary) {
    bits_.resize(codec.row_bytes());
    encode_bits(bits_.data(), vector);
  }
  if (codec.storage() != Storage::int8) return;
  float top = 0;
  double sum = 0, norm = 0;
  for (const float x : vector) {
    top = std::max(top, std::abs(x));
    sum += x;
    norm += static_cast<double>(x) * x;
  }
  sum_ = static_cast<float>(sum);
  norm_ = static_cast<float>(norm);
  constexpr float most = 127 * 256;
  step_ = top / most;
  const float inverse = top > 0 ? most / top : 0;
  high_.resize(vector.size());
  low_.resize(vector.size());
  for (std::size_t i = 0; i < vector.size(); ++i) {
    const int value = static_cast<int>(std::lround(std::clamp(vector[i] * inverse, -most, most)));
    const int high = (value + 128) >> 8;
    high_[i] = static_cast<std::int8_t>(high);
    low_[i] = static_cast<std::int8_t>(value - 256 * high);
  }
}

void RowQuery::byte_distances(float* out, const std::byte* rows, const std::uint32_t* ids,
                              std::size_t n) const {
  const std::size_t stride = codec_.row_bytes(), dim = codec_.dim();
  const auto* codes = reinterpret_cast<const std::uint8_t*>(rows) + sizeof(ByteTerms);
  const kernels::SearchKernels& kernels = codec_.kernels();
  std::int32_t high[some_rows], low[some_rows];
  for (std::size_t first = 0; first < n; first += some_rows) {
    const std::size_t count = std::min(some_rows, n - first);
    if (ids != nullptr) {
      kernels.dots_u8_at(high, high_.data(), codes, stride, ids + first, count, dim);
      kernels.dots_u8_at(low, low_.data(), codes, stride, ids + first, count, dim);
    } else {
      kernels.dots_u8(high, high_.data(), codes + first * stride, stride, count, dim);
      kernels.dots_u8(low, low_.data(), codes + first * stride, stride, count, dim);
    }
    for (std::size_t i = 0; i < count; ++i) {
      ByteTerms terms;
      std::memcpy(&terms, rows + (ids != nullptr ? ids[first + i] : first + i) * stride,
                  sizeof terms);
      const double dot = 256.0 * high[i] + low[i];
      const float product = terms.offset * sum_ + terms.scale * static_cast<float>(step_ * dot);
      out[first + i] = codec_.metric() == Metric::l2
                           ? std::max(0.0f, norm_ + terms.norm - 2 * product)
                           : product;
    }
  }
}

void RowQuery::bit_distances(float* out, const std::byte* rows, const std::uint32_t* ids,
                             std::size_t n) const {
  const auto* first = reinterpret_cast<const std::uint8_t*>(rows);
  const std::size_t bytes = codec_.row_bytes();
  std::uint32_t counts[some_rows];
  for (std::size_t i = 0; i < n; i += some_rows) {
    const std::size_t count = std::min(some_rows, n - i);
    if (ids == nullptr)
      codec_.kernels().hamming(counts, bits_.data(), first + i * bytes, bytes, count, bytes);
    else
      for (std::size_t j = 0; j < count; ++j)
        codec_.kernels().hamming(counts + j, bits_.data(), first + ids[i + j] * bytes, bytes, 1,
                                 bytes);
    std::copy_n(counts, count, out + i);
  }
}

void RowQuery::distances(float* out, const std::byte* rows, const std::uint32_t* ids,
                         std::size_t n) const {
  if (codec_.storage() == Storage::binary) return bit_distances(out, rows, ids, n);
  const bool l2 = codec_.metric() == Metric::l2;
  if (codec_.storage() == Storage::int8) {
    byte_distances(out, rows, ids, n);
  } else {
    const auto type = static_cast<std::size_t>(codec_.storage());  // RowType has the same order
    const kernels::SearchKernels& kernels = codec_.kernels();
    const std::size_t stride = codec_.row_bytes(), dim = codec_.dim();
    if (ids == nullptr)
      (l2 ? kernels.l2 : kernels.dot)[type](out, vector_.data(), rows, stride, n, dim);
    else
      (l2 ? kernels.l2_at : kernels.dot_at)[type](out, vector_.data(), rows, stride, ids, n, dim);
  }
  if (codec_.metric() == Metric::inner_product)
    for (std::size_t i = 0; i < n; ++i) out[i] = -out[i];
  if (codec_.metric() == Metric::cosine)
    for (std::size_t i = 0; i < n; ++i) out[i] = 1 - out[i];
}

}  // namespace hearth::vectors
