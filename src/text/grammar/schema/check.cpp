// Whether one value, all of which is known, satisfies a schema.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "text/grammar/schema/check.h"
#include "text/grammar/schema/keywords.h"
#include "text/grammar/schema/shape.h"

namespace hearth::grammar {
namespace {

constexpr int max_check_depth = 256;

std::uint64_t characters_of(std::string_view text) {
  std::uint64_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(decode_utf8(text).size);
  return count;
}

}  // namespace

unsigned type_of(const Json& value) {
  if (value.is_null()) return type_null;
  if (value.is_bool()) return value.as_bool() ? type_true : type_false;
  if (value.is_number()) return type_number;
  if (value.is_string()) return type_string;
  return value.is_array() ? type_array : type_object;
}

Result<bool> Checker::matches(const std::string& pattern, bool is_whole, const std::string& text) {
  const std::string key = (is_whole ? "w" : "p") + pattern;
  auto found = patterns_.find(key);
  if (found == patterns_.end())
    found = patterns_.emplace(key, TRY(pattern_dfa(pattern, is_whole))).first;
  return found->second.matches(text);
}

Result<bool> Checker::allows(const Node& node, const Json& value, int depth) {
  const bool holds = TRY(holds_for(*node.schema, value, depth));
  return holds != node.is_negated;
}

Result<bool> Checker::holds_for(const Json& schema, const Json& value, int depth) {
  if (schema.is_bool()) return schema.as_bool();
  if (depth > max_check_depth)
    return document_.wrong(schema, "refers to itself too deeply", ErrorKind::exhausted);
  if (schema.find("$ref")) {
    const Json* target = TRY(document_.target(schema));
    if (!TRY(holds_for(*target, value, depth + 1))) return false;
    if (document_.ignores_siblings()) return true;
  }
  for (const char* keyword : {"unevaluatedProperties", "unevaluatedItems"})
    if (schema.find(keyword))
      return document_.unsupported(schema,
                                   fmt::format("{}: is not offered beside enum or const", keyword));
  if (!TRY(holds_itself(schema, value))) return false;
  if (value.is_string() && !TRY(holds_text(schema, value.as_string()))) return false;
  if (value.is_array() && !TRY(holds_list(schema, value.as_array(), depth))) return false;
  if (value.is_object() && !TRY(holds_object(schema, value, depth))) return false;
  return holds_combined(schema, value, depth);
}

Result<bool> Checker::holds_itself(const Json& schema, const Json& value) {
  if (const Json* names = schema.find("type")) {
    const TypeNames types = TRY(read_types(document_, schema, *names));
    const Json* nullable = schema.find("nullable");
    const bool may_be_null = nullable && *nullable == Json(true) && value.is_null();
    if ((types.types & type_of(value)) == 0 && !may_be_null) return false;
    if (types.is_integer && value.is_number() && !is_whole_number(value)) return false;
  }
  if (const Json* list = TRY(read_list(document_, schema, "enum")))
    if (std::ranges::find(list->as_array(), value) == list->as_array().end()) return false;
  if (const Json* only = schema.find("const"); only && *only != value) return false;
  if (!value.is_number()) return true;
  const double number = value.as_number();
  const auto limit = [&](const char* keyword) -> Result<const Json*> {
    return read_number(document_, schema, keyword);
  };
  const Json *low = TRY(limit("minimum")), *above = TRY(limit("exclusiveMinimum"));
  const Json *high = TRY(limit("maximum")), *below = TRY(limit("exclusiveMaximum"));
  const Json* step = TRY(limit("multipleOf"));
  if ((low && number < low->as_number()) || (high && number > high->as_number())) return false;
  if ((above && number <= above->as_number()) || (below && number >= below->as_number()))
    return false;
  if (!step) return true;
  const double times = number / step->as_number();
  return std::abs(times - std::round(times)) < 1e-9 * std::max(1.0, std::abs(times));
}

Result<bool> Checker::holds_text(const Json& schema, const std::string& text) {
  const auto min = TRY(read_count(document_, schema, "minLength"));
  const auto max = TRY(read_count(document_, schema, "maxLength"));
  if (min || max) {
    const std::uint64_t length = characters_of(text);
    if ((min && length < *min) || (max && length > *max)) return false;
  }
  if (const Json* pattern = TRY(read_text(document_, schema, "pattern")))
    if (!TRY(matches(pattern->as_string(), false, text))) return false;
  if (const Json* format = TRY(read_text(document_, schema, "format")))
    if (const auto pattern = pattern_of_format(format->as_string()); !pattern.empty())
      return matches(std::string(pattern), true, text);
  return true;
}

Result<bool> Checker::holds_list(const Json& schema, const Json::Array& list, int depth) {
  const auto min = TRY(read_count(document_, schema, "minItems"));
  const auto max = TRY(read_count(document_, schema, "maxItems"));
  if ((min && list.size() < *min) || (max && list.size() > *max)) return false;
  const Json* items = schema.find("items");
  const Json* prefix = schema.find("prefixItems");
  if (items && items->is_array()) {
    prefix = items;
    items = schema.find("additionalItems");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const bool is_prefix = prefix && i < prefix->size();
    const Json* own = is_prefix ? &prefix->as_array()[i] : items;
    if (own && !TRY(holds_for(*own, list[i], depth + 1))) return false;
  }
  const Json* unique = schema.find("uniqueItems");
  if (unique && *unique == Json(true))
    for (std::size_t i = 0; i < list.size(); ++i)
      if (std::find(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(i), list[i]) !=
          list.begin() + static_cast<std::ptrdiff_t>(i))
        return false;
  const Json* contains = schema.find("contains");
  if (!contains) return true;
  std::uint64_t found = 0;
  for (const Json& item : list) found += TRY(holds_for(*contains, item, depth + 1)) ? 1 : 0;
  const auto least = TRY(read_count(document_, schema, "minContains"));
  const auto most = TRY(read_count(document_, schema, "maxContains"));
  return found >= least.value_or(1) && found <= most.value_or(UINT64_MAX);
}

Result<bool> Checker::holds_object(const Json& schema, const Json& object, int depth) {
  const auto min = TRY(read_count(document_, schema, "minProperties"));
  const auto max = TRY(read_count(document_, schema, "maxProperties"));
  if ((min && object.size() < *min) || (max && object.size() > *max)) return false;
  if (const Json* required = TRY(read_list(document_, schema, "required")))
    for (const Json& name : required->as_array())
      if (!name.is_string() || !object.find(name.as_string())) return false;
  const Json* names = schema.find("properties");
  const Json* patterns = schema.find("patternProperties");
  const Json* rest = schema.find("additionalProperties");
  const Json* keys = schema.find("propertyNames");
  for (const auto& [name, value] : object.as_object()) {
    bool is_known = false;
    if (const Json* own = names ? names->find(name) : nullptr) {
      is_known = true;
      if (!TRY(holds_for(*own, value, depth + 1))) return false;
    }
    for (const auto& [pattern, own] : patterns ? patterns->as_object() : Json::Object()) {
      if (!TRY(matches(pattern, false, name))) continue;
      is_known = true;
      if (!TRY(holds_for(own, value, depth + 1))) return false;
    }
    if (rest && !is_known && !TRY(holds_for(*rest, value, depth + 1))) return false;
    if (keys && !TRY(holds_for(*keys, Json(name), depth + 1))) return false;
  }
  for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
    const Json* map = schema.find(keyword);
    for (const auto& [name, then] : map && map->is_object() ? map->as_object() : Json::Object()) {
      if (!object.find(name)) continue;
      if (!then.is_array() && !TRY(holds_for(then, object, depth + 1))) return false;
      for (const Json& other : then.is_array() ? then.as_array() : Json::Array())
        if (!other.is_string() || !object.find(other.as_string())) return false;
    }
  }
  return true;
}

Result<bool> Checker::holds_combined(const Json& schema, const Json& value, int depth) {
  const auto count = [&](const Json& list) -> Result<std::size_t> {
    std::size_t holding = 0;
    for (const Json& part : list.as_array())
      holding += TRY(holds_for(part, value, depth + 1)) ? 1u : 0u;
    return holding;
  };
  if (const Json* list = schema.find("allOf"))
    if (TRY(count(*list)) != list->size()) return false;
  if (const Json* list = schema.find("anyOf"))
    if (TRY(count(*list)) == 0) return false;
  if (const Json* list = schema.find("oneOf"))
    if (TRY(count(*list)) != 1) return false;
  if (const Json* inner = schema.find("not"))
    if (TRY(holds_for(*inner, value, depth + 1))) return false;
  const Json* test = schema.find("if");
  if (!test) return true;
  const bool holds = TRY(holds_for(*test, value, depth + 1));
  const Json* branch = schema.find(holds ? "then" : "else");
  if (!branch) return true;
  return holds_for(*branch, value, depth + 1);
}

Result<bool> Shaper::allows(Node node, const Json& value) {
  TRY(spend(*node.schema, 1));
  return checker_.allows(node, value);
}

}  // namespace hearth::grammar
