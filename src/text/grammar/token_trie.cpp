#include "text/grammar/token_trie.h"

#include <algorithm>

#include "base/utf8.h"

namespace hearth::grammar {
namespace {

constexpr std::uint32_t max_token_bytes = 0xFFFF;
constexpr std::uint32_t max_characters = 255;  // that are told apart

}  // namespace

struct TokenTrie::Text {
  std::string_view bytes;
  Token token;
  Symbols symbols;
  std::uint32_t characters;
};

namespace {

// What a text is written with; `characters`: how many there are, bytes where it is broken.
Symbols symbols_of(std::string_view text, std::uint32_t& characters) {
  Symbols symbols;
  const std::size_t bytes = text.size();
  characters = 0;
  for (; !text.empty(); ++characters) {
    const Decoded next = decode_utf8(text);
    if (!next.valid) {
      symbols.set(symbol_broken);
      characters = static_cast<std::uint32_t>(bytes);
      break;
    }
    symbols.set(next.point < 128 ? symbol_of(static_cast<std::uint8_t>(next.point)) : symbol_wide);
    text.remove_prefix(next.size);
  }
  characters = std::min(characters, max_characters);
  return symbols;
}

}  // namespace

TokenTrie::TokenTrie(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  const auto size = static_cast<std::size_t>(tokenizer.size());
  twins_.assign(size, -1);
  std::vector<Text> texts;
  texts.reserve(size);
  for (Token token = 0; token < tokenizer.size(); ++token) {
    const TokenKind kind = tokenizer.kind(token);
    if (kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::unused ||
        tokenizer.ends_generation(token))
      continue;
    const std::string_view bytes = tokenizer.piece(token);
    if (bytes.empty() || bytes.size() > max_token_bytes) continue;
    Text text{bytes, token, {}, 0};
    text.symbols = symbols_of(bytes, text.characters);
    texts.push_back(text);
    longest_bytes_ = std::max(longest_bytes_, static_cast<std::uint32_t>(bytes.size()));
  }
  std::ranges::sort(texts, [](const Text& a, const Text& b) {
    return a.bytes < b.bytes || (a.bytes == b.bytes && a.token < b.token);
  });
  build(texts);
  summarise(texts);
  make_sets(texts);
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
                        .tail = {}});
    }
    nodes_.back().token = text.token;
    last = text.bytes;
  }
  for (const std::uint32_t node : open)
    nodes_[node].end = static_cast<std::uint32_t>(nodes_.size());
}

// From the last node to the first, so that what is below a node is known before it.
void TokenTrie::summarise(std::span<const Text> texts) {
  first_.assign(nodes_.size() + 1, static_cast<std::uint32_t>(texts.size()));
  for (const Text& text : texts) order_.push_back(text.token);
  std::size_t next = texts.size();
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    Node& node = nodes_[i];
    bool is_broken = false, is_wide = false;
    if (node.token >= 0) {
      while (texts[next - 1].token != node.token) --next;  // twins
      --next;
      node.longest = static_cast<std::uint8_t>(texts[next].characters);
      is_broken = texts[next].symbols[symbol_broken];
      is_wide = !is_broken;
    }
    for (std::uint32_t below = static_cast<std::uint32_t>(i + 1); below < node.end;
         below = nodes_[below].end) {
      node.longest = std::max(node.longest, nodes_[below].longest);
      node.tail |= nodes_[below].tail;
      is_wide = true;
    }
    first_[i] = static_cast<std::uint32_t>(next);
    if (is_broken) node.tail.set(symbol_broken);
    if (node.byte < 128)
      node.tail.set(symbol_of(node.byte));
    else if (is_wide)
      node.tail.set(symbol_wide);
  }
}

void TokenTrie::make_sets(std::span<const Text> texts) {
  const std::size_t words = this->words();
  with_.assign(2 * symbol_count * words, 0);
  up_to_.assign(max_counted_characters * words, 0);
  for (const Text& text : texts) {
    for_each(text.symbols, [&](std::size_t symbol) {
      ++uses_[symbol];
      put(std::span(with_).subspan((symbol_count + symbol) * words, words), text.token);
    });
    if (text.characters <= max_counted_characters)
      put(std::span(up_to_).subspan((text.characters - 1) * words, words), text.token);
  }
  for (std::size_t i = symbol_count * words; i-- > words;) {
    const std::size_t node = i / words, word = i % words;
    with_[i] = with_[2 * node * words + word] | with_[(2 * node + 1) * words + word];
  }
  for (std::size_t i = words; i < up_to_.size(); ++i) up_to_[i] |= up_to_[i - words];
}

std::vector<std::uint64_t> TokenTrie::written_with(const Symbols& symbols) const {
  const std::size_t words = this->words();
  std::vector<std::uint64_t> set(with_.begin() + static_cast<std::ptrdiff_t>(words),
                                 with_.begin() + static_cast<std::ptrdiff_t>(2 * words));
  // Without those that have others: the largest nodes of the tree that no symbol of it is below.
  std::vector<std::size_t> open = {1};
  while (!open.empty()) {
    const std::size_t node = open.back();
    open.pop_back();
    std::size_t first = node, count = 1, kept = 0;
    for (; first < symbol_count; first *= 2) count *= 2;
    for (std::size_t i = first; i < first + count; ++i) kept += symbols[i - symbol_count];
    if (kept == 0)
      for (std::size_t i = 0; i < words; ++i) set[i] &= ~with_[node * words + i];
    if (kept == 0 || kept == count) continue;
    open.push_back(2 * node);
    open.push_back(2 * node + 1);
  }
  return set;
}

}  // namespace hearth::grammar
