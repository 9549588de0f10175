// Vocabularies of ranked bytes: the bytes of every token and its place, which is its merge order.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/pretokenizer/pretokenizer.h"
#include "text/tokenizer_files.h"

namespace hearth {

struct Rank {
  std::string bytes;
  Token id;
};

struct RankedVocabulary {
  std::vector<Rank> ranks;          // ascending ids
  std::vector<AddedTokenRow> rows;  // special tokens
  Scanner scanner = nullptr;        // cuts a text
  std::string_view bos, eos;        // names; empty: it has none
  bool adds_bos = false;            // where the configuration says nothing
};

// Mistral's tekken.json.  Errors: corrupt (the entry, what it held, what was needed), unsupported
// (a pattern that texts are not cut by here).
Result<RankedVocabulary> read_tekken(std::string_view text);
bool is_tekken(std::string_view text);

}  // namespace hearth
