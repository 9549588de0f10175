// The pre-tokenizer patterns of known models as hand-written scanners: each does exactly what the
// regular expression in its comment does when its matches are cut out and the gaps kept.
#pragma once

#include <span>
#include <string_view>

#include "text/pretokenizer/pretokenizer.h"

namespace hearth::scan {

// words.cpp ----------------------------------------------------------------------------------
// Below, C is (?i:'s|'t|'re|'ve|'m|'ll|'d) and tails are: [\r\n]* unless said otherwise.

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
const char* gpt2(ScanText text, const char* p);
// C|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
const char* llama3(ScanText text, const char* p);
// As llama3, but the contractions' other case is that of ASCII: no long s.
const char* llama3_ascii(ScanText text, const char* p);
// As llama3, but white space that ends the text is one piece, newlines and all: \s++$ first.
const char* cl100k(ScanText text, const char* p);
// As llama3, but \p{N}.
const char* qwen2(ScanText text, const char* p);
// As llama3, but \p{N}+.
const char* minicpm5(ScanText text, const char* p);
// As qwen2, without C.
const char* ufakzeka(ScanText text, const char* p);
// As qwen2, with [\p{L}\p{M}]+ and [^\s\p{L}\p{M}\p{N}]+.
const char* qwen35(ScanText text, const char* p);
// As qwen2, but the third alternative is  ?[^\s\p{L}\p{N}\r\n]+ without a tail.
const char* seed_coder(ScanText text, const char* p);
// As llama3, but white space before text is cut into runs of 512, 256, ..., 4, 2 and 1.
const char* jais2(ScanText text, const char* p);
// C|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|
// \s*[\r\n]|\s+(?!\S)|\s+
const char* exaone_moe(ScanText text, const char* p);

// With U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and W = [\p{Ll}\p{Lm}\p{Lo}\p{M}]:
// [^\r\n\p{L}\p{N}]?U*W+C?|[^\r\n\p{L}\p{N}]?U+W*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|
// \s*[\r\n]+|\s+(?!\S)|\s+
const char* gpt4o(ScanText text, const char* p);
// As gpt4o, without C and with \p{N}.
const char* tekken(ScanText text, const char* p);
// As gpt4o, with \p{N}.
const char* youtu(ScanText text, const char* p);
// As gpt4o, but U and W lack \p{Han}, and [\p{Han}]+ comes first; the tail is [\r\n]*.
const char* kimi(ScanText text, const char* p);

// [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
//  ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
const char* deepseek3(ScanText text, const char* p);
// As deepseek3, with  ?[\p{P}\p{S}]+|[\r\n] in place of the third and fourth.
const char* spark(ScanText text, const char* p);

// runs.cpp -----------------------------------------------------------------------------------
const char* each_number(ScanText text, const char* p);        // \p{N}
const char* numbers(ScanText text, const char* p);            // \p{N}+
const char* numbers_by_3(ScanText text, const char* p);       // \p{N}{1,3}
const char* ascii_digits_by_3(ScanText text, const char* p);  // [0-9][0-9][0-9]
// \d{1,3}(?=(?:\d{3})*(?!\d)): groups of three from the right
const char* digits_from_right(ScanText text, const char* p);
const char* thousands(ScanText text, const char* p);            // \d{1,3}(?=(?:\d{3})*\b)
const char* each_newline(ScanText text, const char* p);         // [\r\n]
const char* lines(ScanText text, const char* p);                // [^\n]+|[\n]+
const char* words(ScanText text, const char* p);                // \S+
const char* final_space(ScanText text, const char* p);          // \s+$
const char* spaced_letters(ScanText text, const char* p);       // \s?\p{L}+
const char* spaced_punctuation(ScanText text, const char* p);   // \s?\p{P}+
const char* falcon_punctuation(ScanText text, const char* p);   // [\p{P}\$\+<=>\^~\|`]+
const char* default_punctuation(ScanText text, const char* p);  // [\p{P}\$\+<=>\^~\|]+
const char* each_punctuation(ScanText text, const char* p);     // [\p{P}!-/:-@\[-`{-~]
const char* bloom(ScanText text, const char* p);                //  ?[^(\s|.,!?…。，、।۔،)]+
const char* cjk_deepseek3(ScanText text, const char* p);        // [一-龥぀-ゟ゠-ヿ]+
const char* cjk_deepseek(ScanText text, const char* p);         // [一-龥ࠀ-一가-퟿]+
const char* cjk_youtu(ScanText text, const char* p);  // runs of Hangul, marks, Bopomofo, CJK
const char* cjk_afmoe(ScanText text, const char* p);  // runs of East and South-East Asian scripts
const char* deepseek_letters(ScanText text, const char* p);      // \s?[A-Za-zµ...]+, cased letters
const char* deepseek_punctuation(ScanText text, const char* p);  // \s?[!-/:-~！-／：-～‘-‟　-。]+

}  // namespace hearth::scan
