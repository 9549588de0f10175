// The text side of a model: tokenizer and chat template, of whatever runs its weights.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "formats/package.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace hearth::models {

struct TextSide {
  std::unique_ptr<Tokenizer> tokenizer;  // one that refuses texts where the package has none
  std::optional<ChatFormat> chat_format;
  std::string chat_template_source;
};

// A model without a text side is still useful; one whose tokenizer is broken is not.
// model: its name, for the log.  vocabulary: ids of a model without a tokenizer.
Result<TextSide> load_text_side(const Package& package, const std::string& model,
                                std::uint32_t vocabulary);

}  // namespace hearth::models
