#include "text/pretokenizer/known_patterns.h"

#include <algorithm>

#include "text/pretokenizer/scanners.h"
#include "text/vocabulary.h"

namespace hearth {
namespace {

using namespace scan;

constexpr KnownPattern table[] = {
    {R"re('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)re", gpt2,
     true},
    {R"re('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)re", gpt2, true},
    {R"re('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+$|\s+(?!\S)|\s)re", gpt2,
     true},
    {R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N)re"
     R"re(}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     llama3, true},
    {R"re('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\)re"
     R"re(n]*|\s*[\r\n]|\s+(?!\S)|\s+)re",
     llama3, true},
    {R"re('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\)re"
     R"re(n]*|\s+$|\s*[\r\n]|\s+(?!\S)|\s)re",
     cl100k, true},
    {R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L)re"
     R"re(}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     llama3_ascii, true},
    {R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\)re"
     R"re(r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     qwen2, true},
    {R"re('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\)re"
     R"re(s*[\r\n]|\s+(?!\S)|\s+)re",
     qwen2, true},
    {R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[)re"
     R"re(\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     minicpm5, true},
    {R"re([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s)re"
     R"re(+)re",
     ufakzeka, true},
    {R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p)re"
     R"re({M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     qwen35, true},
    {R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\)re"
     R"re(r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     seed_coder, true},
    {R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N)re"
     R"re(}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{)re"
     R"re(32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})re",
     jais2, true},
    {R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+)re"
     R"re(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)re",
     exaone_moe, true},
    {R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:)re"
     R"re('s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{)re"
     R"re(Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}])re"
     R"re(+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     gpt4o, true},
    {R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\)re"
     R"re(r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)re"
     R"re( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     tekken, true},
    {R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:)re"
     R"re('s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{)re"
     R"re(Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\)re"
     R"re(n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     youtu, true},
    {R"re([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll})re"
     R"re(\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[)re"
     R"re(\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])re"
     R"re(*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\)re"
     R"re(s+(?!\S)|\s+)re",
     kimi, true},
    {R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{)re"
     R"re(M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re",
     deepseek3},
    {R"re(\p{N}{1,3})re", numbers_by_3},
    {R"re(\p{N})re", each_number},
    {R"re(\p{N}+)re", numbers},
    {R"re([0-9][0-9][0-9])re", ascii_digits_by_3},
    {R"re(\d{1,3}(?=(?:\d{3})*\b))re", thousands},
    {R"re([\r\n])re", each_newline},
    {R"re([^\n]+|[\n]+)re", lines, true},
    {R"re(\s?\p{L}+)re", spaced_letters},
    {R"re(\s?\p{P}+)re", spaced_punctuation},
    {"[一-龥\u3040-\u309F\u30A0-\u30FF]+", cjk_deepseek3},
    {"[一-龥\u0800-一\uAC00-\uD7FF]+", cjk_deepseek},
};

}  // namespace

std::span<const KnownPattern> known_patterns() { return table; }

std::string canonical_pattern(std::string_view regex) {
  std::string text = replace_all(regex, "\r", "\\r");
  text = replace_all(text, "\n", "\\n");
  text = replace_all(text, "++", "+");
  text = replace_all(text, "?+", "?");
  // "*+," stands in lists of punctuation only.
  text = replace_all(text, "*+,", "\x01");
  text = replace_all(text, "*+", "*");
  text = replace_all(text, "\x01", "*+,");
  return replace_all(text, "{1,3}+", "{1,3}");
}

const KnownPattern* find_known_pattern(std::string_view regex) {
  const std::string text = canonical_pattern(regex);
  const auto* const it = std::find_if(std::begin(table), std::end(table),
                                      [&](const KnownPattern& k) { return k.regex == text; });
  return it == std::end(table) ? nullptr : it;
}

}  // namespace hearth
