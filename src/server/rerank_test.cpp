#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

namespace {

// Longer texts rank higher: see FakeRunner.
class RankServer {
 public:
  RankServer() {
    ServerConfig config;
    config.port = 0;
    auto created = ApiServer::create(config, {fake_lease("fake", ModelKind::generator),
                                              fake_lease("ranker", ModelKind::reranker)});
    REQUIRE(created);
    server_ = std::move(*created);
    thread_ = std::jthread([this] { server_->run(); });
  }
  ~RankServer() {
    server_->stop();
    server_->stop();
  }
  Json post(std::string_view path, std::string_view body, int status = 200) {
    http::TestClient client(server_->port());
    client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                            path, body.size(), body));
    const auto answer = client.read_answer();
    CAPTURE(answer.body);
    CHECK(answer.status == status);
    auto parsed = parse_json(answer.body);
    REQUIRE(parsed);
    return std::move(*parsed);
  }

 private:
  std::unique_ptr<ApiServer> server_;
  std::jthread thread_;
};

}  // namespace

TEST_CASE("rerank: the forms of Jina and Cohere, and of TEI") {
  RankServer ranking;
  const char* body =
      R"({"model":"ranker","query":"q","documents":["one",{"text":"three33"},"two22"],
"top_n":2,"return_documents":true})";
  for (const char* path : {"/v1/rerank", "/rerank", "/v2/rerank"}) {
    const Json answer = ranking.post(path, body);
    CHECK(at(answer, "model") == Json("ranker"));
    REQUIRE(at(answer, "results").size() == 2);
    CHECK(at(answer, "results.0.index") == Json(1));
    CHECK(at(answer, "results.0.document.text") == Json("three33"));
    CHECK(at(answer, "results.1.index") == Json(2));
    const double score = at(answer, "results.0.relevance_score").as_number();
    CHECK(score > 0.5);
    CHECK(score < 0.53);
    CHECK(at(answer, "usage.total_tokens").as_integer() > 15);
  }
  const Json list = ranking.post(
      "/rerank", R"({"query":"q","texts":["a","bbb"],"raw_scores":true,"return_text":true})");
  REQUIRE(list.size() == 2);
  CHECK(at(list, "0.index") == Json(1));
  CHECK(at(list, "0.text") == Json("bbb"));
  CHECK(at(list, "0.score").as_number() > at(list, "1.score").as_number());
}

TEST_CASE("rerank: what is refused") {
  RankServer ranking;
  const struct {
    const char *body, *param;
  } rows[] = {
      {R"({"model":"ranker","documents":["a"]})", "query"},
      {R"({"model":"ranker","query":"q"})", "documents"},
      {R"({"model":"ranker","query":"q","documents":[]})", "documents"},
      {R"({"model":"ranker","query":"q","documents":["a",3]})", "documents[1]"},
      {R"({"model":"ranker","query":"q","documents":["a"],"top_n":0})", "top_n"},
      {R"({"model":"fake","query":"q","documents":["a"]})", "model"},
  };
  for (const auto& row : rows)
    CHECK(at(ranking.post("/v1/rerank", row.body, 400), "error.param") == Json(row.param));
  const std::string long_text(2000, 'x');
  const std::string cut =
      fmt::format(R"({{"query":"q","texts":["{}"],"truncate":false}})", long_text);
  CHECK(at(ranking.post("/rerank", cut, 400), "error.code") == Json("context_length_exceeded"));
  CHECK(ranking
            .post("/rerank",
                  fmt::format(R"({{"query":"q","texts":["{}"],"truncate":true}})", long_text))
            .size() == 1);
}
