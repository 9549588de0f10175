// The routes of llama-server and LM Studio.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

TEST_CASE("llama-server: a text goes on, whole and streamed") {
  Running running;
  const Json whole =
      running.json("POST", "/completion", R"({"prompt":"hello","n_predict":3,"seed":0})");
  CHECK(at(whole, "content") == Json("abc"));
  CHECK(at(whole, "stop") == Json(true));
  CHECK(at(whole, "stop_type") == Json("limit"));
  CHECK(at(whole, "tokens_predicted") == Json(3));
  CHECK(at(whole, "model") == Json("fake"));
  const Json stopped =
      running.json("POST", "/completion", R"({"prompt":"x","n_predict":30,"seed":0,"stop":["d"]})");
  CHECK(at(stopped, "content") == Json("abc"));
  CHECK(at(stopped, "stop_type") == Json("word"));
  CHECK(at(stopped, "stopping_word") == Json("d"));
  // No limit of tokens, and no seed: both are -1 there.
  const Json ended =
      running.json("POST", "/completion", R"({"prompt":"x","n_predict":-1,"seed":-1})");
  CHECK(at(ended, "stop_type") == Json("eos"));

  std::string body =
      running
          .request("POST", "/completion", R"({"prompt":"x","n_predict":3,"seed":0,"stream":true})")
          .body;
  std::string text;
  Json last;
  for (std::size_t i = 0; (i = body.find("data: ")) != body.npos;) {
    body.erase(0, i + 6);
    auto event = parse_json(body.substr(0, body.find('\n')));
    REQUIRE(event);
    last = std::move(*event);
    text += at(last, "content").as_string();
  }
  CHECK(text == "abc");
  CHECK(at(last, "stop") == Json(true));
  CHECK(running.request("POST", "/completion", R"({"prompt":"x","n_probs":2})").status == 400);
}

TEST_CASE("llama-server: the middle of a text") {
  Running running;
  running.json("POST", "/infill",
               R"({"input_prefix":"before","input_suffix":"after","n_predict":2,"seed":0,
"input_extra":[{"filename":"a.c","text":"other"}]})");
  const auto& tokens = running.runner().last().prompt;
  const std::string text = running.generator->model().tokenizer().decode(tokens, false);
  CHECK(has(text, "other\nbefore"));
  CHECK(has(text, "after"));
}

TEST_CASE("llama-server, LM Studio: what a model reads") {
  Running running;
  CHECK(at(running.json("GET", "/props"), "default_generation_settings.n_ctx") == Json(1000));
  CHECK(at(running.json("GET", "/slots"), "0.is_processing") == Json(false));
  const Json list = running.json("GET", "/api/v0/models");
  CHECK(at(list, "data.0.id") == Json("fake"));
  CHECK(at(list, "data.0.type") == Json("llm"));
  CHECK(at(list, "data.0.state") == Json("loaded"));
  CHECK(at(list, "data.0.loaded_context_length") == Json(1000));
  CHECK(at(running.json("GET", "/api/v0/models/fake"), "max_context_length") == Json(1000));
  CHECK(running.request("GET", "/api/v0/models/nobody").status == 404);
}
