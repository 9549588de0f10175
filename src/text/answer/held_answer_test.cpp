#include "text/answer/held_answer.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "text/answer/forms.h"
#include "text/grammar/grammar_test_support.h"

namespace hearth {
namespace {

using grammar::test::byte_tokenizer;

Json parsed(std::string_view text) {
  auto value = parse_json(text);
  REQUIRE(value);
  return std::move(*value);
}

const char* const tools_text = R"([
  {"type": "function", "function": {"name": "get", "parameters": {"type": "object",
     "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"],
     "additionalProperties": false}}},
  {"type": "function", "function": {"name": "get_all", "parameters": {"type": "object",
     "properties": {"unit": {"enum": ["c", "f"]}}, "required": ["unit"], "additionalProperties": false}}}])";

AnswerForm form_of(std::string_view family, bool thinks = false) {
  AnswerForm form;
  for (const CallForm& row : call_forms())
    if (row.family == family) form.calls = &row;
  if (thinks) form.thoughts = &thought_forms().back();
  REQUIRE((family.empty() || form.calls));
  return form;
}

struct Fed {
  std::size_t bytes = 0;  // taken before one was refused
  bool may_end = false, must_end = false, is_free = false;
};

// Byte by byte, each of which must be in the set of what may come.
Fed feed(const std::shared_ptr<const Constraint>& constraint, const Tokenizer& tokenizer,
         std::string_view text) {
  Fed fed;
  ConstraintReader reader(*constraint, tokenizer);
  std::vector<std::uint64_t> set(reader.words());
  for (const char byte : text) {
    const auto token = static_cast<Token>(static_cast<unsigned char>(byte));
    std::ranges::fill(set, 0);
    reader.allow(set);
    const bool is_allowed = reader.is_free() || grammar::has(set, token);
    if (!is_allowed || !reader.accept(token).ok()) return fed;
    ++fed.bytes;
  }
  std::ranges::fill(set, 0);
  reader.allow(set);
  fed.may_end = grammar::has(set, *tokenizer.special().eos);
  fed.must_end = reader.must_end();
  fed.is_free = reader.is_free();
  return fed;
}

std::shared_ptr<const Constraint> held(GrammarEngine& engine, const AnswerForm& form,
                                       const HeldAnswer& asked) {
  auto constraint = hold_answer(engine, form, asked);
  if (!constraint) MESSAGE(constraint.error().message());
  REQUIRE(constraint);
  return *constraint;
}

const AnswerRule yes_or_no{.kind = AnswerRule::Kind::choice, .choices = {"yes", "no"}};

TEST_CASE("an answer is held from its beginning, or from the end of its thought") {
  const auto tokenizer = byte_tokenizer();
  GrammarEngine engine(tokenizer);
  const struct {
    std::string what;
    bool thinks, is_thinking, may_think;
    std::string text;
    std::size_t taken;
    bool may_end;
  } rows[] = {
      {"at once", false, false, true, "yes", 3, true},
      {"half an answer", false, false, true, "ye", 2, false},
      {"something else", false, false, true, "maybe", 0, false},
      {"after a thought that the prompt began", true, true, true, "Hm. yes?</think>\n\nno", 20,
       true},
      {"a thought does not end the answer", true, true, true, "Hm.", 3, false},
      {"nor does its end", true, true, true, "Hm.</think>", 11, false},
      {"the wrong thing after it", true, true, true, "Hm.</think>maybe", 11, false},
      {"a thought of its own", true, false, true, "<think>Hm</think>yes", 20, true},
      {"none where one has ended", true, false, false, "<think>", 0, false},
      {"an answer without a thought", true, false, true, "no", 2, true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto constraint =
        held(engine, form_of("", row.thinks),
             {.rule = yes_or_no, .is_thinking = row.is_thinking, .may_think = row.may_think});
    const Fed fed = feed(constraint, tokenizer, row.text);
    CHECK(fed.bytes == row.taken);
    CHECK(fed.may_end == row.may_end);
  }
  CHECK(*hold_answer(engine, form_of("", true), {}) == nullptr);
}

TEST_CASE("calls are held to their tools' schemas, as each family writes them") {
  const auto tokenizer = byte_tokenizer();
  GrammarEngine engine(tokenizer);
  const struct {
    std::string family, good, bad;  // of `bad` the last byte is refused
  } rows[] = {
      {"hermes",
       "Sure. <tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>",
       "<tool_call>{\"name\": \"x"},
      {"hermes",
       "<tool_call>{\"name\":\"get_all\",\"arguments\":{\"unit\":\"c\"}}</tool_call> and "
       "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"\", \"days\": "
       "3}}\n</tool_call>",
       "<tool_call>{\"name\": \"get\", \"arguments\": {}"},
      {"mistral",
       "[TOOL_CALLS][{\"name\": \"get\", \"arguments\": {\"city\": \"Rome\"}}, {\"name\": "
       "\"get_all\", \"arguments\": {\"unit\": \"f\"}}]",
       "[TOOL_CALLS]{"},
      {"mistral-args", "[TOOL_CALLS]get[ARGS]{\"city\": \"Rome\"}",
       "[TOOL_CALLS]get["
       "B"},
      {"functionary", "<function=get_all>{\"unit\": \"c\"}</function>",
       "<function=get_all>{\"unit\": \"k"},
      {"granite", "<|tool_call|>[{\"name\": \"get\", \"arguments\": {\"city\": \"Rome\"}}]",
       "<|tool_call|>[]"},
      {"qwen-coder",
       "<tool_call>\n<function=get>\n<parameter=city>\nRome "
       "\"</x>\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
       "<tool_call>\n<function=get>\n<parameter=days"},
      {"qwen-coder",
       "<tool_call>\n<function=get_all>\n<parameter=unit>\nf\n</parameter>\n</function>\n</"
       "tool_call>",
       "<tool_call>\n<function=get_all>\n<parameter=unit>\nk"},
      {"glm", "<tool_call>get\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n</tool_call>",
       "<tool_call>get\n<arg_key>x"},
      {"minimax",
       "<minimax:tool_call>\n<invoke name=\"get\">\n<parameter "
       "name=\"city\">Rome</parameter>\n</invoke>\n</minimax:tool_call>",
       "<minimax:tool_call>\n<invoke name=\"b"},
      {"harmony",
       "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>commentary "
       "to=functions.get_all <|constrain|>json<|message|>{\"unit\": \"f\"}",
       "<|channel|>commentary to=functions.get <|constrain|>json<|message|>{\"days"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.family);
    CAPTURE(row.good);
    const auto constraint = held(engine, form_of(row.family), {.tools = parsed(tools_text)});
    const Fed fed = feed(constraint, tokenizer, row.good);
    CHECK(row.good.substr(fed.bytes) == "");
    CHECK(fed.is_free);
    const std::size_t refused = feed(constraint, tokenizer, row.bad).bytes;
    CHECK(refused < row.bad.size());
    CHECK(refused + 4 >= row.bad.size());
  }
}

TEST_CASE("a forced call goes on from what the prompt has begun") {
  const auto tokenizer = byte_tokenizer();
  GrammarEngine engine(tokenizer);
  const struct {
    std::string family, tool, rest;
  } rows[] = {
      {"hermes", "get", "{\"city\": \"Rome\"}}\n</tool_call>"},
      {"hermes", "", "get_all\", \"arguments\": {\"unit\": \"c\"}}\n</tool_call>"},
      {"llama3", "get", "{\"city\": \"Rome\"}}"},
      {"llama3", "", "get\", \"parameters\": {\"city\": \"Rome\"}}"},
      {"mistral", "get", "{\"city\": \"Rome\"}}]"},
      {"qwen-coder", "get_all", "<parameter=unit>\nf\n</parameter>\n</function>\n</tool_call>"},
      {"harmony", "get_all", "{\"unit\": \"f\"}"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.family);
    CAPTURE(row.rest);
    const auto constraint = held(
        engine, form_of(row.family),
        {.tools = parsed(tools_text), .has_begun_call = true, .tool = row.tool, .is_single = true});
    const Fed fed = feed(constraint, tokenizer, row.rest);
    CHECK(row.rest.substr(fed.bytes) == "");
    CHECK(fed.must_end);
    CHECK(feed(constraint, tokenizer, "?").bytes == 0);
  }
}

TEST_CASE("a call or an answer: both are held") {
  const auto tokenizer = byte_tokenizer();
  GrammarEngine engine(tokenizer);
  const AnswerRule rule{.kind = AnswerRule::Kind::json_object};
  const auto constraint =
      held(engine, form_of("hermes", true), {.rule = rule, .tools = parsed(tools_text)});
  for (const std::string text :
       {"{\"a\": 1}", "<tool_call>{\"name\": \"get\", \"arguments\": {\"city\": \"\"}}</tool_call>",
        "<think>{</think>{\"a\": 1}",
        "<think>Hm.</think>\n\n<tool_call>\n{\"name\": \"get_all\", \"arguments\": {\"unit\": "
        "\"c\"}}\n</tool_call>"}) {
    CAPTURE(text);
    CHECK(feed(constraint, tokenizer, text).bytes == text.size());
    CHECK(feed(constraint, tokenizer, text).may_end);
  }
  CHECK(feed(constraint, tokenizer, "Hello").bytes == 0);
}

TEST_CASE("a list of a call's arguments that may hold no item twice holds none") {
  const auto tokenizer = byte_tokenizer();
  GrammarEngine engine(tokenizer);
  for (const char* strict : {"true", "false"}) {
    const Json tools = parsed(fmt::format(
        R"([{{"type": "function", "function": {{"name": "f", "strict": {}, "parameters":
        {{"type": "object", "required": ["a"], "properties": {{"a": {{"type": "array", "uniqueItems": true,
          "items": {{"type": "string"}}}}}}}}}}}},
        {{"type": "function", "function": {{"name": "g", "parameters":
        {{"type": "object", "properties": {{"a": {{"type": "array"}}}}}}}}}}])",
        strict));
    const struct {
      const char *form, *once, *again;
    } rows[] = {
        {"hermes",
         "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [\"x\", \"y\"]}}\n</tool_call>"
         "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [\"x\", \"z\"]}}\n</tool_call>"
         "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"a\": [1, 1]}}\n</tool_call>",
         "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [\"x\", \"x\""},
        {"mistral-args", "[TOOL_CALLS]f[ARGS]{\"a\": [\"x\", \"y\"]}",
         "[TOOL_CALLS]f[ARGS]{\"a\": [\"x\", \"x\""},
        {"qwen-coder",
         "<tool_call>\n<function=f>\n<parameter=a>\n[\"x\", \"y\"]\n</parameter>\n</function>\n"
         "</tool_call>",
         "<tool_call>\n<function=f>\n<parameter=a>\n[\"x\", \"x\""},
    };
    for (const auto& row : rows) {
      CAPTURE(std::string(row.form));
      const auto constraint = held(engine, form_of(row.form), {.tools = tools});
      CHECK(feed(constraint, tokenizer, row.once).bytes == std::string_view(row.once).size());
      CHECK(feed(constraint, tokenizer, row.again).bytes < std::string_view(row.again).size());
    }
  }
}

TEST_CASE("a schema that cannot be said: refused for strict tools, any object for others") {
  const auto tokenizer = byte_tokenizer();
  GrammarEngine engine(tokenizer);
  Json tools = parsed(R"([{"type": "function", "function": {"name": "f", "parameters":
      {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}}}}])");
  const auto constraint = held(engine, form_of("hermes"), {.tools = tools});
  CHECK(feed(constraint, tokenizer,
             "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>")
            .is_free);
  tools.as_array()[0].find("function")->set("strict", true);
  const auto refused = hold_answer(engine, form_of("hermes"), {.tools = tools});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().starts_with(
      "tools[0] 'f': #/properties/a: $ref: 'https://example.com/a' is another document"));
}

TEST_CASE("what was compiled is kept, within bounds") {
  const auto tokenizer = byte_tokenizer();
  GrammarEngine engine(tokenizer);
  const AnswerRule rule{.kind = AnswerRule::Kind::schema,
                        .schema = parsed(R"({"type": "string"})")};
  CHECK(*engine.compile(rule) == *engine.compile(rule));
  CHECK(*engine.compile(rule) != *engine.compile(rule, true));
  for (int i = 0; i < 300; ++i)
    CHECK(engine.compile({.kind = AnswerRule::Kind::pattern, .text = fmt::format("a{{{}}}", i)}));
  CHECK_FALSE(engine.compile({.kind = AnswerRule::Kind::choice}));
  CHECK_FALSE(engine.compile({.kind = AnswerRule::Kind::gbnf, .text = "root ::= root"}));
}

}  // namespace
}  // namespace hearth
