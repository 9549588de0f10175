#include "runtime/text_stream.h"

#include <doctest/doctest.h>

#include "base/utf8.h"

using namespace hearth;

namespace {

struct Outcome {
  std::string text, tokens;  // joined; tokens: their bytes
  std::optional<std::size_t> stop;
  std::vector<std::string> pieces;
};

Outcome stream(const std::vector<std::string>& bytes, const std::vector<std::string>& stop) {
  TextStream stream(stop);
  Outcome outcome;
  const auto take = [&](TextStream::Piece piece) {
    CHECK(is_utf8(piece.text));
    outcome.text += piece.text;
    if (!piece.text.empty()) outcome.pieces.push_back(piece.text);
    for (const TokenInfo& token : piece.tokens) outcome.tokens += token.bytes;
    outcome.stop = piece.stop;
  };
  for (const std::string& token : bytes) {
    take(stream.add({.token = 1, .logprob = 0, .bytes = token, .alternatives = {}}));
    if (outcome.stop) return outcome;
  }
  take(stream.finish());
  return outcome;
}

}  // namespace

TEST_CASE("stop strings: wherever they begin and end, never a byte of them is shown") {
  const struct {
    std::string what;
    std::vector<std::string> tokens, stop;
    std::string text;
    int which;  // -1: none
  } rows[] = {
      {"inside one token", {"one", "two STOP three"}, {"STOP"}, "onetwo ", 0},
      {"across tokens", {"a", "S", "T", "O", "P", "b"}, {"STOP"}, "a", 0},
      {"begins like one but is none", {"a", "ST", "Ob"}, {"STOP"}, "aSTOb", -1},
      {"held at the end", {"a", "STO"}, {"STOP"}, "aSTO", -1},
      {"first position wins", {"x", "abcd"}, {"cd", "bc"}, "xa", 1},
      {"first of the list wins at one position", {"abcd"}, {"bcd", "bc"}, "a", 0},
      {"overlapping beginnings", {"a", "a", "a", "b"}, {"aab"}, "a", 0},
      {"within a character", {"\xE2\x82", "\xAC"}, {"\xAC"}, "\xEF\xBF\xBD", 0},
      {"an emoji", {"ok ", "\xF0\x9F", "\x98\x80", "!"}, {"\xF0\x9F\x98\x80"}, "ok ", 0},
      {"at the very beginning", {"\n\n", "x"}, {"\n"}, "", 0},
      {"no stop strings", {"a", "b"}, {}, "ab", -1},
      {"an empty token between", {"S", "", "TOP"}, {"STOP"}, "", 0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const Outcome got = stream(row.tokens, row.stop);
    CHECK(got.text == row.text);
    CHECK((got.stop ? static_cast<int>(*got.stop) : -1) == row.which);
    CHECK(repair_utf8(got.tokens) == got.text);  // tokens are aligned with the text
  }
}

TEST_CASE("streamed pieces are whole characters, and together the whole text") {
  const std::string text = "h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 end\xFF\xC3";
  for (std::size_t size = 1; size < text.size(); ++size) {
    std::vector<std::string> tokens;
    for (std::size_t i = 0; i < text.size(); i += size) tokens.push_back(text.substr(i, size));
    const Outcome got = stream(tokens, {"never"});
    CHECK(got.text == repair_utf8(text));
    CHECK(got.tokens == text);
  }
}

TEST_CASE("text is held back no longer than a stop string may begin in it") {
  const Outcome got = stream({"a", "b<", "c", "<", "d"}, {"<|end|>"});
  CHECK(got.pieces == std::vector<std::string>{"a", "b", "<c", "<d"});
}

TEST_CASE("the longest allowed stop strings, all beginning alike, cost little per token") {
  std::vector<std::string> stop;
  for (std::size_t i = 0; i < max_stop_strings; ++i)
    stop.push_back(std::string(max_stop_bytes - 1, 'a') + static_cast<char>('b' + i));
  const Outcome got = stream(std::vector<std::string>(2000, "a"), stop);
  CHECK(got.text == std::string(2000, 'a'));
}
