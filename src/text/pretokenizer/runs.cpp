// Scanners that cut out runs of one class of characters.
#include <algorithm>
#include <span>

#include "text/pretokenizer/scan_tools.h"
#include "text/pretokenizer/scanners.h"

namespace hearth::scan {
namespace {

using namespace unicode;

// A match gives the end of the match at `p`, or null.
using Match = const char* (*)(const char* p, const char* end);

// A match, or the gap up to the next one.
template <Match match>
const char* cut(ScanText text, const char* p) {
  const char* const found = match(p, text.end);
  if (found != nullptr) return found;
  do {
    p += classify(p, text.end).size;
  } while (p < text.end && match(p, text.end) == nullptr);
  return p;
}

template <Class wanted, std::size_t limit>
const char* match_class(const char* p, const char* end) {
  const char* const begin = p;
  for (std::size_t n = 0; n < limit && p < end; ++n) {
    const Classified c = classify(p, end);
    if (!(c.is & wanted)) break;
    p += c.size;
  }
  return p != begin ? p : nullptr;
}
constexpr std::size_t any_number = ~std::size_t{0};

// \s?[wanted]+
template <Class wanted>
const char* match_spaced(const char* p, const char* end) {
  const Classified first = classify(p, end);
  if (!(first.is & space)) return match_class<wanted, any_number>(p, end);
  return p + first.size < end ? match_class<wanted, any_number>(p + first.size, end) : nullptr;
}

struct Range {
  std::uint32_t first, last;
};

// Cased letters, as DeepSeek LLM's tokenizer.json lists them.
constexpr Range deepseek_letter_ranges[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x376},     {0x377, 0x377},
    {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},
    {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},
    {0x48A, 0x52F},     {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},
    {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},
    {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},
    {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
    {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},
    {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},
    {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},
    {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},
    {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},
    {0x213C, 0x213F},   {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2183},
    {0x2184, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},
    {0x2CF2, 0x2CF2},   {0x2CF3, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},
    {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},   {0xAB70, 0xABBF},
    {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},
    {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2},
    {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
};

// One or more characters of sorted ranges.
bool in_ranges(std::span<const Range> ranges, std::uint32_t point) {
  const auto it = std::lower_bound(ranges.begin(), ranges.end(), point,
                                   [](const Range& r, std::uint32_t c) { return r.last < c; });
  return it != ranges.end() && it->first <= point;
}

const char* match_ranges(std::span<const Range> ranges, const char* p, const char* end) {
  const char* const begin = p;
  while (p < end) {
    const Char c = decode(p, end);
    if (!in_ranges(ranges, c.point)) break;
    p += c.size;
  }
  return p != begin ? p : nullptr;
}

const char* match_spaced_ranges(std::span<const Range> ranges, const char* p, const char* end) {
  const Classified first = classify(p, end);
  if (!(first.is & space)) return match_ranges(ranges, p, end);
  const char* const found =
      p + first.size < end ? match_ranges(ranges, p + first.size, end) : nullptr;
  return found != nullptr ? found : match_ranges(ranges, p, end);  // U+3000 is in some
}

const char* match_deepseek_letters(const char* p, const char* end) {
  return match_spaced_ranges(deepseek_letter_ranges, p, end);
}

const char* match_deepseek_punctuation(const char* p, const char* end) {
  static constexpr Range ranges[] = {{'!', '/'},       {':', '~'},       {0x2018, 0x201F},
                                     {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
  return match_spaced_ranges(ranges, p, end);
}

constexpr Range kana_and_han[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};

const char* match_cjk_deepseek3(const char* p, const char* end) {
  return match_ranges(kana_and_han, p, end);
}

const char* match_cjk_deepseek(const char* p, const char* end) {
  static constexpr Range ranges[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};
  return match_ranges(ranges, p, end);
}

const char* match_cjk_youtu(const char* p, const char* end) {
  static constexpr Range hangul[] = {{0x3131, 0x318E}, {0xAC00, 0xD7A3}};
  static constexpr Range marks[] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D},
                                    {0x2026, 0x2026}, {0x3001, 0x303F}, {0xFE30, 0xFE4F},
                                    {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};
  static constexpr Range bopomofo[] = {{0x3105, 0x312F}};
  for (const std::span<const Range> ranges :
       {std::span<const Range>(hangul), std::span<const Range>(marks),
        std::span<const Range>(bopomofo), std::span<const Range>(kana_and_han)}) {
    const char* const found = match_ranges(ranges, p, end);
    if (found != nullptr) return found;
  }
  return nullptr;
}

const char* match_cjk_afmoe(const char* p, const char* end) {
  static constexpr Range ranges[] = {
      {0x0E40, 0x0EFF}, {0x1000, 0x109F}, {0x1100, 0x11FF}, {0x1780, 0x17FF}, {0x2F00, 0x2FDF},
      {0x3040, 0x30FF}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xA9E0, 0xA9FF}, {0xAA60, 0xAA7F},
      {0xAC00, 0xD7AF}, {0xF900, 0xFAFF}, {0xFF65, 0xFF9F}};
  return match_ranges(ranges, p, end);
}

template <bool with_backtick>
const char* match_falcon(const char* p, const char* end) {
  const char* const begin = p;
  while (p < end) {
    const Classified c = classify(p, end);
    const bool listed =
        c.size == 1 && (*p == '$' || *p == '+' || *p == '<' || *p == '=' || *p == '>' ||
                        *p == '^' || *p == '~' || *p == '|' || (with_backtick && *p == '`'));
    if (!listed && !(c.is & punctuation)) break;
    p += c.size;
  }
  return p != begin ? p : nullptr;
}

const char* match_each_punctuation(const char* p, const char* end) {
  const Classified c = classify(p, end);
  const bool matches = (c.is & punctuation) || is_ascii_punctuation(static_cast<unsigned char>(*p));
  return matches ? p + c.size : nullptr;
}

bool is_bloom_break(const Char& c) {
  if (class_of(c.point) & space) return true;
  switch (c.point) {
    case '(':
    case ')':
    case '|':
    case '.':
    case ',':
    case '!':
    case '?':
    case 0x2026:
    case 0x3002:
    case 0xFF0C:
    case 0x3001:
    case 0x0964:
    case 0x06D4:
    case 0x060C:
      return true;
    default:
      return false;
  }
}

const char* match_bloom(const char* p, const char* end) {
  if (*p == ' ') ++p;
  const char* const run = p;
  while (p < end) {
    const Char c = decode(p, end);
    if (is_bloom_break(c)) break;
    p += c.size;
  }
  return p != run ? p : nullptr;
}

const char* match_3_ascii_digits(const char* p, const char* end) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return end - p >= 3 && digit(p[0]) && digit(p[1]) && digit(p[2]) ? p + 3 : nullptr;
}

const char* match_newline(const char* p, const char*) {
  return *p == '\r' || *p == '\n' ? p + 1 : nullptr;
}

// Digits in groups of three from the right.  A piece that begins inside a run of digits begins
// between two groups, so only the first group of a run has to look to the end of it.
template <bool boundary_needed>
const char* cut_digits(ScanText text, const char* p) {
  constexpr Class digit = bit(Nd), word = letter | mark | bit(Nd) | bit(Pc);
  const auto digits = [&](const char* q, std::size_t limit) {
    for (std::size_t n = 0; n < limit; ++n) q += decode(q, text.end).size;
    return q;
  };
  const bool inside = p > text.begin && (class_of(decode_before(text.begin, p).point) & digit);
  for (const char* q = p; q < text.end;) {
    if (!(classify(q, text.end).is & digit)) {
      q = skip_unless(q, text.end, digit);
      continue;
    }
    if (q == p && inside) return digits(p, 3);
    std::size_t count = 0;
    const char* run = q;
    for (; run < text.end; ++count) {
      const Classified c = classify(run, text.end);
      if (!(c.is & digit)) break;
      run += c.size;
    }
    const bool matches =
        !boundary_needed || run == text.end || !(classify(run, text.end).is & word);
    if (matches) return q != p ? q : digits(p, count % 3 == 0 ? 3 : count % 3);
    q = run;
  }
  return text.end;
}

}  // namespace

const char* each_number(ScanText text, const char* p) {
  return cut<match_class<number, 1>>(text, p);
}
const char* numbers(ScanText text, const char* p) {
  return cut<match_class<number, any_number>>(text, p);
}
const char* numbers_by_3(ScanText text, const char* p) {
  return cut<match_class<number, 3>>(text, p);
}
const char* ascii_digits_by_3(ScanText text, const char* p) {
  return cut<match_3_ascii_digits>(text, p);
}
const char* digits_from_right(ScanText text, const char* p) { return cut_digits<false>(text, p); }
const char* thousands(ScanText text, const char* p) { return cut_digits<true>(text, p); }
const char* each_newline(ScanText text, const char* p) { return cut<match_newline>(text, p); }

const char* lines(ScanText text, const char* p) {
  const bool newlines = *p == '\n';
  return std::find_if(p, text.end, [&](char c) { return (c == '\n') != newlines; });
}

const char* words(ScanText text, const char* p) {
  const bool spaces = (classify(p, text.end).is & space) != 0;
  return spaces ? skip_while(p, text.end, space) : skip_unless(p, text.end, space);
}

const char* final_space(ScanText text, const char* p) {
  const char* begin = text.end;
  while (begin > p) {
    const Char c = decode_before(p, begin);
    if (!(class_of(c.point) & space)) break;
    begin -= c.size;
  }
  return begin == p ? text.end : begin;
}

const char* spaced_letters(ScanText text, const char* p) {
  return cut<match_spaced<letter>>(text, p);
}
const char* spaced_punctuation(ScanText text, const char* p) {
  return cut<match_spaced<punctuation>>(text, p);
}
const char* falcon_punctuation(ScanText text, const char* p) {
  return cut<match_falcon<true>>(text, p);
}
const char* default_punctuation(ScanText text, const char* p) {
  return cut<match_falcon<false>>(text, p);
}
const char* each_punctuation(ScanText text, const char* p) {
  return cut<match_each_punctuation>(text, p);
}
const char* bloom(ScanText text, const char* p) { return cut<match_bloom>(text, p); }
const char* cjk_deepseek3(ScanText text, const char* p) {
  return cut<match_cjk_deepseek3>(text, p);
}
const char* cjk_deepseek(ScanText text, const char* p) { return cut<match_cjk_deepseek>(text, p); }
const char* cjk_youtu(ScanText text, const char* p) { return cut<match_cjk_youtu>(text, p); }
const char* cjk_afmoe(ScanText text, const char* p) { return cut<match_cjk_afmoe>(text, p); }
const char* deepseek_letters(ScanText text, const char* p) {
  return cut<match_deepseek_letters>(text, p);
}
const char* deepseek_punctuation(ScanText text, const char* p) {
  return cut<match_deepseek_punctuation>(text, p);
}

}  // namespace hearth::scan
