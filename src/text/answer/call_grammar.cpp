#include "text/answer/call_grammar.h"

#include <fmt/core.h>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hearth {

using namespace grammar;

namespace {

// How far the prompt has come with a call.
enum Begun { nothing_but_mark, up_to_name, after_its_name };

// A property's schema on its own: what its references name comes with it.
Json with_definitions(const Json& schema, const Json& root) {
  if (!schema.is_object()) return schema;
  Json result = schema;
  for (const char* name : {"$defs", "definitions"})
    if (const Json* map = root.find(name); map && !schema.find(name)) result.set(name, *map);
  return result;
}

}  // namespace

ExprId mark_expr(Grammar& grammar, const Tokenizer& tokenizer, std::string_view text) {
  const auto token = tokenizer.find(text);
  const bool is_no_text = token && (tokenizer.kind(*token) == TokenKind::control ||
                                    tokenizer.kind(*token) == TokenKind::unknown);
  return is_no_text ? grammar.token(*token) : grammar.literal(text);
}

bool CallGrammar::is_offered(const CallForm& form) {
  if (form.forced.empty()) return false;
  switch (form.syntax) {
    case CallSyntax::json:
    case CallSyntax::bare_json:
    case CallSyntax::named_json:
    case CallSyntax::tagged:
    case CallSyntax::harmony:
      return true;
    default:
      return false;
  }
}

Result<Grammar> CallGrammar::after_mark() { return finish(TRY(call("", nothing_but_mark))); }

Result<Grammar> CallGrammar::after_name(const std::string& tool) {
  return finish(TRY(call(tool, tool.empty() ? up_to_name : after_its_name)));
}

Result<Grammar> CallGrammar::arguments_of(const std::string& name) {
  return finish(TRY(any_tool(name, false, [&](const Tool& tool) { return schema_of(tool); })));
}

Grammar CallGrammar::finish(ExprId body) {
  grammar_.set_root(grammar_.define("call", body));
  return std::move(grammar_);
}

std::vector<CallGrammar::Tool> CallGrammar::tools() const {
  std::vector<Tool> result;
  for (std::size_t i = 0; i < tools_.size(); ++i) {
    const Json* function = tools_.as_array()[i].find("function");
    const Json* name = function ? function->find("name") : nullptr;
    if (!name || !name->is_string()) continue;
    const Json* parameters = function->find("parameters");
    const Json* strict = function->find("strict");
    result.push_back({name->as_string(),
                      parameters && parameters->is_object() ? parameters : nullptr,
                      strict && *strict == Json(true), i});
  }
  return result;
}

template <typename Rest>
Result<ExprId> CallGrammar::any_tool(const std::string& name, bool writes_name, const Rest& rest) {
  std::vector<ExprId> parts;
  for (const Tool& tool : tools()) {
    if (!name.empty() && tool.name != name) continue;
    const ExprId own = TRY(rest(tool));
    parts.push_back(writes_name ? grammar_.sequence({grammar_.literal(tool.name), own}) : own);
  }
  return grammar_.choice(std::move(parts));
}

Result<ExprId> CallGrammar::schema_of(const Tool& tool) {
  if (!tool.parameters || tool.parameters->size() == 0) return text_.object();
  auto schema = add_schema(grammar_, text_, *tool.parameters);
  if (schema) return schema;
  if (!tool.is_strict) return text_.object();
  return std::move(schema).error().within(
      fmt::format("tools[{}] '{}'", tool.index, printable(tool.name)));
}

ExprId CallGrammar::mark(std::string_view text) {
  return text.empty() ? grammar_.empty() : mark_expr(grammar_, tokenizer_, text);
}

ExprId CallGrammar::gap() {
  CharSet set('\n', '\n');
  set.add(' ', ' ');
  return grammar_.repeat(grammar_.chars(set), 0, 2);
}

Result<ExprId> CallGrammar::call(const std::string& name, int begun) {
  switch (form_.syntax) {
    case CallSyntax::json:
    case CallSyntax::bare_json:
      return json_call(name, begun);
    case CallSyntax::named_json:
      return named_call(name, begun);
    case CallSyntax::tagged:
      return tagged_call(name, begun);
    default:
      return any_tool(name, begun != after_its_name, [&](const Tool& tool) -> Result<ExprId> {
        const ExprId own = TRY(schema_of(tool));
        if (begun == after_its_name) return own;
        return grammar_.sequence({grammar_.literal(" "), mark("<|constrain|>"),
                                  grammar_.literal("json"), mark("<|message|>"), own});
      });
  }
}

// {"name": "NAME", "arguments": {...}}, or a list of such.
Result<ExprId> CallGrammar::json_call(const std::string& name, int begun) {
  const std::string_view key = form_.forced_name_end.find("parameters") != std::string_view::npos
                                   ? "parameters"
                                   : "arguments";
  const bool is_list = form_.forced.find("[{") != std::string_view::npos;
  // The name's closing quote up to the object's end; after a forced name only the arguments.
  const auto rest_of = [&](const Tool& tool, bool has_name) -> Result<ExprId> {
    const ExprId own = TRY(schema_of(tool));
    const ExprId end = grammar_.sequence({own, text_.blank(), grammar_.literal("}")});
    if (has_name) return end;
    return grammar_.sequence({grammar_.literal("\""), text_.comma(),
                              grammar_.literal(fmt::format("\"{}\"", key)), text_.colon(), end});
  };
  const ExprId opening =
      grammar_.sequence({grammar_.literal("{"), text_.blank(), grammar_.literal("\"name\""),
                         text_.colon(), grammar_.literal("\"")});
  const ExprId any =
      TRY(any_tool("", true, [&](const Tool& tool) { return rest_of(tool, false); }));
  const RuleId whole = grammar_.define("object", grammar_.sequence({opening, any}));
  ExprId first = grammar_.rule(whole);
  if (begun == up_to_name) first = any;
  if (begun == after_its_name)
    first = TRY(any_tool(name, false, [&](const Tool& tool) { return rest_of(tool, true); }));
  ExprId body = first;
  if (is_list) {
    const ExprId more = grammar_.repeat(grammar_.sequence({text_.comma(), grammar_.rule(whole)}), 0,
                                        name.empty() ? unlimited : 0);
    body = grammar_.sequence({first, more, text_.blank(), grammar_.literal("]")});
    if (begun == nothing_but_mark)
      body = grammar_.sequence({grammar_.literal("["), text_.blank(), body});
  }
  if (begun == nothing_but_mark) body = grammar_.sequence({gap(), body});
  if (form_.close.empty()) return body;
  return grammar_.sequence({body, gap(), mark(form_.close)});
}

// NAME separator {...}
Result<ExprId> CallGrammar::named_call(const std::string& name, int begun) {
  const auto rest = [&](const Tool& tool) -> Result<ExprId> {
    const ExprId own = TRY(schema_of(tool));
    if (begun == after_its_name) return own;
    return grammar_.sequence({mark(form_.forced_name_end), own});
  };
  const ExprId body = TRY(any_tool(name, begun != after_its_name, rest));
  return grammar_.sequence({body, mark(form_.close)});
}

// Each argument between marks of its own.
Result<ExprId> CallGrammar::tagged_call(const std::string& name, int begun) {
  const auto rest = [&](const Tool& tool) -> Result<ExprId> {
    const ExprId own = TRY(tagged_arguments(tool));
    const ExprId end = form_.function_close.empty()
                           ? grammar_.empty()
                           : grammar_.sequence({mark(form_.function_close), gap()});
    if (begun == after_its_name) return grammar_.sequence({own, end});
    return grammar_.sequence({mark(trimmed_end(form_.forced_name_end)), gap(), own, end});
  };
  ExprId body = TRY(any_tool(name, begun != after_its_name, rest));
  if (begun == nothing_but_mark) body = grammar_.sequence({gap(), mark(form_.name_open), body});
  return grammar_.sequence({body, mark(form_.close)});
}

Result<ExprId> CallGrammar::tagged_arguments(const Tool& tool) {
  const Json* properties = tool.parameters ? tool.parameters->find("properties") : nullptr;
  const Json* required = tool.parameters ? tool.parameters->find("required") : nullptr;
  std::vector<ExprId> parts;
  if (!properties || !properties->is_object()) return grammar_.empty();
  for (const auto& [key, schema] : properties->as_object()) {
    const ExprId value = TRY(tagged_value(tool, schema));
    const ExprId one =
        grammar_.sequence({mark(form_.key_open), grammar_.literal(key), mark(form_.key_close),
                           gap(), mark(form_.value_open), value, mark(form_.value_close), gap()});
    bool is_required = false;
    for (const Json& name : required && required->is_array() ? required->as_array() : Json::Array())
      is_required = is_required || name == Json(key);
    parts.push_back(is_required ? one : grammar_.optional(one));
  }
  return grammar_.sequence(std::move(parts));
}

// Texts stand as they are, other values as JSON.
Result<ExprId> CallGrammar::tagged_value(const Tool& tool, const Json& schema) {
  const Json* type = schema.find("type");
  const bool is_json = type && type->is_string() && *type != Json("string");
  if (is_json) {
    auto value = add_schema(grammar_, text_, with_definitions(schema, *tool.parameters));
    if (!value && tool.is_strict)
      return std::move(value).error().within(
          fmt::format("tools[{}] '{}'", tool.index, printable(tool.name)));
    return grammar_.sequence({gap(), value ? *value : text_.value(), gap()});
  }
  const Json* values = schema.find("enum");
  std::vector<ExprId> texts;
  for (const Json& value : values && values->is_array() ? values->as_array() : Json::Array())
    if (value.is_string()) texts.push_back(grammar_.literal(value.as_string()));
  if (!texts.empty() && texts.size() == values->size()) {
    return grammar_.sequence({gap(), grammar_.choice(std::move(texts)), gap()});
  }
  return text_without(form_.value_close);
}

Result<ExprId> CallGrammar::text_without(std::string_view mark) {
  Grammar own;
  const ExprId any = own.repeat(own.chars(CharSet::all()), 0, unlimited);
  const Dfa with = TRY(make_dfa(own, own.sequence({any, own.literal(mark), any})));
  return spell(grammar_, negated(with), Spelling::plain);
}

}  // namespace hearth
