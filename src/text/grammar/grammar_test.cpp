#include <fmt/core.h>

#include <random>

#include "text/grammar/grammar_test_support.h"
#include "text/test_data.h"

namespace hearth::grammar {
namespace {

using namespace test;

TEST_CASE("grammars take what they say and nothing else") {
  const struct {
    std::string what, grammar;
    std::vector<std::string> good, bad;
  } rows[] = {
      {"a text", R"(root ::= "abc")", {"abc"}, {"", "ab", "abcd", "abd"}},
      {"alternatives", R"(root ::= "a" | "bc" |)", {"a", "bc", ""}, {"b", "abc"}},
      {"a class", "root ::= [a-cx-]+", {"a", "cx-", "b-b"}, {"", "d", "ad"}},
      {"a negated class",
       "root ::= [^a\\n]*",
       {"", "bcd", "\xc3\xa9", "\xf0\x9f\x98\x80"},
       {"a", "b\n", "\xff"}},
      {"wide characters", "root ::= [α-ω]{2}", {"αβ", "ωω"}, {"α", "αβγ", "a"}},
      {"an escape", R"(root ::= "\x41\u00e9\U0001F600\"\\")", {"Aé😀\"\\"}, {"A"}},
      {"counts",
       R"(root ::= "a"{2,3} "b"{2} "c"{1,})",
       {"aabbc", "aaabbccc"},
       {"abbc", "aaaabbc", "aabb"}},
      {"a large count",
       "root ::= [a-z]{3,200} \"!\"",
       {"abc!", std::string(200, 'q') + "!"},
       {"ab!", std::string(201, 'q') + "!"}},
      {"counts in counts",
       "root ::= ([a-z]{100,200} \",\"){2,300}",
       {std::string(100, 'a') + "," + std::string(200, 'b') + ","},
       {std::string(100, 'a') + ",", std::string(100, 'a') + "," + std::string(201, 'b') + ","}},
      {"a counted repeat of what may be empty",
       "root ::= ([ab]* \",\"?){2,120} \"!\"",
       {"!", "a!", "ab,a,!"},
       {"", ",", "c!"}},
      {"no upper bound",
       "root ::= [a-z]{150,}",
       {std::string(150, 'a'), std::string(500, 'a')},
       {std::string(149, 'a')}},
      {"rules within rules",
       "root ::= \"(\" root \")\" | \"x\"",
       {"x", "((x))"},
       {"(x", "()", "(x))"}},
      {"right recursion",
       "root ::= \"a\" root | \"b\"",
       {"b", std::string(1000, 'a') + "b"},
       {"a"}},
      {"repeats of repeats", "root ::= ( [x]* )*", {"", "xxx"}, {"y"}},
      {"counted repeats of repeats", "root ::= (([^x]*){0,99}){0,99}", {"", "abc"}, {"x"}},
      {"comments and lines",
       "# first\nroot ::= (\n  \"a\" # one\n  b\n) |\n  \"c\"\nb ::= \"b\"",
       {"ab", "c"},
       {"a"}},
      {"any character", "root ::= .", {"a", "é", "\n"}, {"", "ab"}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto program = program_of(parse_gbnf(row.grammar));
    for (const std::string& text : row.good) {
      CAPTURE(text);
      CHECK(matches(program, text));
    }
    for (const std::string& text : row.bad) {
      CAPTURE(text);
      CHECK_FALSE(matches(program, text));
    }
  }
}

TEST_CASE("a grammar that cannot be used is refused, and the message says why") {
  std::string chain, deep(100'000, '('), wide = "root ::= \"a\"";
  for (int i = 0; i < 10'000; ++i) chain += fmt::format("r{} ::= r{}\n", i, (i + 1) % 10'000);
  for (int i = 0; i < 100'000; ++i) wide += "|";
  const struct {
    std::string what, grammar, says;
  } rows[] = {
      {"itself alone", "root ::= root", "refers to itself"},
      {"left recursion", "root ::= a \"x\"\na ::= \"y\"? root", "refers to itself"},
      {"a long way around", "root ::= r0\n" + chain, "refers to itself"},
      {"an unknown rule", "root ::= b", "'b' is not defined"},
      {"a rule twice", "root ::= \"a\"\nroot ::= \"b\"", "twice"},
      {"no root", "a ::= \"a\"", "'root'"},
      {"nothing at all", "", "'root'"},
      {"never ends", "root ::= \"a\" root", "matches no text"},
      {"an empty class", "root ::= []", "matches no text"},
      {"a count down", "root ::= \"a\"{5,2}", "counts down"},
      {"a negative count", "root ::= \"a\"{-1}", "needs a number"},
      {"a huge count", "root ::= \"a\"{1000000001}", "of up to"},
      {"a class that counts down", "root ::= [z-a]", "counts down"},
      {"no end of a class", "root ::= [abc", "ends in the middle"},
      {"no end of a text", "root ::= \"abc", "ends in the middle"},
      {"no end of an escape", "root ::= \"\\x4\"", "hexadecimal"},
      {"half a pair", "root ::= \"\\ud800\"", "names no character"},
      {"parentheses without end", "root ::= " + deep, "deep"},
      {"too many bytes", "root ::= \"" + std::string(1'000'000, 'a') + "\"", "bytes"},
      {"no UTF-8", "root ::= \"\xff\"", "UTF-8"},
      {"a token nobody knows", "root ::= <think>", "no token"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    auto grammar = parse_gbnf(row.grammar);
    Result<std::shared_ptr<const Program>> program =
        grammar ? compile(std::move(*grammar)) : std::move(grammar).error();
    REQUIRE_FALSE(program);
    CAPTURE(program.error().message());
    CHECK(program.error().message().find(row.says) != std::string::npos);
  }
  CHECK(parse_gbnf(wide));
}

TEST_CASE("large counts cost nothing, and many ways to read are bounded") {
  for (const char* text : {"root ::= \"x\"{1000000000}", "root ::= [a-z]{0,1000000000} \"!\"",
                           "root ::= ((\"a\"{0,900} \"b\"?){0,900} \"c\"?){0,900}"}) {
    CAPTURE(std::string(text));
    const auto program = program_of(parse_gbnf(text));
    CHECK(program->states.size() < 100);
    Reading reading(program);
    SituationId at = reading.begin();
    for (int i = 0; i < 500; ++i) at = reading.after(at, i % 7 == 0 ? 'x' : 'a');
    CHECK(reading.places(at).size() <= max_parallel);
  }
}

TEST_CASE("patterns match as ECMAScript's do") {
  const struct {
    std::string pattern;
    bool is_whole;
    std::vector<std::string> good, bad;
  } rows[] = {
      {"a+", false, {"a", "xax", "aa"}, {"", "xyz"}},
      {"^a+$", false, {"a", "aa"}, {"", "ab"}},
      {"^(ab|c)?$", false, {"", "ab", "c"}, {"abc"}},
      {"(^|,)x", false, {"x", "a,x", "xyz"}, {"ax", ",,"}},
      {"^a|b$", false, {"ax", "xb"}, {"xa", "bx"}},
      {"a|b", true, {"a", "b"}, {"ab", ""}},
      {"[a-z0-9_-]{2,4}", true, {"ab", "a-_9"}, {"a", "abcde", "AB"}},
      {"\\d{3}-\\w+\\.?", true, {"123-ab.", "000-_"}, {"12-a", "123-"}},
      {"\\u0041\\x42\\u{1F600}", true, {"AB😀"}, {"AB"}},
      {"[^\\s,]+", true, {"abc"}, {"a b", ","}},
      {"\\p{L}+", true, {"aé語"}, {"1", ""}},
      {"a{,3}", true, {"a{,3}"}, {"a", "aaa"}},
      {"x*?y+?", true, {"y", "xxyy"}, {"x"}},
      {"(?:a|(?<name>b))c", true, {"ac", "bc"}, {"abc"}},
      {"[\\w-.]", true, {"a", "-", "."}, {"!"}},
      {"(a+)+b", true, {"aab"}, {"aac"}},
      {"^(a|a)*$", false, {"", "aaa"}, {"b"}},
      {".", true, {"é"}, {"\n", ""}},
      {"", false, {"", "anything"}, {}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.pattern);
    const auto program = program_of(pattern_grammar(row.pattern, row.is_whole));
    for (const std::string& text : row.good) {
      CAPTURE(text);
      CHECK(matches(program, text));
    }
    for (const std::string& text : row.bad) {
      CAPTURE(text);
      CHECK_FALSE(matches(program, text));
    }
  }
  for (const char* text :
       {"(?=a)", "(?!a)b", "(?<=a)b",   "\\bword", "(a)\\1", "\\k<n>",      "a^b",
        "a$b",   "(?i)a",  "[z-a]",     "(",       ")",      "[",           "a{2,1}",
        "*",     "\\",     "\\p{Nope}", "\\q",     "(^a)*",  "\\u{110000}", "\xff"}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(pattern_grammar(text));
  }
}

TEST_CASE("every grammar of llama.cpp is taken") {
  const struct {
    std::string name;
    std::vector<std::string> good, bad;
  } rows[] = {
      {"arithmetic", {"1 +2=3\n", "(1+x)*3 = 7\n"}, {"1+\n"}},
      {"c", {"int main(){return 0;}"}, {"int main("}},
      {"chess", {"1. e4 e5\n2. Nf3 Nc6\n"}, {"e4"}},
      {"english", {"Hello, world!"}, {"日本"}},
      {"japanese", {"こんにちは"}, {"hello"}},
      {"json", {"{\"a\": [1, true, null]}", "{ }"}, {"[1]", "{a}"}},
      {"json_arr", {"[\n{\"a\": 1},\n\"b\"\n]"}, {"{\"a\":1}"}},
      {"list", {"- one\n- two\n"}, {"- one", "one\n"}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const std::string path =
        hearth::test::data_file("conformance/grammars/llama.cpp/" + row.name + ".gbnf");
    if (path.empty()) return;
    const auto program = program_of(parse_gbnf(hearth::test::read_all(path)));
    for (const std::string& text : row.good) {
      CAPTURE(text);
      CHECK(matches(program, text));
    }
    for (const std::string& text : row.bad) {
      CAPTURE(text);
      CHECK_FALSE(matches(program, text));
    }
  }
}

const char* const json_grammar = R"(
root ::= object
value ::= object | array | string | number | ("true" | "false" | "null")
object ::= "{" ws (string ws ":" ws value (ws "," ws string ws ":" ws value)*)? ws "}"
array ::= "[" ws (value (ws "," ws value)*)? ws "]"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
ws ::= " "? | "\n" [ \t]{0,20}
)";

// A walk of random allowed tokens, compared at each step with trying every token.
void check_agreement(const std::shared_ptr<const Program>& program, const Tokenizer& tokenizer,
                     int steps, std::uint32_t seed) {
  auto masks = std::make_shared<Masks>(program, std::make_shared<MaskStore>(tokenizer));
  if (seed % 2 == 0) masks->prepare();
  std::mt19937 random(seed);
  Matcher matcher(masks);
  for (int step = 0; step < steps; ++step) {
    const auto fast = masked(matcher, tokenizer), slow = tried(matcher, tokenizer);
    for (std::size_t i = 0; i < slow.size(); ++i)
      if (fast[i] != slow[i]) {
        CAPTURE(step);
        CAPTURE(std::string(tokenizer.piece(static_cast<Token>(i))));
        REQUIRE(fast[i] == slow[i]);
      }
    std::vector<Token> next;
    for (std::size_t i = 0; i < fast.size(); ++i)
      if (fast[i] && !tokenizer.ends_generation(static_cast<Token>(i)))
        next.push_back(static_cast<Token>(i));
    CHECK(next.empty() == matcher.must_end());
    if (next.empty()) {
      matcher = Matcher(masks);
      continue;
    }
    REQUIRE(matcher.accept(next[random() % next.size()]));
  }
}

TEST_CASE("masks agree with trying every token, on a small vocabulary") {
  const auto tokenizer = byte_tokenizer(
      {"{\"",   "\":",    "\": \"", "\",",      "\"}",  "\"}]",  "}}",   "true", "tru",
       "null,", " [",     "[[",     "]]",       "]}",   "  ",    "\n  ", "ab",   "abc",
       "hello", "é",      "日本",   "\xe6\x97", "\\\"", "\\u00", "12",   "1.5",  "-1",
       "e+",    "\", \"", "a\": ",  "ab",       "- ",   "xx",    "xxx!"});
  const struct {
    std::string what, grammar;
  } rows[] = {
      {"json", json_grammar},
      {"counted",
       "root ::= \"\\\"\" ([^\"\\\\\\x00-\\x1F] | \"\\\\\" [\"\\\\u]){2,30} \"\\\"\" (\"}\" | "
       "\"]\")"},
      {"large count", "root ::= [^\"\\\\\\x00-\\x1F]{3,300} \"\\\"\" \"}\"{0,500}"},
      {"list", "root ::= (\"- \" [^\\n]+ \"\\n\")+"},
      {"nested counts", "root ::= ([ab]{1,100} [\\n ]{0,70}){2,80} \"]}\""},
      {"ambiguous", "root ::= (\"a\" | \"ab\" | \"b\" | \"abc\" | [a-z ]{1,40} \"!\")*"},
      {"a mark", "root ::= [a-z]* <mark> (\"x\" | <mark>)"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto program = program_of(parse_gbnf(row.grammar, &tokenizer));
    for (std::uint32_t seed = 1; seed <= 6; ++seed) check_agreement(program, tokenizer, 60, seed);
  }
}

// Words, parts of words, what stands around them, and tokens longer than are told apart.
ListTokenizer word_tokenizer() {
  std::vector<std::string> texts;
  for (const std::string before : {"", " ", ".", "-", "@", "\"", "\\n"})
    for (const std::string word : {"a", "an", "ann", "Ann", "ANN", "anna", "sea", "the", "error",
                                   "é", "日本", "42", "0", "x9", "_", "Straße"})
      for (const std::string after :
           {"", " ", ".", ".com", "-", "@", "\"", "\",", "\"}", ": ", "\\"})
        texts.push_back(before + word + after);
  for (const std::size_t length : {31u, 32u, 33u, 34u, 63u, 64u, 65u, 300u})
    for (const std::string end : {"", "\"", "é", "\xc3"})
      texts.push_back(std::string(length, 'a') + end);
  return byte_tokenizer(texts);
}

TEST_CASE("masks agree with trying every token, where runs of characters are read at once") {
  const auto tokenizer = word_tokenizer();
  const struct {
    std::string what, grammar;
  } rows[] = {
      {"a text", R"(root ::= "\"" [^"\\]* "\"" "}")"},
      {"short", R"(root ::= "\"" [^"\\]{0,7} "\"" "}")"},
      {"at most", R"(root ::= "\"" ([^"\\\x00-\x1F] | "\\" [nt"\\]){0,40} "\"")"},
      {"at least", R"(root ::= "\"" [^"\\\x00-\x1F]{5,40} "\"")"},
      {"at least many", R"(root ::= [a-zA-Z ]{50,400} ("." | [0-9]{100,200} "!"))"},
      {"exactly", R"(root ::= [a-z]{64} "." [a-z]{100} "\"")"},
      {"ends anywhere", R"(root ::= word "."? word
                           word ::= [a-z]{3,120})"},
      {"ends anywhere, short", R"(root ::= (word ("-" | "."))* word
                                  word ::= [a-zA-Z]{1,9})"},
      {"a separator that begins anew", R"(root ::= ([a-z]{1,110} ";" | [0-9] ","){0,120} "\"")"},
      {"mail",
       R"(root ::= "\"" [a-zA-Z0-9_-]+ ("." [a-zA-Z0-9_-]+)* "@" [a-z0-9-]+ ("." [a-z]+)+ "\"")"},
      {"names", R"(root ::= "\"" [A-Z] [a-z]+ (" " [A-Z] [a-z]+)* "\"")"},
      {"no wide ones", R"(root ::= "\"" [ -!#-Z^-~]* "\"")"},
      {"only wide ones", R"(root ::= [^\x00-\x7F]{2,90} "." )"},
      {"words within words", R"(root ::= ([a-z]* "error" [a-z ]* "\"")+)"},
      {"a count, and what reads the same after it", R"(root ::= [a-z]{2,9} [a-z0-9]* "\"")"},
      {"times of one or two characters", R"(root ::= "\"" ("a" "n"?){1,12} [n"]+)"},
      {"left by what a time begins with", R"(root ::= "\"" ([^"\\] | "\\" [n"]){0,9} "\\"? "\"")"},
      {"a count within a count", R"(root ::= "\"" ([a-z]{1,4} ("." | "-")){0,6} "\"" [",}]{0,3})"},
      {"hosts",
       R"(root ::= "\"" ([a-z0-9] ([a-z0-9-]{0,61} [a-z0-9])? "."){1,8} [a-z]{2,24} "\"" ","?)"},
      {"hosts of few labels",
       R"(root ::= "\"" label ("." label){0,3} "\""
          label ::= [a-zA-Z0-9] ([a-zA-Z0-9-]{0,61} [a-zA-Z0-9])?)"},
      {"the same words in any of few counts",
       R"(root ::= ("a" | "ann" | "anna" | "sea" " "?){3,6} "." ("the" [.,]){2,4})"},
      {"at least, and no most", R"(root ::= "\"" ([^"\\] | "\\" [n"]){6,} "\"" "}")"},
      {"wide ones, counted", R"(root ::= "\"" ([a-z] | "é" | "日本"){1,20} "\"")"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto program = program_of(parse_gbnf(row.grammar, &tokenizer));
    for (std::uint32_t seed = 1; seed <= 4; ++seed) check_agreement(program, tokenizer, 40, seed);
  }
}

TEST_CASE("masks agree with trying every token, on a real vocabulary") {
  const std::string path =
      hearth::test::data_file("conformance/tokenizer/gguf/ggml-vocab-gpt-2.gguf");
  if (path.empty()) return;
  hearth::test::GgufFile file;
  REQUIRE(hearth::test::read_gguf(path, file));
  auto tokenizer = make_tokenizer(file.vocabulary);
  REQUIRE(tokenizer);
  check_agreement(program_of(parse_gbnf(json_grammar)), **tokenizer, 25, 3);
  for (const char* pattern :
       {"[\\w.+-]+@[a-z0-9-]+(\\.[a-z]{2,})+", ".*error: .*", "[^\"\\\\]{0,40}", "\\p{L}{2,200}"}) {
    CAPTURE(std::string(pattern));
    check_agreement(program_of(pattern_grammar(pattern)), **tokenizer, 5, 7);
  }
}

TEST_CASE("a token that is no text comes only where the grammar names it") {
  const auto tokenizer = byte_tokenizer({"<mark>"});
  const auto named =
      std::make_shared<Masks>(program_of(parse_gbnf("root ::= <mark> \"a\"", &tokenizer)),
                              std::make_shared<MaskStore>(tokenizer));
  Matcher matcher(named);
  CHECK(matcher.accept(256));  // find() gives the first of that name
  const auto text = std::make_shared<Masks>(program_of(parse_gbnf("root ::= \"<mark>\"")),
                                            std::make_shared<MaskStore>(tokenizer));
  Matcher plain(text);
  CHECK_FALSE(plain.allows(tokenizer.mark()));
  CHECK_FALSE(plain.allows(257));  // the end
  CHECK(plain.accept(256));
  CHECK(plain.must_end());
  CHECK(plain.allows(257));
}

}  // namespace
}  // namespace hearth::grammar
