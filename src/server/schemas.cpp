#include "server/schemas.h"

#include <fmt/core.h>

#include "server/parameters.h"

namespace hearth::server::schema {

Json type(std::string_view name, std::string_view description) {
  Json schema = Json::object({{"type", name}});
  if (!description.empty()) schema.set("description", description);
  return schema;
}

Json list_of(Json item) { return Json::object({{"type", "array"}, {"items", std::move(item)}}); }

Json any_of(std::initializer_list<Json> choices) {
  return Json::object({{"anyOf", Json(Json::Array(choices))}});
}

Json object_of(Json properties, std::initializer_list<Json> required) {
  Json schema = Json::object({{"type", "object"}, {"properties", std::move(properties)}});
  if (required.size() > 0) schema.set("required", Json(Json::Array(required)));
  return schema;
}

Json reference(std::string_view name) {
  return Json::object({{"$ref", fmt::format("#/components/schemas/{}", name)}});
}

Json whole(std::int64_t min, std::int64_t max, std::string_view description) {
  Json schema = type("integer", description);
  schema.set("minimum", min);
  schema.set("maximum", max);
  return schema;
}

void add_sampling_numbers(Json& properties) {
  for (const SamplingField& field : sampling_fields()) {
    Json schema = type(field.is_whole ? "integer" : "number", field.help);
    const auto bound = [&](double value) {
      return field.is_whole ? Json(static_cast<std::int64_t>(value)) : Json(value);
    };
    schema.set(field.range.above_min ? "exclusiveMinimum" : "minimum", bound(field.range.min));
    schema.set("maximum", bound(field.range.max));
    properties.set(std::string(field.name), std::move(schema));
  }
}

}  // namespace hearth::server::schema
