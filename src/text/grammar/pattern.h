// Patterns: regular expressions as grammars.
// Source: ECMA-262, section 22.2 ("RegExp Objects"), with the flags u and, for `.`, none other.
// What no machine of finite size can do (back references), and look-around, is refused by name.
#pragma once

#include <string_view>

#include "text/grammar/grammar.h"

namespace hearth::grammar {

// How characters are written: as themselves, or as within a JSON string, where only what must be
// escaped is.
enum class Spelling : std::uint8_t { plain, json };
ExprId spell(Grammar& grammar, const CharSet& set, Spelling spelling);

struct PatternOptions {
  Spelling spelling = Spelling::plain;
  bool is_whole = true;  // the text from end to end; false: ^ and $ say so, as in JSON Schema
};
// Errors: invalid, with the place, for what is no regular expression; unsupported; exhausted.
Result<ExprId> parse_pattern(Grammar& grammar, std::string_view pattern,
                             const PatternOptions& options);

}  // namespace hearth::grammar
