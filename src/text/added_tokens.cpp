#include "text/added_tokens.h"

#include <algorithm>

#include <fmt/core.h>

#include "text/unicode.h"

namespace hearth {
namespace {

constexpr std::uint32_t root = 1;

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
  made.token_of_ = {-1, -1};
  made.edges_.assign(64, {0, 0});
  for (std::size_t i = 0; i < made.tokens_.size(); ++i) {
    const std::string& content = made.tokens_[i].content;
    if (content.size() > max_content_bytes)
      return Error(ErrorKind::corrupt,
                   fmt::format("added token {} has {} bytes; at most {} are read",
                               made.tokens_[i].id, content.size(), max_content_bytes));
    made.add(content, static_cast<int>(i));
  }
  return made;
}

AddedTokens::Node AddedTokens::child(Node node, unsigned char byte) const {
  const std::uint64_t key = std::uint64_t{node} << 8 | byte;
  const std::size_t mask = edges_.size() - 1;
  for (std::size_t i = hash_short(key, 8) & mask;; i = (i + 1) & mask) {
    if (edges_[i].key == key) return edges_[i].child;
    if (edges_[i].key == 0) return 0;
  }
}

void AddedTokens::grow() {
  std::vector<Edge> old(edges_.size() * 2, {0, 0});
  old.swap(edges_);
  const std::size_t mask = edges_.size() - 1;
  for (const Edge& edge : old) {
    if (edge.key == 0) continue;
    std::size_t i = hash_short(edge.key, 8) & mask;
    while (edges_[i].key != 0) i = (i + 1) & mask;
    edges_[i] = edge;
  }
}

void AddedTokens::add(std::string_view content, int index) {
  begins_[static_cast<unsigned char>(content[0])] = true;
  Node node = root;
  for (const char c : content) {
    const auto byte = static_cast<unsigned char>(c);
    Node next = child(node, byte);
    if (next == 0) {
      if (token_of_.size() * 2 > edges_.size()) grow();
      next = static_cast<Node>(token_of_.size());
      token_of_.push_back(-1);
      const std::uint64_t key = std::uint64_t{node} << 8 | byte;
      const std::size_t mask = edges_.size() - 1;
      std::size_t i = hash_short(key, 8) & mask;
      while (edges_[i].key != 0) i = (i + 1) & mask;
      edges_[i] = {key, next};
    }
    node = next;
  }
  if (token_of_[node] < 0) token_of_[node] = index;
}

AddedTokens::Match AddedTokens::longest_at(std::string_view text, std::size_t at,
                                           bool parse_special) const {
  Match best;
  Node node = root;
  for (std::size_t i = at; i < text.size(); ++i) {
    node = child(node, static_cast<unsigned char>(text[i]));
    if (node == 0) break;
    if (token_of_[node] < 0) continue;
    const AddedToken& token = tokens_[static_cast<std::size_t>(token_of_[node])];
    if (parse_special || !token.special) best = {&token, i + 1 - at};
  }
  return best;
}

void AddedTokens::split(std::string_view text, bool parse_special,
                        std::vector<Segment>& out) const {
  std::size_t done = 0;
  for (std::size_t at = 0; !tokens_.empty() && at < text.size();) {
    if (!begins_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const Match match = longest_at(text, at, parse_special);
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
