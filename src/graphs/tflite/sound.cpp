// Custom operators of TFLite that hear: spectra over time, mel-frequency cepstral coefficients.
// Source: TensorFlow, documentation of AudioSpectrogram and Mfcc.
#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "graphs/tflite/builder.h"
#include "graphs/tflite/flexbuffer.h"

namespace hearth::graphs::tflite {
namespace {

using Options = std::map<std::string, double, std::less<>>;

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }

double option(const Options& options, std::string_view name, double fallback) {
  const auto found = options.find(name);
  return found == options.end() ? fallback : found->second;
}

Result<std::int64_t> whole(const Options& options, std::string_view name, std::int64_t fallback) {
  constexpr std::int64_t most = 1 << 20;
  const double number = option(options, name, static_cast<double>(fallback));
  if (!(number >= 1 && number <= most)) return corrupt(fmt::format("{} of {}", name, number));
  return static_cast<std::int64_t>(number);
}

Result<ValueId> constant_of(Builder& b, Dims dims, const std::vector<double>& values) {
  Tensor tensor = TRY(make_tensor(Element::f32, std::move(dims)));
  store(Element::f32, tensor.bytes, Work::f64, values.data(), values.size());
  return b.constant(std::move(tensor));
}

// [samples, channels] to [channels, frames, half the spectrum]; each frame under a Hann window,
// with zeros up to a power of two.
Status spectrogram(Builder& b, const Operator& op, const Options& options) {
  const std::int64_t window = TRY(whole(options, "window_size", 0)),
                     step = TRY(whole(options, "stride", 0));
  const auto length = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(window)));
  if (TRY(b.info(op.inputs[0]))->dims.size() != 2) return corrupt("needs [samples, channels]");
  std::vector<double> hann(static_cast<std::size_t>(length), 0.0);
  for (std::int64_t i = 0; i < window; ++i)
    hann[static_cast<std::size_t>(i)] =
        0.5 -
        0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(window));
  const ValueId rows = b.transposed(TRY(b.real(op.inputs[0])), {1, 0});
  const ValueId longer = b.emit("Pad", {rows, b.integers({0, 0, 0, length - window}), b.scalar(0)});
  const ValueId parts = b.emit("STFT",
                               {b.emit("Unsqueeze", {longer, b.integers({-1})}), b.integer(step),
                                TRY(constant_of(b, {length}, hann)), b.integer(length)},
                               {{"onesided", std::int64_t{1}}});
  const bool squared = option(options, "magnitude_squared", 0) != 0;
  return b.give_real(op.outputs[0],
                     b.emit(squared ? "ReduceSumSquare" : "ReduceL2", {parts, b.integers({-1})},
                            {{"keepdims", std::int64_t{0}}}));
}

double mel_of(double hertz) { return 1127 * std::log1p(hertz / 700); }

struct MelFilters {
  std::int64_t bins, channels;
  double low, high, rate;
};

// Weights [bins, channels]: a triangle between the neighbours of each channel, on the mel scale.
// Where one triangle rises the one before it falls.
std::vector<double> weights_of(const MelFilters& f) {
  std::vector<double> weights(static_cast<std::size_t>(f.bins * f.channels), 0.0);
  const double apart = 0.5 * f.rate / static_cast<double>(f.bins - 1);
  const double begin = mel_of(f.low),
               spacing = (mel_of(f.high) - begin) / static_cast<double>(f.channels + 1);
  const auto first = static_cast<std::int64_t>(1.5 + f.low / apart),
             last = std::min(static_cast<std::int64_t>(f.high / apart), f.bins - 1);
  const auto centre = [&](std::int64_t channel) {
    return begin + spacing * static_cast<double>(channel + 1);
  };
  std::int64_t above = 0;  // the first channel whose centre is not below
  for (std::int64_t i = first; i <= last; ++i) {
    const double mel = mel_of(static_cast<double>(i) * apart);
    while (above < f.channels && centre(above) < mel) ++above;
    const double falls = (centre(above) - mel) / spacing;
    double* row = weights.data() + i * f.channels;
    if (above > 0) row[above - 1] = falls;
    if (above < f.channels) row[above] = 1 - falls;
  }
  return weights;
}

// A spectrogram [channels, frames, bins] of squares and the rate of its sound.
Status cepstrum(Builder& b, const Operator& op, const Options& options) {
  if (op.inputs.size() < 2) return corrupt("needs a spectrogram and a rate");
  const TensorInfo* spectrum = TRY(b.info(op.inputs[0]));
  const auto rate = TRY(b.constant_integers(op.inputs[1]));
  if (spectrum->dims.size() != 3 || spectrum->dims[2] < 2 || rate.size() != 1 || rate[0] < 1)
    return corrupt(fmt::format("a spectrogram of {}", to_text(spectrum->dims)));
  MelFilters f{};
  f.bins = spectrum->dims[2];
  f.channels = TRY(whole(options, "filterbank_channel_count", 40));
  f.low = option(options, "lower_frequency_limit", 20);
  f.high = option(options, "upper_frequency_limit", 4000);
  f.rate = static_cast<double>(rate[0]);
  const std::int64_t count = TRY(whole(options, "dct_coefficient_count", 13));
  constexpr std::int64_t most = 1 << 22;
  if (!(f.low >= 0 && f.high > f.low && f.high <= f.rate / 2) || f.bins > most / f.channels ||
      count > most / f.channels)
    return corrupt(fmt::format("{} channels from {} to {} Hz of a sound at {} Hz", f.channels,
                               f.low, f.high, f.rate));
  std::vector<double> cosines;  // [channels, count]
  const auto n = static_cast<double>(f.channels);
  for (std::int64_t j = 0; j < f.channels; ++j)
    for (std::int64_t i = 0; i < count; ++i)
      cosines.push_back(std::sqrt(2 / n) * std::cos(static_cast<double>(i) * std::numbers::pi / n *
                                                    (static_cast<double>(j) + 0.5)));
  const ValueId sizes = b.emit("Sqrt", {TRY(b.real(op.inputs[0]))});
  const ValueId bands =
      b.emit("MatMul", {sizes, TRY(constant_of(b, {f.bins, f.channels}, weights_of(f)))});
  const ValueId logs = b.emit("Log", {b.emit("Max", {bands, b.scalar(1e-12f)})});
  return b.give_real(op.outputs[0],
                     b.emit("MatMul", {logs, TRY(constant_of(b, {f.channels, count}, cosines))}));
}

}  // namespace

Status add_sound_operator(Builder& b, const Operator& op) {
  Status (*add)(Builder&, const Operator&, const Options&) = op.custom == "AudioSpectrogram"
                                                                 ? spectrogram
                                                             : op.custom == "Mfcc" ? cepstrum
                                                                                   : nullptr;
  if (add == nullptr) return add_stream_operator(b, op);
  if (op.inputs.empty() || op.outputs.empty()) return corrupt("no input or no output");
  Options options;
  if (!op.custom_options.empty()) options = TRY(read_flexbuffer(op.custom_options));
  return add(b, op, options);
}

}  // namespace hearth::graphs::tflite
