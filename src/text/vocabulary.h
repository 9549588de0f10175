// Vocabulary: what every id is called, which bytes it stands for, and what kind it is.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/flat_vocab.h"
#include "text/tokenizer.h"

namespace hearth {

// Strings one after another.
class StringArena {
 public:
  void add(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    ends_.push_back(bytes_.size());
  }
  std::size_t size() const { return ends_.size(); }
  std::string_view operator[](std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return {bytes_.data() + begin, ends_[i] - begin};
  }

 private:
  std::vector<char> bytes_;
  std::vector<std::size_t> ends_;
};

class Vocabulary {
 public:
  // The next id.  Of equal names the first is found; the empty name never is.
  void add(std::string_view name, TokenKind kind);
  // The bytes of the next id in order; in the end there are as many as names.
  void add_piece(std::string_view piece) { pieces_.add(piece); }
  void set_kind(Token id, TokenKind kind) { kinds_[static_cast<std::size_t>(id)] = kind; }
  void reserve(std::size_t tokens) {
    kinds_.reserve(tokens);
    ids_.reserve(tokens);
  }

  std::size_t size() const { return kinds_.size(); }
  bool has(Token id) const { return id >= 0 && static_cast<std::size_t>(id) < kinds_.size(); }
  // These need has(id).
  std::string_view name(Token id) const { return names_[static_cast<std::size_t>(id)]; }
  std::string_view piece(Token id) const { return pieces_[static_cast<std::size_t>(id)]; }
  TokenKind kind(Token id) const { return kinds_[static_cast<std::size_t>(id)]; }

  Token find(std::string_view name) const { return ids_.find(name); }
  // Control and unknown tokens: what they say is for machines.
  bool is_hidden(Token id) const {
    return kind(id) == TokenKind::control || kind(id) == TokenKind::unknown;
  }
  // What text may match by itself: never control, unknown or byte tokens.
  bool is_text(Token id) const { return !is_hidden(id) && kind(id) != TokenKind::byte; }

 private:
  StringArena names_, pieces_;
  std::vector<TokenKind> kinds_;
  FlatVocab ids_;
};

constexpr std::size_t max_vocabulary = 16u << 20;        // tokens; today's largest have 0.3 million
constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581, SentencePiece's visible space

// The alphabet of GPT-2: every byte has a printable character.
// Source: Radford et al. 2019, encoder.py, "bytes_to_unicode".
std::uint32_t byte_to_point(unsigned char byte);
int point_to_byte(std::uint32_t point);  // -1: no character of that alphabet
// Writes the bytes that `name` spells; false when some character is outside the alphabet.
bool decode_byte_name(std::string_view name, std::string& bytes);
void append_byte_name(std::string& name, std::string_view bytes);

// "<0x0A>": that byte.  -1: not of this form.
int byte_of_name(std::string_view name);

std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace hearth
