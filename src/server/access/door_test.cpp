// Keys, limits, use and the audit log, as clients of each interface meet them.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <filesystem>

#include "base/files.h"
#include "server/access/records.h"
#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

namespace {

// A folder with a store of keys.
struct Access {
  Access() {
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    files = {.key_store = folder + "/keys.json",
             .usage_file = folder + "/usage.json",
             .audit_log = folder + "/log/audit.jsonl"};
  }
  ~Access() { std::filesystem::remove_all(folder); }

  // The headers that carry a new key.
  std::string key(std::string_view scopes, const KeyLimits& limits = {}) {
    const NewKey made = make_key("ada", *parse_scopes(scopes), limits, 0, 1);
    REQUIRE(change_key_store(files.key_store, [&](std::vector<KeyRecord>& records) -> Status {
              records.push_back(made.record);
              return Done{};
            }).ok());
    return "Authorization: Bearer " + made.text + "\r\n";
  }
  std::string folder = "/tmp/hearth-access-XXXXXX";
  AccessFiles files;
};

struct Dialect {
  std::string_view path, body;
  std::string refusal;  // in the body of a 429
};
const Dialect dialects[] = {
    {"/v1/chat/completions",
     R"({"model":"fake","max_tokens":3,"messages":[{"role":"user","content":"secret"}]})",
     R"("type":"rate_limit_error","param":null,"code":"rate_limit_exceeded")"},
    {"/v1/messages",
     R"({"model":"fake","max_tokens":3,"messages":[{"role":"user","content":"secret"}]})",
     R"({"type":"error","error":{"type":"rate_limit_error")"},
    {"/api/generate",
     R"({"model":"fake","prompt":"secret","raw":true,"stream":false,"options":{"num_predict":3}})",
     R"({"error":"Rate limit reached)"},
    {"/v1/responses", R"({"model":"fake","max_output_tokens":3,"input":"secret"})",
     R"("code":"rate_limit_exceeded")"},
};

}  // namespace

TEST_CASE("a limit is told in the words of every interface") {
  Access access;
  for (const Dialect& row : dialects) {
    const std::string key = access.key("chat", {.requests_per_minute = 2});
    Running running({}, "", access.files);
    CAPTURE(std::string(row.path));
    for (int left = 1; left >= 0; --left) {
      const auto answer = running.request("POST", row.path, row.body, key);
      CAPTURE(answer.body);
      CHECK(answer.status == 200);
      const bool is_anthropic = row.path == "/v1/messages";
      CHECK(has(answer.head, fmt::format("{}: {}\r\n",
                                         is_anthropic ? "anthropic-ratelimit-requests-remaining"
                                                      : "x-ratelimit-remaining-requests",
                                         left)));
    }
    const auto refused = running.request("POST", row.path, row.body, key);
    CAPTURE(refused.body);
    CHECK(refused.status == 429);
    CHECK(has(refused.head, "Retry-After: "));
    CHECK(has(refused.body, row.refusal));
    CHECK(running.request("GET", "/v1/models", "", key).status == 200);
  }
}

TEST_CASE("tokens are counted, kept over a restart and told; a day's are a quota") {
  Access access;
  const std::string key = access.key("chat,embed");
  const std::string admin = access.key("admin");
  const auto used = [&](Running& running, const std::string& who) {
    return *parse_json(running.request("GET", "/api/keys/usage", "", who).body);
  };
  const std::string chat = chat_body("x");
  {
    Running running({}, "", access.files);
    const auto answer = running.request("POST", chat_path, chat, key);
    REQUIRE(answer.status == 200);
    CHECK(has(answer.head, "Server-Timing: queue;dur="));
    CHECK(running
              .request("POST", "/v1/embeddings",
                       R"({"model":"fake/embed","input":"many words are in this text here"})", key)
              .status == 200);
    // A request is booked when it goes, which may be after its answer was read.
    Json own;
    const auto is_booked = [&] {
      own = used(running, key);
      return at(own, "data.0.usage.completion_tokens") == Json(5);
    };
    CHECK(eventually(is_booked));
    CHECK(own.find("data")->size() == 1);
    CHECK(at(own, "data.0.usage.requests").as_integer() >= 2);
    CHECK(used(running, admin).find("data")->size() == 2);
    CHECK(has(write_json(own), "digest") == false);
  }
  REQUIRE(change_key_store(access.files.key_store, [](std::vector<KeyRecord>& records) -> Status {
            records[0].limits.tokens_per_day = 20;
            return Done{};
          }).ok());
  Running running({}, "", access.files);
  CHECK(at(used(running, key), "data.0.usage.requests") == Json(2));
  const auto refused = running.request("POST", chat_path, chat, key);
  CHECK(refused.status == 429);
  CHECK(has(refused.body, "insufficient_quota"));
  CHECK(has(refused.head, "x-should-retry: false"));
}

TEST_CASE("the audit log says who did what, and nothing of what was said") {
  Access access;
  const std::string key = access.key("chat");
  {
    Running running({}, "", access.files);
    const std::string trace =
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    const auto answer =
        running.request("POST", chat_path, chat_body("a secret question"), key + trace);
    CHECK(has(answer.head, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
    running.request("POST", chat_path, chat_body("x"),
                    "Authorization: Bearer nobody-at-all-00\r\n");
    running.request("POST", "/v1/embeddings", R"({"model":"fake/embed","input":"x"})", key);
  }
  const auto log = read_file(access.files.audit_log, 1 << 20);
  REQUIRE(log);
  CHECK(!has(*log, "secret"));
  CHECK(!has(*log, "nobody"));
  std::vector<Json> lines;
  for (std::string_view rest = *log; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1))
    lines.push_back(*parse_json(rest.substr(0, rest.find('\n'))));
  REQUIRE(lines.size() == 3);
  const auto line_of = [&](int status) {
    for (const Json& line : lines)
      if (*line.find("status") == Json(status)) return line;
    return Json();
  };
  CHECK(at(line_of(200), "trace") == Json("0af7651916cd43dd8448eb211c80319c"));
  CHECK(at(line_of(200), "name") == Json("ada"));
  CHECK(at(line_of(200), "model") == Json("fake"));
  CHECK(at(line_of(200), "completion_tokens") == Json(5));
  CHECK(at(line_of(401), "key") == Json());
  CHECK(at(line_of(403), "route") == Json("/v1/embeddings"));
}
