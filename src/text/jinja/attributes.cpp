// a.b, a[b] and a[b:c].
#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/callables.h"
#include "text/jinja/operators.h"

namespace hearth::jinja {
namespace {

// The attributes Python gives every object.  None is offered; naming one gives an undefined value
// that fails when it is used.
bool is_private(std::string_view name) {
  return name.size() > 4 && name.starts_with("__") && name.ends_with("__");
}

// Methods and other attributes; missing if there is none.
Result<Value> own_attribute(Interpreter& in, const Value& value, std::string_view name) {
  const Signature* method = nullptr;
  switch (value.kind()) {
    case Kind::string:
      method = find_string_method(name);
      break;
    case Kind::list:
      method = find_list_method(name);
      break;
    case Kind::tuple:
      if (value.as_sequence().group && value.as_sequence().items.size() == 2) {
        if (name == "grouper") return value.as_sequence().items[0];
        if (name == "list") return value.as_sequence().items[1];
      }
      method = find_tuple_method(name);
      break;
    case Kind::dict:
      method = find_dict_method(name);
      break;
    case Kind::thing:
      return value.as_thing().attribute(in, name);
    default:
      break;
  }
  if (!method) return Value();
  return native_value(*method, value);
}

struct Span {
  std::int64_t start, stop, step;
};

// Python's slice.indices.
Result<Span> slice_span(Interpreter& in, std::int64_t size, const Value& start, const Value& stop,
                        const Value& step) {
  const auto number = [&](const Value& value, std::int64_t otherwise) -> Result<std::int64_t> {
    if (value.is_none()) return otherwise;
    if (value.is_integral()) return value.as_integer();
    return in.error("slice indices must be integers or None");
  };
  Span span{0, 0, TRY(number(step, 1))};
  if (span.step == 0) return in.error("slice step cannot be zero");
  const bool back = span.step < 0;
  const std::int64_t low = back ? -1 : 0, high = back ? size - 1 : size;
  const auto place = [&](std::int64_t at) {
    if (at < 0) at = at < -size ? -1 : at + size;
    return std::clamp(at, low, high);
  };
  span.start = start.is_none() ? (back ? high : low) : place(TRY(number(start, 0)));
  span.stop = stop.is_none() ? (back ? low : high) : place(TRY(number(stop, 0)));
  return span;
}

std::vector<std::int64_t> slice_places(const Span& span) {
  std::vector<std::int64_t> places;
  if (span.step > 0)
    for (std::int64_t at = span.start; at < span.stop; at += span.step) {
      places.push_back(at);
      if (span.step > span.stop - at) break;  // the sum could pass 64 bits
    }
  else
    for (std::int64_t at = span.start; at > span.stop; at += span.step) {
      places.push_back(at);
      if (span.step < span.stop - at) break;
    }
  return places;
}

Result<Value> slice_text(Interpreter& in, const Str& text, const Span& span) {
  TRY(in.spend(text.text.size() / bytes_per_unit));
  const std::string_view view = text.text.view();
  TextBuilder out(in);
  if (text.ascii() && span.step == 1) {
    if (span.start < span.stop)
      out.append(text.text, static_cast<std::size_t>(span.start),
                 static_cast<std::size_t>(span.stop));
    return out.value(text.markup);
  }
  std::vector<std::size_t> offsets;
  offsets.reserve(text.points() + 1);
  for (std::size_t at = 0; at < view.size(); at += point_size(view, at)) offsets.push_back(at);
  offsets.push_back(view.size());
  if (span.step == 1) {
    if (span.start < span.stop)
      out.append(text.text, offsets[static_cast<std::size_t>(span.start)],
                 offsets[static_cast<std::size_t>(span.stop)]);
    return out.value(text.markup);
  }
  for (const std::int64_t place : slice_places(span)) {
    const auto at = static_cast<std::size_t>(place);
    out.append(text.text, offsets[at], offsets[at + 1]);
  }
  return out.value(text.markup);
}

// The character at a place; missing if there is none.
Result<Value> character(Interpreter& in, const Str& text, std::int64_t at) {
  const auto size = static_cast<std::int64_t>(text.points());
  if (at < 0) at += size;
  if (at < 0 || at >= size) return Value();
  std::size_t byte = static_cast<std::size_t>(at);
  if (!text.ascii()) {
    const std::string_view view = text.text.view();
    TRY(in.spend(view.size() / bytes_per_unit));
    byte = 0;
    for (std::int64_t i = 0; i < at; ++i) byte += point_size(view, byte);
  }
  return Value::text(text.text.sub(byte, byte + point_size(text.text.view(), byte)), text.markup);
}

// value[key] proper; missing where Python has a TypeError or LookupError.
Result<Value> own_item(Interpreter& in, const Value& value, const Value& key) {
  if (value.kind() == Kind::dict) {
    TRY(pay_key(in, key));
    const Value* found = value.as_dict().find(key);
    return found ? *found : Value();
  }
  if (value.kind() == Kind::thing)
    return value.as_thing().subscriptable() ? value.as_thing().item(in, key) : Value();
  if (!key.is_integral()) return Value();
  std::int64_t at = key.as_integer();
  if (value.is_string()) return character(in, value.as_str(), at);
  if (!value.is_sequence()) return Value();
  const auto& items = value.as_sequence().items;
  const auto size = static_cast<std::int64_t>(items.size());
  if (at < 0) at += size;
  return at < 0 || at >= size ? Value() : items[static_cast<std::size_t>(at)];
}

}  // namespace

Result<Value> attribute(Interpreter& in, const Value& value, std::string_view name) {
  if (value.is_undefined()) return undefined_error(in, value);
  if (is_private(name)) return absent_unsafe(value, name);
  Value found = TRY(own_attribute(in, value, name));
  if (!found.is_missing()) return found;
  if (value.kind() == Kind::dict) {
    if (const Value* entry = value.as_dict().find(name)) return *entry;
  }
  return absent_attribute(value, name);
}

Result<Value> item(Interpreter& in, const Value& value, const Value& key) {
  if (value.is_undefined()) return undefined_error(in, value);
  Value found = TRY(own_item(in, value, key));
  if (!found.is_missing()) return found;
  if (!key.is_string()) return absent_element(in, value, key);
  if (is_private(key.view())) return absent_unsafe(value, key.view());
  found = TRY(own_attribute(in, value, key.view()));
  return found.is_missing() ? absent_attribute(value, key.view()) : found;
}

Result<Value> slice(Interpreter& in, const Value& value, const Value& start, const Value& stop,
                    const Value& step) {
  if (value.is_undefined()) return undefined_error(in, value);
  if (value.is_string()) {
    const auto size = static_cast<std::int64_t>(value.as_str().points());
    return slice_text(in, value.as_str(), TRY(slice_span(in, size, start, stop, step)));
  }
  const bool is_range = value.kind() == Kind::thing && value.as_thing().subscriptable();
  if (!value.is_sequence() && !is_range)
    return in.error(value.kind() == Kind::dict
                        ? "unhashable type: 'slice'"
                        : fmt::format("'{}' object is not subscriptable", type_name(value)));
  const std::int64_t size = TRY(length(in, value));
  const Span span = TRY(slice_span(in, size, start, stop, step));
  if (is_range) return value.as_thing().part(span.start, span.stop, span.step);
  std::vector<Value> items;
  for (const std::int64_t at : slice_places(span))
    items.push_back(TRY(own_item(in, value, Value::integer(at))));
  return value.kind() == Kind::tuple ? in.tuple(std::move(items)) : in.list(std::move(items));
}

}  // namespace hearth::jinja
