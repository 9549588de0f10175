// Tokenizer: text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

using Token = std::int32_t;

struct TextRange {
  std::size_t begin, end;  // bytes
};

struct EncodeOptions {
  bool add_special = false;    // BOS/EOS/[CLS]/[SEP] as the model's own settings or template say
  bool parse_special = false;  // special tokens written out in the text become control tokens
  // Where they do not all the same, not even in part: what users wrote.  In order, apart from one
  // another, within the text.
  std::span<const TextRange> untrusted = {};
};

// How a piece of a vocabulary behaves.  The numbers are those of tokenizer.ggml.token_type.
enum class TokenKind : std::uint8_t { normal = 1, unknown, control, user_defined, unused, byte };

struct SpecialTokens {
  std::optional<Token> bos, eos, unk, pad, sep, cls, mask, eot, eom;
  std::optional<Token> fim_prefix, fim_suffix, fim_middle;
  bool add_bos = false, add_eos = false;
  std::vector<Token> end_of_generation;  // every token that ends an answer; sorted
};

// Immutable; thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Errors: invalid when the text passes max_text_bytes.  Invalid UTF-8 is encoded as it falls
  // (bytes) or as U+FFFD, never refused.
  virtual Result<std::vector<Token>> encode(std::string_view text, EncodeOptions options) const = 0;

  // The bytes that the token adds to the output; a control token gives "" unless `special`.
  // Word-start spaces included; ids outside the vocabulary give "".
  virtual std::string_view piece(Token id, bool special = false) const = 0;

  // Whole text of a sequence, with the vocabulary's own rule about the first space.
  virtual std::string decode(std::span<const Token> ids, bool special = false) const = 0;

  virtual std::int32_t size() const = 0;
  virtual std::string_view name(Token id) const = 0;  // as written in the vocabulary
  virtual TokenKind kind(Token id) const = 0;
  virtual std::optional<Token> find(std::string_view name) const = 0;
  virtual const SpecialTokens& special() const = 0;
  virtual std::string_view algorithm() const = 0;  // "bpe", "spm", "unigram", "wordpiece", ...
  bool ends_generation(Token id) const;
};

constexpr std::size_t max_text_bytes = 1u << 30;

// Turns a stream of tokens into pieces of whole UTF-8: bytes of an unfinished character are held
// back; bytes that can never become one leave as U+FFFD.  Used by one thread.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool special = false)
      : tokenizer_(tokenizer), special_(special) {}
  std::string add(Token id);
  std::string finish();  // what is still held, repaired

 private:
  const Tokenizer& tokenizer_;
  bool special_;
  bool first_ = true;
  std::string held_;
};

// A vocabulary as GGUF metadata describes it (tokenizer.ggml.*).
struct GgufVocabulary {
  std::string model;  // "llama", "gpt2", "bert", "t5"
  std::string pre;    // name of the pre-tokenizer; "" = default
  std::vector<std::string_view> tokens;
  std::vector<float> scores;             // empty or one per token
  std::vector<std::int64_t> kinds;       // empty or one per token: TokenKind
  std::vector<std::string_view> merges;  // "left right"
  std::span<const std::byte> precompiled_charsmap;
  std::optional<bool> add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
  std::optional<std::uint64_t> bos, eos, unk, pad, sep, cls, mask, eot, eom;
  std::optional<std::uint64_t> fim_prefix, fim_suffix, fim_middle;
  std::string chat_template;  // hints at the end-of-turn token
};
Result<std::unique_ptr<Tokenizer>> make_tokenizer(const GgufVocabulary& vocabulary);

// The tokenizer files of a Hugging Face folder; empty text or null = absent.  The first of
// tokenizer.json, tokenizer.model, ranks (*.tiktoken, a tokenizer.model of that format,
// tekken.json), vocab.json + merges.txt, vocab.txt that is there is used.
struct TokenizerFiles {
  std::string_view tokenizer_json = {}, sentencepiece_model = {}, tiktoken = {}, vocab_json = {},
                   merges_txt = {}, vocab_txt = {};
  Json tokenizer_config = {}, special_tokens_map = {}, config = {}, generation_config = {};
};
Result<std::unique_ptr<Tokenizer>> make_tokenizer(const TokenizerFiles& files);

// The chat template of a model whose conversations a tekken.json lays out.  Errors: corrupt,
// unsupported (its version).
Result<std::string> tekken_template(std::string_view text);

}  // namespace hearth
