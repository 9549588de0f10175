#include "text/grammar/schema/keywords.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "text/grammar/schema/shape.h"

namespace hearth::grammar {
namespace {

struct Format {
  std::string_view name, pattern;
};

#define HEARTH_DATE                                                                              \
  "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)" \
  "|02-(?:0[1-9]|1\\d|2[0-8]))|(?:(?:[02468][048]|[13579][26])00|\\d\\d(?:0[48]|[2468][048]|"    \
  "[13579][26]))-02-29)"
#define HEARTH_TIME \
  "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:[Zz]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define HEARTH_IPV4 \
  "(?:(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define HEARTH_LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HEARTH_URI_CHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})"

// Texts that surely are of the format; the rarest forms are left out.
// Source: RFC 3339 (dates, times, durations), 5321, 1123, 2673, 4291, 3986, 9562, 6901.
constexpr Format formats[] = {
    {"date", HEARTH_DATE},
    {"time", HEARTH_TIME},
    {"date-time", HEARTH_DATE "[Tt]" HEARTH_TIME},
    {"duration",
     "P(?:\\d+W|(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)(?:T(?:\\d+H(?:\\d+M(?:\\d+S)?)?"
     "|"
     "\\d+M(?:\\d+S)?|\\d+S))?|T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S))"},
    {"email", "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" HEARTH_LABEL
              "(?:\\." HEARTH_LABEL ")*"},
    {"hostname", HEARTH_LABEL "(?:\\." HEARTH_LABEL "){0,3}"},
    {"ipv4", HEARTH_IPV4},
    {"ipv6",
     "(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|(?:[0-9A-Fa-f]{1,4}:){1,7}:|"
     "(?:[0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|(?:[0-9A-Fa-f]{1,4}:){1,5}(?::[0-9A-Fa-f]{1,4}){"
     "2}|"
     "(?:[0-9A-Fa-f]{1,4}:){1,4}(?::[0-9A-Fa-f]{1,4}){3}|(?:[0-9A-Fa-f]{1,4}:){1,3}(?::[0-9A-Fa-f]{"
     "1,4}){4}|"
     "(?:[0-9A-Fa-f]{1,4}:){1,2}(?::[0-9A-Fa-f]{1,4}){5}|[0-9A-Fa-f]{1,4}:(?::[0-9A-Fa-f]{1,4}){6}|"
     ":(?::[0-9A-Fa-f]{1,4}){1,7}|::|::(?:[fF]{4}:)?" HEARTH_IPV4
     "|(?:[0-9A-Fa-f]{1,4}:){6}" HEARTH_IPV4 ")"},
    {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
    {"uri", "[A-Za-z][A-Za-z0-9+.-]*:" HEARTH_URI_CHAR "+(?:#" HEARTH_URI_CHAR "*)?"},
    {"uri-reference", HEARTH_URI_CHAR "*(?:#" HEARTH_URI_CHAR "*)?"},
    {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
    {"relative-json-pointer", "(?:0|[1-9]\\d*)(?:#|(?:/(?:[^~/]|~[01])*)*)"},
};

#undef HEARTH_DATE
#undef HEARTH_TIME
#undef HEARTH_IPV4
#undef HEARTH_LABEL
#undef HEARTH_URI_CHAR

}  // namespace

bool is_whole_number(const Json& value) {
  if (value.is_integer()) return true;
  return value.is_number() && std::isfinite(value.as_number()) &&
         value.as_number() == std::floor(value.as_number());
}

Result<std::optional<std::uint64_t>> read_count(const Document& document, const Json& schema,
                                                std::string_view keyword) {
  const Json* value = schema.find(keyword);
  if (!value) return std::optional<std::uint64_t>();
  constexpr double far = 9e15;  // beyond any text
  if (!is_whole_number(*value) || value->as_number() < 0)
    return document.wrong(schema, fmt::format("{}: needs a whole number of at least 0", keyword));
  return std::optional(static_cast<std::uint64_t>(std::min(value->as_number(), far)));
}

Result<const Json*> read_number(const Document& document, const Json& schema,
                                std::string_view keyword) {
  const Json* value = schema.find(keyword);
  if (value && !value->is_number())
    return document.wrong(schema, fmt::format("{}: needs a number", keyword));
  return value;
}

Result<const Json*> read_list(const Document& document, const Json& schema,
                              std::string_view keyword) {
  const Json* value = schema.find(keyword);
  if (value && !value->is_array())
    return document.wrong(schema, fmt::format("{}: needs a list", keyword));
  return value;
}

Result<const Json*> read_text(const Document& document, const Json& schema,
                              std::string_view keyword) {
  const Json* value = schema.find(keyword);
  if (value && !value->is_string())
    return document.wrong(schema, fmt::format("{}: needs a text", keyword));
  return value;
}

Result<TypeNames> read_types(const Document& document, const Json& schema, const Json& names) {
  const Json::Array list = names.is_array() ? names.as_array() : Json::Array{names};
  constexpr std::pair<std::string_view, unsigned> known[] = {
      {"null", type_null},     {"boolean", type_false | type_true},
      {"number", type_number}, {"integer", type_number},
      {"string", type_string}, {"array", type_array},
      {"object", type_object}};
  TypeNames result{0, false};
  bool has_number = false;
  for (const Json& name : list) {
    const auto row = std::find_if(std::begin(known), std::end(known), [&](const auto& pair) {
      return name.is_string() && name.as_string() == pair.first;
    });
    if (row == std::end(known))
      return document.wrong(schema, fmt::format("type: '{}' is none", printable(write_json(name))));
    result.types |= row->second;
    has_number = has_number || row->first == "number";
    result.is_integer = result.is_integer || row->first == "integer";
  }
  result.is_integer = result.is_integer && !has_number;
  return result;
}

std::string_view pattern_of_format(std::string_view format) {
  for (const Format& row : formats)
    if (row.name == format) return row.pattern;
  return "";
}

}  // namespace hearth::grammar
