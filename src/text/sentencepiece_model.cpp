// SentencePiece's own model files.
// Source: google/sentencepiece, src/sentencepiece_model.proto.
#include <fmt/core.h>

#include "base/protobuf.h"
#include "text/pretokenizer/safe_cut.h"
#include "text/pretokenizer/splits.h"
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
  std::span<const std::byte> charsmap;
};

Result<File::Entry> read_entry(std::span<const std::byte> message) {
  File::Entry entry;
  WireMessage in(message);
  for (WireField field; TRY(in.next(field));) {
    if (field.number == 1 && field.type == 2) entry.name = text_of(field.bytes);
    if (field.number == 2 && field.type == 5) entry.score = field.real();
    if (field.number == 3 && field.type == 0) {
      if (field.value < 1 || field.value > 6)
        return Error(ErrorKind::corrupt, fmt::format("a piece of type {}", field.value));
      entry.kind = static_cast<TokenKind>(field.value);
    }
  }
  return entry;
}

Status read_trainer(std::span<const std::byte> message, File& file) {
  WireMessage in(message);
  for (WireField field; TRY(in.next(field));) {
    if (field.type != 0) continue;
    const auto id = static_cast<std::int32_t>(field.value);
    switch (field.number) {
      case 3:
        file.type = static_cast<ModelType>(field.value);
        break;
      case 24:
        file.rules.whitespace_as_suffix = field.value != 0;
        break;
      case 35:
        file.byte_fallback = field.value != 0;
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
  WireMessage in(message);
  for (WireField field; TRY(in.next(field));) {
    if (field.number == 2 && field.type == 2) {
      file.rules.charsmap = TRY(CharsMap::read(field.bytes));
      file.charsmap = field.bytes;
    }
    if (field.type != 0) continue;
    if (field.number == 3) file.rules.add_dummy_prefix = field.value != 0;
    if (field.number == 4) file.rules.remove_extra_whitespaces = field.value != 0;
    if (field.number == 5) file.rules.escape_whitespaces = field.value != 0;
  }
  return Done{};
}

Result<File> read_file(std::string_view bytes) {
  File file;
  WireMessage in(bytes_of(bytes));
  for (WireField field; TRY(in.next(field));) {
    if (field.type != 2) continue;
    if (field.number == 1) {
      if (file.entries.size() == max_vocabulary)
        return Error(ErrorKind::corrupt, fmt::format("more than {} pieces", max_vocabulary));
      file.entries.push_back(TRY(read_entry(field.bytes)));
    } else if (field.number == 2) {
      TRY(read_trainer(field.bytes, file));
    } else if (field.number == 3) {
      TRY(read_normalizer(field.bytes, file));
    }
  }
  if (file.entries.empty()) return Error(ErrorKind::corrupt, "no pieces");
  return file;
}

std::string_view class_of(const TokenizerFiles& files) {
  const Json* const name = files.tokenizer_config.find("tokenizer_class");
  return name != nullptr && name->is_string() ? std::string_view(name->as_string()) : "";
}

// Some classes number the pieces otherwise than the model does.
// Source: Hugging Face transformers, tokenization_xlm_roberta.py and its relatives.
Status renumber(std::string_view tokenizer_class, File& file) {
  for (const std::string_view other : {"Barthez", "BertGeneration", "Camembert", "M2M100", "MBart",
                                       "Nllb", "Pegasus", "SeamlessM4T", "XGLM", "XLNet"})
    if (tokenizer_class.starts_with(other))
      return Error(
          ErrorKind::unsupported,
          fmt::format("{} numbers its pieces by rules of its own; a tokenizer.json says them",
                      tokenizer_class));
  if (!tokenizer_class.starts_with("XLMRoberta") || file.entries.size() < 3) return Done{};
  std::vector<File::Entry> entries = {{"<s>", 0, TokenKind::control},
                                      {"<pad>", 0, TokenKind::control},
                                      {"</s>", 0, TokenKind::control},
                                      {"<unk>", 0, TokenKind::unknown}};
  entries.insert(entries.end(), file.entries.begin() + 3, file.entries.end());
  entries.push_back({"<mask>", 0, TokenKind::control});
  file.entries = std::move(entries);
  file.bos = 0;
  file.pad = 1;
  file.eos = 2;
  file.unk = 3;
  return Done{};
}

// Tokens beyond the model: what the folder's configuration adds, and T5's sentinels.
Result<std::vector<AddedTokenRow>> read_more_tokens(const TokenizerFiles& files,
                                                    std::size_t pieces) {
  auto rows = TRY(read_added_tokens_decoder(files.tokenizer_config));
  std::erase_if(rows, [](const AddedTokenRow& row) { return row.token.content.empty(); });
  if (!rows.empty() || !class_of(files).starts_with("T5")) return rows;
  constexpr int sentinels = 100;  // the last id is <extra_id_0>
  for (int i = sentinels; i-- > 0;) {
    AddedTokenRow row;
    row.token.content = fmt::format("<extra_id_{}>", i);
    row.token.id = static_cast<Token>(pieces) + sentinels - 1 - i;
    row.token.special = true;
    rows.push_back(std::move(row));
  }
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
  const std::string_view tokenizer_class = class_of(files);
  TRY(renumber(tokenizer_class, file));
  const auto rows = TRY(read_more_tokens(files, file.entries.size()));
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
  const bool both = tokenizer_class.starts_with("XLMRoberta");
  frame_by_config(files, {.bos = bpe || both, .eos = file.type == ModelType::unigram}, parts);
  return parts;
}

Result<SentencePieceFacts> read_sentencepiece_facts(const TokenizerFiles& files) {
  File file = TRY(read_file(files.sentencepiece_model));
  TRY(renumber(class_of(files), file));
  if (file.type != ModelType::bpe && file.type != ModelType::unigram)
    return Error(ErrorKind::unsupported, "a SentencePiece model of words or characters");
  SentencePieceFacts facts{.is_bpe = file.type == ModelType::bpe,
                           .add_dummy_prefix = file.rules.add_dummy_prefix,
                           .remove_extra_whitespaces = file.rules.remove_extra_whitespaces,
                           .scores = {},
                           .charsmap = std::string(text_of(file.charsmap))};
  for (const File::Entry& entry : file.entries) facts.scores.push_back(entry.score);
  return facts;
}

}  // namespace hearth
