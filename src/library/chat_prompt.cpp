#include <algorithm>
#include <chrono>

#include "library/library.h"

namespace hearth {
namespace {

// For models without a template of their own.  Source: OpenAI, "Chat Markup Language".
constexpr std::string_view chatml =
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

std::string name_of(const Tokenizer& tokenizer, std::optional<Token> token) {
  return token ? std::string(tokenizer.name(*token)) : std::string();
}

Result<RenderedPrompt> render(const Model& model, const RenderInputs& inputs) {
  if (const ChatTemplate* own = model.chat_template()) return own->render(inputs);
  const ChatTemplate fallback = TRY(ChatTemplate::parse(chatml));
  return fallback.render(inputs);
}

std::size_t control_tokens(const Tokenizer& tokenizer, std::span<const Token> tokens) {
  return static_cast<std::size_t>(std::ranges::count_if(
      tokens, [&](Token token) { return tokenizer.kind(token) == TokenKind::control; }));
}

// The text is encoded as a whole, since tokens may reach across parts.  When that finds more
// control tokens than the template's own parts hold, somebody wrote one into a message: then part
// by part, so that it stays text.
Result<std::vector<Token>> encode(const Tokenizer& tokenizer, const RenderedPrompt& prompt) {
  constexpr EncodeOptions trusted{.add_special = false, .parse_special = true};
  std::size_t expected = 0;
  std::vector<Token> by_part;
  for (const RenderedPrompt::Part& part : prompt.parts) {
    const auto tokens = TRY(tokenizer.encode(part.text, part.trusted ? trusted : EncodeOptions{}));
    if (part.trusted) expected += control_tokens(tokenizer, tokens);
    by_part.insert(by_part.end(), tokens.begin(), tokens.end());
  }
  auto whole = TRY(tokenizer.encode(prompt.text(), trusted));
  return control_tokens(tokenizer, whole) == expected ? std::move(whole) : std::move(by_part);
}

}  // namespace

Result<ChatPrompt> chat_prompt(const Model& model, const Json& messages, const Json& tools,
                               const Json& variables, bool add_generation_prompt) {
  const Tokenizer& tokenizer = model.tokenizer();
  const SpecialTokens& special = tokenizer.special();
  RenderInputs inputs;
  inputs.messages = messages;
  inputs.tools = tools;
  inputs.variables = variables;
  inputs.add_generation_prompt = add_generation_prompt;
  inputs.bos_token = name_of(tokenizer, special.bos);
  inputs.eos_token = name_of(tokenizer, special.eos);
  inputs.pad_token = name_of(tokenizer, special.pad);
  inputs.unk_token = name_of(tokenizer, special.unk);
  inputs.now_seconds = std::chrono::duration_cast<std::chrono::seconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  const RenderedPrompt rendered = TRY(render(model, inputs));
  ChatPrompt prompt{.text = rendered.text(), .tokens = TRY(encode(tokenizer, rendered))};
  if (special.add_bos && special.bos &&
      (prompt.tokens.empty() || prompt.tokens.front() != *special.bos))
    prompt.tokens.insert(prompt.tokens.begin(), *special.bos);
  if (prompt.tokens.empty())
    return Error(ErrorKind::invalid, "the chat template made an empty prompt of these messages");
  return prompt;
}

}  // namespace hearth
