// Codes: the tokens of Whisper that are no text, and what may not be said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/package.h"
#include "text/tokenizer.h"

namespace hearth::speech {

struct Language {
  std::string_view code, name;  // "de", "german"
};
std::span<const Language> languages();
// By code or name, without regard to case; nullptr: none.
const Language* find_language(std::string_view code_or_name);

struct Codes {
  Token end = 0, start = 0, translate = 0, transcribe = 0, previous = 0, no_speech = 0,
        no_timestamps = 0;
  bool is_multilingual = false;
  std::vector<std::pair<std::string_view, Token>> languages;  // code and token
  std::vector<Token> never, never_first;                      // may not be said (at first)
  std::optional<std::uint32_t> latest_start;  // of the first timestamp, in 20 ms; nothing: any
  std::vector<std::pair<std::uint32_t, std::uint32_t>> alignment_heads;  // layer and head

  Token first_timestamp() const { return no_timestamps + 1; }
  bool is_timestamp(Token id) const { return id >= first_timestamp(); }
  bool is_text(Token id) const { return id < end; }
};

// From generation_config.json, and from the tokenizer where that says nothing.  Errors: corrupt.
Result<Codes> read_codes(const Package& package, const Tokenizer& tokenizer,
                         std::uint32_t vocabulary);

}  // namespace hearth::speech
