// hearth bench: how fast a model runs here.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/rows.h"

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

Result<Timing> measure(Runner& runner, std::int64_t prompt_tokens, std::int64_t gen_tokens,
                       std::int64_t round, std::stop_token stop) {
  GenerateRequest request;
  request.prompt = prompt_of(prompt_tokens, round, runner.model().tokenizer().size());
  request.sampling.temperature = 0;
  request.max_tokens = gen_tokens;
  request.ignore_end = true;
  request.stop_token = stop;
  const Answer answer = TRY(generate(runner, std::move(request)));
  if (answer.finish == FinishReason::cancelled) return Error(ErrorKind::cancelled, "interrupted");
  // The first token comes out of the prefill.
  return Timing{static_cast<double>(prompt_tokens) / answer.usage.prefill_seconds,
                static_cast<double>(gen_tokens - 1) / std::max(1e-9, answer.usage.decode_seconds)};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Status run(App& app, const Arguments& arguments) {
  const std::int64_t prompt_tokens = TRY(arguments.integer("--prompt-tokens", 128, 1, 1'000'000));
  const std::int64_t gen_tokens = TRY(arguments.integer("--gen-tokens", 64, 2, 1'000'000));
  const std::int64_t rounds = TRY(arguments.integer("--rounds", 3, 1, 1000));
  const auto start = std::chrono::steady_clock::now();
  const OpenModel open = TRY(open_model(app, arguments, arguments[0]));
  const std::chrono::duration<double> loading = std::chrono::steady_clock::now() - start;

  const InterruptScope interrupts;
  std::vector<double> prefill, decode;
  TRY(measure(*open.lease->runner, std::min<std::int64_t>(prompt_tokens, 16), 2, -1,
              interrupts.token()));  // warms up
  for (std::int64_t round = 0; round < rounds; ++round) {
    const Timing timing =
        TRY(measure(*open.lease->runner, prompt_tokens, gen_tokens, round, interrupts.token()));
    prefill.push_back(timing.prefill);
    decode.push_back(timing.decode);
  }
  if (arguments.has("--json")) {
    Json::Array all_prefill(prefill.begin(), prefill.end()),
        all_decode(decode.begin(), decode.end());
    app.out.json(Json::object({{"model", open.lease->id},
                               {"kernels", open.library->kernels()},
                               {"threads", open.library->threads()},
                               {"prompt_tokens", prompt_tokens},
                               {"gen_tokens", gen_tokens},
                               {"load_seconds", loading.count()},
                               {"prefill_tokens_per_second", median(prefill)},
                               {"decode_tokens_per_second", median(decode)},
                               {"prefill_rounds", std::move(all_prefill)},
                               {"decode_rounds", std::move(all_decode)}}));
    return Done{};
  }
  app.out.line(fmt::format("{} on {} threads, kernels {}", open.lease->id, open.library->threads(),
                           open.library->kernels()));
  app.out.row("load", fmt::format("{:.0f} ms", loading.count() * 1e3));
  app.out.row("prefill", fmt::format("{:.1f} tokens/s (median of {}, {} tokens)", median(prefill),
                                     rounds, prompt_tokens));
  app.out.row("decode", fmt::format("{:.1f} tokens/s (median of {}, {} tokens)", median(decode),
                                    rounds, gen_tokens));
  return Done{};
}

constexpr Option options[] = {
    {"--prompt-tokens", "N", "Tokens of prompt (default 128)."},
    {"--gen-tokens", "N", "Tokens to generate (default 64)."},
    {"--rounds", "N", "Counted rounds after a warm-up (default 3)."},
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
