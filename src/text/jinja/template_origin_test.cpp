// Which parts of a prompt the template wrote, and which came from inputs.
#include <doctest/doctest.h>

#include <string>

#include "text/chat_template.h"

namespace hearth {
namespace {

// Trusted parts as they are, untrusted ones in «».
std::string marked(const std::string& source) {
  RenderInputs inputs;
  inputs.bos_token = "<s>";
  inputs.eos_token = "</s>";
  inputs.messages.push_back(
      Json::object({{"role", "user"}, {"content", " Hi <|end|> "}, {"n", 5}}));
  inputs.messages.push_back(Json::object({{"role", "assistant"}, {"content", "a,b"}}));
  inputs.tools = Json::array();
  inputs.tools.push_back(Json::object({{"name", "f"}, {"args", Json::object({{"x", 1.5}})}}));
  inputs.variables.set("extra", "E");
  const auto made = ChatTemplate::parse(source);
  if (!made) return made.error().message();
  const auto prompt = made->render(inputs);
  if (!prompt) return prompt.error().message();
  std::string out;
  for (const auto& part : prompt->parts) out += part.trusted ? part.text : "«" + part.text + "»";
  return out;
}

TEST_CASE("origin follows text through everything done to it") {
  const std::string let = "{% set m = messages[0] %}{% set c = m.content %}";
  const struct {
    std::string what, source, want;
  } rows[] = {
      {"template alone", "<|x|>{{ 'y' }}", "<|x|>y"},
      {"message", "{{ c }}", "« Hi <|end|> »"},
      {"role", "<|{{ m.role }}|>", "<|«user»|>"},
      {"special tokens", "{{ bos_token }}{{ c }}{{ eos_token }}", "<s>« Hi <|end|> »</s>"},
      {"variable", "{{ extra }}", "«E»"},
      {"plus", "{{ '<' + m.role + '>' }}", "<«user»>"},
      {"tilde", "{{ '<' ~ m.role ~ 1 ~ '>' }}", "<«user»1>"},
      {"strip", "{{ c.strip() }}|{{ ('<' + c).strip() }}", "«Hi <|end|>»|<« Hi <|end|>»"},
      {"trim", "{{ c|trim }}", "«Hi <|end|>»"},
      {"upper", "{{ ('a' + m.role)|upper }}", "A«USER»"},
      {"title and capitalize", "{{ ('a ' + m.role)|title }}{{ ('a' ~ m.role).capitalize() }}",
       "A «User»A«user»"},
      {"slice", "{{ ('ab' + m.role)[1:4] }}", "b«us»"},
      {"slice backwards", "{{ ('ab' + m.role)[::-1] }}", "«resu»ba"},
      {"index", "{{ m.role[0] }}{{ ('a' + m.role)[0] }}", "«u»a"},
      {"replace in input", "{{ m.role.replace('s', 'S') }}", "«u»S«er»"},
      {"replace by input", "{{ 'a-b'|replace('-', m.role) }}", "a«user»b"},
      {"split and join", "{{ messages[1].content.split(',')|join('+') }}", "«a»+«b»"},
      {"join with input", "{{ ['x', 'y']|join(m.role) }}", "x«user»y"},
      {"list of parts", "{% for p in messages[1].content.split(',') %}<{{ p }}>{% endfor %}",
       "<«a»><«b»>"},
      {"percent", "{{ '<%s|%5s>' % (m.role, 'x') }}", "<«user»|    x>"},
      {"format", "{{ '<{}|{:>6}>'.format(m.role, m.role) }}", "<«user»|  «user»>"},
      {"format filter", "{{ '<%s>'|format(m.role) }}", "<«user»>"},
      {"input as format", "{{ (m.role ~ '%s') % 'x' }}", "«user»x"},
      {"number of input", "{{ m.n }}", "«5»"},
      {"number of the template", "{{ 5 }}", "5"},
      {"string of a number", "{{ m.n|string ~ '!' }}", "«5»!"},
      {"tojson of input", "{{ tools|tojson }}", "«[{\"name\": \"f\", \"args\": {\"x\": 1.5}}]»"},
      {"tojson of part", "{{ tools[0].args|tojson }}", "«{\"x\": 1.5}»"},
      {"tojson of text", "{{ m.role|tojson }}", "«\"user\"»"},
      {"tojson of template's own", "{{ {'a': 1}|tojson }}", "{\"a\": 1}"},
      {"tojson of a mix", "{{ {'a': m.role}|tojson }}", "{\"a\": «\"user\"»}"},
      {"tojson with indent", "{{ tools[0].args|tojson(indent=1) }}", "«{\n \"x\": 1.5\n}»"},
      {"print of input", "{{ tools[0].args }}", "«{'x': 1.5}»"},
      {"print of a mix", "{{ ['a', m.role] }}", "['a', «'user'»]"},
      {"keys", "{% for k, v in tools[0].items() %}{{ k }}={{ v }};{% endfor %}",
       "«name»=«f»;«args»=«{'x': 1.5}»;"},
      {"set block", "{% set x %}<{{ m.role }}>{% endset %}{{ x }}", "<«user»>"},
      {"macro", "{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(m.role) }}", "<«user»>"},
      {"call block",
       "{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}{{ m.role }}{% endcall %}",
       "<«user»>"},
      {"filter block", "{% filter upper %}a{{ m.role }}{% endfilter %}", "A«USER»"},
      {"namespace", "{% set n = namespace(x='a') %}{% set n.x = n.x ~ m.role %}{{ n.x }}",
       "a«user»"},
      {"default", "{{ nothing|default(m.role) }}", "«user»"},
      {"indent", "{{ ('a\n' ~ m.role)|indent(2) }}", "a\n  «user»"},
      {"escape", "{{ (c|e)[4:8] }}", "«&lt;»"},
      {"safe", "{{ c|trim|safe }}", "«Hi <|end|>»"},
      {"center", "{{ m.role.center(8) }}", "  «user»  "},
      {"truncate", "{{ ('ab ' ~ c)|truncate(8, true, '…', 0) }}", "ab « Hi »…"},
      {"sort and unique", "{{ [m.role, 'a', m.role]|unique|sort|join }}", "a«user»"},
      {"map", "{{ messages|map(attribute='role')|map('upper')|join('/') }}", "«USER»/«ASSISTANT»"},
      {"generation", "{% generation %}{{ m.role }}{% endgeneration %}", "«user»"},
      {"partition", "{% set p = ('x' ~ m.role).partition('s') %}{{ p[0] }}|{{ p[2] }}",
       "x«u»|«er»"},
      {"from_json", "{{ ('{\"a\": \"' ~ m.role ~ '\"}')|from_json }}", "«{'a': 'user'}»"},
      {"comparison", "{{ m.role == 'user' }}{{ m.role in ['user'] }}", "TrueTrue"},
      {"length", "{{ c|length }}", "12"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    CHECK(marked(let + row.source) == row.want);
  }
}

}  // namespace
}  // namespace hearth
