#include "text/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/utf8.h"
#include "text/decoders.h"
#include "text/token_keys.h"
#include "text/unicode.h"
#include "text/unigram.h"

namespace hearth {
namespace {

class SentencePieceNormalizer final : public Normalizer {
 public:
  SentencePieceNormalizer(SentencePieceRules rules, ByteTrie user_defined)
      : rules_(std::move(rules)), user_defined_(std::move(user_defined)) {
    for (unsigned char c = 1; c < 128; ++c) {
      plain_[c] = c != ' ' && user_defined_.child(ByteTrie::root, c) == ByteTrie::none &&
                  !rules_.charsmap.may_begin(static_cast<char>(c));
    }
  }

  Result<std::string> apply(const NormalizerInput& input) const override {
    std::string out;
    out.reserve(input.text.size() + input.text.size() / 4);
    std::string_view text = input.text;
    if (rules_.remove_extra_whitespaces) skip_spaces(text);
    if (text.empty()) return out;
    if (rules_.add_dummy_prefix && !rules_.whitespace_as_suffix) out += space();
    bool after_space = rules_.remove_extra_whitespaces;
    while (!text.empty()) {
      const std::size_t plain = plain_bytes(text);
      if (plain > 0) {
        out += text.substr(0, plain);
        after_space = false;
        text.remove_prefix(plain);
        continue;
      }
      const Change change = next(text);
      text.remove_prefix(change.size);
      append(change.result, after_space, out);
    }
    if (rules_.remove_extra_whitespaces) {
      std::string_view kept = out;
      while (kept.ends_with(space())) kept.remove_suffix(space().size());
      out.erase(kept.size());
    }
    if (rules_.add_dummy_prefix && rules_.whitespace_as_suffix) out += space();
    return out;
  }

 private:
  struct Change {
    std::size_t size;
    std::string_view result;
  };

  // How much of the beginning no rule looks at.
  std::size_t plain_bytes(std::string_view text) const {
    std::size_t n = 0;
    while (n < text.size() && static_cast<unsigned char>(text[n]) < 128 &&
           plain_[static_cast<unsigned char>(text[n])])
      ++n;
    return n;
  }

  std::string_view space() const { return rules_.escape_whitespaces ? space_mark : " "; }

  void append(std::string_view text, bool& after_space, std::string& out) const {
    while (after_space && text.starts_with(' ')) text.remove_prefix(1);
    if (text.empty()) return;
    for (const char c : text) {
      if (c == ' ')
        out += space();
      else
        out += c;
    }
    after_space = rules_.remove_extra_whitespaces && text.ends_with(' ');
  }

  void skip_spaces(std::string_view& text) const {
    while (!text.empty()) {
      const Change change = next(text);
      if (change.result != " ") return;
      text.remove_prefix(change.size);
    }
  }

  // What the beginning of `text` becomes.
  Change next(std::string_view text) const {
    if (const std::size_t size = longest_user_defined(text)) return {size, text.substr(0, size)};
    if (const auto match = rules_.charsmap.find(text, CharsMap::Which::longest))
      return {match->size, match->result};
    const std::size_t size = decode_utf8(text).size;
    return {size, text.substr(0, size)};
  }

  std::size_t longest_user_defined(std::string_view text) const {
    std::size_t longest = 0;
    ByteTrie::Node node = ByteTrie::root;
    for (std::size_t i = 0; i < text.size(); ++i) {
      node = user_defined_.child(node, static_cast<unsigned char>(text[i]));
      if (node == ByteTrie::none) break;
      if (user_defined_.value(node) >= 0) longest = i + 1;
    }
    return longest;
  }

  SentencePieceRules rules_;
  ByteTrie user_defined_;
  bool plain_[128] = {};
};

class SentencePieceDecoder final : public Decoder {
 public:
  explicit SentencePieceDecoder(const SentencePieceRules& rules)
      : strips_one_(rules.add_dummy_prefix || rules.remove_extra_whitespaces),
        strips_all_(rules.remove_extra_whitespaces),
        bytes_(make_byte_fallback_decoder()) {}

  std::string decode(std::vector<std::string> tokens) const override {
    bool may_strip = strips_one_;
    for (std::string& token : tokens) {
      if (!may_strip) break;
      const bool stripped = token.starts_with(space_mark);
      if (stripped) token = token.substr(space_mark.size());
      may_strip = token.empty() && (!stripped || strips_all_);
    }
    bytes_->apply(tokens);
    std::string text;
    for (const std::string& token : tokens) text += replace_all(token, space_mark, " ");
    return text;
  }

 private:
  bool strips_one_, strips_all_;
  std::unique_ptr<DecoderStep> bytes_;
};

}  // namespace

Result<std::unique_ptr<Normalizer>> make_sentencepiece_normalizer(SentencePieceRules rules) {
  ByteTrie trie;
  for (const std::string& text : rules.user_defined)
    if (!text.empty() && !trie.insert(text, 0))
      return Error(ErrorKind::corrupt, "user-defined tokens: more text than is read");
  return std::unique_ptr<Normalizer>(
      std::make_unique<SentencePieceNormalizer>(std::move(rules), std::move(trie)));
}

std::unique_ptr<Decoder> make_sentencepiece_decoder(const SentencePieceRules& rules) {
  return std::make_unique<SentencePieceDecoder>(rules);
}

Result<std::unique_ptr<Model>> make_sentencepiece_unigram(const Vocabulary& vocabulary,
                                                          std::span<const float> scores,
                                                          Token unknown, bool byte_fallback) {
  UnigramOptions options;
  options.scores.resize(vocabulary.size());
  std::vector<UnigramKey> keys;
  double least = std::numeric_limits<double>::infinity();
  for (Token id = 0; vocabulary.has(id); ++id) {
    const float score = scores.empty() ? 0.0f : scores[static_cast<std::size_t>(id)];
    if (!std::isfinite(score))
      return Error(ErrorKind::corrupt, "vocabulary: a score that is no finite number");
    options.scores[static_cast<std::size_t>(id)] = static_cast<double>(score);
    const TokenKind kind = vocabulary.kind(id);
    if (kind == TokenKind::normal) least = std::min(least, static_cast<double>(score));
    if (vocabulary.is_text(id) && kind != TokenKind::unused)
      keys.push_back({vocabulary.name(id), id});
  }
  options.unknown_score = (std::isfinite(least) ? least : 0.0) - unknown_penalty;
  options.fallback.unknown = unknown;
  options.fallback.fuse_unknown = true;
  options.fallback.use_bytes = byte_fallback;
  if (byte_fallback) fill_byte_tokens(vocabulary, options.fallback);
  return make_unigram(keys, std::move(options));
}

std::unique_ptr<Model> make_sentencepiece_bpe(const Vocabulary& vocabulary,
                                              std::span<const float> scores, Token unknown,
                                              bool byte_fallback) {
  RankBpeOptions options;
  options.fallback.unknown = unknown;
  options.fallback.fuse_unknown = true;
  options.fallback.use_bytes = byte_fallback;
  if (byte_fallback) fill_byte_tokens(vocabulary, options.fallback);
  options.ranks.resize(vocabulary.size());
  options.unused.resize(vocabulary.size());
  for (Token id = 0; vocabulary.has(id); ++id) {
    const auto i = static_cast<std::size_t>(id);
    options.ranks[i] = rank_of_score(scores.empty() ? 0.0f : scores[i]);
    options.unused[i] = vocabulary.kind(id) == TokenKind::unused;
  }
  return make_rank_bpe(text_keys(vocabulary), std::move(options));
}

}  // namespace hearth
