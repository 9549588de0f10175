// SentencePiece's own model files.
// Source: google/sentencepiece, src/sentencepiece_model.proto.
#include <bit>

#include <fmt/core.h>

#include "text/pretokenizer/safe_cut.h"
#include "text/pretokenizer/splits.h"
#include "text/protobuf.h"
#include "text/sentencepiece.h"
#include "text/token_keys.h"
#include "text/tokenizer_files.h"
#include "text/word_models.h"

namespace hearth {
namespace {

enum class ModelType : std::uint64_t { unigram = 1, bpe, word, character };

struct File {
  struct Entry {
    std::string_view name;
    float score = 0;
    TokenKind kind = TokenKind::normal;
  };
  std::vector<Entry> entries;
  ModelType type = ModelType::unigram;
  bool byte_fallback = false;
  // -1: none.
  std::int32_t unk = 0, bos = 1, eos = 2, pad = -1;
  SentencePieceRules rules;
};

Result<File::Entry> read_entry(std::span<const std::byte> message) {
  File::Entry entry;
  ProtoReader in(message);
  while (const auto field = TRY(in.next())) {
    if (field->number == 1 && field->wire == 2) entry.name = text_of(field->bytes);
    if (field->number == 2 && field->wire == 5)
      entry.score = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
    if (field->number == 3 && field->wire == 0) {
      if (field->value < 1 || field->value > 6)
        return Error(ErrorKind::corrupt, fmt::format("a piece of type {}", field->value));
      entry.kind = static_cast<TokenKind>(field->value);
    }
  }
  return entry;
}

Status read_trainer(std::span<const std::byte> message, File& file) {
  ProtoReader in(message);
  while (const auto field = TRY(in.next())) {
    if (field->wire != 0) continue;
    const auto id = static_cast<std::int32_t>(field->value);
    switch (field->number) {
      case 3:
        file.type = static_cast<ModelType>(field->value);
        break;
      case 24:
        file.rules.whitespace_as_suffix = field->value != 0;
        break;
      case 35:
        file.byte_fallback = field->value != 0;
        break;
      case 40:
        file.unk = id;
        break;
      case 41:
        file.bos = id;
        break;
      case 42:
        file.eos = id;
        break;
      case 43:
        file.pad = id;
        break;
      default:
        break;
    }
  }
  return Done{};
}

Status read_normalizer(std::span<const std::byte> message, File& file) {
  ProtoReader in(message);
  while (const auto field = TRY(in.next())) {
    if (field->number == 2 && field->wire == 2)
      file.rules.charsmap = TRY(CharsMap::read(field->bytes));
    if (field->wire != 0) continue;
    if (field->number == 3) file.rules.add_dummy_prefix = field->value != 0;
    if (field->number == 4) file.rules.remove_extra_whitespaces = field->value != 0;
    if (field->number == 5) file.rules.escape_whitespaces = field->value != 0;
  }
  return Done{};
}

Result<File> read_file(std::string_view bytes) {
  File file;
  ProtoReader in(bytes_of(bytes));
  while (const auto field = TRY(in.next())) {
    if (field->wire != 2) continue;
    if (field->number == 1) {
      if (file.entries.size() == max_vocabulary)
        return Error(ErrorKind::corrupt, fmt::format("more than {} pieces", max_vocabulary));
      file.entries.push_back(TRY(read_entry(field->bytes)));
    } else if (field->number == 2) {
      TRY(read_trainer(field->bytes, file));
    } else if (field->number == 3) {
      TRY(read_normalizer(field->bytes, file));
    }
  }
  if (file.entries.empty()) return Error(ErrorKind::corrupt, "no pieces");
  return file;
}

// Tokens beyond the model: what the folder's configuration adds.
Result<std::vector<AddedTokenRow>> read_more_tokens(const TokenizerFiles& files) {
  auto rows = TRY(read_added_tokens_decoder(files.tokenizer_config));
  std::erase_if(rows, [](const AddedTokenRow& row) { return row.token.content.empty(); });
  return rows;
}

Status fill_vocabulary(const File& file, const std::vector<AddedTokenRow>& rows, Pipeline& parts) {
  VocabularyBuilder builder;
  Token next = 0;
  for (const File::Entry& entry : file.entries) TRY(builder.put(next++, entry.name, entry.kind));
  for (const AddedTokenRow& row : rows) {
    const bool hidden = row.token.special;
    if (row.token.id < next && !hidden) continue;  // already what it should be
    TRY(builder.put(row.token.id, row.token.content,
                    hidden ? TokenKind::control : TokenKind::user_defined));
  }
  parts.vocabulary = builder.build();
  const auto known = [&](std::int32_t id) {
    return id >= 0 && id < next ? std::optional(id) : std::nullopt;
  };
  parts.special.unk = known(file.unk);
  parts.special.bos = known(file.bos);
  parts.special.eos = known(file.eos);
  parts.special.pad = known(file.pad);
  return Done{};
}

// Control tokens are found in the text, user-defined ones in the normalized text.
Status place_tokens(const File& file, const std::vector<AddedTokenRow>& rows, Pipeline& parts) {
  std::vector<AddedToken> plain, normalized;
  const Vocabulary& vocabulary = parts.vocabulary;
  const auto count = static_cast<Token>(file.entries.size());
  for (Token id = 0; id < count; ++id) {
    const bool hidden = vocabulary.is_hidden(id);
    AddedToken token{.content = std::string(vocabulary.name(id)), .id = id, .special = hidden};
    if (hidden)
      plain.push_back(std::move(token));
    else if (vocabulary.kind(id) == TokenKind::user_defined)
      normalized.push_back(std::move(token));
  }
  for (const AddedTokenRow& row : rows)
    if (row.token.id >= count) {
      plain.push_back(row.token);
      plain.back().special = vocabulary.is_hidden(row.token.id);
    }
  parts.added = TRY(AddedTokens::make(std::move(plain)));
  parts.added_after = TRY(AddedTokens::make(std::move(normalized)));
  return Done{};
}

Status fill_model(const File& file, Pipeline& parts) {
  const Vocabulary& vocabulary = parts.vocabulary;
  std::vector<float> scores(vocabulary.size());
  for (std::size_t i = 0; i < file.entries.size(); ++i) scores[i] = file.entries[i].score;
  const Token unknown = parts.special.unk.value_or(no_token);
  switch (file.type) {
    case ModelType::unigram:
      parts.algorithm = "unigram";
      parts.model =
          TRY(make_sentencepiece_unigram(vocabulary, scores, unknown, file.byte_fallback));
      break;
    case ModelType::bpe:
      parts.algorithm = "spm";
      parts.model = make_sentencepiece_bpe(vocabulary, scores, unknown, file.byte_fallback);
      break;
    case ModelType::word:
      parts.algorithm = "wordlevel";
      parts.model = make_wordlevel(text_keys(vocabulary), unknown);
      parts.pretokenizer.add(make_metaspace(
          {.replacement = std::string(space_mark), .prepend = MetaspaceOptions::Prepend::never}));
      return Done{};
    case ModelType::character:
      parts.algorithm = "wordlevel";
      parts.model = make_wordlevel(text_keys(vocabulary), unknown);
      parts.pretokenizer.add(make_fixed_length(1));
      return Done{};
    default:
      return Error(ErrorKind::unsupported,
                   fmt::format("model type {}", static_cast<std::uint64_t>(file.type)));
  }
  if (!file.rules.whitespace_as_suffix)
    if (auto cut = make_safe_cut(vocabulary)) parts.pretokenizer.add(std::move(cut));
  return Done{};
}

}  // namespace

Result<Pipeline> read_sentencepiece_model(const TokenizerFiles& files) {
  File file = TRY(read_file(files.sentencepiece_model));
  const auto rows = TRY(read_more_tokens(files));
  Pipeline parts;
  TRY(fill_vocabulary(file, rows, parts));
  find_special_tokens(files, parts);
  fill_pieces(parts.vocabulary, PieceStyle::space_marks);
  TRY(fill_model(file, parts));
  TRY(place_tokens(file, rows, parts));
  for (const File::Entry& entry : file.entries)
    if (entry.kind == TokenKind::user_defined) file.rules.user_defined.emplace_back(entry.name);
  parts.decoder = make_sentencepiece_decoder(file.rules);
  parts.normalizer = TRY(make_sentencepiece_normalizer(std::move(file.rules)));
  parts.any_bytes = false;
  // Llama and its relatives begin texts, T5 and its relatives end them.
  const bool bpe = file.type == ModelType::bpe;
  frame_by_config(files, {.bos = bpe, .eos = file.type == ModelType::unigram}, parts);
  return parts;
}

}  // namespace hearth
