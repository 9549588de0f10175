// Another rate of samples by a windowed sinc.
// Source: Smith, "Digital Audio Resampling", 2002; Kaiser's window.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "formats/sound/sink.h"

namespace hearth {
namespace {

constexpr double crossings = 24;       // zero crossings of the sinc on either side
constexpr double passed_share = 0.94;  // of the lower of the two bands
constexpr double kaiser_beta = 9;
constexpr float loudest = 100;  // of floats; full scale is 1
constexpr std::size_t max_taps = 4u << 20;
constexpr std::uint32_t min_rate = 4000, max_rate = 384000, max_channels = 16;

// The modified Bessel function of the first kind, order 0, by its series.
double bessel(double x) {
  double sum = 1, term = 1;
  for (int k = 1; term > 1e-12 * sum; ++k) {
    term *= (x / (2 * k)) * (x / (2 * k));
    sum += term;
  }
  return sum;
}

double sinc(double x) {
  return std::abs(x) < 1e-12 ? 1.0 : std::sin(std::numbers::pi * x) / (std::numbers::pi * x);
}

}  // namespace

Resampler::Resampler(std::uint32_t from, std::uint32_t to) {
  const std::uint32_t common = std::gcd(from, to);
  phases_ = to / common;
  advance_ = from / common;
  if (phases_ == advance_) {
    reach_ = 0;
    held_from_ = 0;
    return;
  }
  const double cutoff = passed_share * std::min(1.0, static_cast<double>(to) / from);
  const double half = crossings / cutoff;
  reach_ = static_cast<std::size_t>(std::ceil(half));
  held_from_ = -static_cast<std::int64_t>(reach_);
  held_.assign(reach_, 0.0f);
  taps_.resize(phases_ * 2 * reach_);
  const double edge = bessel(kaiser_beta);
  for (std::size_t phase = 0; phase < phases_; ++phase) {
    float* taps = taps_.data() + phase * 2 * reach_;
    double sum = 0;
    for (std::size_t i = 0; i < 2 * reach_; ++i) {
      const double distance = static_cast<double>(i) + 1 - static_cast<double>(reach_) -
                              static_cast<double>(phase) / static_cast<double>(phases_);
      const double inside = 1 - (distance / half) * (distance / half);
      const double window = inside <= 0 ? 0 : bessel(kaiser_beta * std::sqrt(inside)) / edge;
      const double tap = cutoff * sinc(cutoff * distance) * window;
      taps[i] = static_cast<float>(tap);
      sum += tap;
    }
    for (std::size_t i = 0; i < 2 * reach_; ++i) taps[i] /= static_cast<float>(sum);
  }
}

void Resampler::push(std::span<const float> samples, std::vector<float>& out) {
  pushed_ += samples.size();
  if (reach_ == 0) {
    out.insert(out.end(), samples.begin(), samples.end());
    return;
  }
  held_.insert(held_.end(), samples.begin(), samples.end());
  const std::int64_t end = held_from_ + static_cast<std::int64_t>(held_.size());
  for (;; ++made_) {
    const std::uint64_t place = made_ * advance_;
    const auto centre = static_cast<std::int64_t>(place / phases_);
    const std::int64_t first = centre + 1 - static_cast<std::int64_t>(reach_);
    if (first + static_cast<std::int64_t>(2 * reach_) > end) break;
    const float* taps = taps_.data() + place % phases_ * 2 * reach_;
    const float* x = held_.data() + (first - held_from_);
    float sum = 0;
    for (std::size_t i = 0; i < 2 * reach_; ++i) sum += taps[i] * x[i];
    out.push_back(sum);
  }
  const auto next =
      static_cast<std::int64_t>(made_ * advance_ / phases_) + 1 - static_cast<std::int64_t>(reach_);
  const std::int64_t done =
      std::clamp<std::int64_t>(next - held_from_, 0, static_cast<std::int64_t>(held_.size()));
  held_.erase(held_.begin(), held_.begin() + done);
  held_from_ += done;
}

void Resampler::finish(std::vector<float>& out) {
  if (reach_ == 0) return;
  const std::uint64_t whole = (pushed_ * phases_ + advance_ - 1) / advance_;
  const std::vector<float> silence(2 * reach_ + 1, 0.0f);
  const std::uint64_t before = out.size() - made_;
  push(silence, out);
  out.resize(std::min<std::uint64_t>(out.size(), before + whole));
}

Result<SampleSink> SampleSink::create(std::uint32_t rate, std::uint32_t channels,
                                      const SoundOptions& options) {
  if (rate < min_rate || rate > max_rate)
    return Error(ErrorKind::unsupported,
                 fmt::format("{} samples a second: needs {} to {}", rate, min_rate, max_rate));
  if (channels == 0 || channels > max_channels)
    return Error(ErrorKind::unsupported,
                 fmt::format("{} channels: needs 1 to {}", channels, max_channels));
  const std::uint32_t wanted = options.rate == 0 ? rate : options.rate;
  if (wanted < min_rate || wanted > max_rate)
    return Error(ErrorKind::invalid, fmt::format("{} samples a second wanted: needs {} to {}",
                                                 wanted, min_rate, max_rate));
  const std::uint64_t phases = wanted / std::gcd(rate, wanted);
  const double width =
      2 * crossings / passed_share * std::max(1.0, static_cast<double>(rate) / wanted);
  if (rate != wanted && static_cast<double>(phases) * width > double{max_taps})
    return Error(ErrorKind::unsupported, fmt::format("{} samples a second: an odd rate", rate));
  return SampleSink(channels, static_cast<std::uint64_t>(options.seconds * rate),
                    Resampler(rate, wanted));
}

Status SampleSink::push(std::span<const float> interleaved) {
  const std::size_t frames = interleaved.size() / channels_;
  frames_ += frames;
  if (frames_ > most_frames_)
    return Error(ErrorKind::too_long, "the recording is longer than the limit");
  mono_.resize(frames);
  for (std::size_t i = 0; i < frames; ++i) {
    float sum = 0;
    for (std::size_t c = 0; c < channels_; ++c) {
      const float value = interleaved[i * channels_ + c];
      sum += std::isfinite(value) ? std::clamp(value, -loudest, loudest) : 0.0f;
    }
    mono_[i] = sum / static_cast<float>(channels_);
  }
  resampler_.push(mono_, samples_);
  return Done{};
}

std::vector<float> SampleSink::finish() {
  resampler_.finish(samples_);
  return std::move(samples_);
}

}  // namespace hearth
