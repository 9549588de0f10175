// Weights kept small: quantised, palettised, sparse.  They are written out once, at import.
// Source: Core ML Tools, MIL operator reference, constexpr operators of iOS 16 and iOS 18.
#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "graphs/call.h"
#include "graphs/coreml/mil.h"

namespace hearth::graphs::coreml {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

// f(element, its block): blocks of equal size divide every axis into as many as `blocks` says.
template <typename F>
Status each_block(const Dims& dims, const Dims& blocks, F&& f) {
  if (blocks.size() != dims.size())
    return corrupt(fmt::format("blocks {} of {}", to_text(blocks), to_text(dims)));
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (blocks[i] < 1 || dims[i] % blocks[i] != 0)
      return corrupt(fmt::format("blocks {} of {}", to_text(blocks), to_text(dims)));
  const std::int64_t inner = dims.empty() ? 1 : dims.back();
  const std::int64_t width = dims.empty() ? 1 : std::max<std::int64_t>(inner / blocks.back(), 1);
  const std::int64_t count = product(dims);
  const Dims strides = strides_of(blocks);
  std::int64_t at = 0;
  for (std::int64_t row = 0; inner > 0 && row < count / inner; ++row) {
    std::int64_t rest = row, base = 0;
    for (std::size_t i = dims.empty() ? 0 : dims.size() - 1; i-- > 0;) {
      base += rest % dims[i] / (dims[i] / blocks[i]) * strides[i];
      rest /= dims[i];
    }
    for (std::int64_t j = 0; j < inner; ++j, ++at) f(at, base + j / width);
  }
  return Done{};
}

std::vector<float> reals(const Tensor& tensor) {
  std::vector<float> numbers(static_cast<std::size_t>(tensor.count));
  load(Work::f32, numbers.data(), tensor.type, tensor.bytes, numbers.size());
  return numbers;
}

// scale * (data - offset), by blocks.
Result<Tensor> shifted(const Tensor& data, const Tensor& scale, const Tensor* offset) {
  if (offset != nullptr && offset->count != scale.count)
    return corrupt("offsets of another shape than scales");
  Tensor y = TRY(make_tensor(Element::f32, data.dims));
  const auto from = reals(data), by = reals(scale);
  const auto zero = offset == nullptr ? std::vector<float>(by.size(), 0.0f) : reals(*offset);
  float* to = y.data<float>();
  TRY(each_block(data.dims, scale.dims, [&](std::int64_t i, std::int64_t block) {
    const auto k = static_cast<std::size_t>(block);
    to[i] = by[k] * (from[static_cast<std::size_t>(i)] - zero[k]);
  }));
  return y;
}

// A scalar, or one number for each step along an axis, as a table of blocks.
Result<Tensor> along(const Tensor& values, std::size_t rank, std::int64_t axis) {
  Dims dims(rank, 1);
  if (values.count != 1) {
    if (values.rank() != 1 || axis < -static_cast<std::int64_t>(rank) ||
        axis >= static_cast<std::int64_t>(rank))
      return corrupt(fmt::format("{} along axis {}", to_text(values.dims), axis));
    dims[static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis)] =
        values.count;
  }
  return reshaped(values, dims);
}

Status affine_dequantize(MilOp& op) {
  const Tensor data = TRY(op.constant("quantized_data"));
  const std::int64_t axis = TRY(op.integer("axis", 0));
  const Tensor scale = TRY(op.constant("scale")), zero = TRY(op.constant("zero_point"));
  Tensor by = TRY(along(scale, data.rank(), axis)), from = TRY(along(zero, data.rank(), axis));
  // One of them may be for all.
  if (by.count == 1 && from.count != 1) {
    const auto one = reals(by)[0];
    by = TRY(make_tensor(Element::f32, from.dims));
    std::fill_n(by.data<float>(), by.count, one);
  } else if (from.count == 1 && by.count != 1) {
    const auto one = reals(from)[0];
    from = TRY(make_tensor(Element::f32, by.dims));
    std::fill_n(from.data<float>(), from.count, one);
  }
  return op.give_constant(0, TRY(shifted(data, by, &from)));
}

Status blockwise_shift_scale(MilOp& op) {
  const Tensor data = TRY(op.constant("data")), scale = TRY(op.constant("scale"));
  Tensor offset;
  if (op.has("offset")) offset = TRY(op.constant("offset"));
  return op.give_constant(0, TRY(shifted(data, scale, op.has("offset") ? &offset : nullptr)));
}

// indices [...], lut [groups..., entries, width]: entries stand along `axis` of the result.
Result<Tensor> looked_up(const Tensor& indices, const Tensor& lut, std::int64_t axis) {
  const std::size_t rank = indices.rank();
  if (lut.rank() != rank + 2 || lut.dims[rank] < 1 || lut.dims[rank + 1] < 1)
    return corrupt(fmt::format("a table of {} for {}", to_text(lut.dims), to_text(indices.dims)));
  const std::int64_t entries = lut.dims[rank], width = lut.dims[rank + 1];
  if (axis < 0) axis += static_cast<std::int64_t>(rank);
  if (width > 1 && (axis < 0 || axis >= static_cast<std::int64_t>(rank)))
    return corrupt(fmt::format("vectors along axis {}", axis));
  const auto at = static_cast<std::size_t>(width > 1 ? axis : 0);
  Dims dims = indices.dims;
  if (width > 1) dims[at] *= width;
  Tensor y = TRY(make_tensor(lut.type, dims));
  const Dims groups(lut.dims.begin(), lut.dims.begin() + static_cast<std::ptrdiff_t>(rank));
  // Elements of the result between neighbours within a vector.
  const std::int64_t inner = width > 1 ? product(std::span(dims).subspan(at + 1)) : 1;
  const std::size_t size = size_of(lut.type);
  bool outside = false;
  std::vector<std::int64_t> codes(static_cast<std::size_t>(indices.count));
  load(Work::i64, codes.data(), indices.type, indices.bytes, codes.size());
  TRY(each_block(indices.dims, groups, [&](std::int64_t i, std::int64_t group) {
    const std::int64_t code = codes[static_cast<std::size_t>(i)];
    if (code < 0 || code >= entries) {
      outside = true;
      return;
    }
    const std::byte* from =
        lut.bytes + static_cast<std::size_t>((group * entries + code) * width) * size;
    const std::int64_t first = width == 1 ? i : i / inner * inner * width + i % inner;
    for (std::int64_t v = 0; v < width; ++v)
      std::memcpy(y.bytes + static_cast<std::size_t>(first + v * inner) * size,
                  from + static_cast<std::size_t>(v) * size, size);
  }));
  if (outside) return corrupt(fmt::format("an index past a table of {}", entries));
  return y;
}

Result<Dims> shape_of(MilOp& op) {
  Dims dims = TRY(op.ints("shape"));
  TRY(count_of(dims));
  return dims;
}

// As bytes: what a parameter of packed bits holds.
Result<std::vector<std::uint8_t>> unpacked(const Tensor& packed, std::int64_t count,
                                           unsigned bits) {
  if (size_of(packed.type) != 1 ||
      static_cast<std::uint64_t>(count) * bits > packed.byte_count() * 8)
    return corrupt(
        fmt::format("{} bytes for {} elements of {} bits", packed.byte_count(), count, bits));
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(count));
  TRY(unpack(codes, packed.span(), bits, false));
  return codes;
}

// iOS 16: codes are packed by the size of one table; iOS 18: they have a type and their own shape.
Status lut_to_dense(MilOp& op) {
  const Tensor indices = TRY(op.constant("indices"));
  Tensor lut = TRY(op.constant("lut"));
  if (!op.has("shape"))
    return op.give_constant(0, TRY(looked_up(indices, lut, TRY(op.integer("vector_axis", 0)))));
  const Dims dims = TRY(shape_of(op));
  const std::int64_t count = TRY(count_of(dims));
  if (lut.count < 2 || lut.count > 256 ||
      !std::has_single_bit(static_cast<std::uint64_t>(lut.count)))
    return corrupt(fmt::format("a table of {}", lut.count));
  const auto bits = static_cast<unsigned>(std::countr_zero(static_cast<std::uint64_t>(lut.count)));
  const auto codes = TRY(unpacked(indices, count, bits));
  Tensor whole = TRY(make_tensor(Element::u8, dims));
  std::ranges::copy(codes, whole.data<std::uint8_t>());
  Dims table(dims.size(), 1);
  table.push_back(lut.count);
  table.push_back(1);
  return op.give_constant(0, TRY(looked_up(whole, reshaped(lut, table), 0)));
}

// The elements in their places, zeros elsewhere.
Result<Tensor> spread(const Tensor& elements, std::span<const std::uint8_t> mask,
                      const Dims& dims) {
  Tensor y = TRY(make_tensor(elements.type, dims));
  if (elements.type == Element::text) return corrupt("sparse text");
  std::fill_n(y.bytes, y.byte_count(), std::byte{0});
  const std::size_t size = size_of(elements.type);
  std::int64_t next = 0;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] == 0) continue;
    if (next >= elements.count) return corrupt("a mask of more places than elements");
    std::memcpy(y.bytes + i * size, elements.bytes + static_cast<std::size_t>(next++) * size, size);
  }
  if (next != elements.count)
    return corrupt(fmt::format("a mask of {} places for {} elements", next, elements.count));
  return y;
}

Result<Tensor> spread(const Tensor& elements, const Tensor& mask) {
  if (size_of(mask.type) != 1) return corrupt("a mask of other than bits");
  return spread(elements, {mask.data<std::uint8_t>(), static_cast<std::size_t>(mask.count)},
                mask.dims);
}

// The elements of a dense tensor where the mask is set, as [n].
Result<Tensor> gathered(const Tensor& dense, const Tensor& mask) {
  std::int64_t n = 0;
  for (std::int64_t i = 0; i < mask.count; ++i) n += mask.data<std::uint8_t>()[i] != 0 ? 1 : 0;
  Tensor y = TRY(make_tensor(dense.type, {n}));
  const std::size_t size = size_of(dense.type);
  std::size_t to = 0;
  for (std::int64_t i = 0; i < mask.count; ++i)
    if (mask.data<std::uint8_t>()[i] != 0)
      std::memcpy(y.bytes + to++ * size, dense.bytes + static_cast<std::size_t>(i) * size, size);
  return y;
}

Status sparse_to_dense(MilOp& op) {
  const Tensor elements = TRY(op.constant("nonzero_data")), mask = TRY(op.constant("mask"));
  if (!op.has("shape")) return op.give_constant(0, TRY(spread(elements, mask)));
  const Dims dims = TRY(shape_of(op));
  const auto bits = TRY(unpacked(mask, TRY(count_of(dims)), 1));
  return op.give_constant(0, TRY(spread(elements, bits, dims)));
}

Status lut_to_sparse(MilOp& op) {
  const Tensor mask = TRY(op.constant("indices_mask")), lut = TRY(op.constant("lut"));
  const Tensor codes = TRY(spread(TRY(op.constant("indices_nonzero_data")), mask));
  const std::int64_t axis = TRY(op.integer("vector_axis", 0));
  const Tensor dense = TRY(looked_up(codes, lut, axis));
  Tensor wide = mask;
  if (dense.count != mask.count) {
    // The mask, each place as often as its vector is long.
    Dims table(mask.rank(), 1);
    const std::int64_t width = lut.dims.back();
    table.push_back(2);
    table.push_back(width);
    Tensor ends = TRY(make_tensor(mask.type, table));
    std::fill_n(ends.data<std::uint8_t>(), width, std::uint8_t{0});
    std::fill_n(ends.data<std::uint8_t>() + width, width, std::uint8_t{1});
    wide = TRY(looked_up(mask, ends, axis));
  }
  TRY(op.give_constant(0, wide));
  return op.give_constant(1, TRY(gathered(dense, wide)));
}

Status sparse_blockwise_shift_scale(MilOp& op) {
  const Tensor mask = TRY(op.constant("data_mask")), scale = TRY(op.constant("scale"));
  const Tensor data = TRY(spread(TRY(op.constant("nonzero_data")), mask));
  Tensor offset;
  if (op.has("offset")) offset = TRY(op.constant("offset"));
  const Tensor dense = TRY(shifted(data, scale, op.has("offset") ? &offset : nullptr));
  TRY(op.give_constant(0, mask));
  return op.give_constant(1, TRY(gathered(dense, mask)));
}

Status constexpr_cast(MilOp& op) { return op.give_constant(0, TRY(op.constant("source_val"))); }

constexpr MilRow rows[] = {
    {"constexpr_affine_dequantize", affine_dequantize},
    {"constexpr_blockwise_shift_scale", blockwise_shift_scale},
    {"constexpr_cast", constexpr_cast},
    {"constexpr_lut_to_dense", lut_to_dense},
    {"constexpr_lut_to_sparse", lut_to_sparse},
    {"constexpr_sparse_blockwise_shift_scale", sparse_blockwise_shift_scale},
    {"constexpr_sparse_to_dense", sparse_to_dense},
};

}  // namespace

std::span<const MilRow> compressed_rows() { return rows; }

}  // namespace hearth::graphs::coreml
