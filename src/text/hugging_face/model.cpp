// "model" of tokenizer.json.
#include <algorithm>

#include <fmt/core.h>

#include "text/hugging_face/parts.h"
#include "text/unigram.h"
#include "text/word_models.h"

namespace hearth::hugging_face {
namespace {

// Files of early versions do not name the type.
std::string_view kind_of(const Json& model) {
  const Json* const type = model.find("type");
  if (type != nullptr && type->is_string()) return type->as_string();
  if (model.find("merges") != nullptr) return "BPE";
  if (model.find("unk_id") != nullptr) return "Unigram";
  if (model.find("max_input_chars_per_word") != nullptr) return "WordPiece";
  return "WordLevel";
}

bool lacks_text(const Json& model, std::string_view key) {
  const Json* const value = model.find(key);
  return value == nullptr || value->is_null() || (value->is_string() && value->as_string().empty());
}

Status read_scored(const Json::Array& vocab, ModelWords& words) {
  for (const Json& item : vocab) {
    if (!item.is_array() || item.size() != 2 || !item.as_array()[0].is_string() ||
        !item.as_array()[1].is_number())
      return Error(ErrorKind::corrupt, "model: 'vocab' has an entry that is no [token, score]");
    words.words.emplace_back(item.as_array()[0].as_string(),
                             static_cast<Token>(words.scores.size()));
    words.scores.push_back(item.as_array()[1].as_number());
  }
  return Done{};
}

Status read_numbered(const Json::Object& vocab, ModelWords& words) {
  for (const auto& [name, id] : vocab) {
    if (!id.is_integer() || id.as_integer() < 0 ||
        id.as_integer() >= static_cast<std::int64_t>(max_vocabulary))
      return Error(ErrorKind::corrupt, "model: 'vocab' has an id that is no token");
    words.words.emplace_back(name, static_cast<Token>(id.as_integer()));
  }
  return Done{};
}

// The words that text may match: all but special tokens.
FlatVocab matching(const ModelWords& words, const Vocabulary& vocabulary) {
  FlatVocab keys;
  keys.reserve(words.words.size());
  for (const auto& [name, id] : words.words)
    if (vocabulary.is_text(id)) keys.insert(name, id);
  return keys;
}

FlatVocab all_words(const ModelWords& words) {
  FlatVocab keys;
  keys.reserve(words.words.size());
  for (const auto& [name, id] : words.words) keys.insert(name, id);
  return keys;
}

void fill_bytes(const FlatVocab& keys, Fallback& fallback) {
  for (int byte = 0; byte < 256; ++byte)
    fallback.bytes[byte] = keys.find(fmt::format("<0x{:02X}>", byte));
}

// The two sides of "left right" or ["left", "right"].
Result<std::pair<std::string_view, std::string_view>> sides_of(const Json& merge) {
  if (merge.is_string()) {
    const std::string_view text = merge.as_string();
    const std::size_t at = text.find(' ');
    if (at != std::string_view::npos) return std::pair(text.substr(0, at), text.substr(at + 1));
  } else if (merge.is_array() && merge.size() == 2 && merge.as_array()[0].is_string() &&
             merge.as_array()[1].is_string()) {
    return std::pair(std::string_view(merge.as_array()[0].as_string()),
                     std::string_view(merge.as_array()[1].as_string()));
  }
  return Error(ErrorKind::corrupt, "model: a merge that is no pair of tokens");
}

Result<std::vector<MergeRule>> read_merges(const Json& model, const FlatVocab& ids,
                                           std::string_view continuing_prefix) {
  std::vector<MergeRule> rules;
  const Json* const merges = model.find("merges");
  if (merges == nullptr || !merges->is_array())
    return Error(ErrorKind::corrupt, "model: BPE without 'merges'");
  rules.reserve(merges->size());
  std::string whole;
  for (const Json& merge : merges->as_array()) {
    const auto [left, right] = TRY(sides_of(merge));
    std::string_view tail = right;
    if (!continuing_prefix.empty() && tail.starts_with(continuing_prefix))
      tail.remove_prefix(continuing_prefix.size());
    whole.assign(left).append(tail);
    const MergeRule rule{ids.find(left), ids.find(right), ids.find(whole)};
    if (rule.left == no_token || rule.right == no_token || rule.whole == no_token)
      return Error(
          ErrorKind::corrupt,
          fmt::format("model: merge {} is of tokens that the vocabulary lacks", rules.size()));
    rules.push_back(rule);
  }
  return rules;
}

Result<Token> unknown_of(const Json& model, const FlatVocab& ids) {
  const std::string name = TRY(text(model, "unk_token", ""));
  return name.empty() ? no_token : ids.find(name);
}

Result<ModelPart> read_bpe(const Json& model, const ModelWords& words,
                           const ModelContext& context) {
  ModelPart part{.model = nullptr, .algorithm = "bpe"};
  const FlatVocab ids = all_words(words);
  MergeBpeOptions options;
  options.whole_first = TRY(flag(model, "ignore_merges", false));
  options.continuing_prefix = TRY(text(model, "continuing_subword_prefix", ""));
  options.end_suffix = TRY(text(model, "end_of_word_suffix", ""));
  options.fallback.unknown = part.unknown = TRY(unknown_of(model, ids));
  options.fallback.fuse_unknown = TRY(flag(model, "fuse_unk", false));
  options.fallback.use_bytes = part.byte_fallback = TRY(flag(model, "byte_fallback", false));
  const auto rules = TRY(read_merges(model, ids, options.continuing_prefix));
  FlatVocab keys;
  if (context.bytes) {
    options.bytes = true;
    options.fallback.use_bytes = false;
    std::string bytes;
    keys.reserve(words.words.size());
    for (const auto& [name, id] : words.words) {
      if (!context.vocabulary.is_text(id) || !decode_byte_name(name, bytes) || bytes.empty())
        continue;
      if (keys.insert(bytes, id) && bytes.size() == 1)
        options.fallback.bytes[static_cast<unsigned char>(bytes[0])] = id;
    }
  } else {
    if (options.fallback.use_bytes) fill_bytes(ids, options.fallback);
    keys = matching(words, context.vocabulary);
  }
  part.model = make_merge_bpe(std::move(keys), rules, std::move(options));
  return part;
}

Result<ModelPart> read_unigram(const Json& model, const ModelWords& words,
                               const ModelContext& context) {
  ModelPart part{.model = nullptr, .algorithm = "unigram"};
  const std::size_t unknown = TRY(count(model, "unk_id", max_vocabulary));
  if (unknown < words.scores.size()) part.unknown = static_cast<Token>(unknown);
  part.byte_fallback = TRY(flag(model, "byte_fallback", false));
  UnigramOptions options;
  options.scores = words.scores;
  options.fallback.unknown = part.unknown;
  options.fallback.fuse_unknown = true;
  options.fallback.use_bytes = part.byte_fallback;
  if (part.byte_fallback) fill_bytes(all_words(words), options.fallback);
  const auto least = std::min_element(words.scores.begin(), words.scores.end());
  options.unknown_score = (least == words.scores.end() ? 0.0 : *least) - unknown_penalty;
  std::vector<UnigramKey> keys;
  for (const auto& [name, id] : words.words)
    if (context.vocabulary.is_text(id)) keys.push_back({name, id});
  part.model = TRY(make_unigram(keys, std::move(options)));
  return part;
}

Result<ModelPart> read_wordpiece(const Json& model, const ModelWords& words,
                                 const ModelContext& context) {
  ModelPart part{.model = nullptr, .algorithm = "wordpiece"};
  const std::string prefix = TRY(text(model, "continuing_subword_prefix", "##"));
  WordPieceOptions options;
  options.max_characters = TRY(count(model, "max_input_chars_per_word", 100));
  options.beginnings = matching(words, context.vocabulary);
  for (const auto& [name, id] : words.words)
    if (name.starts_with(prefix) && name.size() > prefix.size() && context.vocabulary.is_text(id))
      options.continuations.insert(name.substr(prefix.size()), id);
  const std::string unknown = TRY(text(model, "unk_token", "[UNK]"));
  options.unknown = part.unknown = all_words(words).find(unknown);
  part.model = make_wordpiece(std::move(options));
  return part;
}

Result<ModelPart> read_wordlevel(const Json& model, const ModelWords& words,
                                 const ModelContext& context) {
  ModelPart part{.model = nullptr, .algorithm = "wordlevel"};
  const std::string unknown = TRY(text(model, "unk_token", "<unk>"));
  part.unknown = all_words(words).find(unknown);
  part.model = make_wordlevel(matching(words, context.vocabulary), part.unknown);
  return part;
}

}  // namespace

Result<ModelWords> read_words(const Json& model) {
  ModelWords words;
  const Json* const vocab = model.find("vocab");
  if (vocab == nullptr || (!vocab->is_object() && !vocab->is_array()))
    return Error(ErrorKind::corrupt, "model: has no 'vocab'");
  if (vocab->size() == 0) return Error(ErrorKind::corrupt, "model: 'vocab' is empty");
  if (vocab->size() > max_vocabulary)
    return Error(ErrorKind::corrupt, fmt::format("model: 'vocab' has {} entries; at most {}",
                                                 vocab->size(), max_vocabulary));
  const bool scored = kind_of(model) == "Unigram";
  if (scored != vocab->is_array())
    return Error(ErrorKind::corrupt, fmt::format("model: 'vocab' is an {}", vocab->type_name()));
  if (scored)
    TRY(read_scored(vocab->as_array(), words));
  else
    TRY(read_numbered(vocab->as_object(), words));
  return words;
}

bool is_undecorated(const Json& model) {
  return lacks_text(model, "continuing_subword_prefix") && lacks_text(model, "end_of_word_suffix");
}

bool takes_bytes(const Json& model, const ModelWords& words) {
  if (kind_of(model) != "BPE" || !is_undecorated(model)) return false;
  if (lacks_text(model, "unk_token") && !flag(model, "byte_fallback", false).value_or(true))
    return true;
  // What the file would make of a byte without a token is another matter.
  std::size_t bytes = 0;
  std::string spelled;
  for (const auto& [name, id] : words.words)
    bytes += name.size() <= 2 && decode_byte_name(name, spelled) && spelled.size() == 1;
  return bytes == 256;
}

Result<ModelPart> read_model(const Json& model, const ModelWords& words,
                             const ModelContext& context) {
  const std::string_view kind = kind_of(model);
  if (kind == "BPE") return read_bpe(model, words, context);
  if (kind == "Unigram") return read_unigram(model, words, context);
  if (kind == "WordPiece") return read_wordpiece(model, words, context);
  if (kind == "WordLevel") return read_wordlevel(model, words, context);
  return Error(ErrorKind::unsupported, fmt::format("model '{}' is not known", kind));
}

}  // namespace hearth::hugging_face
