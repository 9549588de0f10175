// Features of sound in whole numbers, as small machines compute them: TFLite Micro's signal
// operators, to the last bit. Source: TFLite Micro, signal/src: what each computes.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>

#include "graphs/call.h"
#include "graphs/operators/families.h"
#include "graphs/operators/real_fft.h"

namespace hearth::graphs {
namespace {

constexpr std::int64_t most_shift = 31;

// How far numbers are shifted, from a file.
Result<int> shift_named(const Call& call, std::string_view name) {
  const std::int64_t shift = call.integer(name, 0);
  if (shift < 0 || shift > most_shift)
    return invalid(fmt::format("{} {}: needs 0 to {}", name, shift, most_shift));
  return static_cast<int>(shift);
}

template <typename T>
std::span<const T> row(const Tensor& tensor) {
  return {tensor.data<T>(), static_cast<std::size_t>(tensor.count)};
}

// y = x * window >> shift, cut to 16 bits; x: rows as long as the window.
Status window(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::i16));
  const Tensor* weights = TRY(call.typed(1, Element::i16));
  const int shift = TRY(shift_named(call, "shift"));
  if (weights->count == 0 || x->rank() == 0 || x->dims.back() != weights->count)
    return invalid(fmt::format("a window of {} for {}", weights->count, to_text(x->dims)));
  Tensor* y = TRY(call.make(0, Element::i16, x->dims));
  for (std::int64_t i = 0; i < x->count; ++i) {
    const int product =
        x->data<std::int16_t>()[i] * weights->data<std::int16_t>()[i % weights->count];
    y->data<std::int16_t>()[i] =
        static_cast<std::int16_t>(std::clamp(product >> shift, -32768, 32767));
  }
  return Done{};
}

// Shifted left until 15 bits are used, and by how much.
Status fft_auto_scale(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::i16));
  unsigned most = 0;
  for (const std::int16_t each : row<std::int16_t>(*x))
    most = std::max(most, static_cast<unsigned>(std::abs(int{each})));
  const int shift = std::max(0, 16 - static_cast<int>(std::bit_width(most)) - 1);
  Tensor* y = TRY(call.make(0, Element::i16, x->dims));
  for (std::int64_t i = 0; i < x->count; ++i)
    y->data<std::int16_t>()[i] =
        static_cast<std::int16_t>(x->data<std::int16_t>()[i] * (1 << shift));
  TRY(call.make(1, Element::i32, {}))->data<std::int32_t>()[0] = shift;
  return Done{};
}

template <typename T>
Status spectra(const Tensor& x, Tensor& y, std::size_t size) {
  RealFft<T> fft(size);
  const auto width = static_cast<std::size_t>(x.dims.back());
  std::vector<T> samples(size, T{});
  for (std::size_t at = 0, out = 0; at < static_cast<std::size_t>(x.count); at += width) {
    std::copy_n(x.data<T>() + at, width, samples.data());
    fft.forward(samples, {y.data<T>() + out, size + 2});
    out += size + 2;
  }
  return Done{};
}

// Rows, padded with zeros to fft_length, as [re, im] of its half and one more.
Status rfft(Call& call) {
  constexpr std::int64_t most_size = 1 << 20;
  const Tensor* x = TRY(call.tensor(0));
  const std::int64_t size = call.integer("fft_length", 0);
  if (size < 2 || size > most_size || !std::has_single_bit(static_cast<std::uint64_t>(size)))
    return unsupported(fmt::format("a transform of {}: needs a power of two", size));
  if (x->rank() == 0 || x->dims.back() < 1 || x->dims.back() > size)
    return invalid(fmt::format("a transform of {} for {}", size, to_text(x->dims)));
  Dims dims = x->dims;
  dims.back() = size + 2;
  const auto n = static_cast<std::size_t>(size);
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  switch (x->type) {
    case Element::i16:
      return spectra<std::int16_t>(*x, *y, n);
    case Element::i32:
      return spectra<std::int32_t>(*x, *y, n);
    case Element::f32:
      return spectra<float>(*x, *y, n);
    default:
      return invalid(fmt::format("{}: needs int16, int32 or float32", name_of(x->type)));
  }
}

// re^2 + im^2 of the places from start_index to end_index; others are 0.
Status energy(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::i16));
  const std::int64_t n = x->count / 2, first = call.integer("start_index", 0),
                     end = call.integer("end_index", n);
  if (first < 0 || first > end || end > n)
    return invalid(fmt::format("places {} to {} of {}", first, end, n));
  Tensor* y = TRY(call.make(0, Element::u32, {n}));
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t re = x->data<std::int16_t>()[2 * i], im = x->data<std::int16_t>()[2 * i + 1];
    y->data<std::uint32_t>()[i] =
        i < first || i >= end ? 0 : static_cast<std::uint32_t>(re * re + im * im);
  }
  return Done{};
}

// energies [n], weights, their complements; by channel (one more than results): its first
// frequency, its first weight, its width.  Each energy counts in two neighbouring channels.
Status filter_bank(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::u32));
  const Tensor* parts[5];
  for (std::size_t i = 0; i < 5; ++i) parts[i] = TRY(call.typed(1 + i, Element::i16));
  const std::int64_t channels = call.integer("num_channels", 0);
  for (std::size_t i = 2; i < 5; ++i)
    if (channels < 1 || parts[i]->count <= channels)
      return invalid(fmt::format("{} channels, described by {}", channels, parts[i]->count));
  Tensor* y = TRY(call.make(0, Element::u64, {channels}));
  std::uint64_t sum = 0, next = 0;
  for (std::int64_t channel = 0; channel <= channels; ++channel) {
    const std::int64_t frequency = parts[2]->data<std::int16_t>()[channel],
                       weight = parts[3]->data<std::int16_t>()[channel],
                       width = parts[4]->data<std::int16_t>()[channel];
    if (frequency < 0 || weight < 0 || width < 0 || frequency + width > x->count ||
        weight + width > std::min(parts[0]->count, parts[1]->count))
      return invalid(fmt::format("channel {}: outside its weights or frequencies", channel));
    for (std::int64_t i = 0; i < width; ++i) {
      const std::uint64_t value = x->data<std::uint32_t>()[frequency + i];
      sum += static_cast<std::uint64_t>(parts[0]->data<std::int16_t>()[weight + i]) * value;
      next += static_cast<std::uint64_t>(parts[1]->data<std::int16_t>()[weight + i]) * value;
    }
    if (channel > 0) y->data<std::uint64_t>()[channel - 1] = sum;
    sum = next;
    next = 0;
  }
  return Done{};
}

// The nearest whole number.
std::uint32_t root(std::uint64_t x) {
  std::uint64_t low = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 31; bit != 0; bit >>= 1)
    if ((low | bit) * (low | bit) <= x) low |= bit;
  if (x - low * low > low && low != 0xFFFFFFFFu) ++low;
  return static_cast<std::uint32_t>(low);
}

Status square_root(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::u64));
  const std::int64_t shift = TRY(call.integer_input(1, 0));
  if (shift < 0 || shift > most_shift) return invalid(fmt::format("a shift of {}", shift));
  Tensor* y = TRY(call.make(0, Element::u32, x->dims));
  for (std::int64_t i = 0; i < x->count; ++i)
    y->data<std::uint32_t>()[i] = root(x->data<std::uint64_t>()[i]) >> shift;
  return Done{};
}

// signal, the noise so far: what stands out of the noise, and the noise from now on.
Status spectral_subtraction(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::u32));
  const Tensor* noise = TRY(call.typed(1, Element::u32));
  if (noise->count != x->count) return invalid("a noise of another length");
  const auto number = [&](std::string_view name) {
    return static_cast<std::uint64_t>(std::clamp<std::int64_t>(call.integer(name, 0), 0, 1 << 30));
  };
  const std::uint64_t weights[2][2] = {
      {number("smoothing"), number("one_minus_smoothing")},
      {number("alternate_smoothing"), number("alternate_one_minus_smoothing")}};
  const int up = TRY(shift_named(call, "smoothing_bits")),
            down = TRY(shift_named(call, "spectral_subtraction_bits"));
  Tensor* y = TRY(call.make(0, Element::u32, x->dims));
  Tensor* kept = TRY(call.make(1, Element::u32, x->dims));
  y = &call.outputs[0].tensor;
  for (std::int64_t i = 0; i < x->count; ++i) {
    const std::uint32_t signal = x->data<std::uint32_t>()[i], scaled = signal << up;
    const auto& [now, before] = weights[i % 2];
    std::uint32_t estimate = static_cast<std::uint32_t>(
        (scaled * now + noise->data<std::uint32_t>()[i] * before) >> down);
    kept->data<std::uint32_t>()[i] = estimate;
    if (estimate > scaled) {
      estimate = scaled;
      if (call.integer("clamping", 0) != 0) kept->data<std::uint32_t>()[i] = estimate;
    }
    const auto least = static_cast<std::uint32_t>(signal * number("min_signal_remaining") >> down);
    y->data<std::uint32_t>()[i] = std::max((scaled - estimate) >> up, least);
  }
  return Done{};
}

// A curve given at three numbers for each power of two, a parabola between them.
std::int16_t gain_of(std::uint32_t x, const std::int16_t* curve) {
  if (x <= 2) return curve[x];
  const int interval = static_cast<int>(std::bit_width(x));
  const std::int16_t* at = curve + 4 * interval - 6;
  const auto place = static_cast<std::int32_t>(
      (interval < 11 ? x << (11 - interval) : x >> (interval - 11)) & 0x3FF);
  std::int64_t result = std::int64_t{at[2]} * place >> 5;
  result = (result + std::int64_t{at[1]} * 32) * place;
  return static_cast<std::int16_t>(((result + (1 << 14)) >> 15) + at[0]);
}

// signal, noise, the curve of gains: loudness by the signal's share of the noise.
Status pcan(Call& call) {
  constexpr std::int64_t curve_numbers = 4 * 32 - 6 + 3;
  constexpr std::uint32_t share_bits = 12, result_bits = 6;
  const Tensor* x = TRY(call.typed(0, Element::u32));
  const Tensor* noise = TRY(call.typed(1, Element::u32));
  const Tensor* curve = TRY(call.typed(2, Element::i16));
  const int shift = TRY(shift_named(call, "snr_shift"));
  if (noise->count != x->count) return invalid("a noise of another length");
  if (curve->count < curve_numbers)
    return invalid(fmt::format("a curve of {}: needs {}", curve->count, curve_numbers));
  Tensor* y = TRY(call.make(0, Element::u32, x->dims));
  for (std::int64_t i = 0; i < x->count; ++i) {
    const auto gain = static_cast<std::uint32_t>(
        gain_of(noise->data<std::uint32_t>()[i], curve->data<std::int16_t>()));
    const auto share =
        static_cast<std::uint32_t>(std::uint64_t{x->data<std::uint32_t>()[i]} * gain >> shift);
    y->data<std::uint32_t>()[i] = share < (2u << share_bits)
                                      ? share * share >> (2 + 2 * share_bits - result_bits)
                                      : (share >> (share_bits - result_bits)) - (1u << result_bits);
  }
  return Done{};
}

// What log2(1 + i / 128) is above i / 128, in 65536ths.
std::vector<std::uint32_t> log_curve() {
  std::vector<std::uint32_t> curve;
  for (int i = 0; i <= 128; ++i)
    curve.push_back(
        static_cast<std::uint32_t>(std::lround(65536 * (std::log2(1 + i / 128.0) - i / 128.0))));
  return curve;
}

// scale * log(x), x > 1.
std::uint32_t scaled_log(std::uint32_t x, std::uint32_t scale) {
  static const std::vector<std::uint32_t> curve = log_curve();
  constexpr std::uint64_t one = 1 << 16, log_of_two = 45426;  // in 65536ths
  const unsigned whole = static_cast<unsigned>(std::bit_width(x)) - 1;
  const std::uint32_t rest = x - (1u << whole),
                      fraction = whole < 16 ? rest << (16 - whole) : rest >> (whole - 16);
  const std::uint32_t segment = fraction >> 9;
  const std::int64_t from = curve[segment], to = curve[segment + 1];
  const std::int64_t within = (to - from) * (fraction - std::int64_t{segment} * 512) >> 16;
  const std::uint64_t log2 = whole * one + static_cast<std::uint64_t>(fraction + from + within);
  const std::uint64_t natural = (log_of_two * log2 + one / 2) >> 16;
  return static_cast<std::uint32_t>((scale * natural + one / 2) >> 16);
}

Status filter_bank_log(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::u32));
  const int up = TRY(shift_named(call, "input_correction_bits"));
  const std::int64_t scale = call.integer("output_scale", 1);
  if (scale < 0 || scale > (1 << 20)) return invalid(fmt::format("output_scale {}", scale));
  Tensor* y = TRY(call.make(0, Element::i16, x->dims));
  for (std::int64_t i = 0; i < x->count; ++i) {
    const std::uint32_t value = x->data<std::uint32_t>()[i] << up;
    const std::uint32_t log = value > 1 ? scaled_log(value, static_cast<std::uint32_t>(scale)) : 0;
    y->data<std::int16_t>()[i] = static_cast<std::int16_t>(std::min(log, 32767u));
  }
  return Done{};
}

constexpr Operator rows[] = {
    {"hearth.SignalWindow", window, nullptr, 2, 2},
    {"hearth.SignalFftAutoScale", fft_auto_scale, nullptr, 1, 1},
    {"hearth.SignalRfft", rfft, nullptr, 1, 1},
    {"hearth.SignalEnergy", energy, nullptr, 1, 1},
    {"hearth.SignalFilterBank", filter_bank, nullptr, 6, 6},
    {"hearth.SignalFilterBankSquareRoot", square_root, nullptr, 2, 2},
    {"hearth.SignalFilterBankSpectralSubtraction", spectral_subtraction, nullptr, 2, 2},
    {"hearth.SignalPCAN", pcan, nullptr, 3, 3},
    {"hearth.SignalFilterBankLog", filter_bank_log, nullptr, 1, 1},
};

}  // namespace

std::span<const Operator> microfrontend_operators() { return rows; }

}  // namespace hearth::graphs
