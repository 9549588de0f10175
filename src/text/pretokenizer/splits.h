// The pre-tokenizers of tokenizer.json that are no known pattern.
// Source: Hugging Face tokenizers, tokenizers/src/pre_tokenizers and NormalizedString::split.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "text/pretokenizer/pretokenizer.h"
#include "text/regex.h"

namespace hearth {

// What becomes of the text that a pattern matches.
enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

struct SplitOptions {
  Behavior behavior = Behavior::isolated;
  bool invert = false;  // the gaps count as matches, and the matches as gaps
};

std::unique_ptr<PreTokenizerStep> make_regex_split(Regex regex, SplitOptions options);
std::unique_ptr<PreTokenizerStep> make_text_split(std::string text, SplitOptions options);

// Splits where every character is a match by itself.
using IsMatch = bool (*)(std::uint32_t point);
std::unique_ptr<PreTokenizerStep> make_character_split(IsMatch is_match, SplitOptions options);
bool is_space_character(std::uint32_t point);
bool is_number_character(std::uint32_t point);

struct MetaspaceOptions {
  enum class Prepend { always, first, never };
  std::string replacement;  // of spaces
  Prepend prepend = Prepend::always;
  bool split = true;
};
std::unique_ptr<PreTokenizerStep> make_metaspace(MetaspaceOptions options);

// White space removed, and every punctuation character by itself.
std::unique_ptr<PreTokenizerStep> make_bert_split();
// \w+|[^\w\s]+, the white space removed.
std::unique_ptr<PreTokenizerStep> make_whitespace();
// A space before every piece that has none.
std::unique_ptr<PreTokenizerStep> make_prefix_space();
// Bytes to their names in GPT-2's alphabet.
std::unique_ptr<PreTokenizerStep> make_byte_names_step();
std::unique_ptr<PreTokenizerStep> make_unicode_scripts();
std::unique_ptr<PreTokenizerStep> make_fixed_length(std::size_t characters);

}  // namespace hearth
