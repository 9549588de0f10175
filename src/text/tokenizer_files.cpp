#include "text/tokenizer_files.h"

#include <algorithm>
#include <charconv>

#include <fmt/core.h>

#include "text/special_tokens.h"

namespace hearth {
namespace {

// Real files leave few ids out.
constexpr std::size_t max_gap = 1u << 20;

bool member_flag(const Json& object, std::string_view key) {
  const Json* const value = object.find(key);
  return value != nullptr && value->is_bool() && value->as_bool();
}

Result<AddedTokenRow> read_row(const Json& item) {
  const Json* const content = item.find("content");
  if (content == nullptr || !content->is_string())
    return Error(ErrorKind::corrupt, "an added token without 'content'");
  AddedTokenRow row;
  row.token = {.content = content->as_string(),
               .special = member_flag(item, "special"),
               .single_word = member_flag(item, "single_word"),
               .lstrip = member_flag(item, "lstrip"),
               .rstrip = member_flag(item, "rstrip")};
  row.normalized = member_flag(item, "normalized");
  return row;
}

Result<Token> checked_id(std::int64_t id) {
  if (id < 0 || id >= static_cast<std::int64_t>(max_vocabulary))
    return Error(ErrorKind::corrupt, fmt::format("an added token with id {}", id));
  return static_cast<Token>(id);
}

// "text" or {"content": "text"}; "" otherwise.
std::string_view content_of(const Json* value) {
  if (value != nullptr && value->is_object()) value = value->find("content");
  return value != nullptr && value->is_string() ? std::string_view(value->as_string())
                                                : std::string_view();
}

void add_ids(const Json& config, std::string_view key, const Vocabulary& vocabulary,
             std::vector<Token>& out) {
  const Json* const value = config.find(key);
  if (value == nullptr) return;
  const auto add = [&](const Json& item) {
    if (!item.is_integer() || item.as_integer() < 0 ||
        item.as_integer() >= static_cast<std::int64_t>(vocabulary.size()))
      return;
    out.push_back(static_cast<Token>(item.as_integer()));
  };
  if (value->is_array())
    for (const Json& item : value->as_array()) add(item);
  else
    add(*value);
}

class Finder {
 public:
  Finder(const TokenizerFiles& files, const Vocabulary& vocabulary)
      : files_(files), vocabulary_(vocabulary) {}

  std::optional<Token> operator()(std::string_view name) const {
    const std::string key = std::string(name) + "_token";
    for (const Json* const file : {&files_.tokenizer_config, &files_.special_tokens_map}) {
      const Token id = vocabulary_.find(content_of(file->find(key)));
      if (id != no_token) return id;
    }
    for (const Json* const file : {&files_.generation_config, &files_.config}) {
      std::vector<Token> ids;
      add_ids(*file, key + "_id", vocabulary_, ids);
      if (!ids.empty()) return ids.front();
    }
    return std::nullopt;
  }

 private:
  const TokenizerFiles& files_;
  const Vocabulary& vocabulary_;
};

}  // namespace

Status VocabularyBuilder::put(Token id, std::string_view name, TokenKind kind) {
  const auto index = static_cast<std::size_t>(id);
  if (id < 0 || index >= max_vocabulary || index > 4 * set_ + max_gap)
    return Error(ErrorKind::corrupt, fmt::format("id {} in a vocabulary of {} tokens", id, set_));
  if (index >= entries_.size()) entries_.resize(index + 1);
  Entry& entry = entries_[index];
  if (!entry.is_set) ++set_;
  entry = {std::string(name), kind, true};
  return Done{};
}

Vocabulary VocabularyBuilder::build() const {
  Vocabulary vocabulary;
  vocabulary.reserve(entries_.size());
  for (const Entry& entry : entries_) vocabulary.add(entry.name, entry.kind);
  return vocabulary;
}

Result<std::vector<AddedTokenRow>> read_added_tokens(const Json& list) {
  std::vector<AddedTokenRow> rows;
  if (list.is_null()) return rows;
  if (!list.is_array()) return Error(ErrorKind::corrupt, "'added_tokens' is no list");
  for (const Json& item : list.as_array()) {
    AddedTokenRow row = TRY(read_row(item));
    const Json* const id = item.find("id");
    if (id == nullptr || !id->is_integer())
      return Error(ErrorKind::corrupt, "an added token without 'id'");
    row.token.id = TRY(checked_id(id->as_integer()));
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::vector<AddedTokenRow>> read_added_tokens_decoder(const Json& tokenizer_config) {
  std::vector<AddedTokenRow> rows;
  const Json* const table = tokenizer_config.find("added_tokens_decoder");
  if (table == nullptr || !table->is_object()) return rows;
  for (const auto& [key, item] : table->as_object()) {
    AddedTokenRow row = TRY(read_row(item));
    std::int64_t id = -1;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), id);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size())
      return Error(ErrorKind::corrupt, "'added_tokens_decoder' has a key that is no id");
    row.token.id = TRY(checked_id(id));
    rows.push_back(std::move(row));
  }
  return rows;
}

Status place_added_tokens(Pipeline& parts, std::vector<AddedTokenRow> rows) {
  std::vector<AddedToken> plain, normalized;
  for (AddedTokenRow& row : rows) {
    row.token.special = parts.vocabulary.is_hidden(row.token.id);
    if (!row.normalized) {
      plain.push_back(std::move(row.token));
      continue;
    }
    if (parts.normalizer != nullptr)
      row.token.content = TRY(parts.normalizer->apply({row.token.content, false, false}));
    normalized.push_back(std::move(row.token));
  }
  parts.added = TRY(AddedTokens::make(std::move(plain)));
  parts.added_after = TRY(AddedTokens::make(std::move(normalized)));
  return Done{};
}

void find_special_tokens(const TokenizerFiles& files, Pipeline& parts) {
  const Finder find(files, parts.vocabulary);
  SpecialTokens& special = parts.special;
  const auto complete = [&](std::optional<Token>& slot, std::string_view name) {
    if (!slot) slot = find(name);
  };
  complete(special.bos, "bos");
  complete(special.eos, "eos");
  complete(special.unk, "unk");
  complete(special.pad, "pad");
  complete(special.sep, "sep");
  complete(special.cls, "cls");
  complete(special.mask, "mask");
  std::vector<Token> ends;
  for (const Json* const file : {&files.generation_config, &files.config})
    add_ids(*file, "eos_token_id", parts.vocabulary, ends);
  complete_special_tokens(special, parts.vocabulary, ends);
}

void frame_by_config(const TokenizerFiles& files, FrameDefaults fallback, Pipeline& parts) {
  const auto wants = [&](std::string_view key, bool otherwise) {
    const Json* const value = files.tokenizer_config.find(key);
    return value != nullptr && value->is_bool() ? value->as_bool() : otherwise;
  };
  SpecialTokens& special = parts.special;
  special.add_bos = special.bos && wants("add_bos_token", fallback.bos);
  special.add_eos = special.eos && wants("add_eos_token", fallback.eos);
  if (special.add_bos) parts.before.push_back(*special.bos);
  if (special.add_eos) parts.after.push_back(*special.eos);
}

Result<std::unique_ptr<Tokenizer>> make_tokenizer(const TokenizerFiles& files) {
  struct Row {
    std::string_view TokenizerFiles::* text;
    std::string_view name;
    Result<Pipeline> (*read)(const TokenizerFiles&);
  };
  static constexpr Row rows[] = {
      {&TokenizerFiles::tokenizer_json, "tokenizer.json", read_tokenizer_json},
      {&TokenizerFiles::sentencepiece_model, "tokenizer.model", read_sentencepiece_model},
      {&TokenizerFiles::tiktoken, "tiktoken", read_tiktoken},
      {&TokenizerFiles::vocab_json, "vocab.json", read_vocab_json},
      {&TokenizerFiles::vocab_txt, "vocab.txt", read_vocab_txt},
  };
  for (const Row& row : rows) {
    if ((files.*row.text).empty()) continue;
    auto parts = row.read(files);
    if (!parts) return std::move(parts).error().within(row.name);
    return make_tokenizer(*std::move(parts));
  }
  return Error(ErrorKind::not_found, "no tokenizer file");
}

}  // namespace hearth
