#include "http/parser.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <span>

#include "http/target.h"

using namespace hearth;
using namespace hearth::http;

namespace {

// Feeds `text` in pieces of `step` bytes, as a connection would.  Returns the status of the
// problem, 200 when the message is whole, 0 when more is needed.
struct Fed {
  int status = 0;
  std::string reason, left;
  Request request;
};
Fed feed(std::string_view text, std::size_t step, std::size_t max_body = 1000) {
  RequestParser parser(max_body);
  Fed fed;
  while (!text.empty() || !fed.left.empty()) {
    const std::size_t piece = std::min(step, text.size());
    fed.left += text.substr(0, piece);
    text.remove_prefix(piece);
    const std::size_t taken = parser.take(fed.left);
    fed.left.erase(0, taken);
    if (parser.problem() || parser.stage() == RequestParser::Stage::done) break;
    if (taken == 0 && text.empty()) break;
  }
  fed.left += text;
  if (parser.problem()) {
    fed.status = parser.problem()->status;
    fed.reason = parser.problem()->message;
  } else if (parser.stage() == RequestParser::Stage::done) {
    fed.status = 200;
  }
  fed.request = std::move(parser.request());
  return fed;
}

std::string get(std::string_view headers) {
  return fmt::format("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", headers);
}
std::string post(std::string_view headers, std::string_view body) {
  return fmt::format("POST / HTTP/1.1\r\nHost: x\r\n{}\r\n{}", headers, body);
}
std::string chunked(std::string_view body) { return post("Transfer-Encoding: chunked\r\n", body); }
std::string many(std::size_t n, std::string_view line) {
  std::string lines;
  for (std::size_t i = 0; i < n; ++i) lines += line;
  return lines;
}

struct Row {
  std::string what, text;
  int status;
};

void check_rows(std::span<const Row> rows) {
  for (const Row& row : rows) {
    CAPTURE(row.what);
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, row.text.size() + 1}) {
      CAPTURE(step);
      const Fed fed = feed(row.text, step);
      CAPTURE(fed.reason);
      CHECK(fed.status == row.status);
    }
  }
}

}  // namespace

TEST_CASE("heads: what is served and what is refused") {
  using namespace std::string_literals;
  const std::string long_line(limits::request_line_bytes - 13,
                              'a');  // "GET /... HTTP/1.1" at limit
  const std::string long_header(limits::header_line_bytes - 3, 'a');
  const Row rows[] = {
      {"plain", get(""), 200},
      {"1.0", "GET / HTTP/1.0\r\nHost: x\r\n\r\n", 200},
      {"request line at its limit", "GET /" + long_line.substr(1) + " HTTP/1.1\r\n\r\n", 200},
      {"request line above", "GET /" + long_line + "a HTTP/1.1\r\n\r\n", 414},
      {"header line at its limit", get("a: " + long_header + "\r\n"), 200},
      {"header line above", get("a: " + long_header + "b\r\n"), 431},
      {"100 headers", get(many(99, "a: b\r\n")), 200},
      {"101 headers", get(many(100, "a: b\r\n")), 431},
      {"32 KiB of headers and more", get(many(5, "a: " + long_header + "\r\n")), 431},
      {"a header without end", "GET / HTTP/1.1\r\na: " + std::string(100000, 'a'), 431},
      {"no colon", get("abc\r\n"), 400},
      {"space before colon", get("abc : d\r\n"), 400},
      {"folded", get("abc: d\r\n e\r\n"), 400},
      {"NUL", get("abc: d\0e\r\n"s), 400},
      {"escape", get("abc: d\x1b[2J\r\n"), 400},
      {"bare CR", get("abc: d\re\r\n"), 400},
      {"bare LF", get("abc: d\ne: f\r\n"), 400},
      {"LF after the request line", "GET / HTTP/1.1\nHost: x\n\n", 400},
      {"empty name", get(": d\r\n"), 400},
      {"UTF-8 name", get("\xC3\xA9: d\r\n"), 400},
      {"UTF-8 value", get("a: \xC3\xA9\r\n"), 200},
      {"0.9", "GET /\r\n", 0},
      {"0.9 with an end", "GET /\r\n\r\n", 400},
      {"1.2", "GET / HTTP/1.2\r\n\r\n", 400},
      {"2.0 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
      {"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400},
      {"SSH banner", "SSH-2.0-OpenSSH_9.2\r\n\r\n", 400},
      {"no method", " / HTTP/1.1\r\n\r\n", 400},
      {"method of 17", "AAAAAAAAAAAAAAAAA / HTTP/1.1\r\n\r\n", 400},
      {"empty line first", "\r\nGET / HTTP/1.1\r\n\r\n", 400},
      {"two Hosts", get("Host: y\r\n"), 400},
      {"Expect", get("Expect: 100-Continue\r\n"), 200},
      {"Expect unknown", get("Expect: tea\r\n"), 417},
      {"gzip", get("Content-Encoding: gzip\r\n"), 200},
      {"brotli", get("Content-Encoding: br\r\n"), 415},
      {"two Content-Encodings", get("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"), 400},
      {"identity", get("Content-Encoding: identity\r\n"), 200},
      {"absolute, same host", "GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n", 200},
      {"absolute, other host", "GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
  };
  check_rows(rows);
}

TEST_CASE("bodies: one length, stated one way") {
  const Row rows[] = {
      {"length", post("Content-Length: 3\r\n", "abc"), 200},
      {"zero", post("Content-Length: 0\r\n", ""), 200},
      {"none", post("", ""), 200},
      {"short", post("Content-Length: 3\r\n", "ab"), 0},
      {"negative", post("Content-Length: -1\r\n", ""), 400},
      {"plus", post("Content-Length: +5\r\n", "abcde"), 400},
      {"hex", post("Content-Length: 0x10\r\n", ""), 400},
      {"two in one", post("Content-Length: 5, 5\r\n", "abcde"), 400},
      {"two same", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400},
      {"two different", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), 400},
      {"2^64", post("Content-Length: 18446744073709551616\r\n", ""), 400},
      {"30 digits", post("Content-Length: 111111111111111111111111111111\r\n", ""), 400},
      {"empty", post("Content-Length: \r\n", ""), 400},
      {"at the limit", post("Content-Length: 1000\r\n", std::string(1000, 'a')), 200},
      {"above the limit", post("Content-Length: 1001\r\n", ""), 413},
      {"both", post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"other coding", post("Transfer-Encoding: xchunked\r\n", ""), 400},
      {"two codings", post("Transfer-Encoding: gzip, chunked\r\n", ""), 400},
      {"twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
       400},
      {"chunked in 1.0",
       "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
  };
  check_rows(rows);
}

TEST_CASE("chunked bodies") {
  const Row rows[] = {
      {"one", chunked("3\r\nabc\r\n0\r\n\r\n"), 200},
      {"none", chunked("0\r\n\r\n"), 200},
      {"two, upper case", chunked("A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n"), 200},
      {"leading zeros", chunked("0003\r\nabc\r\n0\r\n\r\n"), 200},
      {"extension", chunked("3;a=b\r\nabc\r\n0\r\n\r\n"), 200},
      {"extension at 256", chunked("3;" + std::string(255, 'a') + "\r\nabc\r\n0\r\n\r\n"), 200},
      {"extension at 257", chunked("3;" + std::string(256, 'a') + "\r\nabc\r\n0\r\n\r\n"), 400},
      {"negative", chunked("-2\r\nabc\r\n0\r\n\r\n"), 400},
      {"plus", chunked("+5\r\nabcde\r\n0\r\n\r\n"), 400},
      {"0x", chunked("0x5\r\nabcde\r\n0\r\n\r\n"), 400},
      {"17 digits", chunked("10000000000000000\r\n"), 400},
      {"huge", chunked("7fffffffffffffff\r\n"), 413},
      {"empty size", chunked("\r\nabc\r\n0\r\n\r\n"), 400},
      {"size lies", chunked("2\r\nabc\r\n0\r\n\r\n"), 400},
      {"no CRLF", chunked("3\r\nabc0\r\n\r\n"), 400},
      {"bare LF", chunked("3\nabc\r\n0\r\n\r\n"), 400},
      {"no last chunk", chunked("3\r\nabc\r\n"), 0},
      {"at the limit", chunked("3e8\r\n" + std::string(1000, 'a') + "\r\n0\r\n\r\n"), 200},
      {"above", chunked("3e8\r\n" + std::string(1000, 'a') + "\r\n1\r\nb\r\n0\r\n\r\n"), 413},
      {"trailers", chunked("0\r\na: b\r\nHost: evil\r\n\r\n"), 200},
      {"trailers without end", chunked("0\r\n" + many(5000, "a: b\r\n")), 400},
      {"size line without end", chunked(std::string(20000, '0')), 400},
  };
  check_rows(rows);
  const Fed fed = feed(chunked("3\r\nabc\r\n2;x\r\nde\r\n0\r\nHost: evil\r\n\r\n"), 4);
  CHECK(fed.request.body == "abcde");
  CHECK(*fed.request.header("host") == "x");
}

TEST_CASE("every prefix of a request asks for more, and what follows it is left alone") {
  for (const std::string& text :
       {post("Content-Length: 3\r\nA: b\r\n", "abc"), chunked("3\r\nabc\r\n0\r\nT: u\r\n\r\n")}) {
    for (std::size_t n = 0; n < text.size(); ++n) {
      CAPTURE(n);
      CHECK(feed(std::string_view(text).substr(0, n), 5).status == 0);
    }
    const Fed fed = feed(text + "GET /next", 1000);
    CHECK(fed.status == 200);
    CHECK(fed.left == "GET /next");
  }
}

TEST_CASE("a million chunks of one byte take linear time") {
  std::string body;
  for (int i = 0; i < 100000; ++i) body += "1\r\na\r\n";
  const Fed fed = feed(chunked(body + "0\r\n\r\n"), 1 << 16, 1 << 20);
  CHECK(fed.status == 200);
  CHECK(fed.request.body.size() == 100000);
}

TEST_CASE("targets") {
  const struct {
    std::string text, path;  // "" = refused
  } rows[] = {
      {"/", "/"},
      {"/v1/models", "/v1/models"},
      {"//v1//models/", "/v1/models"},
      {"/a%20b", "/a b"},
      {"/models/org%2Fname%3Atag", "/models/org/name:tag"},
      {"/a;param=1", "/a;param=1"},
      {"/a+b", "/a+b"},
      {"*", "*"},
      {"http://h:1/a", "/a"},
      {"http://h", "/"},
      {"/a?b=c", "/a"},
      {"/v1/../etc", ""},
      {"/v1/%2e%2e/etc", ""},
      {"/./a", ""},
      {"/%00", ""},
      {"/%zz", ""},
      {"/%4", ""},
      {"/%", ""},
      {"/%C0%AF", ""},
      {"/%FF", ""},
      {"/%0d%0aX:y", ""},
      {"/a#b", ""},
      {"a", ""},
      {"", ""},
      {"http:///a", ""},
      {"/...", "/..."},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto target = parse_target(row.text);
    CHECK((target ? target->path : "") == row.path);
  }
  const auto target = parse_target("/a?x=1&y=%20+z&flag&&=v");
  REQUIRE(target);
  CHECK(target->query == std::vector<std::pair<std::string, std::string>>{
                             {"x", "1"}, {"y", "  z"}, {"flag", ""}, {"", "v"}});
  std::string fields = "/?";
  for (int i = 0; i < 300; ++i) fields += "a&";
  CHECK(!parse_target(fields));
}
