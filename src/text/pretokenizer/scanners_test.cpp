// Every scanner against the regular expression it stands for, on random texts.
#include "text/pretokenizer/scanners.h"

#include <doctest/doctest.h>

#include <random>

#include "base/utf8.h"
#include "text/pretokenizer/families.h"
#include "text/pretokenizer/known_patterns.h"
#include "text/regex.h"

using namespace hearth;

namespace {

using Pieces = std::vector<std::string>;

// Matches and the gaps between them.
Pieces cut_by_regex(const Regex& regex, const std::string& text) {
  Pieces pieces;
  std::size_t done = 0;
  const auto matches = regex.matches(text);
  if (!matches) FAIL(matches.error().message());
  for (const auto [begin, end] : *matches) {
    if (begin > done) pieces.push_back(text.substr(done, begin - done));
    if (end > begin) pieces.push_back(text.substr(begin, end - begin));
    done = end;
  }
  if (done < text.size()) pieces.push_back(text.substr(done));
  return pieces;
}

Pieces cut_by_scanner(Scanner scanner, const std::string& text) {
  Pieces pieces;
  const ScanText all{text.data(), text.data() + text.size()};
  for (const char* p = all.begin; p < all.end;) {
    const char* const next = scanner(all, p);
    if (next <= p || next > all.end) FAIL("a scanner left its text");
    pieces.emplace_back(p, next);
    p = next;
  }
  return pieces;
}

std::string random_text(std::mt19937& random, const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t n = random() % 24; n > 0; --n) text += parts[random() % parts.size()];
  return text;
}

// Characters of every class that some pattern tells apart.
const std::vector<std::string> alphabet = {
    "a",    "b",      "z",      "A",      "Z",  "é",      "ß",      "İ",    "ſ",     "ǅ",
    "ʰ",    "ª",      "ا",      "क",      "ि",  "\u0301", "\u20E3", "日",   "龥",    "ア",
    "ー",   "ㄅ",     "한",     "ㄱ",     "ไ",  "၀",      "0",      "1",    "9",     "٣",
    "²",    "Ⅷ",      "½",      " ",      " ",  " ",      "  ",     "\t",   "\n",    "\r",
    "\r\n", "\u00A0", "\u3000", "\u2028", "'",  "'",      "'s",     "'S",   "'t",    "'re",
    "'RE",  "'ve",    "'ll",    "'lL",    "'m", "'d",     "'ſ",     ".",    ",",     "!",
    "?",    "/",      "//",     "-",      "_",  "(",      ")",      "$",    "+",     "<",
    "=",    "^",      "~",      "|",      "`",  "…",      "。",     "，",   "、",    "।",
    "！",   "～",     "“",      "🙂",     "€",  "\u200D", "\u200B", "\x01", "\u0378"};

void check_agreement(Scanner scanner, std::string_view pattern, unsigned rounds) {
  const std::string name(pattern);
  CAPTURE(name);
  const auto regex = Regex::compile(pattern);
  REQUIRE(regex);
  std::mt19937 random(7);
  for (unsigned i = 0; i < rounds; ++i) {
    const std::string text = random_text(random, alphabet);
    CAPTURE(text);
    REQUIRE(cut_by_scanner(scanner, text) == cut_by_regex(*regex, text));
  }
}

}  // namespace

TEST_CASE("known patterns: the scanner cuts as the regular expression does") {
  for (const KnownPattern& known : known_patterns()) {
    std::string pattern(known.regex);
    if (pattern.find("&&") != std::string::npos) continue;  // not PCRE2's; see below
    // As the files have it: what takes all white space gives none back.
    if (const std::size_t at = pattern.find("\\s+$"); at != std::string::npos)
      pattern = pattern.substr(0, at + 3).append("+").append(known.regex.substr(at + 3));
    // PCRE2 counts every number as part of a word, Oniguruma decimal ones only.
    if (const std::size_t at = pattern.find("\\b"); at != std::string::npos)
      pattern = pattern.substr(0, at) + "(?![\\p{L}\\p{M}\\p{Nd}\\p{Pc}]))";
    check_agreement(known.scanner, pattern, 800);
  }
}

TEST_CASE("stages of families that no tokenizer.json names") {
  using namespace scan;
  const struct {
    Scanner scanner;
    const char* pattern;
  } rows[] = {
      {falcon_punctuation, R"([\p{P}\$\+<=>\^~\|`]+)"},
      {default_punctuation, R"([\p{P}\$\+<=>\^~\|]+)"},
      {each_punctuation, R"([\p{P}!-/:-@\[-`{-~])"},
      {final_space, R"(\s+\z)"},
      {words, R"(\S+)"},
      {digits_from_right, R"(\d{1,3}(?=(?:\d{3})*(?!\d)))"},
      {bloom, " ?[^(\\s|.,!?…。，、।۔،)]+"},
      {cjk_youtu,
       "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-\u309F\u30A0-\u30FF]+"},
      {deepseek_punctuation, "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+"},
      {spark,
       "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
       "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+"},
      // The intersection with "not Han" written as a look-ahead.
      {kimi,
       "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?(?:(?!\\p{Han})[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}])*"
       "(?:(?!\\p{Han})[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}])+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
       "[^\\r\\n\\p{L}\\p{N}]?(?:(?!\\p{Han})[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}])+"
       "(?:(?!\\p{Han})[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}])*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
       "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
  };
  for (const auto& row : rows) check_agreement(row.scanner, row.pattern, 800);
}

TEST_CASE("every scanner ends, keeps every byte and takes text that is no UTF-8") {
  std::mt19937 random(11);
  const std::vector<std::string> bytes = {
      "\xFF", "\xC3", "\xE2\x96", "\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC0\x80", "a",
      " ",    "\n",   "1",        "'"};
  for (const PreTokenizerFamily& family : families())
    for (const Scanner scanner : family.stages)
      for (int i = 0; i < 30; ++i) {
        const std::string text = random_text(random, bytes);
        std::string joined;
        for (const std::string& piece : cut_by_scanner(scanner, text)) joined += piece;
        CHECK(joined == text);
      }
}

TEST_CASE("names of families are known once, and look-alikes are not known") {
  for (const PreTokenizerFamily& family : families()) CHECK(find_family(family.name) == &family);
  CHECK(families().size() >= 82);
  CHECK(find_family("llama4") != nullptr);
  CHECK(find_family("LLAMA4") == nullptr);
  CHECK(find_known_pattern("\\p{N}{1,3}") != nullptr);
  CHECK(find_known_pattern("\\p{N}{1,4}") == nullptr);
}
