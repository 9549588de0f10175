// Schemas that must not hold: for each keyword, how a value can break it.
#include <fmt/core.h>

#include "text/grammar/schema/keywords.h"
#include "text/grammar/schema/shape.h"

namespace hearth::grammar {
namespace {

// A value of these types, and nothing else said.
Shape of_types(unsigned types) {
  Shape shape;
  shape.types = types;
  return shape;
}

template <typename T>
void append(std::vector<T>& to, std::vector<T> from) {
  for (T& item : from) to.push_back(std::move(item));
}

}  // namespace

Result<Shapes> Shaper::negative(const Json& schema) {
  Shapes shapes;
  if (schema.find("$ref")) {
    const Json* target = TRY(document_.target(schema));
    shapes = TRY(shapes_of(Node{target, true}));
    if (document_.ignores_siblings()) return shapes;
  }
  for (const char* keyword : {"unevaluatedProperties", "unevaluatedItems", "propertyNames",
                              "patternProperties", "uniqueItems", "multipleOf", "minContains",
                              "maxContains", "dependentSchemas", "dependencies"})
    if (schema.find(keyword))
      return document_.unsupported(
          schema, fmt::format("{}: cannot be turned around (not, if, oneOf)", keyword));
  TRY(opposites(schema, shapes));
  TRY(opposites_of_parts(schema, shapes));
  TRY(opposites_of_schemas(schema, shapes));
  for (Shape& shape : shapes) settle(shape);
  std::erase_if(shapes, [](const Shape& shape) { return shape.types == 0; });
  return shapes;
}

// Of keywords that say something about the value itself.
Status Shaper::opposites(const Json& schema, Shapes& shapes) {
  if (const Json* names = schema.find("type")) {
    const TypeNames types = TRY(read_types(document_, schema, *names));
    shapes.push_back(of_types(all_types & ~types.types));
    if (types.is_integer) {
      shapes.push_back(of_types(type_number));
      shapes.back().number.is_fraction = true;
    }
  }
  const auto exclude = [&](const Json::Array& values) -> Status {
    Shape shape;
    for (const Json& value : values) {
      if (value.is_array() || value.is_object())
        return document_.unsupported(schema, "enum, const: a list or an object cannot be left out");
      if (value.is_null()) shape.types &= ~unsigned{type_null};
      if (value.is_bool()) shape.types &= ~unsigned(value.as_bool() ? type_true : type_false);
      if (value.is_number()) shape.number.excluded.push_back(value);
      if (value.is_string()) shape.string.excluded.push_back(value.as_string());
    }
    shapes.push_back(std::move(shape));
    return Done{};
  };
  if (const Json* list = TRY(read_list(document_, schema, "enum"))) TRY(exclude(list->as_array()));
  if (const Json* value = schema.find("const")) TRY(exclude({*value}));
  const auto beyond = [&](const char* keyword, bool is_below, bool is_open) -> Status {
    const Json* value = TRY(read_number(document_, schema, keyword));
    if (!value) return Done{};
    Shape shape = of_types(type_number);
    (is_below ? shape.number.high : shape.number.low) = NumberLimits::Bound{*value, is_open};
    shapes.push_back(std::move(shape));
    return Done{};
  };
  TRY(beyond("minimum", true, true));
  TRY(beyond("exclusiveMinimum", true, false));
  TRY(beyond("maximum", false, true));
  TRY(beyond("exclusiveMaximum", false, false));
  if (const Json* pattern = TRY(read_text(document_, schema, "pattern"))) {
    shapes.push_back(of_types(type_string));
    shapes.back().string.patterns.push_back({pattern->as_string(), false, true, &schema});
  }
  const auto count = [&](const char* keyword, unsigned type, bool is_min, auto limits) -> Status {
    const auto value = TRY(read_count(document_, schema, keyword));
    if (!value || (is_min && *value == 0)) return Done{};
    Shape shape = of_types(type);
    if (is_min)
      (shape.*limits).max = *value - 1;
    else
      (shape.*limits).min = *value + 1;
    shapes.push_back(std::move(shape));
    return Done{};
  };
  TRY(count("minLength", type_string, true, &Shape::string));
  TRY(count("maxLength", type_string, false, &Shape::string));
  TRY(count("minItems", type_array, true, &Shape::array));
  TRY(count("maxItems", type_array, false, &Shape::array));
  TRY(count("minProperties", type_object, true, &Shape::object));
  return count("maxProperties", type_object, false, &Shape::object);
}

// Of keywords that say something about what the value holds.
Status Shaper::opposites_of_parts(const Json& schema, Shapes& shapes) {
  if (const Json* names = TRY(read_list(document_, schema, "required")))
    for (const Json& name : names->as_array()) {
      if (!name.is_string()) return document_.wrong(schema, "required: needs a list of texts");
      shapes.push_back(of_types(type_object));
      shapes.back().object.absent.push_back(name.as_string());
    }
  const auto has_property = [&](const std::string& name, std::optional<Node> value) {
    Shape shape = of_types(type_object);
    shape.object.required.push_back(name);
    if (value) {
      ObjectLimits::Scope scope;
      scope.names.emplace_back(name, *value);
      shape.object.scopes.push_back(std::move(scope));
    }
    return shape;
  };
  if (const Json* names = schema.find("properties"))
    for (const auto& [name, value] : names->as_object())
      if (value != Json(true)) shapes.push_back(has_property(name, Node{&value, true}));
  if (const Json* rest = schema.find("additionalProperties"); rest && *rest != Json(true)) {
    if (*rest != Json(false))
      return document_.unsupported(
          schema, "additionalProperties: cannot be turned around (not, if, oneOf)");
    shapes.push_back(of_types(type_object));
    std::vector<std::string>& known = shapes.back().object.foreign.emplace_back();
    if (const Json* names = schema.find("properties"))
      for (const auto& [name, value] : names->as_object()) known.push_back(name);
  }
  if (const Json* map = schema.find("dependentRequired"))
    for (const auto& [name, others] : map->as_object())
      for (const Json& other : others.is_array() ? others.as_array() : Json::Array())
        if (other.is_string()) {
          Shape shape = has_property(name, std::nullopt);
          shape.object.absent.push_back(other.as_string());
          shapes.push_back(std::move(shape));
        }
  const Json* items = schema.find("items");
  const Json* prefix = schema.find("prefixItems");
  if (prefix || (items && items->is_array()) || schema.find("additionalItems"))
    return document_.unsupported(schema, "prefixItems: cannot be turned around (not, if, oneOf)");
  if (items && *items != Json(true)) {
    shapes.push_back(of_types(type_array));
    shapes.back().array.contains.push_back({Node{items, true}});
  }
  if (const Json* contains = schema.find("contains")) {
    shapes.push_back(of_types(type_array));
    ArrayLimits::Scope scope;
    scope.rest = Node{contains, true};
    shapes.back().array.scopes.push_back(std::move(scope));
  }
  return Done{};
}

// Of keywords that combine schemas.
Status Shaper::opposites_of_schemas(const Json& schema, Shapes& shapes) {
  if (const Json* list = schema.find("allOf"))
    for (const Json& part : list->as_array()) append(shapes, TRY(shapes_of(Node{&part, true})));
  const auto none_of = [&](const Json& list) -> Result<Shapes> {
    Shapes none(1);
    for (const Json& part : list.as_array()) {
      const Shapes opposite = TRY(shapes_of(Node{&part, true}));
      none = TRY(product(schema, none, opposite));
    }
    return none;
  };
  if (const Json* list = schema.find("anyOf")) append(shapes, TRY(none_of(*list)));
  if (const Json* list = schema.find("oneOf")) {
    append(shapes, TRY(none_of(*list)));
    for (std::size_t i = 0; i < list->size(); ++i)
      for (std::size_t j = i + 1; j < list->size(); ++j)
        append(shapes, TRY(shapes_of({Node{&list->as_array()[i]}, Node{&list->as_array()[j]}})));
  }
  if (const Json* inner = schema.find("not")) append(shapes, TRY(shapes_of(Node{inner})));
  if (schema.find("if") && (schema.find("then") || schema.find("else")))
    append(shapes, TRY(conditional(schema, true)));
  return Done{};
}

}  // namespace hearth::grammar
