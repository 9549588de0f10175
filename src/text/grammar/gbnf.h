// GBNF: the grammars of llama.cpp.
// Source: llama.cpp, grammars/README.md ("GBNF Guide").
#pragma once

#include <string_view>

#include "text/grammar/grammar.h"

namespace hearth::grammar {

// `tokenizer`: where the tokens that a grammar names are looked for; nullptr: none are known.
// Errors: invalid, with the line, for what is no GBNF, an unknown or doubled rule, no rule `root`;
// unsupported: a token that is not to come, outside of a repeat; exhausted: past a limit.
Result<Grammar> parse_gbnf(std::string_view text, const Tokenizer* tokenizer = nullptr);

}  // namespace hearth::grammar
