// prediction_bench MODEL... [--threads N] [--rounds N]
// How close predictions come: in each round the speeds that a prediction rests on are measured, and
// a stretch of an answer directly after, in processor time, so that other programs count as little
// as can be.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "hardware/cpu.h"
#include "kernels/select.h"
#include "library/library.h"
#include "library/measure_speeds.h"
#include "ops/bench_support.h"

using namespace hearth;

namespace {

constexpr int tokens = 24;
constexpr Dtype all_types[] = {Dtype::f32,  Dtype::f16,    Dtype::bf16,  Dtype::q8_0,
                               Dtype::q4_0, Dtype::q5_0,   Dtype::q4_k,  Dtype::q5_k,
                               Dtype::q6_k, Dtype::iq4_xs, Dtype::mxfp4, Dtype::iq2_xs};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Result<double> reached_tokens_per_second(Runner& runner, int threads, int round) {
  std::vector<double> rates;
  for (const double seconds : TRY(measure_tokens(runner, threads, round, tokens)))
    rates.push_back(1 / seconds);
  return idle_rate(std::move(rates));
}

Status compare(const std::string& path, int threads, int rounds) {
  auto library = TRY(Library::create({.threads = threads,
                                      .kernels = {},
                                      .runner = {},
                                      .kv_dtype = {},
                                      .draft = {},
                                      .sampling = {},
                                      .folders = standard_folders(),
                                      .pool = {},
                                      .find = {},
                                      .observer = {},
                                      .repair = {}}));
  const Lease lease = TRY(library->acquire(path));
  const Package package = TRY(open_reference(path));
  const TokenWork work = work_per_token(package, lease->model().info());
  const auto pool = std::make_shared<ThreadPool>(threads);
  ops::Context ctx{.kernels = TRY(kernels::choose("")), .pool = pool.get()};
  std::vector<Dtype> types;
  for (const Dtype dtype : all_types)
    if (dtype == Dtype::q8_0 || work.weight_bytes.contains(name_of(dtype))) types.push_back(dtype);
  std::vector<double> expected, shares;
  for (int round = 0; round < rounds; ++round) {
    MachineSpeeds speeds;
    speeds.threads = threads;
    speeds.weights = TRY(measure_weights(ctx, types, {}));
    speeds.logit_seconds = measure_logit_seconds();
    speeds.layer_seconds = TRY(measure_layer_seconds(speeds, *ctx.kernels, pool));
    const double reached = TRY(reached_tokens_per_second(*lease->runner, threads, round));
    expected.push_back(expected_tokens_per_second(speeds, work));
    shares.push_back(reached / expected.back());
    fmt::print("  expected {:.1f} reached {:.1f} share {:.2f} layer {:.1f} us;", expected.back(),
               reached, shares.back(), 1e6 * speeds.layer_seconds);
    for (const auto& w : speeds.weights)
      fmt::print(" {} {:.1f}", w.dtype, w.bytes_per_second / 1e9);
    fmt::print("\n");
  }
  fmt::print("{}: median share {:.2f}\n", path, median(shares));
  return hearth::Done{};
}

}  // namespace

int main(int count, char** values) {
  const int threads = static_cast<int>(std::stoi(
      bench::argument(count, values, "--threads", std::to_string(hardware::usable_cores()))));
  const int rounds = std::stoi(bench::argument(count, values, "--rounds", "5"));
  for (int i = 1; i < count; ++i) {
    if (std::string_view(values[i]).starts_with("--")) {
      ++i;
      continue;
    }
    const Status status = compare(values[i], threads, rounds);
    if (!status.ok()) fmt::print("{}: {}\n", values[i], status.error().message());
  }
}
