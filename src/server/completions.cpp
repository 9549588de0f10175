// POST /v1/completions.  Source: OpenAI API reference, "Create completion".
#include "server/answer_rule.h"
#include "server/generation.h"
#include "server/kinds.h"
#include "server/prompts.h"
#include "server/reply.h"
#include "server/rows.h"
#include "server/wire.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_prompts = 128;

Checked<Prompt> make_prompt(const Tokenizer& tokenizer, const TextOrTokens& given,
                            const std::optional<std::string>& suffix, const Asked& asked,
                            FimWindow& window) {
  Prompt prompt;
  const std::string* text = std::get_if<std::string>(&given);
  if (suffix) {
    if (!text) return unsupported_value("suffix", "needs a prompt of text");
    prompt.tokens = TRY(fill_in_the_middle(tokenizer, *text, *suffix, window));
  } else if (text) {
    prompt.tokens = TRY(tokenizer.encode(*text, {.add_special = true, .parse_special = true}));
  } else {
    prompt.tokens = std::get<std::vector<Token>>(given);
  }
  if (prompt.tokens.empty()) return invalid_value("prompt", "is empty");
  if (!asked.echo) return prompt;
  if (asked.generate.prompt_logprobs) {
    // Its tokens' own texts, so that text_offset fits.
    for (const Token token : prompt.tokens) prompt.echo += tokenizer.piece(token, true);
  } else {
    prompt.echo = text ? *text : tokenizer.decode(prompt.tokens, true);
  }
  return prompt;
}

Check run(Service& service, Call& call) {
  Json body = TRY(parse_body(call.request.body));
  TRY(may_generate(service, body));
  Lease lease = TRY(service.model_of(call, body));
  const Preset preset = service.preset_of(body);
  body = with_preset(preset, std::move(body));
  TRY(check_generates(*lease));
  const Tokenizer& tokenizer = lease->model().tokenizer();
  Task task;
  task.asked =
      TRY(read_parameters(body, Dialect::completion, tokenizer.size(), lease->standard_sampling()));
  task.prompt_field = "prompt";
  task.standard_max_tokens = completion_max_tokens;
  const auto given = TRY(read_prompts(body, "prompt", max_prompts, tokenizer.size()));
  const auto suffix = TRY(read_text(body, "suffix", max_suffix_bytes));
  if (suffix && task.asked.echo) return unsupported_value("suffix", "does not go with echo");
  FimWindow window = TRY(read_window(body, *lease, task.asked));
  if (window.room > 0 && !suffix)
    return unsupported_value("truncation", "of a text without a suffix: nothing of it may go");
  for (const TextOrTokens& item : given)
    task.prompts.push_back(TRY(make_prompt(tokenizer, item, suffix, task.asked, window)));
  task.asked.warning += window.warning;
  TRY(hold(*lease, {.rule = task.asked.rule}, {}, task));
  auto encoder = openai_encoder(Dialect::completion, task.asked.include_usage, tokenizer);
  std::make_shared<Generation>(service, std::move(call), std::move(lease), std::move(task),
                               std::move(encoder))
      ->start();
  return Done{};
}

}  // namespace

const Endpoint completions_endpoint{.method = "POST",
                                    .path = "/v1/completions",
                                    .summary = "Continue a text.",
                                    .scope = Scope::chat,
                                    .request_schema = "CompletionRequest",
                                    .response_schema = "CompletionAnswer",
                                    .place = Endpoint::Place::worker,
                                    .handle = start_answer<run>,
                                    .generates = true};

}  // namespace hearth::server
