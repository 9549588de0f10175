#include "server/answer_rule.h"

#include <fmt/core.h>

#include "base/utf8.h"
#include "server/fields.h"

namespace hearth::server {
namespace {

using Kind = AnswerRule::Kind;

Checked<AnswerRule> text_rule(Kind kind, const Json& value, std::string_view field) {
  if (!value.is_string()) return invalid_value(field, "needs a text");
  return AnswerRule{.kind = kind, .text = value.as_string()};
}

Checked<AnswerRule> choice_rule(const Json& value, std::string_view field) {
  if (!value.is_array() || value.size() == 0) return invalid_value(field, "needs a list of texts");
  AnswerRule rule{.kind = Kind::choice};
  for (const Json& item : value.as_array()) {
    if (!item.is_string()) return invalid_value(field, "needs a list of texts");
    rule.choices.push_back(item.as_string());
  }
  return rule;
}

// {"type": "text" | "json_object" | "json_schema" | "regex" | "grammar", ...}
Checked<AnswerRule> response_format(const Json& format, std::string_view field) {
  const Json* type = format.find("type");
  if (!type || !type->is_string()) return invalid_value(field, "needs an object with a type");
  const std::string& name = type->as_string();
  const auto held = [&](std::initializer_list<std::string_view> names) -> const Json* {
    for (const std::string_view one : names)
      if (const Json* value = given(format, one)) return value;
    return nullptr;
  };
  if (name == "text") return AnswerRule{};
  if (name == "json_object") {
    if (const Json* schema = held({"schema", "value"})) return schema_rule(*schema, field);
    return AnswerRule{.kind = Kind::json_object};
  }
  if (name == "json_schema") {
    const Json* described = given(format, "json_schema");
    const Json* schema = described ? given(*described, "schema") : held({"schema"});
    if (!schema) return invalid_value(field, "of type json_schema needs json_schema.schema");
    return schema_rule(*schema, field);
  }
  const Json* text = held({"value", "pattern", "grammar"});
  if (name == "regex" && text) return text_rule(Kind::pattern, *text, field);
  if (name == "grammar" && text) return text_rule(Kind::gbnf, *text, field);
  return unsupported_value(
      field, fmt::format("'{}': needs type text, json_object or json_schema", printable(name)));
}

// vLLM's, where every member is one of the ways.
Checked<AnswerRule> structured_outputs(const Json& value, std::string_view field) {
  if (const Json* schema = given(value, "json")) return schema_rule(*schema, field);
  if (const Json* text = given(value, "regex")) return text_rule(Kind::pattern, *text, field);
  if (const Json* text = given(value, "grammar")) return text_rule(Kind::gbnf, *text, field);
  if (const Json* list = given(value, "choice")) return choice_rule(*list, field);
  if (const Json* flag = given(value, "json_object"); flag && *flag == Json(true))
    return AnswerRule{.kind = Kind::json_object};
  return unsupported_value(field, "needs json, regex, grammar, choice or json_object");
}

struct Field {
  std::string_view name;
  Checked<AnswerRule> (*read)(const Json& value, std::string_view field);
};
constexpr Field fields[] = {
    {"response_format", response_format},
    {"structured_outputs", structured_outputs},
    {"json_schema", schema_rule},
    {"guided_json", schema_rule},
    {"grammar", [](const Json& v, std::string_view f) { return text_rule(Kind::gbnf, v, f); }},
    {"guided_grammar",
     [](const Json& v, std::string_view f) { return text_rule(Kind::gbnf, v, f); }},
    {"guided_regex",
     [](const Json& v, std::string_view f) { return text_rule(Kind::pattern, v, f); }},
    {"guided_choice", choice_rule},
};

}  // namespace

Checked<AnswerRule> schema_rule(const Json& schema, std::string_view field) {
  if (schema.is_object() || schema.is_bool())
    return AnswerRule{.kind = Kind::schema, .schema = schema};
  if (!schema.is_string()) return invalid_value(field, "needs a schema");
  auto parsed = parse_json(schema.as_string());
  if (!parsed) return invalid_value(field, parsed.error().message());
  return AnswerRule{.kind = Kind::schema, .schema = std::move(*parsed)};
}

Check read_answer_rule(const Json& body, AnswerRule& rule, std::string_view& field) {
  for (const Field& row : fields) {
    const Json* value = given(body, row.name);
    // Some clients send every field, the ones without a meaning empty.
    if (!value || *value == Json("")) continue;
    AnswerRule own = TRY(row.read(*value, row.name));
    if (own.kind == Kind::none) continue;
    if (rule.kind != Kind::none)
      return invalid_value(row.name, fmt::format("does not go with {}", field));
    rule = std::move(own);
    field = row.name;
  }
  return Done{};
}

Check hold(const LoadedModel& loaded, const HeldAnswer& asked, const AnswerForm& form, Task& task) {
  auto constraint = hold_answer(*loaded.grammars, form, asked);
  if (constraint) {
    task.asked.generate.constraint = std::move(*constraint);
    return Done{};
  }
  // Whatever is wrong with a schema or a grammar is the request's.
  const Error& error = constraint.error();
  const bool is_of_tools = error.message().starts_with("tools[");
  const std::string_view field = is_of_tools ? "tools" : task.asked.rule_field;
  return error.kind() == ErrorKind::unsupported ? unsupported_value(field, error.message())
                                                : invalid_value(field, error.message());
}

}  // namespace hearth::server
