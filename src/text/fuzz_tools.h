// For fuzzers only: uses a tokenizer that came out of hostile bytes.
#pragma once

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

namespace hearth::fuzz {

inline void use(const Tokenizer& tokenizer, std::string_view input) {
  constexpr std::size_t max_input = 512;
  std::string text = "Hello  wörld 42\n\xE2\x96\x81 it's 日本 🙂\xFF </s><|im_end|> ";
  text += input.substr(0, max_input);
  for (const bool trusted : {false, true}) {
    const auto ids = tokenizer.encode(text, {.add_special = trusted, .parse_special = trusted});
    if (!ids) continue;
    StreamDecoder stream(tokenizer, trusted);
    for (const Token id : *ids) {
      HEARTH_CHECK(id >= 0 && id < tokenizer.size());
      HEARTH_CHECK(is_utf8(stream.add(id)));
    }
    HEARTH_CHECK(is_utf8(stream.finish()));
    HEARTH_CHECK(is_utf8(tokenizer.decode(*ids, trusted)));
  }
  const std::int32_t size = std::min(tokenizer.size(), 1000);
  for (Token id = -1; id <= size; ++id) {
    const std::string_view name = tokenizer.name(id);
    if (!name.empty()) HEARTH_CHECK(tokenizer.find(name));
    (void)tokenizer.piece(id, true);
    (void)tokenizer.ends_generation(id);
  }
  for (const Token id : tokenizer.special().end_of_generation)
    HEARTH_CHECK(id >= 0 && id < tokenizer.size());
}

}  // namespace hearth::fuzz
