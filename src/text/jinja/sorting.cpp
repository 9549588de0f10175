#include "text/jinja/sorting.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "text/jinja/operators.h"
#include "text/jinja/text_ops.h"

namespace hearth::jinja {

Result<std::vector<Value>> sorted(Interpreter& in, const std::vector<Value>& values,
                                  const std::vector<Value>& keys, bool backwards) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  Status status = Done{};
  // After a failure everything compares equal, which ends the sort soon.
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (!status.ok()) return false;
    const auto first = backwards ? less(in, keys[b], keys[a]) : less(in, keys[a], keys[b]);
    if (!first) status = first.error();
    return first && *first;
  });
  TRY(std::move(status));
  std::vector<Value> result;
  result.reserve(values.size());
  for (const std::size_t i : order) result.push_back(values[i]);
  return result;
}

Result<AttributePath> AttributePath::of(Interpreter& in, const Value& attribute) {
  AttributePath path;
  if (attribute.is_missing() || attribute.is_none()) return path;
  if (!attribute.is_string()) {
    path.parts_.push_back(attribute);
    return path;
  }
  const std::string_view text = attribute.view();
  if (text.size() > 1024) return in.error("an attribute path of more than 1024 bytes");
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('.', start), text.size());
    const auto part = text.substr(start, end - start);
    std::int64_t index = 0;
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = !part.empty() && part[0] != '-' && parsed.ec == std::errc{} &&
                          parsed.ptr == part.data() + part.size();
    path.parts_.push_back(is_index ? Value::integer(index) : Value::text(part));
    start = end + 1;
  }
  return path;
}

Result<Value> AttributePath::get(Interpreter& in, const Value& value,
                                 const Value& otherwise) const {
  Value current = value;
  for (const Value& part : parts_) {
    TRY(in.spend(1));
    current = TRY(item(in, current, part));
    if (!otherwise.is_missing() && current.is_undefined()) current = otherwise;
  }
  return current;
}

Result<Value> without_case(Interpreter& in, const Value& value) {
  return value.is_string() ? lower(in, value.as_str()) : Result<Value>(value);
}

}  // namespace hearth::jinja
