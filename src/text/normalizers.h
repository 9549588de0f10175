// The normalizers of tokenizer.json.
// Source: Hugging Face tokenizers, tokenizers/src/normalizers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/charsmap.h"
#include "text/normalizer.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace hearth {

// One change of a whole text.  Immutable; thread-safe.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual Status apply(std::string& text) const = 0;
};
using NormalizerSteps = std::vector<std::unique_ptr<NormalizerStep>>;

struct BertNormalizerOptions {
  bool clean_text = true, handle_chinese_chars = true, strip_accents = true, lowercase = true;
};
std::unique_ptr<NormalizerStep> make_bert_normalizer(BertNormalizerOptions options);
std::unique_ptr<NormalizerStep> make_form(unicode::Form form);
std::unique_ptr<NormalizerStep> make_lowercase();
std::unique_ptr<NormalizerStep> make_strip_accents();
std::unique_ptr<NormalizerStep> make_nmt();
std::unique_ptr<NormalizerStep> make_byte_names();
struct StripSides {
  bool left = true, right = true;
};
std::unique_ptr<NormalizerStep> make_strip(StripSides sides);
std::unique_ptr<NormalizerStep> make_prepend(std::string prefix);
std::unique_ptr<NormalizerStep> make_replace(std::string from, std::string to);
std::unique_ptr<NormalizerStep> make_regex_replace(Regex regex, std::string to);
std::unique_ptr<NormalizerStep> make_precompiled(CharsMap map);

std::unique_ptr<Normalizer> make_normalizer(NormalizerSteps steps);

bool is_cjk(std::uint32_t point);               // as BERT sees it
bool is_bert_punctuation(std::uint32_t point);  // ASCII's and Unicode's

}  // namespace hearth
