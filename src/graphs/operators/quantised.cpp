// Quantisation: to and from small integers and floats, and products of them.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <cmath>

#include "graphs/infer.h"
#include "graphs/operators/bytes.h"
#include "graphs/operators/families.h"
#include "graphs/operators/fixed.h"
#include "graphs/operators/matmul.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {
namespace {

struct Range {
  double low, high;
};
Range range_of(Element type) {
  switch (type) {
    case Element::i8:
      return {-128, 127};
    case Element::u8:
      return {0, 255};
    case Element::i16:
      return {-32768, 32767};
    case Element::u16:
      return {0, 65535};
    case Element::i4:
      return {-8, 7};
    case Element::u4:
      return {0, 15};
    case Element::i2:
      return {-2, 1};
    case Element::u2:
      return {0, 3};
    default:
      return {-2147483648.0, 2147483647.0};
  }
}

// Which scale belongs to which element: one for all, one per place along an axis, or one per block
// of an axis.
struct Scales {
  std::int64_t axis_extent = 1, inner = 1, blocks = 1, block = 1;
  bool single = true;

  std::size_t of(std::int64_t i) const {
    if (single) return 0;
    const std::int64_t at = i / inner % axis_extent / block;
    // A scale per axis alone has no outer or inner extent of its own.
    return static_cast<std::size_t>(
        per_axis ? at : (i / inner / axis_extent * blocks + at) * inner + i % inner);
  }
  bool per_axis = false;
};

Result<Scales> scales_of(Call& call, const Tensor& x, const Tensor& scale) {
  Scales scales;
  if (scale.count == 1 && scale.rank() <= 1 && call.integer("block_size", 0) == 0) return scales;
  const auto axis = TRY(checked_axis(call.integer("axis", 1), x.rank()));
  scales.single = false;
  scales.axis_extent = x.dims[axis];
  scales.inner = product(std::span(x.dims).subspan(axis + 1));
  if (scale.rank() <= 1) {
    if (scale.count != x.dims[axis])
      return invalid(
          fmt::format("{} scales for axis {} of {}", scale.count, axis, to_text(x.dims)));
    scales.per_axis = true;
    return scales;
  }
  bool fits = scale.rank() == x.rank() && scale.dims[axis] > 0;
  for (std::size_t i = 0; fits && i < x.rank(); ++i) fits = i == axis || scale.dims[i] == x.dims[i];
  if (!fits) return invalid(fmt::format("scales {} for {}", to_text(scale.dims), to_text(x.dims)));
  scales.blocks = scale.dims[axis];
  scales.block = call.integer("block_size", 0);
  if (scales.block == 0) scales.block = (x.dims[axis] + scales.blocks - 1) / scales.blocks;
  if (scales.block < 1 || (x.dims[axis] + scales.block - 1) / scales.block != scales.blocks)
    return invalid(fmt::format("blocks of {} for scales {} of {}", scales.block,
                               to_text(scale.dims), to_text(x.dims)));
  return scales;
}

// Rows of f32 to bytes and back by one scale.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void to_bytes(std::uint8_t* y,
                                                                           const float* x,
                                                                           std::int64_t n,
                                                                           float scale, float zero,
                                                                           float low, float high) {
  for (std::int64_t i = 0; i < n; ++i) {
    float value = x[i] / scale;
    value = value > -1e6f ? value : -1e6f;
    value = value < 1e6f ? value : 1e6f;
    // Adding 1.5 * 2^23 rounds to whole numbers, ties to even.
    value = (value + 12582912.0f) - 12582912.0f + zero;
    value = value < low ? low : value;
    value = value > high ? high : value;
    y[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(value));
  }
}

template <typename T>
__attribute__((always_inline)) inline void from_bytes_as(float* y, const T* x, std::int64_t n,
                                                         float scale, std::int32_t zero) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i] - zero) * scale;
}
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void from_bytes(
    float* y, const void* x, bool is_signed, std::int64_t n, float scale, std::int32_t zero) {
  if (is_signed)
    from_bytes_as(y, static_cast<const std::int8_t*>(x), n, scale, zero);
  else
    from_bytes_as(y, static_cast<const std::uint8_t*>(x), n, scale, zero);
}

bool is_byte(Element type) { return type == Element::i8 || type == Element::u8; }

bool has_nan(const float* x, std::int64_t n) {
  bool found = false;
  for (std::int64_t i = 0; i < n; ++i) found |= x[i] != x[i];
  return found;
}

Status quantize_linear(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* scale = TRY(call.tensor(1));
  const Tensor* zero = call.tensor_or_null(2);
  const Scales scales = TRY(scales_of(call, *x, *scale));
  auto type = static_cast<Element>(call.integer("output_dtype", 0));
  if (zero != nullptr) type = zero->type;
  if (type == Element::none) type = Element::u8;
  if (zero != nullptr && zero->count != scale->count)
    return invalid("zero points of another shape than scales");
  const Numbers<float> from(*x), by(*scale), zeros(zero == nullptr ? Tensor() : *zero);
  Tensor* y = TRY(call.make(0, type, x->dims));
  const bool whole = is_integer(type);
  const Range range = range_of(type);
  const Overflow overflow =
      call.integer("saturate", 1) != 0 ? Overflow::saturate : Overflow::infinite;
  if (scales.single && x->type == Element::f32 && is_byte(type) && by[0] != 0) {
    parallel(call.machine, x->count, 16384, [&](std::int64_t begin, std::int64_t end) {
      const float* at = x->data<float>() + begin;
      auto* to = y->data<std::uint8_t>() + begin;
      to_bytes(to, at, end - begin, by[0], zero == nullptr ? 0 : zeros[0],
               static_cast<float>(range.low), static_cast<float>(range.high));
      if (!has_nan(at, end - begin)) return;
      for (std::int64_t i = 0; i < end - begin; ++i)
        if (at[i] != at[i]) to[i] = 0;
    });
    return Done{};
  }
  const bool half = x->type == Element::f16;  // the division is done in the operand's type
  parallel(call.machine, x->count, 8192, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::size_t k = scales.of(i);
      float value = from[static_cast<std::size_t>(i)] / by[k];
      if (half) {
        std::uint16_t bits;
        store(Element::f16, &bits, Work::f32, &value, 1);
        load(Work::f32, &value, Element::f16, &bits, 1);
      }
      const double add = zero == nullptr ? 0 : zeros[k];
      std::byte* to = y->bytes + i * static_cast<std::int64_t>(size_of(type));
      if (whole) {
        const double rounded = std::nearbyint(static_cast<double>(value)) + add;
        const double clamped = rounded == rounded ? std::clamp(rounded, range.low, range.high) : 0;
        store(type, to, Work::f64, &clamped, 1);
      } else {
        value += static_cast<float>(add);
        store(type, to, Work::f32, &value, 1, overflow);
      }
    }
  });
  return Done{};
}

Status dequantize_linear(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* scale = TRY(call.tensor(1));
  const Tensor* zero = call.tensor_or_null(2);
  const Scales scales = TRY(scales_of(call, *x, *scale));
  if (zero != nullptr && zero->count != scale->count)
    return invalid("zero points of another shape than scales");
  auto type = static_cast<Element>(call.integer("output_dtype", 0));
  if (type == Element::none) type = scale->type;
  Tensor* y = TRY(call.make(0, type, x->dims));
  const Numbers<float> by(*scale), zeros(zero == nullptr ? Tensor() : *zero);
  if (scales.single && type == Element::f32 && is_byte(x->type)) {
    parallel(call.machine, x->count, 16384, [&](std::int64_t begin, std::int64_t end) {
      from_bytes(y->data<float>() + begin, x->bytes + begin, x->type == Element::i8, end - begin,
                 by[0], zero == nullptr ? 0 : static_cast<std::int32_t>(zeros[0]));
    });
    return Done{};
  }
  const auto size = static_cast<std::int64_t>(size_of(type)),
             from_size = static_cast<std::int64_t>(size_of(x->type));
  parallel(call.machine, x->count, 16384, [&](std::int64_t begin, std::int64_t end) {
    float block[256];
    for (std::int64_t at = begin; at < end; at += 256) {
      const std::int64_t n = std::min<std::int64_t>(256, end - at);
      load(Work::f32, block, x->type, x->bytes + at * from_size, static_cast<std::size_t>(n));
      for (std::int64_t i = 0; i < n; ++i) {
        const std::size_t k = scales.of(at + i);
        block[i] = (block[i] - (zero == nullptr ? 0 : zeros[k])) * by[k];
      }
      store(type, y->bytes + at * size, Work::f32, block, static_cast<std::size_t>(n));
    }
  });
  return Done{};
}

Status dynamic_quantize_linear(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::f32));
  float low = 0, high = 0;
  for (std::int64_t i = 0; i < x->count; ++i) {
    low = std::min(low, x->data<float>()[i]);
    high = std::max(high, x->data<float>()[i]);
  }
  const float scale = (high - low) / 255.0f;
  const float zero = scale == 0 ? 0 : std::clamp(std::nearbyint(-low / scale), 0.0f, 255.0f);
  Tensor* y = TRY(call.make(0, Element::u8, x->dims));
  for (std::int64_t i = 0; i < x->count; ++i)
    y->data<std::uint8_t>()[i] = static_cast<std::uint8_t>(
        scale == 0 ? 0
                   : std::clamp(std::nearbyint(x->data<float>()[i] / scale) + zero, 0.0f, 255.0f));
  Tensor* s = TRY(call.make(1, Element::f32, {}));
  s->data<float>()[0] = scale;
  Tensor* z = TRY(call.make(2, Element::u8, {}));
  z->data<std::uint8_t>()[0] = static_cast<std::uint8_t>(zero);
  return Done{};
}

// Whole numbers less their zero points: one, one per row of a, or one per column of b.
Result<std::vector<std::int64_t>> centred(Call& call, std::size_t x_index, std::size_t zero_index,
                                          bool by_row) {
  const Tensor* x = TRY(call.tensor(x_index));
  auto numbers = TRY(call.integers(x_index));
  if (!call.has(zero_index)) return numbers;
  const auto zeros = TRY(call.integers(zero_index));
  if (zeros.empty()) return numbers;
  const std::int64_t columns = x->rank() == 0 ? 1 : x->dims.back();
  const std::int64_t rows = x->rank() < 2 ? 1 : x->dims[x->rank() - 2];
  const auto n = static_cast<std::int64_t>(zeros.size());
  const std::int64_t axis = by_row ? rows : columns;
  const std::int64_t batches = rows * columns == 0 ? 0 : x->count / (rows * columns);
  if (n != 1 && n != axis && n != axis * batches)
    return invalid(fmt::format("{} zero points for {}", n, to_text(x->dims)));
  for (std::int64_t i = 0; i < x->count; ++i) {
    const std::int64_t in_axis = by_row ? i / columns % rows : i % columns;
    const std::int64_t at = n == 1      ? 0
                            : n == axis ? in_axis
                                        : i / (rows * columns) * axis + in_axis;
    numbers[static_cast<std::size_t>(i)] -= zeros[static_cast<std::size_t>(at)];
  }
  return numbers;
}

struct WholeProduct {
  MatMulShape shape;
  std::vector<std::int64_t> sums;
};

Result<WholeProduct> multiply(Call& call, std::size_t a, std::size_t b, std::size_t a_zero,
                              std::size_t b_zero) {
  WholeProduct result;
  result.shape = TRY(matmul_shape(TRY(call.tensor(a))->dims, TRY(call.tensor(b))->dims));
  const auto left = TRY(centred(call, a, a_zero, true));
  const auto right = TRY(centred(call, b, b_zero, false));
  const MatMulShape& s = result.shape;
  TRY(count_of(s.result));
  result.sums.assign(static_cast<std::size_t>(product(s.result)), 0);
  each_product(s, [&](std::int64_t i, std::int64_t j, std::int64_t o) {
    parallel(call.machine, s.m,
             std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, s.n * s.k)),
             [&](std::int64_t begin, std::int64_t end) {
               for (std::int64_t row = begin; row < end; ++row) {
                 std::int64_t* to = result.sums.data() + (o * s.m + row) * s.n;
                 for (std::int64_t p = 0; p < s.k; ++p) {
                   const std::int64_t x = left[static_cast<std::size_t>((i * s.m + row) * s.k + p)];
                   const std::int64_t* from = right.data() + (j * s.k + p) * s.n;
                   for (std::int64_t c = 0; c < s.n; ++c) to[c] += x * from[c];
                 }
               }
             });
  });
  return result;
}

Status matmul_integer(Call& call) {
  const WholeProduct p = TRY(multiply(call, 0, 1, 2, 3));
  put(*TRY(call.make(0, Element::i32, p.shape.result)), std::span<const std::int64_t>(p.sums));
  return Done{};
}

// Source: com.microsoft.MatMulIntegerToFloat and DynamicQuantizeMatMul of ONNX Runtime share this
// last step: sums times scales plus a bias.
double at_or_first(const std::vector<double>& numbers, std::int64_t i) {
  return numbers[numbers.size() == 1 ? 0 : static_cast<std::size_t>(i)];
}

void put_quantised(Tensor& y, std::int64_t i, double value, double zero) {
  const Range range = range_of(y.type);
  const double clamped = std::clamp(std::nearbyint(value) + zero, range.low, range.high);
  store(y.type, y.bytes + i * static_cast<std::int64_t>(size_of(y.type)), Work::f64, &clamped, 1);
}

Status qlinear_matmul(Call& call) {
  const WholeProduct p = TRY(multiply(call, 0, 3, 2, 5));
  const auto a = TRY(call.reals(1)), b = TRY(call.reals(4)), y_scale = TRY(call.reals(6)),
             y_zero = TRY(call.reals(7));
  const std::int64_t n = p.shape.n, m = p.shape.m;
  const auto fits = [](const std::vector<double>& numbers, std::int64_t extent) {
    return numbers.size() == 1 || static_cast<std::int64_t>(numbers.size()) == extent;
  };
  if (!fits(a, m) || !fits(b, n) || y_scale.size() != 1 || y_zero.size() != 1)
    return unsupported("scales of more than one axis");
  Tensor* y = TRY(call.make(0, TRY(call.tensor(7))->type, p.shape.result));
  for (std::int64_t i = 0; i < y->count; ++i)
    put_quantised(*y, i,
                  static_cast<double>(p.sums[static_cast<std::size_t>(i)]) *
                      (at_or_first(a, i / n % m) * at_or_first(b, i % n) / y_scale[0]),
                  y_zero[0]);
  return Done{};
}

Status qlinear_conv(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(3));
  const ConvShape shape = TRY(conv_shape(call, x->dims, w->dims));
  const auto x_scale = TRY(call.reals(1)), w_scale = TRY(call.reals(4)),
             y_scale = TRY(call.reals(6)), y_zero = TRY(call.reals(7));
  const std::int64_t x_zero = TRY(call.integer_input(2, 0));
  auto sums = TRY(conv_whole(call, shape, *x, *w, x_zero, TRY(call.integers(5))));
  const std::int64_t outputs = shape.windows.output_count();
  if (x_scale.size() != 1 || y_scale.size() != 1 || y_zero.size() != 1 ||
      (w_scale.size() != 1 && static_cast<std::int64_t>(w_scale.size()) != shape.filters))
    return invalid("scales of another size");
  std::vector<std::int64_t> bias(static_cast<std::size_t>(shape.filters), 0);
  if (call.has(8)) bias = TRY(call.integers(8));
  if (static_cast<std::int64_t>(bias.size()) != shape.filters)
    return invalid("a bias of another size");
  Tensor* y = TRY(call.make(0, TRY(call.tensor(7))->type, shape.result));
  for (std::int64_t i = 0; i < y->count; ++i) {
    const std::int64_t f = i / outputs % shape.filters;
    const auto sum =
        static_cast<double>(sums[static_cast<std::size_t>(i)] + bias[static_cast<std::size_t>(f)]);
    put_quantised(*y, i, sum * (x_scale[0] * at_or_first(w_scale, f) / y_scale[0]), y_zero[0]);
  }
  return Done{};
}

// Rows as they are after being stored as 8-bit numbers with a scale and a zero point of their own.
// A row is the last `axes` axes.
// Source: XNNPACK, "dynamically quantized" (qd8): asymmetric, zero among the numbers.
Status round_rows(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::f32));
  const auto axes = static_cast<std::size_t>(call.integer("axes", 1));
  if (axes < 1 || axes > x->rank())
    return invalid(fmt::format("rows of {} axes of {}", axes, to_text(x->dims)));
  const std::int64_t n = product(std::span(x->dims).last(axes));
  Tensor* y = TRY(call.make(0, Element::f32, x->dims));
  if (n == 0) return Done{};
  parallel(call.machine, x->count / n, std::max<std::int64_t>(1, 16384 / n),
           [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t row = begin; row < end; ++row) {
               const float* from = x->data<float>() + row * n;
               float* to = y->data<float>() + row * n;
               float low = 0, high = 0;
               for (std::int64_t i = 0; i < n; ++i) {
                 low = std::min(low, from[i]);
                 high = std::max(high, from[i]);
               }
               const float rate = low == high ? 1.0f : 255.0f / (high - low);
               const float from_low = -128 + low * rate, from_high = 127 + high * rate;
               float zero = from_low + from_high > 0 ? -128 - low * rate : 127 - high * rate;
               zero = std::nearbyint(std::clamp(zero, -128.0f, 127.0f));
               for (std::int64_t i = 0; i < n; ++i) {
                 const float whole = std::nearbyint(from[i] * rate) + zero;
                 to[i] = (std::clamp(whole, -128.0f, 127.0f) - zero) / rate;
               }
             }
           });
  return Done{};
}

constexpr Operator rows[] = {
    {"QuantizeLinear", quantize_linear, nullptr, 2, 3, false, Blocks::alike},
    {"DequantizeLinear", dequantize_linear, infer_dequantize, 2, 3, false, Blocks::alike},
    {"com.microsoft.QuantizeLinear", quantize_linear, nullptr, 2, 3},
    {"hearth.RoundRows", round_rows, infer_same, 1, 1},
    {"com.microsoft.DequantizeLinear", dequantize_linear, infer_dequantize, 2, 3},
    {"DynamicQuantizeLinear", dynamic_quantize_linear, nullptr, 1, 1},
    {"MatMulInteger", matmul_integer, nullptr, 2, 4},
    {"QLinearMatMul", qlinear_matmul, nullptr, 8, 8},
    {"QLinearConv", qlinear_conv, nullptr, 8, 9},
    {"hearth.QConv", q_conv, nullptr, 8, 9, false, Blocks::taken},
    {"hearth.QMatMul", q_matmul, nullptr, 8, 9},
    {"hearth.MatMulInteger", integer_matmul, nullptr, 2, 4},
    {"hearth.FixedAdd", fixed_add, nullptr, 2, 2},
    {"hearth.FixedRescale", fixed_rescale, nullptr, 1, 1},
    {"hearth.FixedConv", fixed_conv, nullptr, 2, 3},
    {"hearth.FixedConvTranspose", fixed_conv_transpose, nullptr, 2, 3},
};

}  // namespace

std::span<const Operator> quantised_operators() { return rows; }

}  // namespace hearth::graphs
