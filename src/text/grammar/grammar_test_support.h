// For tests and benches only: small vocabularies, and matchers of grammars in a line.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "text/grammar/gbnf.h"
#include "text/grammar/matcher.h"
#include "text/grammar/pattern.h"

namespace hearth::grammar::test {

// Tokens with these texts, then one end of generation, then one control token "<mark>".
class ListTokenizer final : public Tokenizer {
 public:
  explicit ListTokenizer(std::vector<std::string> texts) : texts_(std::move(texts)) {
    special_.eos = static_cast<Token>(texts_.size());
    special_.end_of_generation = {*special_.eos};
  }
  Result<std::vector<Token>> encode(std::string_view, EncodeOptions) const override {
    return Error(ErrorKind::unsupported, "a list of texts");
  }
  std::string_view piece(Token id, bool special) const override {
    if (id >= 0 && id < *special_.eos) return texts_[static_cast<std::size_t>(id)];
    return special && id == mark() ? "<mark>" : "";
  }
  std::string decode(std::span<const Token> ids, bool special) const override {
    std::string text;
    for (const Token id : ids) text += piece(id, special);
    return text;
  }
  std::int32_t size() const override { return mark() + 1; }
  std::string_view name(Token id) const override { return piece(id, true); }
  TokenKind kind(Token id) const override {
    return id < *special_.eos ? TokenKind::normal : TokenKind::control;
  }
  std::optional<Token> find(std::string_view name) const override {
    for (Token id = 0; id < size(); ++id)
      if (piece(id, true) == name) return id;
    return std::nullopt;
  }
  const SpecialTokens& special() const override { return special_; }
  std::string_view algorithm() const override { return "list"; }
  Token mark() const { return *special_.eos + 1; }

 private:
  std::vector<std::string> texts_;
  SpecialTokens special_;
};

// Every byte, and what else is given.
inline ListTokenizer byte_tokenizer(const std::vector<std::string>& more = {}) {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  texts.insert(texts.end(), more.begin(), more.end());
  return ListTokenizer(std::move(texts));
}

inline std::shared_ptr<const Program> program_of(Result<Grammar> grammar) {
  if (!grammar) MESSAGE(grammar.error().message());
  REQUIRE(grammar);
  auto program = compile(std::move(*grammar));
  if (!program) MESSAGE(program.error().message());
  REQUIRE(program);
  return *program;
}

inline Result<Grammar> pattern_grammar(std::string_view pattern, bool is_whole = true) {
  Grammar grammar;
  const ExprId body = TRY(parse_pattern(grammar, pattern, {.is_whole = is_whole}));
  grammar.set_root(grammar.define("root", body));
  return grammar;
}

inline bool matches(const std::shared_ptr<const Program>& program, std::string_view text) {
  Reading reading(program);
  SituationId at = reading.begin();
  for (const char byte : text) at = reading.after(at, static_cast<std::uint8_t>(byte));
  return reading.may_end(at);
}

// The obvious way: every token is tried by itself.
inline std::vector<bool> tried(const Matcher& matcher, const Tokenizer& tokenizer) {
  std::vector<bool> result;
  for (Token token = 0; token < tokenizer.size(); ++token) result.push_back(matcher.allows(token));
  return result;
}

inline std::vector<bool> masked(Matcher& matcher, const Tokenizer& tokenizer) {
  std::vector<std::uint64_t> set((static_cast<std::size_t>(tokenizer.size()) + 63) / 64);
  matcher.allow(set);
  std::vector<bool> result;
  for (Token token = 0; token < tokenizer.size(); ++token) result.push_back(has(set, token));
  return result;
}

}  // namespace hearth::grammar::test
