// Files of a folder to the tokenizer metadata of GGUF.
// Source: the GGUF specification, "Tokenizer"; which metadata llama.cpp reads how.
#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>

#include "base/utf8.h"
#include "text/base64.h"
#include "text/hugging_face/parts.h"
#include "text/pretokenizer/families.h"
#include "text/pretokenizer/known_patterns.h"
#include "text/pretokenizer/scanners.h"
#include "text/tokenizer_files.h"
#include "text/vocabulary_forms.h"

namespace hearth {
namespace {

namespace hf = hugging_face;

Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

std::string text_in(const Json* object, std::string_view key) {
  const Json* held = object != nullptr ? object->find(key) : nullptr;
  return held != nullptr && held->is_string() ? held->as_string() : "";
}
bool flag_in(const Json& object, std::string_view key, bool fallback) {
  const Json* held = object.find(key);
  return held != nullptr && held->is_bool() ? held->as_bool() : fallback;
}

// The parts of a normalizer or pre-tokenizer, sequences opened.
void flatten(const Json* part, std::string_view list, std::vector<const Json*>& out,
             int depth = 0) {
  if (part == nullptr || part->is_null() || depth > hf::max_depth) return;
  const Json* items = part->find(list);
  if (text_in(part, "type") != "Sequence" || items == nullptr || !items->is_array())
    return out.push_back(part);
  for (const Json& item : items->as_array()) flatten(&item, list, out, depth + 1);
}

// How text is cut, as scanners; nullopt: by something that GGUF has no name for.
std::optional<std::vector<Scanner>> stages_of(const Json& file) {
  std::vector<const Json*> parts;
  flatten(file.find("pre_tokenizer"), "pretokenizers", parts);
  std::vector<Scanner> stages;
  for (const Json* part : parts) {
    const std::string type = text_in(part, "type");
    if (type == "ByteLevel") {
      if (flag_in(*part, "add_prefix_space", true)) return std::nullopt;
      if (flag_in(*part, "use_regex", true)) stages.push_back(scan::gpt2);
    } else if (type == "Digits") {
      stages.push_back(flag_in(*part, "individual_digits", false) ? scan::each_number
                                                                  : scan::numbers);
    } else if (type == "Split") {
      const auto pattern = hf::pattern(*part, "pattern");
      const KnownPattern* known =
          pattern && pattern->is_regex ? find_known_pattern(pattern->text) : nullptr;
      const std::string behavior = text_in(part, "behavior");
      const bool keeps_all =
          behavior == "Isolated" || (behavior == "Removed" && known != nullptr && known->covers &&
                                     flag_in(*part, "invert", false));
      if (known == nullptr || !keeps_all) return std::nullopt;
      stages.push_back(known->scanner);
    } else {
      return std::nullopt;
    }
  }
  return stages;
}

const PreTokenizerFamily* family_of(std::span<const Scanner> stages, bool whole_first) {
  for (const PreTokenizerFamily& family : families())
    if (!family.raw_text && !family.name.empty() && family.whole_first == whole_first &&
        std::ranges::equal(family.stages, stages))
      return &family;
  return nullptr;
}

Result<std::vector<std::string>> merges_of(const Json& model) {
  std::vector<std::string> out;
  const Json* merges = model.find("merges");
  if (merges == nullptr || !merges->is_array())
    return Error(ErrorKind::corrupt, "tokenizer.json: BPE without merges");
  for (const Json& merge : merges->as_array()) {
    if (merge.is_string()) {
      out.push_back(merge.as_string());
      continue;
    }
    if (!merge.is_array() || merge.size() != 2 || !merge.as_array()[0].is_string() ||
        !merge.as_array()[1].is_string())
      return Error(ErrorKind::corrupt, "tokenizer.json: a merge that is no pair of tokens");
    const std::string &left = merge.as_array()[0].as_string(),
                      &right = merge.as_array()[1].as_string();
    if (left.find(' ') != left.npos || right.find(' ') != right.npos)
      return unsupported("merges of tokens with spaces in them");
    out.push_back(left + " " + right);
  }
  return out;
}

Status fill_byte_bpe(const Json& file, const Json& model, VocabularyText& out) {
  out.model = "gpt2";
  out.merges = TRY(merges_of(model));
  const bool whole_first = flag_in(model, "ignore_merges", false);
  const auto stages = stages_of(file);
  const PreTokenizerFamily* family = stages ? family_of(*stages, whole_first) : nullptr;
  if (family == nullptr && stages) family = family_of(*stages, !whole_first);
  if (family == nullptr) {
    out.pre = "default";
    out.losses.push_back(
        "the tokenizer cuts words by a pattern that GGUF has no name for: 'default' stands there, "
        "and some texts become other tokens");
  } else {
    out.pre = std::string(family->name);
    if (family->whole_first != whole_first)
      out.losses.push_back("whether whole words come before merges: some become other tokens");
  }
  std::vector<const Json*> normalizers;
  flatten(file.find("normalizer"), "normalizers", normalizers);
  for (const Json* part : normalizers)
    out.losses.push_back(
        fmt::format("the tokenizer's normalizer {}: texts that it changes become "
                    "other tokens",
                    text_in(part, "type")));
  return Done{};
}

// SentencePiece joins by the score of what comes out, tokenizer.json by the rank of the pair: the
// first rank that makes a token is its score.
Status fill_space_bpe(const Json& file, const Json& model, VocabularyText& out) {
  out.model = "llama";
  std::unordered_map<std::string, float> ranks;
  float rank = 0;
  for (const std::string& merge : TRY(merges_of(model))) {
    const auto space = merge.find(' ', 1);
    ranks.emplace(merge.substr(0, space) + merge.substr(space + 1), -(rank += 1));
  }
  constexpr float least = -1e6f;  // below every rank
  std::size_t unmade = 0;
  out.scores.assign(out.tokens.size(), 0);
  for (std::size_t i = 0; i < out.tokens.size(); ++i) {
    const auto found = ranks.find(out.tokens[i]);
    if (found != ranks.end())
      out.scores[i] = found->second;
    else if (out.kinds[i] == static_cast<std::int32_t>(TokenKind::normal)) {
      out.scores[i] = least - static_cast<float>(i);
      unmade += decode_utf8(out.tokens[i]).size < out.tokens[i].size();
    }
  }
  if (unmade > 0)
    out.losses.push_back(fmt::format(
        "{} tokens that no merge makes: readers of GGUF join whatever is a token", unmade));
  bool prefix = false;
  std::vector<const Json*> parts;
  flatten(file.find("normalizer"), "normalizers", parts);
  for (const Json* part : parts) prefix = prefix || text_in(part, "type") == "Prepend";
  parts.clear();
  flatten(file.find("pre_tokenizer"), "pretokenizers", parts);
  for (const Json* part : parts) {
    if (text_in(part, "type") != "Metaspace") continue;
    const std::string scheme = text_in(part, "prepend_scheme");
    prefix =
        prefix || (scheme.empty() ? flag_in(*part, "add_prefix_space", true) : scheme != "never");
  }
  out.add_space_prefix = prefix;
  return Done{};
}

void fill_wordpiece(const Json& model, VocabularyText& out) {
  out.model = "bert";
  out.pre = "jina-v2-en";  // what writers put there: BERT's own rules
  std::string prefix = text_in(&model, "continuing_subword_prefix");
  if (prefix.empty()) prefix = "##";
  for (std::size_t i = 0; i < out.tokens.size(); ++i) {
    std::string& token = out.tokens[i];
    if (out.kinds[i] != static_cast<std::int32_t>(TokenKind::normal)) continue;
    if (token.starts_with(prefix) && token.size() > prefix.size())
      token.erase(0, prefix.size());
    else
      token.insert(0, space_mark);
  }
}

Status fill_unigram(const Json& file, const Json& model, VocabularyText& out) {
  out.model = "t5";
  const hf::ModelWords words = TRY(hf::read_words(model));
  out.scores.assign(out.tokens.size(), 0);
  for (std::size_t i = 0; i < std::min(words.scores.size(), out.scores.size()); ++i)
    out.scores[i] = static_cast<float>(words.scores[i]);
  const Json* unknown = model.find("unk_id");
  if (unknown != nullptr && unknown->is_integer() && unknown->as_integer() >= 0 &&
      unknown->as_integer() < static_cast<std::int64_t>(out.kinds.size())) {
    out.special.unk = static_cast<Token>(unknown->as_integer());
    out.kinds[static_cast<std::size_t>(*out.special.unk)] =
        static_cast<std::int32_t>(TokenKind::unknown);
  }
  out.add_space_prefix = out.remove_extra_whitespaces = false;
  std::vector<const Json*> parts;
  flatten(file.find("normalizer"), "normalizers", parts);
  for (const Json* part : parts) {
    const std::string type = text_in(part, "type");
    if (type == "Precompiled")
      out.charsmap = TRY(decode_base64(text_in(part, "precompiled_charsmap")));
    else if (type == "Replace" || type == "Strip")
      out.remove_extra_whitespaces = true;
    else
      out.losses.push_back(fmt::format("the tokenizer's normalizer {}", type));
  }
  parts.clear();
  flatten(file.find("pre_tokenizer"), "pretokenizers", parts);
  for (const Json* part : parts) {
    const std::string type = text_in(part, "type"), scheme = text_in(part, "prepend_scheme");
    if (type == "Metaspace")
      out.add_space_prefix =
          scheme.empty() ? flag_in(*part, "add_prefix_space", true) : scheme != "never";
    else if (type == "WhitespaceSplit")
      out.remove_extra_whitespaces = true;
  }
  return Done{};
}

// Rules about the neighbours of single tokens.
void tell_token_rules(const Json& file, VocabularyText& out) {
  const Json* added = file.find("added_tokens");
  if (added == nullptr || !added->is_array()) return;
  std::size_t count = 0;
  for (const Json& token : added->as_array())
    count += flag_in(token, "single_word", false) || flag_in(token, "lstrip", false) ||
             flag_in(token, "rstrip", false);
  if (count > 0)
    out.losses.push_back(fmt::format(
        "rules of {} tokens about what stands beside them (single_word, lstrip, rstrip)", count));
}

Status fill_from_json(const Json& file, VocabularyText& out) {
  tell_token_rules(file, out);
  const Json* model = file.find("model");
  if (model == nullptr) return Error(ErrorKind::corrupt, "tokenizer.json: has no model");
  const hf::ModelWords words = TRY(hf::read_words(*model));
  std::string type = text_in(model, "type");
  if (type.empty()) type = model->find("merges") != nullptr ? "BPE" : "WordPiece";
  if (type == "WordPiece") {
    fill_wordpiece(*model, out);
    return Done{};
  }
  if (type == "Unigram") return fill_unigram(file, *model, out);
  if (type != "BPE" || !hf::is_undecorated(*model))
    return unsupported(fmt::format("a tokenizer of kind {}: GGUF files know none", type));
  if (flag_in(*model, "byte_fallback", false)) return fill_space_bpe(file, *model, out);
  if (hf::takes_bytes(*model, words)) return fill_byte_bpe(file, *model, out);
  return unsupported("a BPE without bytes: GGUF files know none");
}

Status fill_from_parsed(const Result<Json>& file, VocabularyText& out) {
  if (!file) return file.error();
  return fill_from_json(*file, out);
}

Status fill_from_sentencepiece(const TokenizerFiles& files, VocabularyText& out) {
  SentencePieceFacts facts = TRY(read_sentencepiece_facts(files));
  out.model = facts.is_bpe ? "llama" : "t5";
  facts.scores.resize(out.tokens.size(), 0);
  out.scores = std::move(facts.scores);
  out.add_space_prefix = facts.add_dummy_prefix;
  if (!facts.is_bpe) {
    out.remove_extra_whitespaces = facts.remove_extra_whitespaces;
    out.charsmap = std::move(facts.charsmap);
  }
  return Done{};
}

// Ranks to merges: a token's two halves are what the ranks below its own make of its bytes.
// Source: openai/tiktoken, _educational.py, bpe_encode().
Status fill_from_ranks(const TokenizerFiles& files, VocabularyText& out) {
  out.model = "gpt2";
  Scanner stages[] = {nullptr};
  TRY(find_rank_scanner(files, stages[0]));
  const PreTokenizerFamily* family = family_of(stages, true);
  if (family == nullptr) family = family_of(stages, false);
  if (family == nullptr) return unsupported("ranks whose pattern GGUF has no name for");
  out.pre = std::string(family->name);
  std::vector<std::string> pieces(out.tokens.size());
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t i = 0; i < pieces.size(); ++i)
    if (out.kinds[i] == static_cast<std::int32_t>(TokenKind::normal) &&
        decode_byte_name(out.tokens[i], pieces[i]))
      ids.emplace(pieces[i], i);
  constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    const std::string_view whole = pieces[id];
    if (whole.size() < 2) continue;
    std::vector<std::size_t> cuts(whole.size() + 1);
    for (std::size_t i = 0; i < cuts.size(); ++i) cuts[i] = i;
    while (cuts.size() > 3) {
      std::size_t best = none, at = 0;
      for (std::size_t i = 0; i + 2 < cuts.size(); ++i) {
        const auto found = ids.find(whole.substr(cuts[i], cuts[i + 2] - cuts[i]));
        if (found != ids.end() && found->second < id && found->second < best)
          best = found->second, at = i + 1;
      }
      if (best == none) break;
      cuts.erase(cuts.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (cuts.size() != 3) continue;
    std::string merge;
    append_byte_name(merge, whole.substr(0, cuts[1]));
    merge += ' ';
    append_byte_name(merge, whole.substr(cuts[1]));
    out.merges.push_back(std::move(merge));
  }
  return Done{};
}

// What stands around a text says what begins and ends one, where the files name no such tokens.
Status find_frame(const Tokenizer& tokenizer, VocabularyText& out) {
  constexpr std::string_view text = "a";
  const auto plain = TRY(tokenizer.encode(text, {}));
  const auto framed =
      TRY(tokenizer.encode(text, {.add_special = true, .parse_special = false, .untrusted = {}}));
  const auto at = std::ranges::search(framed, plain);
  if (plain.empty() || at.empty()) return Done{};
  const auto before = at.begin() - framed.begin(), after = framed.end() - at.end();
  SpecialTokens& special = out.special;
  if (out.model == "bert") return Done{};  // always [CLS] and [SEP]
  if (before == 1 && !special.bos) special.bos = framed.front();
  if (after == 1 && !special.eos) special.eos = framed.back();
  special.add_bos = before == 1 && framed.front() == special.bos;
  special.add_eos = after == 1 && framed.back() == special.eos;
  if (before > 1 || after > 1 || special.add_bos != (before == 1) ||
      special.add_eos != (after == 1))
    out.losses.push_back("what the tokenizer puts around a text");
  return Done{};
}

}  // namespace

Result<VocabularyText> gguf_form(const TokenizerFiles& files) {
  const auto tokenizer = TRY(make_tokenizer(files));
  VocabularyText out;
  out.special = tokenizer->special();
  for (Token id = 0; id < tokenizer->size(); ++id) {
    out.tokens.emplace_back(tokenizer->name(id));
    TokenKind kind = tokenizer->kind(id);
    if (out.tokens.back().empty()) {
      out.tokens.back() = fmt::format("[PAD{}]", id);
      kind = TokenKind::unused;
    }
    if (id == out.special.unk && kind == TokenKind::normal) kind = TokenKind::unknown;
    out.kinds.push_back(static_cast<std::int32_t>(kind));
  }
  if (!files.tokenizer_json.empty())
    TRY(fill_from_parsed(parse_json(files.tokenizer_json), out));
  else if (!files.sentencepiece_model.empty())
    TRY(fill_from_sentencepiece(files, out));
  else if (!files.tiktoken.empty())
    TRY(fill_from_ranks(files, out));
  else if (!files.vocab_json.empty())
    TRY(fill_from_parsed(vocab_json_as_tokenizer(files), out));
  else
    TRY(fill_from_parsed(vocab_txt_as_tokenizer(files), out));
  TRY(find_frame(*tokenizer, out));
  return out;
}

}  // namespace hearth
