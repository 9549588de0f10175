// Which pre-tokenizer a GGUF file means by tokenizer.ggml.pre.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "text/pretokenizer/pretokenizer.h"

namespace hearth {

struct PreTokenizerFamily {
  std::string_view name;
  std::span<const Scanner> stages;
  bool whole_first = false;  // a piece that is a token is that token
  bool add_bos = false;      // unless the file says otherwise
  bool raw_text = false;     // tokens are UTF-8 with visible spaces, not bytes in GPT-2's alphabet
};

// null: a name we do not know.  "" and "default" are known.
const PreTokenizerFamily* find_family(std::string_view name);
std::span<const PreTokenizerFamily> families();
// "chameleon" has patterns besides its stages.
Result<PreTokenizer> make_pretokenizer(const PreTokenizerFamily& family);

}  // namespace hearth
