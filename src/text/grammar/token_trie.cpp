#include "text/grammar/token_trie.h"

#include <algorithm>

#include "base/utf8.h"

namespace hearth::grammar {
namespace {

constexpr std::uint32_t max_token_bytes = 0xFFFF;
constexpr std::uint32_t max_plain_characters = 255;

// Characters of a text that may stand in a JSON string as it is; 0: it is no such text.
std::uint32_t plain_characters_of(std::string_view text) {
  std::uint32_t characters = 0;
  while (!text.empty()) {
    const Decoded next = decode_utf8(text);
    if (!next.valid || next.point < 0x20 || next.point == '"' || next.point == '\\') return 0;
    text.remove_prefix(next.size);
    ++characters;
  }
  return characters <= max_plain_characters ? characters : 0;
}

}  // namespace

struct TokenTrie::Text {
  std::string_view bytes;
  Token token;
};

TokenTrie::TokenTrie(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  const auto size = static_cast<std::size_t>(tokenizer.size());
  twins_.assign(size, -1);
  characters_.assign(size, 0);
  std::vector<Text> texts;
  texts.reserve(size);
  for (Token token = 0; token < tokenizer.size(); ++token) {
    const TokenKind kind = tokenizer.kind(token);
    if (kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::unused ||
        tokenizer.ends_generation(token))
      continue;
    const std::string_view bytes = tokenizer.piece(token);
    if (bytes.empty() || bytes.size() > max_token_bytes) continue;
    texts.push_back({bytes, token});
    longest_bytes_ = std::max(longest_bytes_, static_cast<std::uint32_t>(bytes.size()));
    const std::uint32_t characters = plain_characters_of(bytes);
    if (characters == 0) continue;
    characters_[static_cast<std::size_t>(token)] = static_cast<std::uint8_t>(characters);
    plain_.push_back({token, characters});
    longest_plain_ = std::max(longest_plain_, characters);
  }
  std::ranges::stable_sort(plain_, {}, &Plain::characters);
  std::ranges::sort(texts, [](const Text& a, const Text& b) {
    return a.bytes < b.bytes || (a.bytes == b.bytes && a.token < b.token);
  });
  build(texts);
  summarise();
}

void TokenTrie::build(std::span<const Text> texts) {
  std::vector<std::uint32_t> open;  // the nodes on the way to the last text
  std::string_view last;
  for (const Text& text : texts) {
    if (text.bytes == last) {
      Token first = nodes_[open.back()].token;
      while (twin(first) >= 0) first = twin(first);
      twins_[static_cast<std::size_t>(first)] = text.token;
      continue;
    }
    const auto shared =
        static_cast<std::size_t>(std::ranges::mismatch(last, text.bytes).in1 - last.begin());
    for (; open.size() > shared; open.pop_back())
      nodes_[open.back()].end = static_cast<std::uint32_t>(nodes_.size());
    for (std::size_t i = shared; i < text.bytes.size(); ++i) {
      open.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({.end = 0,
                        .token = -1,
                        .depth = static_cast<std::uint16_t>(i + 1),
                        .byte = static_cast<std::uint8_t>(text.bytes[i]),
                        .longest = 0,
                        .has_other = false});
    }
    nodes_.back().token = text.token;
    last = text.bytes;
  }
  for (const std::uint32_t node : open)
    nodes_[node].end = static_cast<std::uint32_t>(nodes_.size());
}

// From the last node to the first, so that what is below a node is known before it.
void TokenTrie::summarise() {
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    Node& node = nodes_[i];
    if (node.token >= 0) {
      const std::uint8_t characters = characters_[static_cast<std::size_t>(node.token)];
      node.longest = std::max(node.longest, characters);
      node.has_other = node.has_other || characters == 0;
    }
    for (std::uint32_t below = static_cast<std::uint32_t>(i + 1); below < node.end;
         below = nodes_[below].end) {
      node.longest = std::max(node.longest, nodes_[below].longest);
      node.has_other = node.has_other || nodes_[below].has_other;
    }
  }
}

}  // namespace hearth::grammar
