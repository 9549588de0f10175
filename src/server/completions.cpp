// POST /v1/completions.  Source: OpenAI API reference, "Create completion".
#include <fmt/core.h>

#include "server/generation.h"
#include "server/prompts.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_prompts = 128;
constexpr std::size_t max_suffix_bytes = 1u << 20;

// The middle between `prompt` and `suffix`, as the model was taught to be asked for it.
Checked<std::vector<Token>> fill_in_the_middle(const Tokenizer& tokenizer,
                                               const std::string& prompt,
                                               const std::string& suffix) {
  const SpecialTokens& special = tokenizer.special();
  if (!special.fim_prefix || !special.fim_suffix || !special.fim_middle)
    return unsupported_value("suffix", "this model cannot fill in the middle");
  std::vector<Token> tokens;
  if (special.add_bos && special.bos) tokens.push_back(*special.bos);
  tokens.push_back(*special.fim_prefix);
  const auto before = TRY(tokenizer.encode(prompt, {}));
  tokens.insert(tokens.end(), before.begin(), before.end());
  tokens.push_back(*special.fim_suffix);
  const auto after = TRY(tokenizer.encode(suffix, {}));
  tokens.insert(tokens.end(), after.begin(), after.end());
  tokens.push_back(*special.fim_middle);
  return tokens;
}

Checked<Prompt> make_prompt(const Tokenizer& tokenizer, const TextOrTokens& given,
                            const std::optional<std::string>& suffix, const Asked& asked) {
  Prompt prompt;
  const std::string* text = std::get_if<std::string>(&given);
  if (suffix) {
    if (!text) return unsupported_value("suffix", "needs a prompt of text");
    prompt.tokens = TRY(fill_in_the_middle(tokenizer, *text, *suffix));
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
  const Json body = TRY(parse_body(call.request.body));
  Lease lease = TRY(service.model_of(body));
  if (lease->model().info().kind != ModelKind::generator)
    return unsupported_value("model", "does not generate text");
  const Tokenizer& tokenizer = lease->model().tokenizer();
  Asked asked = TRY(read_parameters(body, Dialect::completion, tokenizer.size()));
  const auto given = TRY(read_prompts(body, "prompt", max_prompts, tokenizer.size()));
  const auto suffix = TRY(read_text(body, "suffix", max_suffix_bytes));
  if (suffix && asked.echo) return unsupported_value("suffix", "does not go with echo");
  std::vector<Prompt> prompts;
  for (const TextOrTokens& item : given)
    prompts.push_back(TRY(make_prompt(tokenizer, item, suffix, asked)));
  const auto generation = std::make_shared<Generation>(service, std::move(call), std::move(lease),
                                                       std::move(asked), Dialect::completion);
  generation->start(std::move(prompts));
  return Done{};
}

void handle(Service& service, Call call) {
  Check done = run(service, call);
  if (!done.ok()) send(service, call, std::move(done).error());
}

}  // namespace

const Endpoint completions_endpoint{.method = "POST",
                                    .path = "/v1/completions",
                                    .summary = "Continue a text.",
                                    .scope = Scope::infer,
                                    .request_schema = "CompletionRequest",
                                    .response_schema = "CompletionAnswer",
                                    .place = Endpoint::Place::worker,
                                    .handle = handle,
                                    .generates = true};

}  // namespace hearth::server
