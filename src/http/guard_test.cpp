#include "http/guard.h"

#include <doctest/doctest.h>

using namespace hearth;
using namespace hearth::http;

namespace {

Guard make_guard() {
  auto guard = Guard::create({"Workstation.lan", "[fd00::1]"},
                             {"https://app.example", "http://localhost:3000"});
  REQUIRE(guard);
  return std::move(*guard);
}

// 0: let in.
int verdict(const Guard& guard, Headers headers, std::string method = "POST") {
  Request request;
  request.method = std::move(method);
  request.headers = std::move(headers);
  const auto answer = guard.check(request, "192.168.1.5");
  return answer ? answer->status : 0;
}

}  // namespace

TEST_CASE("only known hosts are served") {
  const Guard guard = make_guard();
  const struct {
    std::string host;
    int status;
  } rows[] = {
      {"localhost", 0},
      {"localhost:11500", 0},
      {"LOCALHOST:1", 0},
      {"127.0.0.1:80", 0},
      {"[::1]:11500", 0},
      {"workstation.lan", 0},
      {"[fd00::1]:1", 0},
      {"192.168.1.5:11500", 0},
      {"192.168.1.6", 403},
      {"attacker.com", 403},
      {"localhost.", 403},
      {"localhost.evil.com", 403},
      {"127.0.0.1.nip.io", 403},
      {"0.0.0.0", 403},
      {"2130706433", 403},
      {"127.1", 403},
      {"[::ffff:127.0.0.1]", 403},
      {"::1", 403},
      {"localhost:", 403},
      {"localhost:x", 403},
      {"localhost:70000", 403},
      {"localhost:-1", 403},
      {"localhost:80:80", 403},
      {"user@localhost", 403},
      {"localhost/a", 403},
      {"[::1", 403},
      {"[]", 403},
      {"", 403},
      {" localhost", 403},
  };
  for (const auto& row : rows) {
    CAPTURE(row.host);
    CHECK(verdict(guard, {{"Host", row.host}}) == row.status);
  }
  CHECK(verdict(guard, {}) == 400);
  CHECK(verdict(guard, {{"Host", "localhost"}, {"host", "localhost"}}) == 400);
}

TEST_CASE("only listed pages, and our own, may ask") {
  const Guard guard = make_guard();
  const struct {
    std::string origin;
    int status;
  } rows[] = {
      {"https://app.example", 0},
      {"https://app.example:443", 0},
      {"http://localhost:3000", 0},
      {"http://localhost:11500", 0},  // this server itself
      {"https://localhost:11500", 403},
      {"http://localhost:11501", 403},
      {"http://127.0.0.1:11500", 403},
      {"http://app.example", 403},
      {"https://app.example:444", 403},
      {"https://app.example.evil.com", 403},
      {"https://evil", 403},
      {"http://localhost:3000.evil.com", 403},
      {"http://localhost:3000/", 403},
      {"null", 403},
      {"", 403},
      {"*", 403},
      {"file://", 403},
      {"chrome-extension://abc", 403},
      {"https://", 403},
  };
  for (const auto& row : rows) {
    CAPTURE(row.origin);
    CHECK(verdict(guard, {{"Host", "localhost:11500"}, {"Origin", row.origin}}) == row.status);
  }
  CHECK(verdict(guard, {{"Host", "localhost"},
                        {"Origin", "https://app.example"},
                        {"Origin", "https://app.example"}}) == 403);
}

TEST_CASE("requests that other sites cause are refused unless their origin is listed") {
  const Guard guard = make_guard();
  const Header host{"Host", "localhost"};
  CHECK(verdict(guard, {host, {"Sec-Fetch-Site", "same-origin"}}) == 0);
  CHECK(verdict(guard, {host, {"Sec-Fetch-Site", "none"}}) == 0);
  CHECK(verdict(guard, {host, {"Sec-Fetch-Site", "cross-site"}}, "GET") == 403);
  CHECK(verdict(guard, {host, {"Sec-Fetch-Site", "new-value"}}, "GET") == 403);
  CHECK(verdict(guard,
                {host, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://app.example"}}) == 0);
}

TEST_CASE("preflights are answered for listed origins alone") {
  const Guard guard = make_guard();
  Request request;
  request.method = "OPTIONS";
  request.headers = {{"Host", "localhost"},
                     {"Origin", "https://app.example"},
                     {"Access-Control-Request-Method", "POST"},
                     {"Access-Control-Request-Headers", "authorization, x-stainless-os"},
                     {"Access-Control-Request-Private-Network", "true"}};
  auto answer = guard.check(request, "127.0.0.1");
  REQUIRE(answer);
  CHECK(answer->status == 204);
  CHECK(*find_header(answer->headers, "access-control-allow-headers") ==
        "authorization, x-stainless-os");
  CHECK(*find_header(answer->headers, "access-control-allow-private-network") == "true");
  const Headers always = guard.answer_headers(request);
  CHECK(*find_header(always, "access-control-allow-origin") == "https://app.example");
  CHECK(*find_header(always, "vary") == "Origin");
  CHECK(!find_header(always, "access-control-allow-credentials"));

  request.headers[3].value = "a\x80";
  answer = guard.check(request, "127.0.0.1");
  REQUIRE(answer);
  CHECK(!find_header(answer->headers, "access-control-allow-headers"));

  request.headers[1].value = "https://evil";
  answer = guard.check(request, "127.0.0.1");
  REQUIRE(answer);
  CHECK(answer->status == 403);
  CHECK(!find_header(guard.answer_headers(request), "access-control-allow-origin"));
}

TEST_CASE("settings that are no hosts or origins are refused") {
  CHECK(!Guard::create({"a b"}, {}));
  CHECK(!Guard::create({}, {"*"}));
  CHECK(!Guard::create({}, {"localhost:3000"}));
  CHECK(!Guard::create({}, {"https://a/b"}));
}

TEST_CASE("a page of another site may lead a browser to the landing path, and do nothing else") {
  Guard guard = make_guard();
  guard.set_landing_path("/callback");
  const struct {
    std::string what, method, path, mode, origin;
    int status;
  } rows[] = {
      {"a redirect", "GET", "/callback", "navigate", "", 0},
      {"another path", "GET", "/other", "navigate", "", 403},
      {"a form", "POST", "/callback", "navigate", "", 403},
      {"a script", "GET", "/callback", "no-cors", "", 403},
      {"with an origin", "GET", "/callback", "navigate", "https://evil.example", 403},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Request request;
    request.method = row.method;
    request.path = row.path;
    request.headers = {
        {"Host", "127.0.0.1:4000"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", row.mode}};
    if (!row.origin.empty()) request.headers.push_back({"Origin", row.origin});
    const auto answer = guard.check(request, "127.0.0.1");
    CHECK((answer ? answer->status : 0) == row.status);
  }
}
