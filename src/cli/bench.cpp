// hearth bench: how fast a model runs here.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/rows.h"
#include "library/engine_speeds.h"
#include "library/machine_speeds.h"
#include "library/measure_speeds.h"

namespace hearth::cli {
namespace {

struct Timing {
  double prefill = 0, decode = 0;  // tokens per second
};

// A prompt that no earlier round has cached.
std::vector<Token> prompt_of(std::int64_t tokens, std::int64_t round, std::int32_t vocabulary) {
  std::vector<Token> prompt;
  std::uint64_t state = 0x9E3779B97F4A7C15u * static_cast<std::uint64_t>(round + 1);
  for (std::int64_t i = 0; i < tokens; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    prompt.push_back(static_cast<Token>((state >> 33) % static_cast<std::uint64_t>(vocabulary)));
  }
  return prompt;
}

constexpr double undisturbed = 0.9;  // of the time that the threads want

struct Load {
  std::int64_t depth;  // tokens in the context before the prompt, not timed
  std::int64_t prompt_tokens, gen_tokens, streams;
  bool guesses = false;  // random tokens repeat themselves as no text does
};

Result<Usage> answer(Runner& runner, std::vector<Token> prompt, std::int64_t gen_tokens,
                     std::int64_t streams, bool guesses, std::stop_token stop) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0;
  request.max_tokens = gen_tokens;
  request.ignore_end = true;
  request.speculate = guesses;
  request.n = static_cast<int>(streams);
  request.stop_token = stop;
  const Answer answer = TRY(generate(runner, std::move(request)));
  if (answer.finish == FinishReason::cancelled) return Error(ErrorKind::cancelled, "interrupted");
  return answer.usage;
}

Result<Timing> measure(Runner& runner, const Load& load, std::int64_t round, std::stop_token stop) {
  const std::int32_t vocabulary = runner.model().tokenizer().size();
  std::vector<Token> prompt = prompt_of(load.depth, 0, vocabulary);
  if (load.depth > 0) TRY(answer(runner, prompt, 1, 1, false, stop));  // now in the prefix cache
  for (const Token token : prompt_of(load.prompt_tokens, round + 1, vocabulary))
    prompt.push_back(token);
  const Usage usage =
      TRY(answer(runner, std::move(prompt), load.gen_tokens, load.streams, load.guesses, stop));
  // The first tokens come out of the prefill.
  const std::int64_t decoded = load.streams * (load.gen_tokens - 1);
  return Timing{
      static_cast<double>(usage.prompt_tokens - usage.cached_tokens) / usage.prefill_seconds,
      static_cast<double>(decoded) / std::max(1e-9, usage.decode_seconds)};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Status run(App& app, const Arguments& arguments) {
  const Load load{.depth = TRY(arguments.integer("--depth", 0, 0, 1'000'000)),
                  .prompt_tokens = TRY(arguments.integer("--prompt-tokens", 128, 1, 1'000'000)),
                  .gen_tokens = TRY(arguments.integer("--gen-tokens", 64, 2, 1'000'000)),
                  .streams = TRY(arguments.integer("--streams", 1, 1, max_choices)),
                  .guesses = arguments.has("--speculate") || arguments.has("--draft")};
  const std::int64_t rounds = TRY(arguments.integer("--rounds", 3, 1, 1000));
  const auto start = std::chrono::steady_clock::now();
  const OpenModel open = TRY(open_model(app, arguments, arguments[0]));
  const std::chrono::duration<double> loading = std::chrono::steady_clock::now() - start;

  const InterruptScope interrupts;
  std::vector<double> prefill, decode;
  const Load warm_up{.depth = 0,
                     .prompt_tokens = std::min<std::int64_t>(load.prompt_tokens, 16),
                     .gen_tokens = 2,
                     .streams = 1};
  TRY(measure(*open.lease->runner, warm_up, -1, interrupts.token()));
  const auto began = std::chrono::steady_clock::now();
  const WorkClock work(open.library->threads());
  for (std::int64_t round = 0; round < rounds; ++round) {
    const Timing timing = TRY(measure(*open.lease->runner, load, round, interrupts.token()));
    prefill.push_back(timing.prefill);
    decode.push_back(timing.decode);
  }
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began;
  const double had = work.seconds() / wall.count();  // of the processors, beside other programs
  // What engines are compared by.  Without it everything still works.
  if (load.streams == 1 && load.depth == 0)
    (void)save_engine_speed(standard_folders(), open.lease->path, open.lease->engine,
                            median(decode))
        .ok();
  const auto speeds = load_speeds(standard_folders());
  const auto package = open_reference(open.lease->path);
  // Of a short context, and of all threads that were measured.
  const bool is_foreseen =
      speeds && load.streams == 1 && load.depth == 0 && speeds->threads == open.library->threads();
  const double expected = is_foreseen && package
                              ? expected_tokens_per_second(
                                    *speeds, work_per_token(*package, open.lease->model().info()))
                              : 0;
  if (arguments.has("--json")) {
    Json::Array all_prefill(prefill.begin(), prefill.end()),
        all_decode(decode.begin(), decode.end());
    app.out.json(
        Json::object({{"model", open.lease->id},
                      {"engine", open.lease->engine},
                      {"kernels", open.library->kernels()},
                      {"threads", open.library->threads()},
                      {"depth", load.depth},
                      {"prompt_tokens", load.prompt_tokens},
                      {"gen_tokens", load.gen_tokens},
                      {"streams", load.streams},
                      {"load_seconds", loading.count()},
                      {"prefill_tokens_per_second", median(prefill)},
                      {"decode_tokens_per_second", median(decode)},
                      {"expected_tokens_per_second", expected > 0 ? Json(expected) : Json()},
                      {"processor_share", had},
                      {"prefill_rounds", std::move(all_prefill)},
                      {"decode_rounds", std::move(all_decode)}}));
    return Done{};
  }
  app.out.line(fmt::format("{} on {} threads, engine {}, kernels {}", open.lease->id,
                           open.library->threads(), open.lease->engine, open.library->kernels()));
  app.out.row("load", fmt::format("{:.0f} ms", loading.count() * 1e3));
  app.out.row("prefill", fmt::format("{:.1f} tokens/s (median of {}, {} tokens)", median(prefill),
                                     rounds, load.prompt_tokens));
  app.out.row("decode",
              fmt::format("{:.1f} tokens/s (median of {}, {} tokens{})", median(decode), rounds,
                          load.gen_tokens,
                          load.streams > 1 ? fmt::format(", {} streams", load.streams) : ""));
  if (expected > 0)
    app.out.row("expected", fmt::format("{:.1f} tokens/s by `hearth info --benchmark`: {:.0f} % of "
                                        "it reached",
                                        expected, 100 * median(decode) / expected));
  if (had < undisturbed)
    app.out.row("beside",
                fmt::format("other programs, which left these threads {:.0f} % of the time "
                            "they wanted: figures are those of a busy machine",
                            100 * had));
  return Done{};
}

constexpr Option options[] = {
    {"--prompt-tokens", "N", "Tokens of prompt (default 128)."},
    {"--gen-tokens", "N", "Tokens to generate (default 64)."},
    {"--depth", "N", "Tokens already in the context, not timed (default 0)."},
    {"--streams", "N", "Answers generated at once from one prompt (default 1)."},
    {"--rounds", "N", "Counted rounds after a warm-up (default 3)."},
    {"--engine", "NAME", "Load with this engine alone: `hearth show MODEL --engines`."},
};

}  // namespace

const Command bench_command{
    .name = "bench",
    .arguments = "MODEL",
    .summary = "Measure how fast a model reads and writes here.",
    .details = "  hearth bench model.gguf --prompt-tokens 512 --gen-tokens 128 --threads 2",
    .options = options,
    .run = run};

}  // namespace hearth::cli
