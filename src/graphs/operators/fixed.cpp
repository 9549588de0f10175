// Source: TFLite, kernels/internal/common.h: MultiplyByQuantizedMultiplier of 32 and 64 bits.
#include "graphs/operators/fixed.h"

#include <algorithm>

#include "graphs/walk.h"

namespace hearth::graphs {
namespace {

struct Factor {
  std::int64_t multiplier = 0;
  int shift = 0;
};

Result<Factor> factor_of(std::int64_t multiplier, std::int64_t shift) {
  if (multiplier < 0 || multiplier > 0x7FFFFFFF || shift < -31 || shift > 30)
    return invalid(fmt::format("a factor {} * 2^{}", multiplier, shift));
  return Factor{multiplier, static_cast<int>(shift)};
}
Result<Factor> factor_named(const Call& call, std::string_view name) {
  const auto& numbers = call.list(name);
  if (numbers.size() != 2) return invalid(fmt::format("factor '{}'", name));
  return factor_of(numbers[0], numbers[1]);
}

std::int64_t to_i32(std::int64_t x) {
  return std::clamp<std::int64_t>(x, -(std::int64_t{1} << 31), (std::int64_t{1} << 31) - 1);
}

// x * factor: the upper half of twice the product, rounded, then shifted with rounding away from
// zero.
std::int64_t times(std::int64_t x, const Factor& f) {
  const std::int64_t product = to_i32(x << std::max(f.shift, 0)) * f.multiplier;
  const std::int64_t nudge = product >= 0 ? (1 << 30) : 1 - (1 << 30);
  const std::int64_t high = (product + nudge) / (std::int64_t{1} << 31);
  const int right = std::max(-f.shift, 0);
  const std::int64_t mask = (std::int64_t{1} << right) - 1, rest = high & mask;
  return (high >> right) + (rest > (mask >> 1) + (high < 0 ? 1 : 0) ? 1 : 0);
}

// Of sums of 64 bits: the multiplier is cut to 16.
std::int64_t times_wide(std::int64_t x, const Factor& f) {
  const std::int64_t cut = f.multiplier < 0x7FFF0000 ? (f.multiplier + (1 << 15)) >> 16 : 0x7FFF;
  const int shift = 15 - f.shift;
  if (shift <= 0) return x * cut;
  return (x * cut + (std::int64_t{1} << (shift - 1))) >> shift;
}

struct Bounds {
  std::int64_t zero, low, high;
  std::int64_t of(std::int64_t x) const { return std::clamp(x + zero, low, high); }
};
Bounds bounds_of(const Call& call) {
  const std::int64_t low = call.integer("low", -32768);
  return {call.integer("y_zero", 0), low, std::max(low, call.integer("high", 32767))};
}

}  // namespace

Status fixed_add(Call& call) {
  const Tensor* a = TRY(call.typed(0, Element::i16));
  const Tensor* b = TRY(call.typed(1, Element::i16));
  const Dims dims = TRY(broadcast(a->dims, b->dims));
  const Factor by_a = TRY(factor_named(call, "a")), by_b = TRY(factor_named(call, "b")),
               by_y = TRY(factor_named(call, "y"));
  const std::int64_t left = std::clamp<std::int64_t>(call.integer("left_shift", 15), 0, 20);
  const std::int64_t a_zero = call.integer("a_zero", 0), b_zero = call.integer("b_zero", 0);
  const std::int64_t sign = call.integer("subtracts", 0) != 0 ? -1 : 1;
  const Bounds bounds = bounds_of(call);
  Tensor* y = TRY(call.make(0, Element::i16, dims));
  const std::array<const Dims*, 2> shapes{&a->dims, &b->dims};
  const Walk walk = Walk::broadcasting(y->dims, shapes);
  walk.each(0, y->count, [&](std::int64_t place, const auto& at, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t p = a->data<std::int16_t>()[at[0] + i * walk.step(0)] - a_zero,
                         q = b->data<std::int16_t>()[at[1] + i * walk.step(1)] - b_zero;
      const std::int64_t sum = times(p << left, by_a) + sign * times(q << left, by_b);
      y->data<std::int16_t>()[place + i] = static_cast<std::int16_t>(bounds.of(times(sum, by_y)));
    }
  });
  return Done{};
}

Status fixed_rescale(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->type != Element::i16 && x->type != Element::i32)
    return invalid(fmt::format("{}; needs int16 or int32", name_of(x->type)));
  const Factor above = TRY(factor_named(call, "a")), below = TRY(factor_named(call, "b"));
  const std::int64_t zero = call.integer("a_zero", 0);
  const Bounds bounds = bounds_of(call);
  const auto type = static_cast<Element>(call.integer("type", 0));
  if (type != Element::i16 && type != Element::i32) return invalid("a result of another type");
  Tensor* y = TRY(call.make(0, type, x->dims));
  const Numbers<std::int64_t> numbers(*x);
  for (std::int64_t i = 0; i < x->count; ++i) {
    const std::int64_t number = numbers[static_cast<std::size_t>(i)] - zero;
    const std::int64_t result = bounds.of(times(number, number >= 0 ? above : below));
    store(type, y->bytes + i * static_cast<std::int64_t>(size_of(type)), Work::i64, &result, 1);
  }
  return Done{};
}

namespace {

// What a convolution and its turned form share.  x: [n, h, w, c] i16, w: [filters, kh, kw, c] i8.
struct Job {
  const Tensor *x, *w, *bias;
  std::int64_t strides[2], dilations[2], before[2];
  std::vector<Factor> factors;
  Bounds bounds;
  Dims result;

  std::int64_t bias_of(std::int64_t f) const {
    if (bias == nullptr) return 0;
    return bias->type == Element::i64 ? bias->data<std::int64_t>()[f]
                                      : bias->data<std::int32_t>()[f];
  }
  void put(Tensor& y, std::int64_t place, std::int64_t f, std::int64_t sum) const {
    const Factor& factor = factors[static_cast<std::size_t>(f)];
    const bool is_wide = bias == nullptr || bias->type == Element::i64;
    const std::int64_t scaled = is_wide ? times_wide(sum, factor) : times(to_i32(sum), factor);
    y.data<std::int16_t>()[place] = static_cast<std::int16_t>(bounds.of(scaled));
  }
};

Result<Job> job_of(Call& call) {
  Job job{};
  job.x = TRY(call.typed(0, Element::i16));
  job.w = TRY(call.typed(1, Element::i8));
  job.bias = call.tensor_or_null(2);
  const auto &strides = call.list("strides"), &dilations = call.list("dilations"),
             &multipliers = call.list("multipliers"), &shifts = call.list("shifts");
  if (job.x->rank() != 4 || job.w->rank() != 4 || job.x->dims[3] != job.w->dims[3])
    return invalid(
        fmt::format("an image {} and a kernel {}", to_text(job.x->dims), to_text(job.w->dims)));
  const auto filters = static_cast<std::size_t>(job.w->dims[0]);
  const bool has_wrong_bias =
      job.bias != nullptr && ((job.bias->type != Element::i64 && job.bias->type != Element::i32) ||
                              job.bias->count != job.w->dims[0]);
  if (strides.size() != 2 || dilations.size() != 2 || multipliers.size() != filters ||
      shifts.size() != filters || has_wrong_bias)
    return invalid("strides, dilations, factors or a bias of another size");
  for (std::size_t i = 0; i < 2; ++i) {
    if (strides[i] < 1 || strides[i] > 4096 || dilations[i] < 1 || dilations[i] > 4096)
      return invalid("strides or dilations");
    job.strides[i] = strides[i];
    job.dilations[i] = dilations[i];
  }
  for (std::size_t f = 0; f < filters; ++f)
    job.factors.push_back(TRY(factor_of(multipliers[f], shifts[f])));
  job.bounds = bounds_of(call);
  return job;
}

}  // namespace

Status fixed_conv(Call& call) {
  Job job = TRY(job_of(call));
  const Dims &x = job.x->dims, &w = job.w->dims;
  const bool same = call.integer("same", 0) != 0;
  job.result = {x[0], 0, 0, w[0]};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t reach = (w[i + 1] - 1) * job.dilations[i] + 1, step = job.strides[i];
    job.result[i + 1] = same ? (x[i + 1] + step - 1) / step
                             : std::max<std::int64_t>(0, (x[i + 1] - reach) / step + 1);
    job.before[i] =
        same ? std::max<std::int64_t>(0, (job.result[i + 1] - 1) * step + reach - x[i + 1]) / 2 : 0;
  }
  Tensor* y = TRY(call.make(0, Element::i16, job.result));
  const std::int64_t oh = job.result[1], ow = job.result[2], channels = x[3];
  parallel(call.machine, x[0] * oh * ow, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at)
      for (std::int64_t f = 0; f < w[0]; ++f) {
        std::int64_t sum = job.bias_of(f);
        for (std::int64_t ky = 0; ky < w[1]; ++ky)
          for (std::int64_t kx = 0; kx < w[2]; ++kx) {
            const std::int64_t iy =
                at / ow % oh * job.strides[0] + ky * job.dilations[0] - job.before[0];
            const std::int64_t ix =
                at % ow * job.strides[1] + kx * job.dilations[1] - job.before[1];
            if (iy < 0 || iy >= x[1] || ix < 0 || ix >= x[2]) continue;
            const std::int16_t* from =
                job.x->data<std::int16_t>() + ((at / ow / oh * x[1] + iy) * x[2] + ix) * channels;
            const std::int8_t* by =
                job.w->data<std::int8_t>() + ((f * w[1] + ky) * w[2] + kx) * channels;
            for (std::int64_t c = 0; c < channels; ++c) sum += std::int64_t{from[c]} * by[c];
          }
        job.put(*y, at * w[0] + f, f, sum);
      }
  });
  return Done{};
}

Status fixed_conv_transpose(Call& call) {
  Job job = TRY(job_of(call));
  const Dims &x = job.x->dims, &w = job.w->dims;
  job.result = call.list("output_shape");
  if (job.result.size() != 4 || job.result[0] != x[0] || job.result[3] != w[0])
    return invalid(fmt::format("a result of {}", to_text(job.result)));
  TRY(count_of(job.result));
  for (std::size_t i = 0; i < 2; ++i)
    job.before[i] = call.integer("same", 0) == 0
                        ? 0
                        : std::max<std::int64_t>(
                              0, (x[i + 1] - 1) * job.strides[i] + w[i + 1] - job.result[i + 1]) /
                              2;
  Tensor* y = TRY(call.make(0, Element::i16, job.result));
  const std::int64_t oh = job.result[1], ow = job.result[2];
  std::vector<std::int64_t> sums(static_cast<std::size_t>(y->count));
  for (std::int64_t i = 0; i < y->count; ++i)
    sums[static_cast<std::size_t>(i)] = job.bias_of(i % w[0]);
  for (std::int64_t at = 0; at < x[0] * x[1] * x[2]; ++at)
    for (std::int64_t ky = 0; ky < w[1]; ++ky)
      for (std::int64_t kx = 0; kx < w[2]; ++kx) {
        const std::int64_t oy = at / x[2] % x[1] * job.strides[0] + ky - job.before[0];
        const std::int64_t ox = at % x[2] * job.strides[1] + kx - job.before[1];
        if (oy < 0 || oy >= oh || ox < 0 || ox >= ow) continue;
        const std::int16_t* from = job.x->data<std::int16_t>() + at * x[3];
        for (std::int64_t f = 0; f < w[0]; ++f) {
          const std::int8_t* by = job.w->data<std::int8_t>() + ((f * w[1] + ky) * w[2] + kx) * x[3];
          std::int64_t sum = 0;
          for (std::int64_t c = 0; c < x[3]; ++c) sum += std::int64_t{from[c]} * by[c];
          sums[static_cast<std::size_t>(((at / x[2] / x[1] * oh + oy) * ow + ox) * w[0] + f)] +=
              sum;
        }
      }
  for (std::int64_t i = 0; i < y->count; ++i)
    job.put(*y, i, i % w[0], sums[static_cast<std::size_t>(i)]);
  return Done{};
}

}  // namespace hearth::graphs
