// Tokenizers from the tokenizer.ggml.* metadata of GGUF files.
// Source: the GGUF specification, "Tokenizer"; behaviour as llama.cpp has it.
#include <algorithm>
#include <numeric>

#include <fmt/core.h>

#include "text/bpe.h"
#include "text/gguf_models.h"
#include "text/pretokenizer/families.h"
#include "text/pretokenizer/safe_cut.h"
#include "text/special_tokens.h"
#include "text/token_keys.h"

namespace hearth {
namespace {

Status check(const GgufVocabulary& v) {
  if (v.tokens.empty()) return Error(ErrorKind::corrupt, "tokenizer.ggml.tokens is empty");
  if (v.tokens.size() > max_vocabulary)
    return Error(ErrorKind::corrupt, fmt::format("tokenizer.ggml.tokens has {} entries; at most {}",
                                                 v.tokens.size(), max_vocabulary));
  const auto same = [&](std::string_view key, std::size_t count) -> Status {
    if (count == 0 || count == v.tokens.size()) return Done{};
    return Error(ErrorKind::corrupt, fmt::format("tokenizer.ggml.{} has {} entries for {} tokens",
                                                 key, count, v.tokens.size()));
  };
  TRY(same("scores", v.scores.size()));
  return same("token_type", v.kinds.size());
}

TokenKind kind_of(const GgufVocabulary& v, std::size_t i) {
  if (v.kinds.empty()) return TokenKind::normal;
  const std::int64_t kind = v.kinds[i];
  return kind >= 1 && kind <= 6 ? static_cast<TokenKind>(kind) : TokenKind::unused;
}

std::optional<Token> token_of(const GgufVocabulary& v, std::optional<std::uint64_t> id) {
  return id && *id < v.tokens.size() ? std::optional(static_cast<Token>(*id)) : std::nullopt;
}

SpecialTokens special_of(const GgufVocabulary& v) {
  SpecialTokens s;
  s.bos = token_of(v, v.bos);
  s.eos = token_of(v, v.eos);
  s.unk = token_of(v, v.unk);
  s.pad = token_of(v, v.pad);
  s.sep = token_of(v, v.sep);
  s.cls = token_of(v, v.cls);
  s.mask = token_of(v, v.mask);
  s.eot = token_of(v, v.eot);
  s.eom = token_of(v, v.eom);
  s.fim_prefix = token_of(v, v.fim_prefix);
  s.fim_suffix = token_of(v, v.fim_suffix);
  s.fim_middle = token_of(v, v.fim_middle);
  return s;
}

// User-defined tokens are found in any text; control and unknown ones where asked for.
Status add_tokens(Pipeline& parts) {
  std::vector<AddedToken> added;
  const Vocabulary& vocabulary = parts.vocabulary;
  for (Token id = 0; vocabulary.has(id); ++id) {
    const bool hidden = vocabulary.is_hidden(id);
    if (hidden || vocabulary.kind(id) == TokenKind::user_defined)
      added.push_back({.content = std::string(vocabulary.name(id)), .id = id, .special = hidden});
  }
  parts.added = TRY(AddedTokens::make(std::move(added)));
  return Done{};
}

class SpaceMarker final : public Normalizer {
 public:
  explicit SpaceMarker(bool prefix) : prefix_(prefix) {}
  Result<std::string> apply(const NormalizerInput& input) const override {
    std::string text = replace_all(input.text, " ", space_mark);
    if (prefix_ && input.after_token) text.insert(0, space_mark);
    return text;
  }

 private:
  bool prefix_;
};

Result<Pipeline> make_spm(const GgufVocabulary& v, Pipeline parts) {
  parts.algorithm = "spm";
  SpecialTokens& special = parts.special;
  if (!special.bos && !v.bos) special.bos = token_of(v, 1);
  if (!special.eos && !v.eos) special.eos = token_of(v, 2);
  if (!special.unk && !v.unk) special.unk = token_of(v, 0);
  special.add_bos = v.add_bos.value_or(true);
  special.add_eos = v.add_eos.value_or(false);
  parts.strip_first_space = v.add_space_prefix.value_or(true);
  parts.normalizer = std::make_unique<SpaceMarker>(parts.strip_first_space);
  if (auto cut = make_safe_cut(parts.vocabulary)) parts.pretokenizer.add(std::move(cut));

  RankBpeOptions options;
  options.fallback.use_bytes = true;
  options.fallback.unknown = special.unk.value_or(no_token);
  fill_byte_tokens(parts.vocabulary, options.fallback);
  FlatVocab keys = text_keys(parts.vocabulary);
  options.ranks.resize(parts.vocabulary.size());
  for (std::size_t i = 0; i < options.ranks.size(); ++i)
    options.ranks[i] = rank_of_score(v.scores.empty() ? 0.0f : v.scores[i]);
  parts.model = make_rank_bpe(std::move(keys), std::move(options));
  return parts;
}

// "left right" as ids; rules about strings that are no tokens are of no use.
std::vector<MergeRule> read_merges(const GgufVocabulary& v, const Vocabulary& vocabulary) {
  std::vector<MergeRule> rules;
  rules.reserve(v.merges.size());
  std::string whole;
  for (const std::string_view merge : v.merges) {
    const std::size_t at = merge.find(' ', 1);
    if (at == std::string_view::npos) continue;
    whole.assign(merge.substr(0, at)).append(merge.substr(at + 1));
    const MergeRule rule{vocabulary.find(merge.substr(0, at)),
                         vocabulary.find(merge.substr(at + 1)), vocabulary.find(whole)};
    if (rule.left != no_token && rule.right != no_token && rule.whole != no_token)
      rules.push_back(rule);
  }
  // llama.cpp keeps the first of equal rules, our table the last.
  return rules;
}

Result<Pipeline> make_bpe(const GgufVocabulary& v, Pipeline parts) {
  parts.algorithm = "bpe";
  const std::string_view pre = v.model == "gemma4" ? std::string_view("gemma4") : v.pre;
  const PreTokenizerFamily* const family = find_family(pre);
  if (family == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("tokenizer.ggml.pre = '{}': not a pre-tokenizer we know", pre));
  parts.pretokenizer = TRY(make_pretokenizer(*family));
  parts.special.add_bos = v.add_bos.value_or(family->add_bos);
  if (pre == "gemma4") parts.special.add_bos = true;  // early files say otherwise
  parts.special.add_eos = v.add_eos.value_or(false);

  MergeBpeOptions options;
  options.whole_first = family->whole_first;
  FlatVocab keys;
  if (family->raw_text) {
    parts.normalizer = std::make_unique<SpaceMarker>(false);
    if (auto cut = make_safe_cut(parts.vocabulary)) parts.pretokenizer.add(std::move(cut));
    options.whole_newlines = true;
    options.fallback.use_bytes = true;
    fill_byte_tokens(parts.vocabulary, options.fallback);
    keys = text_keys(parts.vocabulary);
  } else {
    options.bytes = true;
    keys = byte_keys(parts.vocabulary, options.fallback);
  }
  // Some files of Kimi K2 leave the merges out: there the rank of a token is its id.
  if (v.merges.empty() && pre == "kimi-k2") {
    RankBpeOptions ranks{.bytes = true, .whole_first = true, .fallback = options.fallback};
    ranks.ranks.resize(parts.vocabulary.size());
    std::iota(ranks.ranks.begin(), ranks.ranks.end(), 0u);
    parts.model = make_rank_bpe(std::move(keys), std::move(ranks));
  } else {
    parts.model = make_merge_bpe(std::move(keys), read_merges(v, parts.vocabulary), options);
  }
  return parts;
}

using Make = Result<Pipeline> (*)(const GgufVocabulary&, Pipeline);
struct ModelRow {
  std::string_view model;
  PieceStyle pieces;
  Make make;
};
constexpr ModelRow models[] = {
    {"llama", PieceStyle::space_marks, make_spm},
    {"gpt2", PieceStyle::byte_names, make_bpe},
    {"gemma4", PieceStyle::space_marks, make_bpe},
    {"bert", PieceStyle::space_marks, make_gguf_wordpiece},
    {"t5", PieceStyle::space_marks, make_gguf_unigram},
    {"rwkv", PieceStyle::rwkv, make_gguf_rwkv},
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> make_tokenizer(const GgufVocabulary& v) {
  const auto* const row = std::find_if(std::begin(models), std::end(models),
                                       [&](const ModelRow& r) { return r.model == v.model; });
  if (row == std::end(models))
    return Error(ErrorKind::unsupported,
                 fmt::format("tokenizer.ggml.model = '{}': not a tokenizer we know", v.model));
  TRY(check(v));
  Pipeline parts;
  parts.vocabulary.reserve(v.tokens.size());
  for (std::size_t i = 0; i < v.tokens.size(); ++i)
    parts.vocabulary.add(v.tokens[i], kind_of(v, i));
  parts.special = special_of(v);
  complete_special_tokens(parts.special, parts.vocabulary);
  const PreTokenizerFamily* const family = find_family(v.pre);
  const bool raw_text =
      row->pieces == PieceStyle::byte_names && family != nullptr && family->raw_text;
  fill_pieces(parts.vocabulary, raw_text ? PieceStyle::space_marks : row->pieces);
  parts = TRY(row->make(v, std::move(parts)));
  TRY(add_tokens(parts));
  if (parts.special.add_bos && parts.special.bos) parts.before.push_back(*parts.special.bos);
  if (parts.special.add_eos && parts.special.eos) parts.after.push_back(*parts.special.eos);
  return make_tokenizer(std::move(parts));
}

}  // namespace hearth
