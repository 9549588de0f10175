#include "text/grammar/schema/shape.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <set>

#include "base/utf8.h"
#include "text/grammar/schema/keywords.h"

namespace hearth::grammar {
namespace {

constexpr std::size_t max_shapes = 512;    // alternatives of one set of schemas
constexpr std::size_t max_work = 400'000;  // shapes made for one document

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

bool is_less(const NumberLimits::Bound& a, const NumberLimits::Bound& b) {
  return a.value.as_number() < b.value.as_number();
}

void tighten(NumberLimits& limits, const NumberLimits& more) {
  if (more.low && (!limits.low || is_less(*limits.low, *more.low) ||
                   (limits.low->value == more.low->value && more.low->is_open)))
    limits.low = more.low;
  if (more.high && (!limits.high || is_less(*more.high, *limits.high) ||
                    (limits.high->value == more.high->value && more.high->is_open)))
    limits.high = more.high;
  append(limits.multiples_of, more.multiples_of);
  append(limits.excluded, more.excluded);
  limits.is_integer = limits.is_integer || more.is_integer;
  limits.is_fraction = limits.is_fraction || more.is_fraction;
}

template <typename Limits>
void tighten_counts(Limits& limits, const Limits& more) {
  limits.min = std::max(limits.min, more.min);
  limits.max = std::min(limits.max, more.max);
}

}  // namespace

bool asks_the_rest(const Json& schema) {
  return schema.find("unevaluatedProperties") || schema.find("unevaluatedItems");
}

Shape merged(const Shape& a, const Shape& b) {
  Shape shape = a;
  shape.types &= b.types;
  if (!shape.values) shape.values = b.values;
  tighten(shape.number, b.number);
  tighten_counts(shape.string, b.string);
  append(shape.string.patterns, b.string.patterns);
  append(shape.string.excluded, b.string.excluded);
  tighten_counts(shape.array, b.array);
  append(shape.array.scopes, b.array.scopes);
  append(shape.array.contains, b.array.contains);
  shape.array.is_unique = shape.array.is_unique || b.array.is_unique;
  tighten_counts(shape.object, b.object);
  append(shape.object.scopes, b.object.scopes);
  append(shape.object.key_schemas, b.object.key_schemas);
  for (const std::string& name : b.object.required)
    if (std::ranges::find(shape.object.required, name) == shape.object.required.end())
      shape.object.required.push_back(name);
  append(shape.object.absent, b.object.absent);
  append(shape.object.foreign, b.object.foreign);
  settle(shape);
  return shape;
}

void settle(Shape& shape) {
  NumberLimits& number = shape.number;
  if (number.low && number.high) {
    const double low = number.low->value.as_number(), high = number.high->value.as_number();
    if (low > high || (low == high && (number.low->is_open || number.high->is_open)))
      shape.types &= ~unsigned{type_number};
  }
  if (number.is_integer && number.is_fraction) shape.types &= ~unsigned{type_number};
  if (shape.string.min > shape.string.max) shape.types &= ~unsigned{type_string};
  if (shape.array.min > shape.array.max) shape.types &= ~unsigned{type_array};
  if (shape.object.min > shape.object.max || shape.object.required.size() > shape.object.max)
    shape.types &= ~unsigned{type_object};
  for (const std::string& name : shape.object.required)
    if (std::ranges::find(shape.object.absent, name) != shape.object.absent.end())
      shape.types &= ~unsigned{type_object};
}

Status Shaper::spend(const Json& schema, std::size_t work) {
  spent_ += work;
  if (spent_ <= max_work) return Done{};
  return document_.wrong(schema, "the schema takes too long to work out: too many combinations",
                         ErrorKind::exhausted);
}

Result<Shapes> Shaper::product(const Json& schema, const Shapes& a, const Shapes& b) {
  constexpr std::size_t many = 24;  // are looked at more closely
  TRY(spend(schema, a.size() * b.size()));
  const bool is_close = a.size() > 1 && a.size() * b.size() > many;
  Shapes result;
  for (const Shape& first : a)
    for (const Shape& second : b) {
      Shape shape = merged(first, second);
      if (is_close && !shape.values && (shape.types & type_object) != 0 &&
          TRY(is_no_object(shape, 0)))
        shape.types &= ~unsigned{type_object};
      if (shape.types != 0) result.push_back(std::move(shape));
      if (result.size() > max_shapes)
        return document_.wrong(schema,
                               fmt::format("over {} combinations of alternatives", max_shapes),
                               ErrorKind::exhausted);
    }
  return result;
}

Result<Shapes> Shaper::shapes_of(const std::vector<Node>& all) {
  Shapes result(1);
  for (const Node& node : all) {
    const Shapes more = TRY(shapes_of(node));
    result = TRY(product(*node.schema, result, more));
  }
  return result;
}

Result<Shapes> Shaper::shapes_of(Node node) {
  const Json& schema = *node.schema;
  if (schema.is_bool()) return Shapes(schema.as_bool() != node.is_negated ? 1 : 0);
  if (std::ranges::find(open_, node) != open_.end())
    return document_.wrong(schema, "$ref: the schema refers to itself before it reads anything");
  TRY(spend(schema, 1));
  open_.push_back(node);
  Result<Shapes> shapes = node.is_negated ? negative(schema) : positive(schema);
  open_.pop_back();
  if (shapes && node.is_negated)
    for (Shape& shape : *shapes) {
      for (ArrayLimits::Scope& scope : shape.array.scopes) scope.speaks = false;
      for (ObjectLimits::Scope& scope : shape.object.scopes) scope.speaks = false;
    }
  return shapes;
}

Result<Shapes> Shaper::positive(const Json& schema) {
  Shapes shapes(1);
  if (schema.find("$ref")) {
    const Json* target = TRY(document_.target(schema));
    shapes = TRY(shapes_of(Node{target}));
    if (document_.ignores_siblings()) return shapes;
  }
  Shape own;
  TRY(limit(schema, own));
  settle(own);
  if (own.types == 0) return Shapes();
  shapes = TRY(product(schema, shapes, {own}));
  shapes = TRY(combined(schema, std::move(shapes)));
  shapes = TRY(dependent(schema, std::move(shapes)));
  TRY(add_unevaluated(schema, shapes));
  return shapes;
}

// What this schema's own keywords say, without the schemas that it combines.
Status Shaper::limit(const Json& schema, Shape& shape) {
  if (const Json* names = schema.find("type")) {
    const TypeNames types = TRY(read_types(document_, schema, *names));
    shape.types = types.types;
    shape.number.is_integer = types.is_integer;
    if (const Json* nullable = schema.find("nullable"); nullable && *nullable == Json(true))
      shape.types |= type_null;
  }
  if (const Json* list = TRY(read_list(document_, schema, "enum"))) {
    if (list->size() > max_enum)
      return document_.wrong(schema,
                             fmt::format("enum: {} values, of at most {}", list->size(), max_enum),
                             ErrorKind::exhausted);
    shape.values.emplace();
    for (const Json& value : list->as_array()) shape.values->push_back(&value);
  }
  if (const Json* value = schema.find("const")) shape.values = {{value}};
  const auto bound = [&](const char* keyword, bool is_open,
                         std::optional<NumberLimits::Bound>& place) -> Status {
    const Json* value = TRY(read_number(document_, schema, keyword));
    if (!value) return Done{};
    NumberLimits more;
    (&place == &shape.number.low ? more.low : more.high) = NumberLimits::Bound{*value, is_open};
    tighten(shape.number, more);
    return Done{};
  };
  TRY(bound("minimum", false, shape.number.low));
  TRY(bound("exclusiveMinimum", true, shape.number.low));
  TRY(bound("maximum", false, shape.number.high));
  TRY(bound("exclusiveMaximum", true, shape.number.high));
  if (const Json* step = TRY(read_number(document_, schema, "multipleOf"))) {
    if (!(step->as_number() > 0)) return document_.wrong(schema, "multipleOf: needs to be above 0");
    if (*step != Json(1))
      shape.number.multiples_of.push_back(*step);
    else
      shape.number.is_integer = true;
  }
  shape.string.min = TRY(read_count(document_, schema, "minLength")).value_or(0);
  shape.string.max = TRY(read_count(document_, schema, "maxLength")).value_or(UINT64_MAX);
  if (const Json* pattern = TRY(read_text(document_, schema, "pattern")))
    shape.string.patterns.push_back({pattern->as_string(), false, false, &schema});
  if (const Json* format = TRY(read_text(document_, schema, "format")))
    if (const std::string_view pattern = pattern_of_format(format->as_string()); !pattern.empty())
      shape.string.patterns.push_back({std::string(pattern), true, false, &schema});
  TRY(limit_array(schema, shape));
  return limit_object(schema, shape);
}

Status Shaper::limit_array(const Json& schema, Shape& shape) {
  ArrayLimits& array = shape.array;
  array.min = TRY(read_count(document_, schema, "minItems")).value_or(0);
  array.max = TRY(read_count(document_, schema, "maxItems")).value_or(UINT64_MAX);
  const Json* items = schema.find("items");
  const Json* prefix = schema.find("prefixItems");
  if (items && items->is_array()) {  // before 2020-12
    prefix = items;
    items = schema.find("additionalItems");
  }
  if (items || prefix) {
    ArrayLimits::Scope scope;
    if (prefix)
      for (const Json& item : prefix->as_array()) scope.prefix.push_back({&item});
    if (items) scope.rest = Node{items};
    array.scopes.push_back(std::move(scope));
  }
  if (const Json* contains = schema.find("contains")) {
    ArrayLimits::Contains limit{{contains}};
    limit.min = TRY(read_count(document_, schema, "minContains")).value_or(1);
    limit.max = TRY(read_count(document_, schema, "maxContains")).value_or(UINT64_MAX);
    array.contains.push_back(limit);
  }
  const Json* unique = schema.find("uniqueItems");
  array.is_unique = unique && *unique == Json(true);
  return Done{};
}

Status Shaper::limit_object(const Json& schema, Shape& shape) {
  ObjectLimits& object = shape.object;
  object.min = TRY(read_count(document_, schema, "minProperties")).value_or(0);
  object.max = TRY(read_count(document_, schema, "maxProperties")).value_or(UINT64_MAX);
  ObjectLimits::Scope scope;
  const Json* names = schema.find("properties");
  const Json* patterns = schema.find("patternProperties");
  const Json* rest = schema.find("additionalProperties");
  if (names)
    for (const auto& [name, value] : names->as_object())
      scope.names.emplace_back(name, Node{&value});
  if (patterns)
    for (const auto& [text, value] : patterns->as_object())
      scope.patterns.emplace_back(text, Node{&value});
  if (rest) scope.rest = Node{rest};
  if (scope.names.size() > max_properties)
    return document_.wrong(
        schema,
        fmt::format("properties: {} of them, of at most {}", scope.names.size(), max_properties),
        ErrorKind::exhausted);
  if (names || patterns || rest) object.scopes.push_back(std::move(scope));
  if (const Json* keys = schema.find("propertyNames")) object.key_schemas.push_back({keys});
  if (const Json* required = TRY(read_list(document_, schema, "required")))
    for (const Json& name : required->as_array()) {
      if (!name.is_string()) return document_.wrong(schema, "required: needs a list of texts");
      if (std::ranges::find(object.required, name.as_string()) == object.required.end())
        object.required.push_back(name.as_string());
      if (object.required.size() > max_properties)
        return document_.wrong(schema, "required: is too long", ErrorKind::exhausted);
    }
  return Done{};
}

Result<Shapes> Shaper::combined(const Json& schema, Shapes shapes) {
  if (const Json* list = schema.find("allOf"))
    for (const Json& part : list->as_array()) {
      const Shapes more = TRY(shapes_of(Node{&part}));
      shapes = TRY(product(schema, shapes, more));
    }
  if (const Json* list = schema.find("anyOf")) {
    const Shapes any = TRY(any_of(schema, *list));
    shapes = TRY(product(schema, shapes, any));
  }
  if (const Json* list = schema.find("oneOf")) {
    const Shapes one = TRY(one_of(schema, *list));
    shapes = TRY(product(schema, shapes, one));
  }
  if (const Json* inner = schema.find("not")) {
    const Shapes opposite = TRY(shapes_of(Node{inner, true}));
    shapes = TRY(product(schema, shapes, opposite));
  }
  if (schema.find("if") && (schema.find("then") || schema.find("else") || asks_the_rest(schema))) {
    const Shapes either = TRY(conditional(schema, false));
    shapes = TRY(product(schema, shapes, either));
  }
  return shapes;
}

// A property that brings others, or a schema for the whole object, with it.
Result<Shapes> Shaper::dependent(const Json& schema, Shapes shapes) {
  for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
    const Json* map = schema.find(keyword);
    if (!map) continue;
    if (!map->is_object())
      return document_.wrong(schema, fmt::format("{}: needs an object", keyword));
    for (const auto& [name, value] : map->as_object()) {
      Shape without, with;
      without.object.absent.push_back(name);
      with.types = type_object;
      with.object.required.push_back(name);
      Shapes then(1);
      if (value.is_array()) {
        for (const Json& other : value.as_array()) {
          if (!other.is_string())
            return document_.wrong(schema, fmt::format("{}: needs lists of texts", keyword));
          if (other.as_string() != name) with.object.required.push_back(other.as_string());
        }
      } else {
        then = TRY(shapes_of(Node{&value}));
      }
      Shapes either = TRY(product(schema, {with}, then));
      either.push_back(without);
      shapes = TRY(product(schema, shapes, either));
    }
  }
  return shapes;
}

// Whatever the schema's other keywords, and the schemas within it, do not speak of.
Status Shaper::add_unevaluated(const Json& schema, Shapes& shapes) {
  if (const Json* rest = schema.find("unevaluatedProperties"))
    for (Shape& shape : shapes) {
      ObjectLimits::Scope scope;
      bool is_all = false;
      for (const ObjectLimits::Scope& other : shape.object.scopes) {
        if (!other.speaks) continue;
        is_all = is_all || other.rest;
        append(scope.names, other.names);
        append(scope.patterns, other.patterns);
      }
      if (is_all) continue;
      scope.rest = Node{rest};
      shape.object.scopes.push_back(std::move(scope));
    }
  if (const Json* rest = schema.find("unevaluatedItems"))
    for (Shape& shape : shapes) {
      ArrayLimits::Scope scope;
      bool is_all = false;
      if (!shape.array.contains.empty())
        return document_.unsupported(schema, "unevaluatedItems: is not offered beside contains");
      for (const ArrayLimits::Scope& other : shape.array.scopes) {
        if (!other.speaks) continue;
        is_all = is_all || other.rest;
        if (other.prefix.size() > scope.prefix.size()) scope.prefix = other.prefix;
      }
      if (is_all) continue;
      scope.rest = Node{rest};
      shape.array.scopes.push_back(std::move(scope));
    }
  return Done{};
}

}  // namespace hearth::grammar
