// The parts of a tokenizer.json, read one by one.
// Errors: corrupt for what breaks the format, unsupported for a kind that we do not know; both name
// the part.
#pragma once

#include "base/json.h"
#include "text/bpe.h"
#include "text/decoders.h"
#include "text/normalizers.h"
#include "text/pipeline.h"
#include "text/token_keys.h"

namespace hearth::hugging_face {

constexpr int max_depth = 16;  // of sequences within sequences

// Members of `part` with its place in the message.  An absent member is `fallback`.
Result<std::string_view> type_of(const Json& part, std::string_view where);
Result<bool> flag(const Json& part, std::string_view key, bool fallback);
Result<std::string> text(const Json& part, std::string_view key, std::string_view fallback);
Result<std::string> needed_text(const Json& part, std::string_view key);
Result<std::size_t> count(const Json& part, std::string_view key, std::size_t fallback);

// {"String": "..."} or {"Regex": "..."}.
struct Pattern {
  std::string text;
  bool is_regex = false;
};
Result<Pattern> pattern(const Json& part, std::string_view key);

// Appends the steps of a normalizer, flattened.  null: none.
Status read_normalizer(const Json& part, NormalizerSteps& steps, int depth = 0);

struct PreTokenizerPart {
  PreTokenizer steps;
  bool bytes = false;  // the last step gives bytes in GPT-2's alphabet; left to the model
};
Result<PreTokenizerPart> read_pretokenizer(const Json& part);

struct DecoderPart {
  DecoderSteps steps;
  bool is_byte_level = false;  // and nothing else
};
Result<DecoderPart> read_decoder(const Json& part);

// The model's own vocabulary, as (name, id), in no order, and the model itself once the kinds of
// all ids are known.
struct ModelWords {
  std::vector<std::pair<std::string_view, Token>> words;  // views into the JSON
  std::vector<double> scores;                             // Unigram: by id
};
Result<ModelWords> read_words(const Json& model);
// Whether its tokens carry no marks of their place in a word.
bool is_undecorated(const Json& model);
// Whether the model can be given bytes where the file gives it their names.
bool takes_bytes(const Json& model, const ModelWords& words);

struct ModelContext {
  const Vocabulary& vocabulary;
  bool bytes;  // pieces are bytes, names spell them in GPT-2's alphabet
};
struct ModelPart {
  std::unique_ptr<Model> model;
  std::string algorithm;
  Token unknown = no_token;
  bool byte_fallback = false;
};
Result<ModelPart> read_model(const Json& model, const ModelWords& words,
                             const ModelContext& context);

// What stands before and behind a single sequence.
struct Frame {
  std::vector<Token> before, after;
};
Status read_post_processor(const Json& part, Frame& frame, int depth = 0);

}  // namespace hearth::hugging_face
