// Tokenizer metadata of GGUF to the files of a folder.
// Source: Hugging Face tokenizers, tokenizers/src/tokenizer/serialization.rs; the merges that
// transformers' convert_slow_tokenizer.py makes of a SentencePiece vocabulary.
#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/utf8.h"
#include "text/base64.h"
#include "text/pretokenizer/families.h"
#include "text/pretokenizer/known_patterns.h"
#include "text/pretokenizer/scanners.h"
#include "text/vocabulary.h"
#include "text/vocabulary_forms.h"

namespace hearth {
namespace {

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

Json sequence(std::string_view list, Json::Array items) {
  return Json::object({{"type", "Sequence"}, {std::string(list), Json(std::move(items))}});
}
Json of_type(std::string_view type) { return Json::object({{"type", type}}); }
Json replace(std::string_view from, std::string_view to) {
  return Json::object(
      {{"type", "Replace"}, {"pattern", Json::object({{"String", from}})}, {"content", to}});
}

class Form {
 public:
  Form(const GgufVocabulary& vocabulary, const Tokenizer& tokenizer)
      : v_(vocabulary), tokenizer_(tokenizer), special_(tokenizer.special()) {}

  Result<TokenizerTexts> make() {
    file_ = Json::object({{"version", "1.0"},
                          {"truncation", Json()},
                          {"padding", Json()},
                          {"added_tokens", added()},
                          {"normalizer", Json()},
                          {"pre_tokenizer", Json()},
                          {"post_processor", Json()},
                          {"decoder", Json()},
                          {"model", Json()}});
    if (v_.model == "gpt2")
      TRY(byte_bpe());
    else if (v_.model == "llama")
      space_bpe();
    else if (v_.model == "bert")
      wordpiece();
    else if (v_.model == "t5")
      unigram();
    else
      return unsupported(
          fmt::format("a tokenizer of kind {}: tokenizer.json knows none", v_.model));
    file_.set("post_processor", frame());
    return TokenizerTexts{std::move(file_), config()};
  }

 private:
  std::string_view name(Token id) const { return tokenizer_.name(id); }
  bool is_hidden(Token id) const {
    const TokenKind kind = tokenizer_.kind(id);
    return kind == TokenKind::control || kind == TokenKind::unknown;
  }

  Json added() const {
    Json list = Json::array();
    for (Token id = 0; id < tokenizer_.size(); ++id) {
      const bool hidden = is_hidden(id);
      if (!hidden && tokenizer_.kind(id) != TokenKind::user_defined) continue;
      list.push_back(Json::object({{"id", id},
                                   {"content", name(id)},
                                   {"single_word", false},
                                   {"lstrip", false},
                                   {"rstrip", false},
                                   {"normalized", false},
                                   {"special", hidden}}));
    }
    return list;
  }

  Json vocabulary() const {
    Json::Object words;
    for (Token id = 0; id < tokenizer_.size(); ++id) words.emplace_back(name(id), id);
    return Json(std::move(words));
  }

  // {"SpecialToken": ...} or {"Sequence": ...}
  static Json item(const char* kind, std::string_view id, int type) {
    return Json::object({{kind, Json::object({{"id", id}, {"type_id", type}})}});
  }

  Json frame() const {
    const bool wordpiece = v_.model == "bert";
    Token first = no_token, last = no_token;
    if (wordpiece) {
      first = special_.cls.value_or(no_token);
      last = special_.sep.value_or(no_token);
    } else {
      if (special_.add_bos) first = special_.bos.value_or(no_token);
      if (special_.add_eos) last = special_.eos.value_or(no_token);
    }
    if (first == no_token && last == no_token)
      return v_.model == "gpt2" ? byte_level(false) : Json();
    Json ids = Json::object(), single = Json::array(), pair = Json::array();
    for (const Token id : {first, last})
      if (id != no_token)
        ids.set(std::string(name(id)),
                Json::object({{"id", name(id)},
                              {"ids", Json(Json::Array{Json(id)})},
                              {"tokens", Json(Json::Array{Json(name(id))})}}));
    const auto put = [&](Json& list, Token id, int type) {
      if (id != no_token) list.push_back(item("SpecialToken", name(id), type));
    };
    for (Json* list : {&single, &pair}) {
      put(*list, first, 0);
      list->push_back(item("Sequence", "A", 0));
      put(*list, last, 0);
    }
    if (!wordpiece) put(pair, first, 1);
    pair.push_back(item("Sequence", "B", 1));
    put(pair, last, 1);
    return Json::object({{"type", "TemplateProcessing"},
                         {"single", std::move(single)},
                         {"pair", std::move(pair)},
                         {"special_tokens", std::move(ids)}});
  }

  static Json byte_level(bool use_regex) {
    return Json::object({{"type", "ByteLevel"},
                         {"add_prefix_space", false},
                         {"trim_offsets", true},
                         {"use_regex", use_regex}});
  }

  Status byte_bpe() {
    const PreTokenizerFamily* family = find_family(v_.pre);
    if (family == nullptr || family->raw_text || family->name == "chameleon")
      return unsupported(
          fmt::format("the pre-tokenizer '{}' has no form in tokenizer.json", v_.pre));
    Json::Array steps;
    for (const Scanner scanner : family->stages) {
      const auto patterns = known_patterns();
      const auto known = std::ranges::find(patterns, scanner, &KnownPattern::scanner);
      if (known == patterns.end())
        return unsupported(
            fmt::format("the pre-tokenizer '{}' has no form in tokenizer.json", v_.pre));
      steps.push_back(Json::object({{"type", "Split"},
                                    {"pattern", Json::object({{"Regex", known->regex}})},
                                    {"behavior", "Isolated"},
                                    {"invert", false}}));
    }
    steps.push_back(byte_level(false));
    file_.set("pre_tokenizer", sequence("pretokenizers", std::move(steps)));
    file_.set("decoder", byte_level(true));
    Json merges = Json::array();
    for (const std::string_view merge : v_.merges) {
      const auto space = merge.find(' ', 1);
      if (space == merge.npos || !is_known(merge.substr(0, space)) ||
          !is_known(merge.substr(space + 1)) ||
          !is_known(std::string(merge.substr(0, space)) + std::string(merge.substr(space + 1))))
        continue;
      merges.push_back(merge);
    }
    file_.set("model", Json::object({{"type", "BPE"},
                                     {"dropout", Json()},
                                     {"unk_token", Json()},
                                     {"continuing_subword_prefix", ""},
                                     {"end_of_word_suffix", ""},
                                     {"fuse_unk", false},
                                     {"byte_fallback", false},
                                     {"ignore_merges", family->whole_first},
                                     {"vocab", vocabulary()},
                                     {"merges", std::move(merges)}}));
    return Done{};
  }

  bool is_known(std::string_view token) const { return tokenizer_.find(token).has_value(); }

  // Every pair of tokens whose text together is a token, the best first.
  Json pairs() const {
    struct Pair {
      std::string_view left, right;
      float score;
      std::size_t order;
    };
    std::vector<Pair> all;
    for (Token id = 0; id < tokenizer_.size(); ++id) {
      const TokenKind kind = tokenizer_.kind(id);
      if (kind != TokenKind::normal && kind != TokenKind::user_defined) continue;
      const std::string_view whole = name(id);
      const auto index = static_cast<std::size_t>(id);
      std::vector<std::pair<std::pair<Token, Token>, std::size_t>> cuts;
      for (std::size_t at = decode_utf8(whole).size; at < whole.size();
           at += decode_utf8(whole.substr(at)).size) {
        const auto left = tokenizer_.find(whole.substr(0, at)),
                   right = tokenizer_.find(whole.substr(at));
        if (left && right && !is_hidden(*left) && !is_hidden(*right))
          cuts.push_back({{*left, *right}, at});
      }
      std::ranges::sort(cuts);
      for (const auto& [ids, at] : cuts)
        all.push_back({whole.substr(0, at), whole.substr(at),
                       v_.scores.empty() ? 0.0f : v_.scores[index], all.size()});
    }
    std::ranges::sort(all, [](const Pair& a, const Pair& b) {
      return a.score != b.score ? a.score > b.score : a.order < b.order;
    });
    Json merges = Json::array();
    for (const Pair& pair : all)
      merges.push_back(Json(Json::Array{Json(pair.left), Json(pair.right)}));
    return merges;
  }

  void space_bpe() {
    const bool prefix = v_.add_space_prefix.value_or(true);
    Json::Array before, after;
    if (prefix) before.push_back(Json::object({{"type", "Prepend"}, {"prepend", space_mark}}));
    before.push_back(replace(" ", space_mark));
    after.push_back(replace(space_mark, " "));
    after.push_back(of_type("ByteFallback"));
    after.push_back(of_type("Fuse"));
    if (prefix)
      after.push_back(
          Json::object({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}));
    file_.set("normalizer", sequence("normalizers", std::move(before)));
    file_.set("decoder", sequence("decoders", std::move(after)));
    file_.set("model",
              Json::object({{"type", "BPE"},
                            {"dropout", Json()},
                            {"unk_token", special_.unk ? Json(name(*special_.unk)) : Json()},
                            {"continuing_subword_prefix", Json()},
                            {"end_of_word_suffix", Json()},
                            {"fuse_unk", true},
                            {"byte_fallback", true},
                            {"ignore_merges", false},
                            {"vocab", vocabulary()},
                            {"merges", pairs()}}));
  }

  void wordpiece() {
    bool cased = false;
    Json::Object words;
    for (Token id = 0; id < tokenizer_.size(); ++id) {
      std::string word(name(id));
      if (!is_hidden(id)) {
        cased = cased || std::ranges::any_of(word, [](char c) { return c >= 'A' && c <= 'Z'; });
        if (word.starts_with(space_mark))
          word.erase(0, space_mark.size());
        else if (tokenizer_.kind(id) == TokenKind::normal)
          word.insert(0, "##");
      }
      words.emplace_back(std::move(word), id);
    }
    const std::string_view unknown = special_.unk ? name(*special_.unk) : "[UNK]";
    file_.set("normalizer", Json::object({{"type", "BertNormalizer"},
                                          {"clean_text", true},
                                          {"handle_chinese_chars", true},
                                          {"strip_accents", !cased},
                                          {"lowercase", !cased}}));
    file_.set("pre_tokenizer", of_type("BertPreTokenizer"));
    file_.set("decoder",
              Json::object({{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}));
    file_.set("model", Json::object({{"type", "WordPiece"},
                                     {"unk_token", unknown},
                                     {"continuing_subword_prefix", "##"},
                                     {"max_input_chars_per_word", 100},
                                     {"vocab", Json(std::move(words))}}));
  }

  void unigram() {
    Json::Array steps;
    if (!v_.precompiled_charsmap.empty())
      steps.push_back(Json::object(
          {{"type", "Precompiled"},
           {"precompiled_charsmap", encode_base64(text_of(v_.precompiled_charsmap))}}));
    if (v_.remove_extra_whitespaces.value_or(true)) {
      steps.push_back(
          Json::object({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}}));
      steps.push_back(Json::object({{"type", "Replace"},
                                    {"pattern", Json::object({{"Regex", " {2,}"}})},
                                    {"content", " "}}));
    }
    const Json spaces =
        Json::object({{"type", "Metaspace"},
                      {"replacement", space_mark},
                      {"prepend_scheme", v_.add_space_prefix.value_or(true) ? "always" : "never"},
                      {"split", false}});
    Json pieces = Json::array();
    for (Token id = 0; id < tokenizer_.size(); ++id) {
      const auto index = static_cast<std::size_t>(id);
      pieces.push_back(
          Json(Json::Array{Json(name(id)), Json(v_.scores.empty() ? 0.0f : v_.scores[index])}));
    }
    if (!steps.empty()) file_.set("normalizer", sequence("normalizers", std::move(steps)));
    file_.set("pre_tokenizer", spaces);
    file_.set("decoder", spaces);
    file_.set("model", Json::object({{"type", "Unigram"},
                                     {"unk_id", special_.unk ? Json(*special_.unk) : Json()},
                                     {"vocab", std::move(pieces)},
                                     {"byte_fallback", false}}));
  }

  Json config() const {
    Json out = Json::object({{"tokenizer_class", "PreTrainedTokenizerFast"},
                             {"clean_up_tokenization_spaces", false},
                             {"add_bos_token", special_.add_bos},
                             {"add_eos_token", special_.add_eos}});
    const std::pair<const char*, std::optional<Token>> rows[] = {
        {"bos_token", special_.bos},  {"eos_token", special_.eos}, {"unk_token", special_.unk},
        {"pad_token", special_.pad},  {"sep_token", special_.sep}, {"cls_token", special_.cls},
        {"mask_token", special_.mask}};
    for (const auto& [key, id] : rows)
      if (id) out.set(key, name(*id));
    return out;
  }

  const GgufVocabulary& v_;
  const Tokenizer& tokenizer_;
  const SpecialTokens& special_;
  Json file_;
};

}  // namespace

Result<TokenizerTexts> folder_form(const GgufVocabulary& vocabulary) {
  const auto tokenizer = TRY(make_tokenizer(vocabulary));
  return Form(vocabulary, *tokenizer).make();
}

}  // namespace hearth
