// GGUF vocabularies that are not byte-pair encodings: WordPiece (bert), Unigram (t5) and RWKV's.
#include <algorithm>

#include <fmt/core.h>

#include "text/gguf_models.h"
#include "text/normalizers.h"
#include "text/pretokenizer/safe_cut.h"
#include "text/pretokenizer/splits.h"
#include "text/sentencepiece.h"
#include "text/word_models.h"

namespace hearth {
namespace {

bool has_capital(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

void name_default(SpecialTokens& special, const Vocabulary& vocabulary) {
  const auto complete = [&](std::optional<Token>& slot, std::string_view name) {
    if (slot) return;
    const Token id = vocabulary.find(name);
    if (id != no_token) slot = id;
  };
  if (!special.cls) special.cls = special.bos;
  complete(special.cls, "[CLS]");
  complete(special.sep, "[SEP]");
  complete(special.unk, "[UNK]");
  complete(special.pad, "[PAD]");
  complete(special.mask, "[MASK]");
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

Result<Pipeline> make_gguf_wordpiece(const GgufVocabulary&, Pipeline parts) {
  parts.algorithm = "wordpiece";
  parts.any_bytes = false;
  parts.strip_first_space = true;
  const Vocabulary& vocabulary = parts.vocabulary;
  name_default(parts.special, vocabulary);
  WordPieceOptions options;
  options.unknown = parts.special.unk.value_or(no_token);
  // A vocabulary without capitals was made of text without them.
  bool cased = false;
  for (Token id = 0; vocabulary.has(id); ++id) {
    const std::string_view name = vocabulary.name(id);
    if (!vocabulary.is_text(id) || name.empty()) continue;
    if (name.starts_with(space_mark)) {
      options.beginnings.insert(name.substr(space_mark.size()), id);
      cased = cased || has_capital(name);
    } else {
      options.continuations.insert(name, id);
    }
  }
  NormalizerSteps steps;
  steps.push_back(make_bert_normalizer({.strip_accents = !cased, .lowercase = !cased}));
  parts.normalizer = make_normalizer(std::move(steps));
  parts.pretokenizer.add(make_bert_split());
  parts.model = make_wordpiece(std::move(options));
  if (parts.special.cls) parts.before.push_back(*parts.special.cls);
  if (parts.special.sep) parts.after.push_back(*parts.special.sep);
  return parts;
}

Result<Pipeline> make_gguf_unigram(const GgufVocabulary& v, Pipeline parts) {
  parts.algorithm = "unigram";
  parts.any_bytes = false;
  SpecialTokens& special = parts.special;
  special.add_bos = v.add_bos.value_or(false);
  special.add_eos = v.add_eos.value_or(true);
  SentencePieceRules rules;
  rules.charsmap = TRY(CharsMap::read(v.precompiled_charsmap));
  rules.add_dummy_prefix = parts.strip_first_space = v.add_space_prefix.value_or(true);
  rules.remove_extra_whitespaces = v.remove_extra_whitespaces.value_or(true);
  parts.normalizer = TRY(make_sentencepiece_normalizer(std::move(rules)));
  parts.model = TRY(make_sentencepiece_unigram(parts.vocabulary, v.scores,
                                               special.unk.value_or(no_token), false));
  if (auto cut = make_safe_cut(parts.vocabulary)) parts.pretokenizer.add(std::move(cut));
  return parts;
}

Result<Pipeline> make_gguf_rwkv(const GgufVocabulary&, Pipeline parts) {
  parts.algorithm = "greedy";
  std::vector<GreedyKey> keys;
  for (Token id = 0; parts.vocabulary.has(id); ++id)
    if (parts.vocabulary.is_text(id))
      keys.push_back({unescape_rwkv(parts.vocabulary.name(id)), id});
  parts.model = TRY(make_greedy(keys, parts.special.unk.value_or(no_token)));
  return parts;
}

std::string unescape_rwkv(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    const bool is_hex = c == 'x' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                        hex_value(text[i + 2]) >= 0;
    if (is_hex) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
    }
  }
  return out;
}

}  // namespace hearth
