// Texts and token lists as requests give them.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "server/errors.h"
#include "server/parameters.h"
#include "text/tokenizer.h"

namespace hearth {
struct LoadedModel;
}

namespace hearth::server {

using TextOrTokens = std::variant<std::string, std::vector<Token>>;

// A text, a list of token ids, or a list of up to `max_items` of either.  Errors: 400 naming
// `param` and the item.
Checked<std::vector<TextOrTokens>> read_prompts(const Json& body, std::string_view param,
                                                std::size_t max_items, std::int32_t vocabulary);

// A list of token ids.
Checked<std::vector<Token>> read_tokens(const Json& list, std::string_view param,
                                        std::int32_t vocabulary);

constexpr std::size_t max_suffix_bytes = 1u << 20;

// The middle between `prompt` and `suffix`, as the model was taught to be asked for it.  Errors:
// 400 when it was not.
// Where the two are too long for `room` tokens and something may go, what stands nearest to the
// place is kept, and `warning` says what went.
struct FimWindow {
  std::size_t room = 0;  // 0: all is kept
  std::string warning = {};
};
Checked<std::vector<Token>> fill_in_the_middle(const Tokenizer& tokenizer,
                                               const std::string& prompt, const std::string& suffix,
                                               FimWindow& window);
// What a request says of such windows.
Checked<FimWindow> read_window(const Json& body, const LoadedModel& loaded, const Asked& asked);

}  // namespace hearth::server
