// Answers held to a grammar: every way of sampling, several answers, stop strings, batches.
#include <doctest/doctest.h>

#include <future>

#include "kernels/kernels.h"
#include "runtime/fake_model.h"
#include "runtime/runner.h"
#include "text/grammar/constraint.h"
#include "text/grammar/engine.h"

using namespace hearth;

namespace {

std::vector<std::string> pieces() {
  std::vector<std::string> result = {"{\"",  "\":", "\": \"", "\"}", "\", \"", "true",
                                     "null", " ",   "\n",     "ab",  "abc"};
  for (const char c : std::string_view("{}[]\":,0123456789abcxyz-.é")) result.emplace_back(1, c);
  result.resize(46);
  return result;
}

const char* const schema_text = R"({"type": "object", "properties": {
    "a": {"type": "integer", "minimum": -5, "maximum": 120}, "b": {"enum": ["x", "yz", null]},
    "c": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 3}},
    "required": ["a", "b", "c"], "additionalProperties": false})";

struct Runtime {
  Runtime() {
    FakeOptions fake;
    fake.pieces = pieces();
    fake.allows_end = true;
    model = std::make_shared<FakeModel>(fake);
    RunnerOptions options;
    options.kv_budget_bytes = 16u << 20;
    auto made = make_runner(model, kernels::Kernels{}, std::make_shared<ThreadPool>(2), options);
    REQUIRE(made.ok());
    runner = std::move(*made);
    engine = std::make_unique<GrammarEngine>(model->tokenizer());
  }
  std::shared_ptr<const Constraint> held(const AnswerRule& rule) {
    auto masks = engine->compile(rule);
    if (!masks) MESSAGE(masks.error().message());
    REQUIRE(masks);
    auto constraint = std::make_shared<Constraint>();
    constraint->answer = *masks;
    return constraint;
  }
  std::shared_ptr<const Constraint> held_to_schema() {
    return held({.kind = AnswerRule::Kind::schema, .schema = *parse_json(schema_text)});
  }
  GenerateRequest request(std::uint64_t seed) {
    GenerateRequest request;
    request.prompt = {1, 5, 9, static_cast<Token>(10 + seed % 20)};
    request.sampling.seed = seed;
    request.max_tokens = 600;
    request.constraint = held_to_schema();
    return request;
  }

  std::shared_ptr<const FakeModel> model;
  std::unique_ptr<Runner> runner;
  std::unique_ptr<GrammarEngine> engine;
};

void check_satisfies(const std::string& text) {
  CAPTURE(text);
  const auto value = parse_json(text);
  REQUIRE(value);
  const Json *a = value->find("a"), *b = value->find("b"), *c = value->find("c");
  REQUIRE((a && b && c && value->size() == 3));
  CHECK((a->is_integer() && a->as_integer() >= -5 && a->as_integer() <= 120));
  CHECK((*b == Json("x") || *b == Json("yz") || b->is_null()));
  CHECK((c->is_array() && c->size() <= 3));
}

TEST_CASE("whatever the sampler, the answer satisfies the schema and ends") {
  Runtime runtime;
  const struct {
    std::string what;
    void (*set)(SamplingOptions& s);
  } rows[] = {
      {"greedy", [](SamplingOptions& s) { s.temperature = 0; }},
      {"plain", [](SamplingOptions&) {}},
      {"hot", [](SamplingOptions& s) { s.temperature = 2; }},
      {"top-k", [](SamplingOptions& s) { s.top_k = 2; }},
      {"top-p", [](SamplingOptions& s) { s.top_p = 0.3f; }},
      {"min-p", [](SamplingOptions& s) { s.min_p = 0.5f; }},
      {"typical", [](SamplingOptions& s) { s.typical_p = 0.4f; }},
      {"mirostat 1", [](SamplingOptions& s) { s.mirostat = 1; }},
      {"mirostat 2", [](SamplingOptions& s) { s.mirostat = 2; }},
      {"penalties",
       [](SamplingOptions& s) {
         s.repetition_penalty = 1.5f;
         s.dry_multiplier = 1;
       }},
      {"a wish for what may not come",
       [](SamplingOptions& s) { s.logit_bias = {{0, 100.0f}, {20, 100.0f}}; }},
  };
  for (const auto& row : rows)
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      CAPTURE(row.what);
      CAPTURE(seed);
      GenerateRequest request = runtime.request(seed);
      row.set(request.sampling);
      const auto first = generate(*runtime.runner, request);
      REQUIRE(first);
      CHECK(first->finish == FinishReason::stop);
      check_satisfies(first->text);
      const auto again = generate(*runtime.runner, request);
      REQUIRE(again);
      CHECK(again->text == first->text);
    }
}

TEST_CASE("several answers, log probabilities, past the end") {
  Runtime runtime;
  GenerateRequest request = runtime.request(3);
  request.n = 4;
  request.logprobs = true;
  request.top_logprobs = 3;
  request.ignore_end = true;
  std::vector<std::string> texts(4);
  std::promise<void> done;
  REQUIRE(runtime.runner->submit(request, [&](const Event& event) {
    texts[static_cast<std::size_t>(event.choice)] += event.text;
    for (const TokenInfo& token : event.tokens) CHECK(token.alternatives.size() == 3);
    if (event.finish) CHECK(*event.finish == FinishReason::stop);
    if (event.last) done.set_value();
  }));
  done.get_future().wait();
  for (const std::string& text : texts) check_satisfies(text);
  CHECK(texts[0] != texts[1]);
}

TEST_CASE("held and free answers in one batch are what they are alone") {
  Runtime runtime;
  GenerateRequest held = runtime.request(5), free = runtime.request(6);
  free.constraint = nullptr;
  free.max_tokens = 60;
  held.deterministic = free.deterministic = true;
  const auto held_alone = generate(*runtime.runner, held),
             free_alone = generate(*runtime.runner, free);
  REQUIRE((held_alone && free_alone));
  std::vector<std::future<Result<Answer>>> answers;
  for (int i = 0; i < 12; ++i)
    answers.push_back(std::async(std::launch::async, [&, i] {
      return generate(*runtime.runner, i % 2 == 0 ? held : free);
    }));
  for (int i = 0; i < 12; ++i) {
    const auto answer = answers[static_cast<std::size_t>(i)].get();
    REQUIRE(answer);
    CHECK(answer->text == (i % 2 == 0 ? held_alone : free_alone)->text);
  }
}

TEST_CASE("a stop string and max_tokens cut a held answer; what cannot be written is an error") {
  Runtime runtime;
  GenerateRequest request = runtime.request(1);
  request.stop = {"\"b\""};
  const auto stopped = generate(*runtime.runner, request);
  REQUIRE(stopped);
  CHECK(stopped->finish == FinishReason::stop);
  CHECK(stopped->text.find("\"b\"") == std::string::npos);
  request = runtime.request(1);
  request.max_tokens = 3;
  CHECK(generate(*runtime.runner, request)->finish == FinishReason::length);
  request.constraint = runtime.held({.kind = AnswerRule::Kind::choice, .choices = {"Q"}});
  const auto impossible = generate(*runtime.runner, request);
  REQUIRE_FALSE(impossible);
  CHECK(impossible.error().message().find("no token of this model") != std::string::npos);
}

TEST_CASE("no item of a list comes twice where none may; where one must, the answer is an error") {
  Runtime runtime;
  const auto held_to = [&](std::string_view schema) {
    return runtime.held({.kind = AnswerRule::Kind::schema, .schema = *parse_json(schema)});
  };
  const auto free =
      held_to(R"({"type": "array", "uniqueItems": true, "minItems": 12, "maxItems": 16,
      "items": {"type": "string", "minLength": 1, "maxLength": 2}})");
  const auto few = held_to(R"({"type": "array", "uniqueItems": true, "minItems": 12, "maxItems": 16,
      "items": {"enum": ["a", "ab", "abc", "b", "ba", "bc", 1, 10, 100, 2, 20, 200, 3, 31]}})");
  const auto never = held_to(R"({"type": "array", "uniqueItems": true, "minItems": 3,
      "items": {"type": "string", "pattern": "^a{1,2}$"}})");
  for (std::uint64_t seed = 1; seed <= 12; ++seed)
    for (const auto& constraint : {free, few}) {
      GenerateRequest request = runtime.request(seed);
      request.constraint = constraint;
      request.sampling.top_k = seed % 3 == 0 ? 2 : 0;  // repeats itself
      const auto answer = generate(*runtime.runner, request);
      if (!answer) MESSAGE(answer.error().message());
      REQUIRE(answer);
      CAPTURE(answer->text);
      const auto list = parse_json(answer->text);
      REQUIRE(list);
      CHECK(list->size() >= 12);
      for (std::size_t i = 0; i < list->size(); ++i)
        for (std::size_t j = 0; j < i; ++j) CHECK(list->as_array()[i] != list->as_array()[j]);
    }
  GenerateRequest request = runtime.request(1);
  request.constraint = never;
  const auto impossible = generate(*runtime.runner, request);
  REQUIRE_FALSE(impossible);
  CHECK(impossible.error().message().starts_with("uniqueItems: whatever comes next"));
}

TEST_CASE("a choice ends as soon as nothing can follow") {
  Runtime runtime;
  GenerateRequest request = runtime.request(2);
  request.constraint = runtime.held({.kind = AnswerRule::Kind::choice, .choices = {"abc", "xyz"}});
  const auto answer = generate(*runtime.runner, request);
  REQUIRE(answer);
  CHECK((answer->text == "abc" || answer->text == "xyz"));
  CHECK(answer->finish == FinishReason::stop);
  CHECK(answer->usage.completion_tokens <= 3);
}

}  // namespace
