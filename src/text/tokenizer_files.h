// What the readers of a folder's tokenizer files share.
#pragma once

#include "text/pipeline.h"

namespace hearth {

// An empty vocabulary filled by id: gaps stay unnamed and unused.
class VocabularyBuilder {
 public:
  // Errors: corrupt, for ids far past the number of tokens.
  Status put(Token id, std::string_view name, TokenKind kind);
  std::size_t size() const { return entries_.size(); }
  bool has(Token id) const {
    return id >= 0 && static_cast<std::size_t>(id) < entries_.size() &&
           entries_[static_cast<std::size_t>(id)].is_set;
  }
  Vocabulary build() const;

 private:
  struct Entry {
    std::string name;
    TokenKind kind = TokenKind::unused;
    bool is_set = false;
  };
  std::vector<Entry> entries_;
  std::size_t set_ = 0;
};

struct AddedTokenRow {
  AddedToken token;
  bool normalized = false;  // found in normalized text
};
// Rows of tokenizer.json's "added_tokens", and of tokenizer_config's "added_tokens_decoder".
Result<std::vector<AddedTokenRow>> read_added_tokens(const Json& list);
Result<std::vector<AddedTokenRow>> read_added_tokens_decoder(const Json& tokenizer_config);

// Splits rows over parts.added and parts.added_after; what is special follows the vocabulary's
// kinds.  Contents of normalized rows are normalized first.
Status place_added_tokens(Pipeline& parts, std::vector<AddedTokenRow> rows);

// bos, eos and so on by name (tokenizer_config, special_tokens_map) or by id (config,
// generation_config), then what complete_special_tokens adds.
void find_special_tokens(const TokenizerFiles& files, Pipeline& parts);

// Puts bos and eos around texts where the configuration says so; `fallback` where it says nothing.
struct FrameDefaults {
  bool bos = false, eos = false;
};
void frame_by_config(const TokenizerFiles& files, FrameDefaults fallback, Pipeline& parts);

// What a tokenizer.json says, parsed.
Result<Pipeline> make_pipeline(const Json& tokenizer_json, const TokenizerFiles& files);

// The readers, by file.
Result<Pipeline> read_tokenizer_json(const TokenizerFiles& files);
Result<Pipeline> read_sentencepiece_model(const TokenizerFiles& files);
Result<Pipeline> read_tiktoken(const TokenizerFiles& files);
Result<Pipeline> read_vocab_json(const TokenizerFiles& files);
Result<Pipeline> read_vocab_txt(const TokenizerFiles& files);

// The tokenizer.json that such files stand for.
Result<Json> vocab_json_as_tokenizer(const TokenizerFiles& files);
Result<Json> vocab_txt_as_tokenizer(const TokenizerFiles& files);

// How ranks, of tiktoken's format or Tekken's, cut a text.
Status find_rank_scanner(const TokenizerFiles& files, Scanner& scanner);

// What of a SentencePiece model its vocabulary and special tokens do not say.
struct SentencePieceFacts {
  bool is_bpe = false;  // otherwise Unigram
  bool add_dummy_prefix = true, remove_extra_whitespaces = true;
  std::vector<float> scores;  // by id
  std::string charsmap;       // precompiled
};
// Errors: as read_sentencepiece_model; unsupported (models of words or characters).
Result<SentencePieceFacts> read_sentencepiece_facts(const TokenizerFiles& files);

}  // namespace hearth
