#include "vectors/store/filter.h"

#include <algorithm>
#include <optional>

#include <fmt/core.h>

#include "base/utf8.h"

namespace hearth::vectors {
namespace {

Error bad(std::string message) {
  return Error(ErrorKind::invalid, "filter: " + std::move(message));
}

bool is_scalar(const Json& value) {
  return value.is_string() || value.is_number() || value.is_bool();
}

// -1, 0, 1; nothing between values of different types.
std::optional<int> compare(const Json& a, const Json& b) {
  const auto order = [](const auto& x, const auto& y) { return x < y ? -1 : x == y ? 0 : 1; };
  if (a.is_string() && b.is_string()) return order(a.as_string(), b.as_string());
  if (a.is_number() && b.is_number()) return order(a.as_number(), b.as_number());
  if (a.is_bool() && b.is_bool()) return order(a.as_bool(), b.as_bool());
  return std::nullopt;
}

bool contains(const Json& held, const Json& value) {
  if (held.is_string() && value.is_string())
    return held.as_string().find(value.as_string()) != std::string::npos;
  if (!held.is_array()) return false;
  return std::any_of(held.as_array().begin(), held.as_array().end(),
                     [&](const Json& item) { return compare(item, value) == 0; });
}

bool matches_value(const Filter& filter, const Json* held) {
  using Op = Filter::Op;
  if (filter.op == Op::is_null) return !held || held->is_null();
  if (filter.op == Op::not_equal) return !held || compare(*held, filter.value) != 0;
  if (!held) return false;
  if (filter.op == Op::prefix)
    return held->is_string() && held->as_string().starts_with(filter.value.as_string());
  if (filter.op == Op::contains) return contains(*held, filter.value);
  if (filter.op == Op::in)
    return std::any_of(filter.value.as_array().begin(), filter.value.as_array().end(),
                       [&](const Json& value) { return compare(*held, value) == 0; });
  const auto order = compare(*held, filter.value);
  if (!order) return false;
  switch (filter.op) {
    case Op::equal:
      return *order == 0;
    case Op::less:
      return *order < 0;
    case Op::at_most:
      return *order <= 0;
    case Op::greater:
      return *order > 0;
    default:
      return *order >= 0;
  }
}

struct Operator {
  std::string_view dollar, openai;  // "$gte", "gte"
  Filter::Op op;
};
constexpr Operator operators[] = {
    {"$eq", "eq", Filter::Op::equal},
    {"$ne", "ne", Filter::Op::not_equal},
    {"$lt", "lt", Filter::Op::less},
    {"$lte", "lte", Filter::Op::at_most},
    {"$gt", "gt", Filter::Op::greater},
    {"$gte", "gte", Filter::Op::at_least},
    {"$in", "in", Filter::Op::in},
    {"$prefix", "prefix", Filter::Op::prefix},
    {"$contains", "contains", Filter::Op::contains},
};

Result<Filter> condition(Filter::Op op, std::string field, const Json& value) {
  if (field.empty()) return bad("a condition without a field");
  if (op == Filter::Op::in) {
    if (!value.is_array() || value.size() > max_filter_values)
      return bad(fmt::format("'{}' in: needs a list of at most {} values", printable(field),
                             max_filter_values));
    for (const Json& item : value.as_array())
      if (!is_scalar(item))
        return bad(fmt::format("'{}' in: holds a {}", printable(field), item.type_name()));
  } else if (op == Filter::Op::prefix && !value.is_string()) {
    return bad(fmt::format("'{}' prefix: needs a text", printable(field)));
  } else if (value.is_null() && op == Filter::Op::equal) {
    return Filter{Filter::Op::is_null, std::move(field), {}, {}};
  } else if (value.is_null() && op == Filter::Op::not_equal) {
    return Filter{Filter::Op::negation, "", {}, {{Filter::Op::is_null, std::move(field), {}, {}}}};
  } else if (!is_scalar(value)) {
    return bad(fmt::format("'{}': compared with a {}", printable(field), value.type_name()));
  }
  return Filter{op, std::move(field), value, {}};
}

Filter negated(Filter filter) { return Filter{Filter::Op::negation, "", {}, {std::move(filter)}}; }

Result<Filter> from_json(const Json& json, int depth);

Result<Filter> combine(Filter::Op op, const Json& list, int depth) {
  if (!list.is_array() || list.size() == 0 || list.size() > max_filter_values)
    return bad("and, or: need a list of filters");
  Filter filter{op, "", {}, {}};
  for (const Json& item : list.as_array()) filter.parts.push_back(TRY(from_json(item, depth + 1)));
  return filter;
}

// {"$gte": 1, "$lt": 9}, or a value.
Status read_field(const std::string& field, const Json& wanted, Filter& all) {
  if (!wanted.is_object()) {
    all.parts.push_back(TRY(condition(Filter::Op::equal, field, wanted)));
    return Done{};
  }
  if (wanted.size() == 0) return bad(fmt::format("'{}': no operator", printable(field)));
  for (const auto& [name, value] : wanted.as_object()) {
    if (name == "$nin") {
      all.parts.push_back(negated(TRY(condition(Filter::Op::in, field, value))));
      continue;
    }
    if (name == "$exists" || name == "$null") {
      if (!value.is_bool()) return bad(name + ": needs true or false");
      Filter null{Filter::Op::is_null, field, {}, {}};
      all.parts.push_back((name == "$null") == value.as_bool() ? null : negated(null));
      continue;
    }
    const auto* found = std::find_if(std::begin(operators), std::end(operators),
                                     [&](const Operator& o) { return o.dollar == name; });
    if (found == std::end(operators))
      return bad(
          fmt::format("no operator '{}'; there is $eq $ne $lt $lte $gt $gte $in $nin $prefix "
                      "$contains $exists",
                      printable(name)));
    all.parts.push_back(TRY(condition(found->op, field, value)));
  }
  return Done{};
}

Result<Filter> from_openai(const Json& json, int depth) {
  const std::string type = TRY(required<std::string>(json, "type"));
  if (type == "and" || type == "or") {
    const Json* list = json.find("filters");
    return combine(type == "and" ? Filter::Op::all : Filter::Op::any, list ? *list : Json(), depth);
  }
  const std::string key = TRY(required<std::string>(json, "key"));
  const Json* value = json.find("value");
  if (type == "nin") return negated(TRY(condition(Filter::Op::in, key, value ? *value : Json())));
  for (const Operator& row : operators)
    if (row.openai == type) return condition(row.op, key, value ? *value : Json());
  return bad(
      fmt::format("no type '{}'; there is eq ne gt gte lt lte in nin and or", printable(type)));
}

Result<Filter> from_json(const Json& json, int depth) {
  if (depth > max_filter_depth) return bad(fmt::format("nested over {} deep", max_filter_depth));
  if (!json.is_object()) return bad(fmt::format("needs an object, not a {}", json.type_name()));
  const Json* type = json.find("type");
  if (type && type->is_string() && (json.find("key") || json.find("filters")))
    return from_openai(json, depth);
  Filter all{Filter::Op::all, "", {}, {}};
  for (const auto& [name, value] : json.as_object()) {
    if (name == "$and" || name == "$or")
      all.parts.push_back(
          TRY(combine(name == "$and" ? Filter::Op::all : Filter::Op::any, value, depth)));
    else if (name == "$not")
      all.parts.push_back(negated(TRY(from_json(value, depth + 1))));
    else if (name.starts_with('$'))
      return bad(fmt::format("no operator '{}'; there is $and $or $not", printable(name)));
    else
      TRY(read_field(name, value, all));
  }
  if (all.parts.size() == 1) {
    Filter only = std::move(all.parts[0]);
    return only;
  }
  return all;
}

}  // namespace

Result<Filter> filter_from_json(const Json& json) { return from_json(json, 0); }

const Json* find_field(const Json& metadata, std::string_view field) {
  if (const Json* found = metadata.find(field)) return found;
  for (std::size_t dot = field.find('.'); dot != field.npos; dot = field.find('.', dot + 1))
    if (const Json* part = metadata.find(field.substr(0, dot)); part && part->is_object())
      if (const Json* found = find_field(*part, field.substr(dot + 1))) return found;
  return nullptr;
}

bool matches(const Filter& filter, const Json& metadata) {
  const auto test = [&](const Filter& part) { return matches(part, metadata); };
  switch (filter.op) {
    case Filter::Op::all:
      return std::all_of(filter.parts.begin(), filter.parts.end(), test);
    case Filter::Op::any:
      return std::any_of(filter.parts.begin(), filter.parts.end(), test);
    case Filter::Op::negation:
      return !test(filter.parts[0]);
    default:
      return matches_value(filter, find_field(metadata, filter.field));
  }
}

std::string describe(const Filter& filter) {
  std::string text = fmt::format("({}", static_cast<int>(filter.op));
  append_json_string(text, filter.field);
  text += write_json(filter.value);
  for (const Filter& part : filter.parts) text += describe(part);
  return text + ")";
}

void collect_fields(const Filter& filter, std::vector<std::string>& fields) {
  if (!filter.field.empty() &&
      std::find(fields.begin(), fields.end(), filter.field) == fields.end())
    fields.push_back(filter.field);
  for (const Filter& part : filter.parts) collect_fields(part, fields);
}

}  // namespace hearth::vectors
