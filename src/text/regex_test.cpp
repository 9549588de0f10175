#include "text/regex.h"

#include <doctest/doctest.h>
#include <time.h>

#include "base/utf8.h"

using namespace hearth;

namespace {

std::string repeat(std::string_view text, std::size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::string marked(const std::string& pattern, const std::string& text) {
  const auto regex = Regex::compile(pattern);
  if (!regex) return "error: " + regex.error().message();
  const auto matches = regex->matches(text);
  if (!matches) return "error: " + matches.error().message();
  std::string out;
  std::size_t done = 0;
  for (const auto [begin, end] : *matches) {
    out.append(text, done, begin - done).append("<");
    out.append(text, begin, end - begin).append(">");
    done = end;
  }
  return out.append(text, done);
}

// In PCRE2's interpreter too, as where just-in-time compilation is forbidden.
const std::string modes[] = {"", "(*NO_JIT)"};

}  // namespace

TEST_CASE("all matches, from left to right") {
  const std::string far(100, '-');  // past what one search looks through
  const struct {
    std::string pattern, text, marked;
  } rows[] = {
      {"b", "", ""},
      {"b", "abcb", "a<b>c<b>"},
      {"b", far + "b" + far, far + "<b>" + far},
      {"é|日", far + "é-日", far + "<é>-<日>"},
      {"x*", "axé", "<>a<x><>é<>"},
      {"^", "a\nb", "<>a\n<>b"},
      {"(?<=a)b", "ab" + far + "ab", "a<b>" + far + "a<b>"},
      {"\\h+", "xCafeg", "x<Cafe>g"},
      {"\\p{Han}", "a日本", "a<日><本>"},
      {"\\p{L}+", "a\xFF" + std::string("b\x80\x80z\xE2"), "<a>\xFF<b>\x80\x80<z>\xE2"},
      {".", std::string(40, '\x80') + "a", std::string(40, '\x80') + "<a>"},
  };
  for (const auto& row : rows)
    for (const std::string& mode : modes) {
      CAPTURE(row.pattern);
      CAPTURE(mode);
      CHECK(marked(mode + row.pattern, row.text) == row.marked);
    }
  CHECK(marked("\\C", "a").starts_with("error: pattern"));
  CHECK(marked("a&&b", "a").starts_with("error: pattern"));
}

TEST_CASE("searches without end are errors, soon") {
  const std::string a = repeat("a", 20'000);
  const struct {
    std::string pattern, text;
  } rows[] = {
      {"(a|aa)+$", repeat("a", 40) + "!"},
      {"(a|aa)+$", a + "!"},
      {"(a*)*[bc]", a},
      {"(x+x+)+[yz]", repeat("x", 5000)},
      {"(?:a|a(?=a*!))*[bc]", repeat("a", 5000)},
      {"(.*)(.*)(.*)(.*)(.*)[^a]", repeat("a", 300)},
      {"(\\w+\\s?)*$", repeat("word ", 10'000) + "!"},
  };
  for (const auto& row : rows)
    for (const std::string& mode : modes) {
      CAPTURE(row.pattern);
      CAPTURE(mode);
      const double start = processor_seconds();
      const std::string got = marked(mode + row.pattern, row.text);
      CHECK(got.starts_with("error: a pattern of the tokenizer took too"));
      CHECK(processor_seconds() - start < 3.0);
    }
}

TEST_CASE("long texts take a time in proportion") {
  const std::string words = R"( ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  const std::string text = repeat("Hello world 123, foo's ", 1u << 20);
  const std::string run = repeat("日", 1u << 20);
  for (const std::string& mode : modes) {
    CAPTURE(mode);
    const auto regex = Regex::compile(mode + words);
    REQUIRE(regex);
    const double start = processor_seconds();
    const auto matches = regex->matches(text);
    REQUIRE(matches);
    CHECK(matches->size() > 200'000);
    const auto one = regex->matches(run);
    REQUIRE(one);
    CHECK(one->size() == 1);
    CHECK(processor_seconds() - start < 5.0);
  }
}
