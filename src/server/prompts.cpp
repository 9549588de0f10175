#include "server/prompts.h"

#include <fmt/core.h>

#include <algorithm>

#include "server/conversation.h"
#include "server/cut.h"

namespace hearth::server {

Checked<std::vector<Token>> read_tokens(const Json& list, std::string_view param,
                                        std::int32_t vocabulary) {
  std::vector<Token> tokens;
  if (!list.is_array()) return invalid_value(param, "needs a list of token ids");
  for (const Json& item : list.as_array()) {
    if (!item.is_integer() || item.as_integer() < 0 || item.as_integer() >= vocabulary)
      return invalid_value(param, fmt::format("needs token ids from 0 to {}", vocabulary - 1));
    tokens.push_back(static_cast<Token>(item.as_integer()));
  }
  if (tokens.empty()) return invalid_value(param, "has an empty list of tokens");
  return tokens;
}

Checked<std::vector<TextOrTokens>> read_prompts(const Json& body, std::string_view param,
                                                std::size_t max_items, std::int32_t vocabulary) {
  const Json* value = body.find(param);
  if (!value || value->is_null()) return invalid_value(param, "is missing");
  std::vector<TextOrTokens> prompts;
  if (value->is_string()) {
    prompts.emplace_back(value->as_string());
    return prompts;
  }
  if (!value->is_array() || value->size() == 0)
    return invalid_value(param, "needs a text, a list of texts or a list of token ids");
  if (value->as_array()[0].is_integer()) {
    prompts.emplace_back(TRY(read_tokens(*value, param, vocabulary)));
    return prompts;
  }
  if (value->size() > max_items)
    return invalid_value(param, fmt::format("has {}: needs at most {}", value->size(), max_items));
  for (std::size_t i = 0; i < value->size(); ++i) {
    const Json& item = value->as_array()[i];
    const std::string place = fmt::format("{}[{}]", param, i);
    if (item.is_string())
      prompts.emplace_back(item.as_string());
    else if (item.is_array())
      prompts.emplace_back(TRY(read_tokens(item, place, vocabulary)));
    else
      return invalid_value(place, "needs to be a text or a list of token ids");
  }
  return prompts;
}

Checked<FimWindow> read_window(const Json& body, const LoadedModel& loaded, const Asked& asked) {
  if (TRY(read_truncation(body)) == Truncation::disabled) return FimWindow();
  const std::int64_t context = loaded.runner->context_tokens();
  const std::int64_t answer =
      std::clamp<std::int64_t>(asked.max_tokens.value_or(context / 8), 1, 1 + context / 4);
  return FimWindow{.room = static_cast<std::size_t>(context - answer)};
}

Checked<std::vector<Token>> fill_in_the_middle(const Tokenizer& tokenizer,
                                               const std::string& prompt, const std::string& suffix,
                                               FimWindow& window) {
  const SpecialTokens& special = tokenizer.special();
  if (!special.fim_prefix || !special.fim_suffix || !special.fim_middle)
    return unsupported_value("suffix", "this model cannot fill in the middle");
  std::vector<Token> tokens;
  if (special.add_bos && special.bos) tokens.push_back(*special.bos);
  tokens.push_back(*special.fim_prefix);
  auto before = TRY(tokenizer.encode(prompt, {}));
  auto after = TRY(tokenizer.encode(suffix, {}));
  constexpr std::size_t marks = 4;
  if (window.room > marks)
    if (const std::size_t left_out = slide_to(before, after, window.room - marks); left_out > 0)
      window.warning = fmt::format(
          "{} tokens far from the place were left out: the text had {} and more than "
          "the context",
          left_out, before.size() + after.size() + left_out);
  tokens.insert(tokens.end(), before.begin(), before.end());
  tokens.push_back(*special.fim_suffix);
  tokens.insert(tokens.end(), after.begin(), after.end());
  tokens.push_back(*special.fim_middle);
  return tokens;
}

}  // namespace hearth::server
