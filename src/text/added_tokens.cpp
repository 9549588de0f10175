#include "text/added_tokens.h"

#include <algorithm>

#include <fmt/core.h>

#include "text/unicode.h"

namespace hearth {
namespace {

// \w: letters, marks, decimal and letter numbers, connectors.
bool is_word(unicode::Class c) {
  using namespace unicode;
  return (c & (letter | mark | bit(Nd) | bit(Nl) | bit(Pc))) != 0;
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  const char* const begin = text.data();
  return is_word(unicode::class_of(unicode::decode_before(begin, begin + text.size()).point));
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(unicode::classify(text.data(), text.data() + text.size()).is);
}

std::size_t spaces_before(std::string_view text) {
  const char* const begin = text.data();
  const char* p = begin + text.size();
  while (p > begin) {
    const unicode::Char c = unicode::decode_before(begin, p);
    if (!(unicode::class_of(c.point) & unicode::space)) break;
    p -= c.size;
  }
  return text.size() - static_cast<std::size_t>(p - begin);
}

std::size_t spaces_after(std::string_view text) {
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    const unicode::Classified c = unicode::classify(p, end);
    if (!(c.is & unicode::space)) break;
    p += c.size;
  }
  return static_cast<std::size_t>(p - text.data());
}

}  // namespace

Result<AddedTokens> AddedTokens::make(std::vector<AddedToken> tokens) {
  AddedTokens made;
  std::erase_if(tokens, [](const AddedToken& t) { return t.content.empty(); });
  made.tokens_ = std::move(tokens);
  if (made.tokens_.empty()) return made;
  for (std::size_t i = 0; i < made.tokens_.size(); ++i) {
    const std::string& content = made.tokens_[i].content;
    if (content.size() > max_content_bytes)
      return Error(ErrorKind::corrupt,
                   fmt::format("added token {} has {} bytes; at most {} are read",
                               made.tokens_[i].id, content.size(), max_content_bytes));
    made.begins_[static_cast<unsigned char>(content[0])] = true;
    if (!made.trie_.insert(content, static_cast<int>(i)))
      return Error(ErrorKind::corrupt, "added tokens: more text than is read");
  }
  return made;
}

bool AddedTokens::Trust::covers(TextRange range) const {
  if (!parse_special) return false;
  const auto it = std::lower_bound(untrusted.begin(), untrusted.end(), range.begin,
                                   [](const TextRange& r, std::size_t at) { return r.end <= at; });
  return it == untrusted.end() || it->begin >= range.end;
}

AddedTokens::Match AddedTokens::longest_at(std::string_view text, std::size_t at,
                                           const Trust& trust) const {
  Match best;
  ByteTrie::Node node = ByteTrie::root;
  for (std::size_t i = at; i < text.size(); ++i) {
    node = trie_.child(node, static_cast<unsigned char>(text[i]));
    if (node == ByteTrie::none) break;
    if (trie_.value(node) < 0) continue;
    const AddedToken& token = tokens_[static_cast<std::size_t>(trie_.value(node))];
    if (!token.special || trust.covers({at, i + 1})) best = {&token, i + 1 - at};
  }
  return best;
}

void AddedTokens::split(std::string_view text, const Trust& trust,
                        std::vector<Segment>& out) const {
  std::size_t done = 0;
  for (std::size_t at = 0; !tokens_.empty() && at < text.size();) {
    if (!begins_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const Match match = longest_at(text, at, trust);
    if (match.token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + match.size;
    at = end;
    if (match.token->single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end))))
      continue;
    if (match.token->lstrip) begin -= spaces_before(text.substr(done, begin - done));
    if (match.token->rstrip) end += spaces_after(text.substr(end));
    if (begin > done) out.push_back({text.substr(done, begin - done), no_token});
    out.push_back({text.substr(begin, end - begin), match.token->id});
    done = at = end;
  }
  if (done < text.size()) out.push_back({text.substr(done), no_token});
}

}  // namespace hearth
