#include "server/cut.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "server/task.h"

namespace hearth::server {
namespace {

constexpr int most_windows = 12;           // texts narrowed, one after the other
constexpr std::size_t least_window = 64;   // tokens of a text that are always left
constexpr std::size_t longest_line = 400;  // bytes that go so that a window ends with a line

bool has_role(const Json& message, std::string_view role) {
  const Json* own = message.find("role");
  return own && *own == Json(std::string(role));
}

// Without the turns between the instructions at the beginning and the message `from`.
Json without_oldest(const Json& messages, std::size_t from) {
  Json left = Json::array();
  for (const Json& message : messages.as_array()) {
    if (!has_role(message, "system") && !has_role(message, "developer")) break;
    left.push_back(message);
  }
  for (std::size_t i = std::max(from, left.size()); i < messages.size(); ++i)
    left.push_back(messages.as_array()[i]);
  return left;
}

// The longest text of a user or tool, of any message.
Json* longest_text(Json& messages) {
  Json* longest = nullptr;
  const auto look = [&](Json& text) {
    if (!longest || text.as_string().size() > longest->as_string().size()) longest = &text;
  };
  for (Json& message : messages.as_array()) {
    if (!has_role(message, "user") && !has_role(message, "tool")) continue;
    Json* content = message.find("content");
    if (content && content->is_string()) look(*content);
    if (!content || !content->is_array()) continue;
    for (Json& part : content->as_array())
      if (Json* text = part.find("text"); text && text->is_string()) look(*text);
  }
  return longest;
}

struct Room {
  std::int64_t context = 0, answer = 0;

  // Tokens by which a prompt is too long.
  std::int64_t over(const ChatPrompt& prompt) const {
    return static_cast<std::int64_t>(prompt.tokens.size()) + answer - context;
  }
};

void warn(Asked& asked, std::string text) {
  if (!asked.warning.empty()) asked.warning += "; ";
  asked.warning += text;
}

// The first turn from which on all fits, with its prompt: fewer turns are never longer.  Nothing:
// the last one alone is too long.
struct Later {
  std::size_t turn = 0;
  ChatPrompt prompt;
};
Result<std::optional<Later>> leave_out_turns(const Model& model, const ChatInput& input,
                                             const Room& room,
                                             const std::vector<std::size_t>& turns) {
  std::optional<Later> best;
  std::size_t low = 1, high = turns.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    ChatInput shorter = input;
    shorter.messages = without_oldest(input.messages, turns[middle]);
    ChatPrompt tried = TRY(conversation_prompt(model, shorter));
    if (room.over(tried) > 0) {
      low = middle + 1;
      continue;
    }
    best = Later{middle, std::move(tried)};
    high = middle;
  }
  return best;
}

// Nothing: all windows together are still too long.
Result<std::optional<ChatPrompt>> narrow(const Model& model, ChatInput input, const Room& room) {
  for (int window = 0; window < most_windows; ++window) {
    ChatPrompt tried = TRY(conversation_prompt(model, input));
    const std::int64_t over = room.over(tried);
    if (over <= 0) return std::optional(std::move(tried));
    Json* text = longest_text(input.messages);
    if (!text) break;
    const auto tokens =
        static_cast<std::int64_t>(TRY(model.tokenizer().encode(text->as_string(), {})).size());
    // A text cut apart may take more tokens than its parts did.
    const std::int64_t kept = std::max<std::int64_t>(tokens - over - over / 16 - 32,
                                                     static_cast<std::int64_t>(least_window));
    if (kept >= tokens) break;
    *text =
        Json(TRY(window_of(model.tokenizer(), text->as_string(), static_cast<std::size_t>(kept))));
  }
  return std::optional<ChatPrompt>();
}

}  // namespace

Result<std::string> window_of(const Tokenizer& tokenizer, std::string_view text,
                              std::size_t tokens) {
  const std::vector<Token> all = TRY(tokenizer.encode(text, {}));
  if (all.size() <= tokens) return std::string(text);
  const std::span<const Token> span(all);
  std::string head = tokenizer.decode(span.first(tokens - tokens / 2));
  std::string tail = tokenizer.decode(span.last(tokens / 2));
  head.resize(head.size() - incomplete_tail(head));
  std::size_t first = 0;
  while (first < tail.size() && (static_cast<unsigned char>(tail[first]) & 0xC0) == 0x80) ++first;
  const std::size_t line = tail.find('\n', first);
  if (line != tail.npos && line - first < longest_line) first = line + 1;
  tail.erase(0, first);
  if (const std::size_t end = head.rfind('\n');
      end != head.npos && head.size() - end < longest_line)
    head.resize(end);
  return fmt::format("{}\n[{} of {} tokens are left out here]\n{}", head, all.size() - tokens,
                     all.size(), tail);
}

std::size_t slide_to(std::vector<Token>& before, std::vector<Token>& behind, std::size_t room) {
  if (before.size() + behind.size() <= room) return 0;
  const std::size_t all = before.size() + behind.size();
  const std::size_t share = room - room / 4;
  const std::size_t rest = room - std::min(room, before.size());
  const std::size_t after = std::min(behind.size(), std::max(room - share, rest));
  const std::size_t ahead = std::min(before.size(), room - after);
  before.erase(before.begin(), before.end() - static_cast<std::ptrdiff_t>(ahead));
  behind.resize(after);
  return all - ahead - after;
}

Status cut(const LoadedModel& loaded, const ChatInput& input, Asked& asked, ChatPrompt& prompt) {
  const std::int64_t has = loaded.runner->context_tokens();
  Room room{.context = std::min(has, input.context_tokens.value_or(has))};
  const auto whole = static_cast<std::int64_t>(prompt.tokens.size());
  if (input.truncation == Truncation::disabled || whole < room.context) return Done{};
  room.answer = std::clamp<std::int64_t>(asked.max_tokens.value_or(room.context / 8), 1,
                                         1 + room.context / 4);
  std::vector<std::size_t> turns;  // where they begin
  for (std::size_t i = 0; i < input.messages.size(); ++i)
    if (has_role(input.messages.as_array()[i], "user")) turns.push_back(i);
  if (auto later = TRY(leave_out_turns(loaded.model(), input, room, turns))) {
    prompt = std::move(later->prompt);
    warn(asked,
         fmt::format("the oldest {} of {} turns were left out: the prompt had {} tokens of {}",
                     later->turn, turns.size(), whole, room.context));
    return Done{};
  }
  if (input.truncation != Truncation::window) return Done{};
  ChatInput last = input;
  if (!turns.empty()) last.messages = without_oldest(input.messages, turns.back());
  auto narrowed = TRY(narrow(loaded.model(), std::move(last), room));
  if (!narrowed) return Done{};
  warn(asked,
       fmt::format("{} tokens were left out of the middle of long texts{}: the prompt had "
                   "{} of {}",
                   whole - static_cast<std::int64_t>(narrowed->tokens.size()),
                   turns.size() > 1 ? ", and all turns but the last" : "", whole, room.context));
  prompt = *std::move(narrowed);
  return Done{};
}

}  // namespace hearth::server
