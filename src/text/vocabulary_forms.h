// One tokenizer in the two forms that models carry it in: the metadata of a GGUF file and the files
// of a Hugging Face folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace hearth {

// What tokenizer.ggml.* says.
struct VocabularyText {
  std::string model, pre;  // "llama", "gpt2", "bert", "t5"; the name of the pre-tokenizer
  std::vector<std::string> tokens;
  std::vector<float> scores;        // empty, or one per token
  std::vector<std::int32_t> kinds;  // TokenKind
  std::vector<std::string> merges;
  std::string charsmap;  // precompiled
  std::optional<bool> add_space_prefix, remove_extra_whitespaces;
  SpecialTokens special;
  // What a GGUF file cannot say of this tokenizer, for people.
  std::vector<std::string> losses;
};

// Errors: those of make_tokenizer; unsupported (no kind that GGUF files know).
Result<VocabularyText> gguf_form(const TokenizerFiles& files);

// tokenizer.json and tokenizer_config.json without the chat template.
struct TokenizerTexts {
  Json tokenizer, config;
};
// Errors: those of make_tokenizer; unsupported (a pre-tokenizer that no pattern stands for, a kind
// without such a form).
Result<TokenizerTexts> folder_form(const GgufVocabulary& vocabulary);

}  // namespace hearth
