// Scanners of the gpt2, llama3, gpt4o and deepseek3 kinds.
#include "text/pretokenizer/scan_tools.h"
#include "text/pretokenizer/scanners.h"

namespace hearth::scan {
namespace {

using namespace unicode;

enum class Tail { newlines, newlines_or_slashes, one_newline_or_slash, none };
enum class Spaces { whole, cascade, final_whole };

enum class Contractions { none, any_case, ascii_case };

struct WordRules {
  Contractions contractions = Contractions::any_case;  // at the start of a piece
  Class letters = letter;
  std::size_t numbers = 1;  // in one piece at most
  Tail tail = Tail::newlines;
  Spaces spaces = Spaces::whole;
  bool joined = false;  // words may be joined by single spaces
};

const char* scan_numbers(const char* p, const char* end, std::size_t limit) {
  for (std::size_t n = 0; n < limit && p < end; ++n) {
    const Classified c = classify(p, end);
    if (!(c.is & number)) break;
    p += c.size;
  }
  return p;
}

const char* scan_tail(const char* p, const char* end, Tail tail) {
  const auto is_tail = [&](char c) {
    return c == '\r' || c == '\n' || (c == '/' && tail != Tail::newlines);
  };
  if (tail == Tail::none) return p;
  if (tail == Tail::one_newline_or_slash) return p < end && is_tail(*p) ? p + 1 : p;
  while (p < end && is_tail(*p)) ++p;
  return p;
}

// \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1} at white space without newlines
// ahead: the longest run of the list that is not followed by text.
const char* scan_cascade(const char* p, const char* end) {
  std::size_t ahead = 0;
  const char* q = p;
  for (; q < end && ahead <= 512; ++ahead) {
    const Classified c = classify(q, end);
    if (!(c.is & space)) break;
    q += c.size;
  }
  const bool text_follows = q < end && ahead <= 512;
  std::size_t take = 512;
  while (take > 2 && !(take < ahead || (take == ahead && !text_follows))) take /= 2;
  if (take == 2 && !(2 < ahead || (ahead == 2 && !text_follows))) take = 1;
  for (; take > 0; --take) p += classify(p, end).size;
  return p;
}

const char* scan_spaces(const char* p, const char* end, Spaces spaces) {
  if (spaces == Spaces::final_whole && skip_while(p, end, space) == end) return end;
  if (spaces != Spaces::cascade) return scan_space(p, end, Newlines::apart);
  const char* after_newline = nullptr;
  for (const char* q = p; q < end;) {
    const Classified c = classify(q, end);
    if (!(c.is & space)) break;
    q += c.size;
    if (c.is & newline) after_newline = q;
  }
  if (after_newline != nullptr) return after_newline;
  return scan_cascade(p, end);
}

// (?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+ at a letter.
const char* scan_joined(const char* p, const char* end) {
  for (;;) {
    p = skip_while(p, end, letter);
    const char* const after_marks = skip_while(p, end, mark);
    if (after_marks != p) {
      p = after_marks;
      continue;
    }
    if (end - p < 2 || *p != ' ' || !(classify(p + 1, end).is & letter)) return p;
    ++p;
  }
}

template <WordRules rules>
const char* scan_words(ScanText text, const char* p) {
  const char* const end = text.end;
  const Classified first = classify(p, end);
  // With marks among the letters, a mark still is one of [^\r\n\p{L}\p{N}].
  constexpr Class letters = rules.letters;
  const auto word = [&](const char* q) {
    return rules.joined ? scan_joined(q, end) : skip_while(q, end, letters);
  };
  if (rules.contractions != Contractions::none && *p == '\'') {
    constexpr bool any_case = rules.contractions == Contractions::any_case;
    const char* const q = scan_contraction(p, end, any_case ? Case::any : Case::ascii);
    if (q != p) return q;
  }
  if (first.is & (rules.joined ? letter : letters) & letter) return word(p + first.size);
  if (first.is & number) return scan_numbers(p, end, rules.numbers);
  const char* const next = p + first.size;
  if (!(first.is & newline) && next < end) {
    const Classified second = classify(next, end);
    if (second.is & letters) return word(next);
  }
  if (first.is & letters) return word(next);  // a mark that no letter follows
  constexpr Class others = space | number | letters;
  const char* q = *p == ' ' ? next : p;
  const char* const run = skip_unless(q, end, others);
  if (run != q) return scan_tail(run, end, rules.tail);
  return scan_spaces(p, end, rules.spaces);
}

constexpr Class upper_part = bit(Lu) | bit(Lt) | bit(Lm) | bit(Lo) | mark;
constexpr Class lower_part = bit(Ll) | bit(Lm) | bit(Lo) | mark;
constexpr Class han = Class{1} << 29;  // stands in for Co, which no pattern names

struct CasedRules {
  bool contractions = true;  // after a word
  std::size_t numbers = 3;
  Tail tail = Tail::newlines_or_slashes;
  bool han_apart = false;
};

template <bool han_apart>
Classified classify_cased(const char* p, const char* end) {
  const auto byte = static_cast<unsigned char>(*p);
  if (byte < 0x80) return {ascii.of[byte], 1};
  const Char c = decode_multibyte(p, end);
  const Class is = class_of(c.point);
  if (!han_apart) return {is, c.size};
  // Han letters and numbers alike are Han first.
  if (is_han(c.point)) return {han | (is & (letter | number | mark)), c.size};
  return {is & ~han, c.size};
}

// U*W+ or else U+W* at `p`; null: neither.
template <bool han_apart>
const char* scan_cased(const char* p, const char* end, bool lower_needed) {
  const auto in = [](Class is, Class part) { return (is & part) && !(han_apart && (is & han)); };
  const char* after_both = nullptr;  // the end of the last character that is in U and in W
  const char* const begin = p;
  while (p < end) {
    const Classified c = classify_cased<han_apart>(p, end);
    if (!in(c.is, upper_part)) break;
    p += c.size;
    if (c.is & lower_part) after_both = p;
  }
  const char* const after_upper = p;
  while (p < end) {
    const Classified c = classify_cased<han_apart>(p, end);
    if (!in(c.is, lower_part)) break;
    p += c.size;
  }
  if (p != after_upper) return p;
  if (lower_needed) return after_both;
  return after_upper != begin ? after_upper : nullptr;
}

template <CasedRules rules>
const char* scan_cased_words(ScanText text, const char* p) {
  constexpr bool han_apart = rules.han_apart;
  const char* const end = text.end;
  const Classified first = classify_cased<han_apart>(p, end);
  if (han_apart && (first.is & han)) {
    while (p < end) {
      const Classified c = classify_cased<han_apart>(p, end);
      if (!(c.is & han)) break;
      p += c.size;
    }
    return p;
  }
  const char* const next = p + first.size;
  const bool may_prefix = !(first.is & (newline | letter | number));
  const char* word = nullptr;
  for (const bool lower_needed : {true, false}) {
    if (word == nullptr && may_prefix) word = scan_cased<han_apart>(next, end, lower_needed);
    if (word == nullptr && !(first.is & (number | space)))
      word = scan_cased<han_apart>(p, end, lower_needed);
  }
  if (word != nullptr)
    return rules.contractions && word < end && *word == '\''
               ? scan_contraction(word, end, Case::any)
               : word;
  if (first.is & number) return scan_numbers(p, end, rules.numbers);
  const char* q = *p == ' ' ? next : p;
  const char* const run = skip_unless(q, end, space | letter | number);
  if (run != q) return scan_tail(run, end, rules.tail);
  return scan_space(p, end, Newlines::apart);
}

bool is_ascii_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// The end of a match at `p`; null: none.
template <Tail tail>
const char* match_deepseek3(const char* p, const char* end) {
  const Classified first = classify(p, end);
  const char* const next = p + first.size;
  constexpr Class marks = punctuation | symbol;
  if (is_ascii_punctuation(static_cast<unsigned char>(*p)) && next < end &&
      is_ascii_letter(*next)) {
    const char* q = next;
    while (q < end && is_ascii_letter(*q)) ++q;
    return q;
  }
  if (!(first.is & (newline | letter | marks)) && next < end &&
      (classify(next, end).is & (letter | mark)))
    return skip_while(next, end, letter | mark);
  if (first.is & (letter | mark)) return skip_while(p, end, letter | mark);
  const char* q = *p == ' ' ? next : p;
  const char* const run = skip_while(q, end, marks);
  if (run != q) return scan_tail(run, end, tail);
  if (tail == Tail::none && (first.is & newline)) return next;
  if (first.is & space)
    return scan_space(p, end, tail == Tail::none ? Newlines::as_space : Newlines::apart);
  return nullptr;
}

template <Tail tail>
const char* scan_deepseek3(ScanText text, const char* p) {
  const char* match = match_deepseek3<tail>(p, text.end);
  if (match != nullptr) return match;
  do {  // a gap: up to where something matches
    p += classify(p, text.end).size;
  } while (p < text.end && match_deepseek3<tail>(p, text.end) == nullptr);
  return p;
}

}  // namespace

const char* gpt2(ScanText text, const char* p) {
  const char* const end = text.end;
  if (*p == '\'') {
    const char* const q = scan_contraction(p, end, Case::exact);
    if (q != p) return q;
  }
  const char* const q = *p == ' ' && p + 1 < end ? p + 1 : p;
  const Classified c = classify(q, end);
  if (c.is & letter) return skip_while(q + c.size, end, letter);
  if (c.is & number) return skip_while(q + c.size, end, number);
  if (!(c.is & space)) return skip_unless(q + c.size, end, space | letter | number);
  return scan_space(p, end, Newlines::as_space);
}

const char* llama3(ScanText text, const char* p) {
  return scan_words<WordRules{.numbers = 3}>(text, p);
}
const char* llama3_ascii(ScanText text, const char* p) {
  return scan_words<WordRules{.contractions = Contractions::ascii_case, .numbers = 3}>(text, p);
}
const char* cl100k(ScanText text, const char* p) {
  return scan_words<WordRules{.numbers = 3, .spaces = Spaces::final_whole}>(text, p);
}
const char* qwen2(ScanText text, const char* p) { return scan_words<WordRules{}>(text, p); }
const char* minicpm5(ScanText text, const char* p) {
  return scan_words<WordRules{.numbers = ~std::size_t{0}}>(text, p);
}
const char* ufakzeka(ScanText text, const char* p) {
  return scan_words<WordRules{.contractions = Contractions::none}>(text, p);
}
const char* qwen35(ScanText text, const char* p) {
  return scan_words<WordRules{.letters = letter | mark}>(text, p);
}
const char* seed_coder(ScanText text, const char* p) {
  return scan_words<WordRules{.tail = Tail::none}>(text, p);
}
const char* jais2(ScanText text, const char* p) {
  return scan_words<WordRules{.numbers = 3, .spaces = Spaces::cascade}>(text, p);
}
const char* exaone_moe(ScanText text, const char* p) {
  return scan_words<WordRules{.tail = Tail::one_newline_or_slash, .joined = true}>(text, p);
}
const char* gpt4o(ScanText text, const char* p) { return scan_cased_words<CasedRules{}>(text, p); }
const char* tekken(ScanText text, const char* p) {
  return scan_cased_words<CasedRules{.contractions = false, .numbers = 1}>(text, p);
}
const char* youtu(ScanText text, const char* p) {
  return scan_cased_words<CasedRules{.numbers = 1}>(text, p);
}
const char* kimi(ScanText text, const char* p) {
  return scan_cased_words<CasedRules{.tail = Tail::newlines, .han_apart = true}>(text, p);
}
const char* deepseek3(ScanText text, const char* p) {
  return scan_deepseek3<Tail::newlines>(text, p);
}
const char* spark(ScanText text, const char* p) { return scan_deepseek3<Tail::none>(text, p); }

}  // namespace hearth::scan
