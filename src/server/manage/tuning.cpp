#include "server/manage/tuning.h"

#include <algorithm>
#include <cmath>

namespace hearth::server {
namespace {

constexpr std::uint32_t least_step_tokens = 16;
constexpr Milliseconds soon(30'000);

SamplingWishes wishes_of(const SamplingConfig& config) {
  const auto real = [](const std::optional<double>& value) {
    return value ? std::optional(static_cast<float>(*value)) : std::nullopt;
  };
  SamplingWishes wishes{.temperature = real(config.temperature),
                        .top_p = real(config.top_p),
                        .min_p = real(config.min_p),
                        .repetition_penalty = real(config.repetition_penalty),
                        .top_k = std::nullopt};
  if (config.top_k) wishes.top_k = static_cast<std::int32_t>(*config.top_k);
  return wishes;
}

std::uint32_t share(std::uint32_t wanted, double part, std::uint32_t least) {
  return std::max(std::min(wanted, least), static_cast<std::uint32_t>(wanted * part));
}

}  // namespace

LibraryTuning tuning_of(const Config& config) {
  const RuntimeConfig& runtime = config.runtime;
  LibraryTuning tuning;
  tuning.threads = static_cast<int>(runtime.threads);
  tuning.runner.context_tokens = static_cast<std::uint32_t>(runtime.context);
  tuning.runner.max_context_tokens = static_cast<std::uint32_t>(runtime.max_context);
  tuning.runner.deterministic = runtime.deterministic;
  tuning.runner.tier = ops::tier_named(runtime.tier).value_or(ops::Tier::accurate);
  tuning.runner.speculate = runtime.speculate;
  tuning.draft = runtime.draft;
  tuning.runner.step_tokens = static_cast<std::uint32_t>(runtime.step_tokens);
  tuning.runner.max_running = static_cast<std::uint32_t>(runtime.parallel);
  tuning.runner.max_queued = static_cast<std::uint32_t>(config.server.queue);
  for (const Dtype dtype : {Dtype::f16, Dtype::f32, Dtype::bf16, Dtype::q8_0, Dtype::q4_0})
    if (runtime.kv_type == name_of(dtype)) tuning.kv_dtype = dtype;
  tuning.sampling = wishes_of(config.sampling);
  tuning.pool.keep_alive = parse_duration(config.models.keep_alive).value_or(Milliseconds(300'000));
  tuning.pool.max_models = static_cast<std::size_t>(config.models.max_loaded);
  tuning.pool.memory_bytes = static_cast<std::uint64_t>(config.models.memory_mb) << 20;
  tuning.pool.min_free_bytes = static_cast<std::uint64_t>(config.models.min_free_mb) << 20;
  return tuning;
}

hardware::GovernorSettings governor_settings(const Config& config) {
  const GovernorConfig& governor = config.governor;
  return {.is_on = governor.enabled,
          .hot_celsius = static_cast<double>(governor.hot_celsius),
          .battery_percent = static_cast<int>(governor.battery_percent),
          .memory_pressure = static_cast<double>(governor.memory_pressure)};
}

LibraryTuning limited(const LibraryTuning& wanted, const hardware::GovernorLimits& limits,
                      int cores) {
  using Idle = hardware::GovernorLimits::Idle;
  LibraryTuning now = wanted;
  const int threads = wanted.threads > 0 ? wanted.threads : cores;
  now.threads = std::max(1, static_cast<int>(std::ceil(threads * limits.threads)));
  now.runner.step_tokens = share(wanted.runner.step_tokens, limits.batch, least_step_tokens);
  now.runner.max_running = share(wanted.runner.max_running, limits.batch, 1);
  if (limits.idle == Idle::leave_soon) now.pool.keep_alive = std::min(now.pool.keep_alive, soon);
  if (limits.idle == Idle::leave) now.pool.keep_alive = Milliseconds(0);
  return now;
}

}  // namespace hearth::server
