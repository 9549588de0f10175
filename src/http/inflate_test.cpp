#include "http/inflate.h"

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <zlib.h>

#include "http/parser.h"

using namespace hearth;
using namespace hearth::http;

namespace {

constexpr int gzip_window = 15 + 16, zlib_window = 15, raw_window = -15;

std::string packed(std::string_view text, int window) {
  z_stream z = {};
  REQUIRE(deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string request(std::string_view coding, std::string_view body) {
  return fmt::format(
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: {}\r\nContent-Length: {}\r\n\r\n{}", coding,
      body.size(), body);
}

// Status and body of a request that comes in pieces.
std::pair<int, std::string> read(std::string_view text, std::size_t step, std::size_t max_body) {
  RequestParser parser(max_body);
  std::string held;
  while (!text.empty()) {
    const std::size_t piece = std::min(step, text.size());
    held += text.substr(0, piece);
    text.remove_prefix(piece);
    // The head and the body are taken apart.
    for (int i = 0; i < 2 && !parser.problem(); ++i) held.erase(0, parser.take(held));
    CHECK(parser.request().body.size() <= max_body);
    if (parser.problem()) return {parser.problem()->status, ""};
  }
  const bool is_whole = parser.stage() == RequestParser::Stage::done;
  return {is_whole ? 200 : 0, parser.request().body};
}

// Text that is a third of its size when compressed.
std::string prose(std::size_t bytes) {
  std::string text;
  for (std::uint32_t i = 1, x = 1; text.size() < bytes; ++i, x = x * 1664525u + 1013904223u)
    text += fmt::format("word {} of {}, ", x >> 12, i);
  text.resize(bytes);
  return text;
}

}  // namespace

TEST_CASE("compressed bodies become what they were, in pieces of any size") {
  const std::string text = prose(100'000);
  const struct {
    std::string coding, body;
  } rows[] = {
      {"gzip", packed(text, gzip_window)},
      {"x-gzip", packed(text, gzip_window)},
      {"GZIP", packed(text, gzip_window)},
      {"deflate", packed(text, zlib_window)},
      {"deflate", packed(text, raw_window)},
      {"gzip",
       packed(text.substr(0, 40'000), gzip_window) + packed(text.substr(40'000), gzip_window)},
  };
  for (const auto& row : rows)
    for (const std::size_t step : {1u, 7u, 4096u, 1u << 20}) {
      CAPTURE(row.coding);
      CAPTURE(step);
      const auto [status, body] = read(request(row.coding, row.body), step, 1 << 20);
      CHECK(status == 200);
      CHECK(body == text);
    }
  CHECK(read(request("gzip", ""), 100, 1000) == std::pair<int, std::string>(200, ""));
}

TEST_CASE("compressed bodies that are broken, or become too much, are refused") {
  const std::string text = prose(5000), whole = packed(text, gzip_window);
  std::string changed = whole;
  changed[changed.size() / 2] ^= 0x20;
  std::string nested = packed(packed(std::string(40 << 20, 'a'), gzip_window), gzip_window);
  const struct {
    std::string what, coding, body;
    std::size_t max_body;
    int status;
  } rows[] = {
      {"no gzip", "gzip", "hello, this is text", 10'000, 400},
      {"no deflate", "deflate", "\xff\xff\xff\xff", 10'000, 400},
      {"cut", "gzip", whole.substr(0, whole.size() - 9), 10'000, 400},
      {"one byte", "deflate", "x", 10'000, 400},
      {"a changed byte", "gzip", changed, 10'000, 400},
      {"more behind it", "gzip", whole + "more", 10'000, 400},
      {"more behind deflate", "deflate", packed(text, zlib_window) + "more", 10'000, 400},
      {"at the limit", "gzip", whole, 5000, 200},
      {"above the limit", "gzip", whole, 4999, 413},
      {"a bomb", "gzip", packed(std::string(60 << 20, 'a'), gzip_window), 64 << 20, 413},
      {"a bomb of bombs is one", "gzip", nested, 64 << 20, 200},
      {"a small one unpacks to much, and may", "gzip",
       packed(std::string(900 << 10, 'a'), gzip_window), 64 << 20, 200},
      {"another coding", "br", "x", 10'000, 415},
      {"two codings", "gzip, gzip", "x", 10'000, 415},
  };
  for (const auto& row : rows)
    for (const std::size_t step : {4096u, 1u << 20}) {
      CAPTURE(row.what);
      CHECK(read(request(row.coding, row.body), step, row.max_body).first == row.status);
    }
}
