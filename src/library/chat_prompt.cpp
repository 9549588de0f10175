#include <chrono>

#include "base/check.h"
#include "library/library.h"
#include "text/chat_format.h"

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
  if (const ChatFormat* own = model.chat_format()) return own->render(inputs);
  static const auto fallback = ChatFormat::parse(chatml);
  HEARTH_CHECK(fallback);
  return fallback->render(inputs);
}

// The text is encoded as a whole, since tokens may reach across parts; control tokens come only
// from what the template wrote.
Result<std::vector<Token>> encode(const Tokenizer& tokenizer, const RenderedPrompt& prompt) {
  std::vector<TextRange> untrusted;
  std::size_t begin = 0;
  for (const RenderedPrompt::Part& part : prompt.parts) {
    if (!part.trusted) untrusted.push_back({begin, begin + part.text.size()});
    begin += part.text.size();
  }
  return tokenizer.encode(prompt.text(), {.parse_special = true, .untrusted = untrusted});
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
  std::vector<Token> tokens = TRY(encode(tokenizer, rendered));
  ChatPrompt prompt{.text = rendered.text(), .tokens = std::move(tokens)};
  if (special.add_bos && special.bos &&
      (prompt.tokens.empty() || prompt.tokens.front() != *special.bos))
    prompt.tokens.insert(prompt.tokens.begin(), *special.bos);
  if (prompt.tokens.empty())
    return Error(ErrorKind::invalid, "the chat template made an empty prompt of these messages");
  return prompt;
}

}  // namespace hearth
