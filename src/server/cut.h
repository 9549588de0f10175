// What of a prompt that is too long is left out, where the request says that something may be.
#pragma once

#include "library/library.h"
#include "server/conversation.h"
#include "server/parameters.h"

namespace hearth::server {

// Leaves out as little as it can, so that there is room for an answer, and says so in the warning:
// with Truncation::turns the oldest turns, whole ones; with Truncation::window then also the middle
// of the longest texts.  `prompt` stays as it is where that is not enough.
Status cut(const LoadedModel& loaded, const ChatInput& input, Asked& asked, ChatPrompt& prompt);

// The first and the last of a text's tokens, `tokens` in all, whole lines where lines are short; a
// line in between says how many are left out.
Result<std::string> window_of(const Tokenizer& tokenizer, std::string_view text,
                              std::size_t tokens);

// Of a text around a place: what stands nearest to it.  Three quarters before, one behind, and to
// either what the other leaves.  Returns how many tokens went.
std::size_t slide_to(std::vector<Token>& before, std::vector<Token>& behind, std::size_t room);

}  // namespace hearth::server
