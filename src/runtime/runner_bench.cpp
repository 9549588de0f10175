// runner_bench [MODEL] [--cpu TABLE] [--threads N]
// Tokens per second of 1, 4, 16 and 64 streams together.  Without MODEL: a model that computes
// nothing, and so what the runner itself costs per step and row.
#include <fmt/core.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "hardware/cpu.h"
#include "kernels/select.h"
#include "runtime/fake_model.h"
#include "runtime/runner.h"

using namespace hearth;

namespace {

constexpr std::size_t prompt_tokens = 64;
constexpr std::int64_t answer_tokens = 64;

Result<std::shared_ptr<const Model>> load(const std::string& path, ops::Context ctx) {
  if (path.empty()) {
    FakeOptions options{.vocabulary = 1000, .context = 8192};
    options.logits = [](std::span<const Token> history, std::span<float> logits) {
      logits[history.size() % logits.size()] = 9;
    };
    return std::shared_ptr<const Model>(std::make_shared<FakeModel>(std::move(options)));
  }
  const Package package = TRY(open_package(path));
  return load_model(ctx, package);
}

GenerateRequest request_of(std::uint32_t vocabulary, std::uint32_t seed) {
  GenerateRequest request;
  for (std::size_t i = 0; i < prompt_tokens; ++i) {
    seed = seed * 1664525u + 1013904223u;
    request.prompt.push_back(static_cast<Token>((seed >> 8) % vocabulary));
  }
  request.max_tokens = answer_tokens;
  request.ignore_end = true;
  request.sampling.temperature = 0.7f;
  request.sampling.min_p = 0.05f;
  return request;
}

struct Waiter {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t done = 0;
};

void measure(Runner& runner, std::size_t streams) {
  Waiter waiter;
  const RunnerStats before = runner.stats();
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < streams; ++i) {
    const auto seed = static_cast<std::uint32_t>(1000 * streams + i);
    const Status status =
        runner.submit(request_of(runner.model().info().vocabulary, seed), [&](const Event& event) {
          const std::lock_guard lock(waiter.mutex);
          if (event.last) ++waiter.done;
          waiter.changed.notify_one();
        });
    if (!status.ok()) return fmt::print("{}\n", status.error().message());
  }
  std::unique_lock lock(waiter.mutex);
  waiter.changed.wait(lock, [&] { return waiter.done == streams; });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const RunnerStats after = runner.stats();
  const auto steps = static_cast<double>(after.steps - before.steps);
  const double made = static_cast<double>(streams) * static_cast<double>(answer_tokens);
  const double rows = made + static_cast<double>(streams * prompt_tokens);
  fmt::print(
      "{:3} streams: {:9.1f} tokens/s generated, {:9.1f} rows/s, {:8.3f} ms and {:6.2f} us "
      "per row in each of {:.0f} steps\n",
      streams, made / seconds, rows / seconds, seconds / steps * 1e3, seconds / rows * 1e6, steps);
}

}  // namespace

int main(int argc, char** argv) {
  std::string path, table;
  int threads = hardware::usable_cores();
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--cpu" && i + 1 < argc)
      table = argv[++i];
    else if (argument == "--threads" && i + 1 < argc)
      threads = std::atoi(argv[++i]);
    else
      path = argument;
  }
  const auto kernels = kernels::choose(table);
  if (!kernels.ok()) return fmt::print("{}\n", kernels.error().message()), 1;
  auto pool = std::make_shared<ThreadPool>(threads);
  const auto model = load(path, {.kernels = *kernels, .pool = pool.get(), .deterministic = false});
  if (!model.ok()) return fmt::print("{}\n", model.error().message()), 1;
  const auto runner = make_runner(*model, **kernels, pool);
  if (!runner.ok()) return fmt::print("{}\n", runner.error().message()), 1;
  fmt::print("{}, {}, {} threads, {} tokens of context\n", (*model)->info().name, (*kernels)->name,
             threads, (*runner)->context_tokens());
  for (const std::size_t streams : {1, 4, 16, 64}) measure(**runner, streams);
  return 0;
}
