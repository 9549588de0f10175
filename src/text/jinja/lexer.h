// Template source to tokens, with trim_blocks and lstrip_blocks on.
// Source: Jinja2 3.1 documentation, "Template Designer Documentation", "Whitespace Control".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::jinja {

enum class TokenType : std::uint8_t {
  data,
  block_begin,
  block_end,
  variable_begin,
  variable_end,
  name,
  string,
  integer,
  real,
  op,
  end,
};

struct Token {
  TokenType type;
  std::uint32_t line;
  std::string_view text;  // a string: with its quotes

  bool is_op(std::string_view op) const { return type == TokenType::op && text == op; }
  bool is_name(std::string_view name) const { return type == TokenType::name && text == name; }
};

// Line ends become \n and one at the very end is dropped.
std::string normalise_newlines(std::string_view source);

// `source` is normalised and outlives the tokens.  The last token is `end`.
Result<std::vector<Token>> tokenize(std::string_view source);

// What a token is, for an error message.
std::string describe(const Token& token);

// The text of a string token, escapes undone.
Result<std::string> unescape(const Token& token);

}  // namespace hearth::jinja
