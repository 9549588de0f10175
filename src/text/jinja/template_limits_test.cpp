// Templates that mean harm, or ask too much: refused, with the reason, in bounded time.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "text/chat_template.h"

namespace hearth {
namespace {

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

Json message(std::string role, std::string content) {
  return Json::object({{"role", std::move(role)}, {"content", std::move(content)}});
}

RenderInputs one_message(std::string content) {
  RenderInputs inputs;
  inputs.messages.push_back(message("user", std::move(content)));
  return inputs;
}

// The text, or the error's message.
std::string outcome(const std::string& source, const RenderInputs& inputs = one_message("hi"),
                    const TemplateLimits& limits = {}) {
  const auto made = ChatTemplate::parse(source, limits);
  if (!made) {
    CHECK(made.error().kind() == ErrorKind::invalid);
    return made.error().message();
  }
  const auto prompt = made->render(inputs);
  if (!prompt) {
    CHECK(prompt.error().kind() == ErrorKind::invalid);
    return prompt.error().message();
  }
  return prompt->text();
}

TEST_CASE("hostile templates are refused, and the error says why") {
  const std::string doubling = "{% set ns = namespace(s='x') %}{% for i in range(40) %}";
  const struct {
    std::string what, source, says;
  } rows[] = {
      {"class of a value", "{{ ''.__class__.__mro__ }}",
       "attribute '__class__' of 'str' object is unsafe"},
      {"class by subscript", "{{ ''['__class__']['__mro__'] }}", "unsafe"},
      {"class by attr", "{{ (''|attr('__class__')).x }}", "unsafe"},
      {"class by format", "{{ '{0.__class__.x}'.format(1) }}", "unsafe"},
      {"globals of a method", "{{ messages.append.__globals__.x }}", "unsafe"},
      {"init of a macro", "{% macro m() %}{% endmacro %}{{ m.__init__.x }}", "unsafe"},
      {"huge range", "{% for i in range(10**9) %}{% endfor %}", "Range too big"},
      {"range past 64 bits", "{{ range(-9223372036854775807, 9223372036854775807, 1)|list }}",
       "Range too big"},
      {"endless macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
       "calls nested deeper than 64"},
      {"two endless macros",
       "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
       "calls nested deeper than 64"},
      {"endless caller",
       "{% macro m() %}{{ caller() }}{% call m() %}{% endcall %}{% endmacro %}"
       "{% call m() %}{% endcall %}",
       "calls nested deeper than 64"},
      {"a caller that calls its macro",
       "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}"
       "{% endcall %}{% endmacro %}{{ n() }}",
       "calls nested deeper than 64"},
      {"a caller for a macro that has none",
       "{% macro m() %}{% call m() %}{% endcall %}{% endmacro %}{{ m() }}",
       "macro 'm' takes no keyword argument 'caller'"},
      {"endless recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
       "calls nested deeper than 64"},
      {"include", "{% include '/etc/passwd' %}", "'include' is refused"},
      {"import", "{% import 'os' as os %}", "'import' is refused"},
      {"from import", "{% from 'os' import x %}", "'from' is refused"},
      {"extends", "{% extends 'base' %}", "'extends' is refused"},
      {"string doubling", doubling + "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
       "limit output_bytes"},
      {"string doubling with +", doubling + "{% set ns.s = ns.s + ns.s %}{% endfor %}",
       "limit output_bytes"},
      {"doubling by replace", doubling + "{% set ns.s = ns.s|replace('x', 'xx') %}{% endfor %}",
       "limit"},
      {"doubling by join",
       doubling + "{% set ns.s = ns.s.join(['', ns.s, '']) ~ ns.s %}{% endfor %}", "limit"},
      {"doubling by format", doubling + "{% set ns.s = '%s%s' % (ns.s, ns.s) %}{% endfor %}",
       "limit"},
      {"string multiplied", "{{ 'x' * 10**9 }}", "limit output_bytes"},
      {"string multiplied from the right", "{{ 10**18 * 'xxxx' }}", "limit output_bytes"},
      {"list multiplied", "{{ [0] * 10**9 }}", "a list of more than 1048576 items"},
      {"list doubling",
       "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = ns.l + ns.l %}{% "
       "endfor %}",
       "limit"},
      {"number too large", "{{ 10 ** 400 }}", "more than 64 bits"},
      {"number by squaring",
       "{% set ns = namespace(n=2) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor "
       "%}",
       "more than 64 bits"},
      {"unknown filter", "{{ 1|system }}", "No filter named 'system'."},
      {"unknown test", "{{ 1 is evil }}", "No test named 'evil'."},
      {"wide center", "{{ 'x'.center(10**12) }}", "limit output_bytes"},
      {"wide filter", "{{ 'x'|center(10**12) }}", "limit output_bytes"},
      {"wide printf", "{{ '%999999999999d' % 1 }}", "too large"},
      {"wide printf by star", "{{ '%*d' % (10**12, 1) }}", "limit output_bytes"},
      {"precise printf", "{{ '%.999999999f' % 1 }}", "too large"},
      {"wide format", "{{ '{:999999999999}'.format(1) }}", "too large"},
      {"precise format", "{{ '{:.99999}'.format(1.5) }}", "too large"},
      {"nested format", "{{ '{:{:{}}}'.format(1, 2, 3) }}", "recursion"},
      {"wide indent", "{{ 'a\\nb'|indent(10**12) }}", "limit output_bytes"},
      {"wide tojson", "{{ [1]|tojson(indent=10**9) }}", "indent"},
      {"wide tabs", "{{ 'a\\tb'.expandtabs(10**12) }}", "limit output_bytes"},
      {"wide zfill", "{{ '1'.zfill(10**12) }}", "limit output_bytes"},
      {"batch that fills", "{{ [1]|batch(10**12, 0)|list }}", "a list of more than"},
      {"many slices", "{{ [1]|slice(10**12)|list }}", "a list of more than"},
      {"a list in itself", "{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}",
       "limit depth"},
      {"a dict in itself", "{% set d = {} %}{% set _ = d.update(a=d) %}{{ d }}", "limit depth"},
      {"a namespace in itself", "{% set n = namespace() %}{% set n.n = n %}{{ n }}", "limit depth"},
      {"a namespace in itself, by a list", "{% set n = namespace() %}{% set n.n = [n, 1] %}{{ n }}",
       "limit depth"},
      {"a tower of lists",
       "{% set n = namespace(l=[]) %}{% for i in range(1000) %}{% set n.l = [n.l] %}{% endfor %}",
       "limit depth"},
      {"a tower of tuples",
       "{% set n = namespace(l=()) %}{% for i in range(1000) %}{% set n.l = (n.l,) %}{% endfor %}",
       "limit depth"},
      {"a tower of filters",
       "{% set n = namespace(l=[1]) %}{% for i in range(1000) %}{% set n.l = n.l|map('string') "
       "%}{% endfor %}{{ n.l|list }}",
       "limit depth"},
      {"a broad tower",
       "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor "
       "%}{{ n.l }}",
       "limit"},
      {"comparing broad towers",
       "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% "
       "set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}",
       "limit fuel"},
      {"a broad key",
       "{% set n = namespace(l=(1,)) %}{% for i in range(60) %}{% set n.l = (n.l, n.l) %}{% endfor "
       "%}{{ {n.l: 1} }}",
       "unhashable"},
      {"loops in loops",
       "{% for a in range(10**5) %}{% for b in range(10**5) %}{% endfor %}{% endfor %}",
       "limit fuel"},
      {"loops with tests",
       "{% for a in range(10**5) %}{% for b in range(10**5) if false %}{% endfor %}{% endfor %}",
       "limit fuel"},
      {"filters of filters", "{% for a in range(10**5) %}{{ range(10**5)|sum }}{% endfor %}",
       "limit fuel"},
      {"sorting again and again",
       "{% for a in range(10**5) %}{% set x = range(10**5)|sort %}{% endfor %}", "limit fuel"},
      {"searching again and again",
       "{% set s = 'a' * 10**6 %}{% for a in range(10**5) %}{% set x = 'b' in s %}{% endfor %}",
       "limit fuel"},
      {"copying again and again",
       "{% set s = 'a' * 10**6 %}{% for a in range(10**5) %}{% set x = s.upper() %}{% endfor %}",
       "limit fuel"},
      {"wrapping again and again",
       "{% set s = 'a' * 10**6 %}{% for a in range(10**5) %}{% set x = s|wordwrap(1) %}"
       "{% endfor %}",
       "limit fuel"},
      {"summing again and again", "{% for a in range(10**5) %}{{ range(10**5)|max }}{% endfor %}",
       "limit fuel"},
      {"a search for what is nearly there",
       "{% set s = 'a' * 10**6 %}{% set p = 'a' * (5 * 10**5) ~ 'b' %}{% for i in range(10**5) %}"
       "{{ p in s }}{{ s.rfind(p) }}{{ s.count(p) }}{% endfor %}",
       "limit fuel"},
      {"long keys",
       "{% set s = 'a' * 10**6 %}{% set d = {s: 1} %}{% for i in range(10**5) %}{% set x = d[s] %}"
       "{% endfor %}",
       "limit fuel"},
      {"long things to sort",
       "{% set s = 'a' * 10**6 %}{% set l = [] %}{% for i in range(1000) %}"
       "{% set _ = l.append(s ~ i) %}{% endfor %}{{ l|sort|length }}",
       "limit fuel"},
      {"many small things",
       "{% set n = namespace(l=[]) %}{% for i in range(10**5) %}"
       "{% set n.l = n.l + [('a' * 100000)|list] %}{% endfor %}",
       "limit fuel"},
      {"many tuples",
       "{% set n = namespace(l=[]) %}{% for i in range(10**5) %}{% set l = [] %}"
       "{% set n.l = [n.l[:1], l] %}{% for j in range(100) %}"
       "{% set _ = l.append((i, j, [i]|first)) %}{% endfor %}{% endfor %}",
       "limit"},
      {"no attribute on what is not a namespace", "{% set messages.x = 1 %}", "non-namespace"},
      {"private attribute of a namespace", "{% set n = namespace() %}{% set n.__init__ = 1 %}",
       "cannot have the attribute"},
      {"private attribute by constructor", "{{ namespace(__class__=1) }}",
       "cannot have the attribute"},
      {"loop variable", "{% for loop in messages %}{% endfor %}", "special variable 'loop'"},
      {"unknown tag", "{% system 'ls' %}", "unknown tag 'system'"},
      {"a tag not closed", "{{ messages", "ends inside a tag"},
      {"a block not closed", "{% if true %}", "'endif' is missing"},
      {"a comment not closed", "{# x", "a comment is not closed"},
      {"a raw block not closed", "{% raw %}", "a raw block is not closed"},
      {"a string not closed", "{{ 'x }}", "a string is not closed"},
      {"a bracket not closed", "{{ (1 }}", "unexpected '}', expected ')'"},
      {"lone surrogate", "{{ '\\ud800' }}", "an escape that is no character"},
      {"not UTF-8", "a\xff", "not UTF-8"},
      {"a variable that is no mapping", "{{ messages[0].content.x.y }}", "has no attribute 'x'"},
  };
  // Some are refused only when all is used up: less than the default, to be quick.
  const TemplateLimits limits{.fuel = 200'000, .output_bytes = 4u << 20};
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto start = std::chrono::steady_clock::now();
    const std::string got = outcome(row.source, one_message("hi"), limits);
    const auto taken = std::chrono::steady_clock::now() - start;
    CAPTURE(got);
    CHECK(got.size() < 1000);
    CHECK(got.find(row.says) != std::string::npos);
    CHECK(taken < std::chrono::seconds(60));  // some seconds; sanitizers and busy machines aside
  }
}

TEST_CASE("the default limits end what is endless") {
  CHECK(outcome("{% for a in range(10**5) %}{{ range(10**5)|sum }}{% endfor %}")
            .find("more than 1000000 steps (limit fuel)") != std::string::npos);
  CHECK(outcome("{% set n = namespace(l=[1]) %}{% for i in range(40) %}{% set n.l = n.l + n.l %}"
                "{% endfor %}")
            .find("a list of more than 1048576 items") != std::string::npos);
  CHECK(outcome("{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}"
                "{% endfor %}")
            .find("more than 33554432 bytes (limit output_bytes)") != std::string::npos);
}

TEST_CASE("nesting has a limit in every kind of nest") {
  const struct {
    std::string what, open, middle, close;
  } rows[] = {
      {"parentheses", "(", "1", ")"},
      {"lists", "[", "1", "]"},
      {"dicts", "{'a': ", "1", "}"},
      {"subscripts", "x[", "1", "]"},
      {"calls", "range(", "1", ")"},
      {"filters", "1|default(", "1", ")"},
      {"not", "not ", "1", ""},
      {"minus", "-", "1", ""},
      {"conditions", "1 if 1 else ", "1", ""},
      {"conditions to the left", "1", "", " if 1"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    for (const int levels : {8, 10000}) {
      const std::string source = "{% if false %}{{ " + repeated(row.open, levels) + row.middle +
                                 repeated(row.close, levels) + " }}{% endif %}";
      const std::string got = outcome(
          row.open == "1" ? "{% if false %}{{ 1" + repeated(row.close, levels) + " }}{% endif %}"
                          : source);
      if (levels == 8)
        CHECK(got == "");
      else
        CHECK((got.find("nested deeper than 64") != std::string::npos ||
               got.find("too many conditions") != std::string::npos));
    }
  }
  for (const auto& [open, close] :
       {std::pair{"{% if true %}", "{% endif %}"}, std::pair{"{% for x in [1] %}", "{% endfor %}"},
        std::pair{"{% macro m() %}", "{% endmacro %}"},
        std::pair{"{% filter upper %}", "{% endfilter %}"},
        std::pair{"{% set x %}", "{% endset %}"}, std::pair{"{% with %}", "{% endwith %}"},
        std::pair{"{% generation %}", "{% endgeneration %}"}}) {
    CAPTURE(std::string(open));
    CHECK(outcome(repeated(open, 30) + repeated(close, 30)).find("nested") == std::string::npos);
    const std::string got = outcome(repeated(open, 5000) + repeated(close, 5000));
    CHECK(got.find("nested deeper than 64") != std::string::npos);
    CHECK(outcome(repeated(open, 5000)).find("nested deeper than 64") != std::string::npos);
  }
}

TEST_CASE("long is not deep") {
  CHECK(outcome("{{ 0" + repeated(" + 1", 5000) + " }}") == "5000");
  CHECK(outcome("{{ ''" + repeated(" ~ 'a'", 5000) + " }}") == std::string(5000, 'a'));
  CHECK(outcome("{{ true" + repeated(" and true", 5000) + " }}") == "True");
  CHECK(outcome("{{ 'x'" + repeated("|upper", 5000) + " }}") == "X");
  CHECK(outcome("{% if false %}" + repeated("{% elif false %}", 5000) + "{% else %}x{% endif %}") ==
        "x");
  CHECK(outcome(repeated("{% if true %}{% endif %}", 5000) + "x") == "x");
}

TEST_CASE("limits hold at, below and above") {
  TemplateLimits limits;
  limits.source_bytes = 10;
  CHECK(outcome("0123456789", one_message(""), limits) == "0123456789");
  CHECK(outcome("0123456789a", one_message(""), limits).find("limit source_bytes") !=
        std::string::npos);

  limits = {};
  limits.output_bytes = 100;
  CHECK(outcome("{{ 'x' * 100 }}", one_message(""), limits) == std::string(100, 'x'));
  CHECK(outcome("{{ 'x' * 101 }}", one_message(""), limits).find("limit output_bytes") !=
        std::string::npos);
  CHECK(
      outcome("{{ 'x' * 60 }}{{ 'x' * 41 }}", one_message(""), limits).find("limit output_bytes") !=
      std::string::npos);

  limits = {};
  limits.fuel = 100;
  CHECK(outcome("{% for i in range(40) %}{% endfor %}", one_message(""), limits) == "");
  CHECK(outcome("{% for i in range(400) %}{% endfor %}", one_message(""), limits)
            .find("more than 100 steps") != std::string::npos);

  limits = {};
  limits.depth = 8;
  const std::string countdown =
      "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(";
  CHECK(outcome(countdown + "7) }}", one_message(""), limits) == "");
  CHECK(outcome(countdown + "8) }}", one_message(""), limits).find("calls nested deeper than 8") !=
        std::string::npos);
}

TEST_CASE("what a template raises reaches the caller as it is, cut to a sane length") {
  CHECK(outcome("a{{ raise_exception('Only users, \"please\"\\n{{}}') }}") ==
        "Only users, \"please\"\n{{}}");
  const std::string got = outcome("{{ raise_exception('é' * 100000) }}");
  CHECK(got.size() == 4096);
}

TEST_CASE("errors say the line") {
  CHECK(outcome("a\n{{ nothing.x }}") == "line 2: 'nothing' is undefined");
  CHECK(outcome("a\n\n{% if %}").starts_with("chat template: line 3: "));
  CHECK(outcome("{% macro m() %}\n\n{{ none.x.y }}{% endmacro %}\n\n\n{{ m() }}")
            .starts_with("line 3: "));
  CHECK(outcome("{{ messages[0].nope.x }}") == "line 1: 'dict object' has no attribute 'nope'");
}

TEST_CASE("text that looks like a template stays text") {
  const std::string text = "{{ messages }}{% if x %}{# {{ ''.__class__ }}";
  CHECK(outcome("{{ messages[0].content }}", one_message(text)) == text);
  CHECK(outcome("{% set x = messages[0].content %}{{ x ~ x }}", one_message(text)) == text + text);
}

TEST_CASE("many messages are no problem") {
  RenderInputs inputs;
  for (int i = 0; i < 5000; ++i) {
    inputs.messages.push_back(message("user", "question " + std::to_string(i)));
    inputs.messages.push_back(message("assistant", "answer " + std::to_string(i)));
  }
  const std::string got = outcome(
      "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] | trim + '\\n' }}{% "
      "endfor %}",
      inputs);
  CHECK(got.starts_with("<|user|>\nquestion 0\n<|assistant|>\nanswer 0\n"));
  CHECK(got.ends_with("answer 4999\n"));
}

TEST_CASE("inputs deeper than any sane one are refused") {
  Json deep = Json::array();
  for (int i = 0; i < 1000; ++i) {
    Json outer = Json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  RenderInputs inputs;
  inputs.variables.set("deep", std::move(deep));
  CHECK(outcome("{{ deep }}", inputs).find("limit depth") != std::string::npos);
  CHECK(outcome("{{ other }}", inputs) == "");
}

TEST_CASE("every prefix of a template is parsed or refused") {
  const std::string source =
      "{%- macro f(a, b='x') -%}{{ a|default('é') ~ b }}{%- endmacro -%}\n{% for m in messages if "
      "m.role != 'x' recursive %}{{ f(m['content'][1:], b=loop.index) }}{% else %}{# c #}{% endfor "
      "%}{% set ns.x = {'a': [1, 2.5, -3]} %}{% raw %}{{ x }}{% endraw %}{{ x is not none }}";
  for (std::size_t size = 0; size <= source.size(); ++size) {
    const auto made = ChatTemplate::parse(source.substr(0, size));
    if (made) (void)made->render(one_message("hi"));
  }
}

TEST_CASE("a template renders on several threads at a time") {
  const auto made = ChatTemplate::parse(
      "{% set l = ['a', 'é'] %}{% for m in messages %}{{ m.content ~ l[1] ~ 'const'|upper }}{% "
      "endfor %}");
  REQUIRE(made);
  std::vector<std::string> results(4);
  {
    std::vector<std::jthread> threads;
    for (std::string& result : results)
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) result = made->render(one_message("x"))->text();
      });
  }
  for (const std::string& result : results) CHECK(result == "xéCONST");
}

}  // namespace
}  // namespace hearth
