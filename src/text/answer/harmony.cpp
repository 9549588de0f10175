#include "text/answer/harmony.h"

#include <algorithm>
#include <array>

#include "text/answer/call_parsers.h"

namespace hearth {
namespace {

constexpr std::string_view message_mark = "<|message|>", recipient_mark = " to=";
// What begins a header or ends a body.
constexpr std::array<std::string_view, 5> marks = {"<|channel|>", "<|start|>", "<|end|>",
                                                   "<|call|>", "<|return|>"};

// The word after `before`, up to a blank or another mark.
std::string_view word_after(std::string_view text, std::string_view before) {
  const std::size_t found = text.find(before);
  if (found == text.npos) return "";
  text.remove_prefix(found + before.size());
  return text.substr(0, text.find_first_of(" <\n"));
}

}  // namespace

void HarmonyReader::read(std::string& text, bool is_last, std::vector<AnswerPiece>& pieces) {
  while (step(text, is_last, pieces)) {
  }
  if (is_last) close(pieces);
}

bool HarmonyReader::step(std::string& text, bool is_last, std::vector<AnswerPiece>& pieces) {
  if (is_at_start_) {
    // The prompt ends within a header, which may go on with whom the answer is for.
    if (!is_last && may_stand_at(text, 0, recipient_mark)) return false;
    is_in_header_ = stands_at(text, 0, recipient_mark);
    is_at_start_ = false;
  }
  if (is_in_header_) {
    const std::size_t end = text.find(message_mark);
    if (end == text.npos) {
      if (is_last) text.clear();
      return false;
    }
    open(std::string_view(text).substr(0, end), pieces);
    text.erase(0, end + message_mark.size());
    is_in_header_ = false;
    return true;
  }
  std::size_t first = text.npos, held = 0;
  std::string_view found;
  for (const std::string_view mark : marks) {
    const std::size_t at = text.find(mark);
    if (at < first) {
      first = at;
      found = mark;
    }
    if (!is_last) held = std::max(held, begun_mark(text, mark));
  }
  const std::size_t end = first == text.npos ? text.size() - held : first;
  give(std::string_view(text).substr(0, end), pieces);
  if (first == text.npos) {
    text.erase(0, end);
    return false;
  }
  text.erase(0, first + found.size());
  close(pieces);
  is_in_header_ = found == "<|channel|>" || found == "<|start|>";
  return true;
}

// "analysis", "final", "commentary to=functions.NAME <|constrain|>json"; after <|start|> the role
// and the channel's mark stand before that.
void HarmonyReader::open(std::string_view header, std::vector<AnswerPiece>& pieces) {
  const std::string_view tool = word_after(header, "to=functions.");
  if (!tool.empty() && reads_calls_) {
    body_ = Body::call;
    pieces.push_back({AnswerPiece::Kind::call, std::string(tool), ""});
  } else {
    const bool is_thought = header.find("analysis") != header.npos;
    body_ = is_thought ? Body::thought : Body::text;
  }
}

void HarmonyReader::give(std::string_view part, std::vector<AnswerPiece>& pieces) {
  if (part.empty() || body_ == Body::none) return;
  const auto kind = body_ == Body::call      ? AnswerPiece::Kind::arguments
                    : body_ == Body::thought ? AnswerPiece::Kind::thought
                                             : AnswerPiece::Kind::text;
  pieces.push_back({kind, std::string(part), ""});
}

void HarmonyReader::close(std::vector<AnswerPiece>& pieces) {
  if (body_ == Body::call) pieces.push_back({AnswerPiece::Kind::call_end, "", ""});
  body_ = Body::none;
}

}  // namespace hearth
