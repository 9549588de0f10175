// Steps shared by the scanners.
#pragma once

#include "base/ascii.h"
#include "text/pretokenizer/pretokenizer.h"
#include "text/unicode.h"

namespace hearth::scan {

using unicode::Class;
using unicode::Classified;

inline const char* skip_while(const char* p, const char* end, Class wanted) {
  while (p < end) {
    const Classified c = unicode::classify(p, end);
    if (!(c.is & wanted)) break;
    p += c.size;
  }
  return p;
}

inline const char* skip_unless(const char* p, const char* end, Class unwanted) {
  while (p < end) {
    const Classified c = unicode::classify(p, end);
    if (c.is & unwanted) break;
    p += c.size;
  }
  return p;
}

// `p` is at white space.  \s*[\r\n]+|\s+(?!\S)|\s+ (or without the first alternative): the last
// character of a run is left to what follows it.
enum class Newlines { apart, as_space };
inline const char* scan_space(const char* p, const char* end, Newlines newlines) {
  const char* const begin = p;
  const char* after_newline = nullptr;
  const char* last = p;
  while (p < end) {
    const Classified c = unicode::classify(p, end);
    if (!(c.is & unicode::space)) break;
    last = p;
    p += c.size;
    if (c.is & unicode::newline) after_newline = p;
  }
  if (newlines == Newlines::apart && after_newline != nullptr) return after_newline;
  if (p == end || last == begin) return p;
  return last;
}

// The end of 's|'t|'re|'ve|'m|'ll|'d at the apostrophe `p`, or `p`.
enum class Case { exact, ascii, any };
inline const char* scan_contraction(const char* p, const char* end, Case letters) {
  if (end - p < 2) return p;
  const auto lower = [&](char c) { return letters != Case::exact ? ascii_lower(c) : c; };
  const char a = lower(p[1]);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
  if (end - p < 3) return p;
  const char b = lower(p[2]);
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return p + 3;
  // U+017F, the long s, is an s of another case.
  if (letters == Case::any && p[1] == '\xC5' && p[2] == '\xBF') return p + 3;
  return p;
}

}  // namespace hearth::scan
