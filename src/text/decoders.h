// The decoders of tokenizer.json: names of tokens to text.
// Source: Hugging Face tokenizers, tokenizers/src/decoders.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/pipeline.h"
#include "text/regex.h"

namespace hearth {

// One step on the list of strings that will be joined in the end.  Immutable; thread-safe.
class DecoderStep {
 public:
  virtual ~DecoderStep() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};
using DecoderSteps = std::vector<std::unique_ptr<DecoderStep>>;

std::unique_ptr<DecoderStep> make_bpe_decoder(std::string suffix);
std::unique_ptr<DecoderStep> make_byte_level_decoder();
struct WordPieceDecoderOptions {
  std::string prefix = "##";
  bool cleanup = true;
};
std::unique_ptr<DecoderStep> make_wordpiece_decoder(WordPieceDecoderOptions options);
struct MetaspaceDecoderOptions {
  std::string replacement;
  bool keep_first = false;  // the spaces of the first token
};
std::unique_ptr<DecoderStep> make_metaspace_decoder(MetaspaceDecoderOptions options);
struct CtcDecoderOptions {
  std::string pad, word_delimiter;
  bool cleanup = true;
};
std::unique_ptr<DecoderStep> make_ctc_decoder(CtcDecoderOptions options);
std::unique_ptr<DecoderStep> make_replace_decoder(std::string from, std::string to);
std::unique_ptr<DecoderStep> make_regex_replace_decoder(Regex regex, std::string to);
std::unique_ptr<DecoderStep> make_fuse_decoder();
struct StripDecoderOptions {
  std::string content;  // one character
  std::size_t start = 0, stop = 0;
};
std::unique_ptr<DecoderStep> make_strip_decoder(StripDecoderOptions options);
std::unique_ptr<DecoderStep> make_byte_fallback_decoder();

std::unique_ptr<Decoder> make_decoder(DecoderSteps steps);
// Tokens joined by spaces: what tokenizer.json means without a decoder.
std::unique_ptr<DecoderStep> make_spaced_decoder();

}  // namespace hearth
