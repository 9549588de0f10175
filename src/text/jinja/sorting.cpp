#include "text/jinja/sorting.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "text/jinja/operators.h"
#include "text/jinja/text_ops.h"

namespace hearth::jinja {

// A merge sort of our own: std::sort may leave its range when an order is none (NaN), and neither
// it nor std::stable_sort can be stopped by an error.
Result<std::vector<Value>> sorted(Interpreter& in, const std::vector<Value>& values,
                                  const std::vector<Value>& keys, bool backwards) {
  const std::size_t size = values.size();
  std::vector<std::size_t> order(size), merged(size);
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t width = 1; width < size; width *= 2) {
    for (std::size_t start = 0; start < size; start += 2 * width) {
      const std::size_t middle = std::min(start + width, size);
      const std::size_t end = std::min(start + 2 * width, size);
      std::size_t a = start, b = middle;
      for (std::size_t at = start; at < end; ++at) {
        bool second = a == middle;
        if (!second && b < end) {
          const Value &left = keys[order[a]], &right = keys[order[b]];
          second = backwards ? TRY(less(in, left, right)) : TRY(less(in, right, left));
        }
        merged[at] = order[second ? b++ : a++];
      }
    }
    std::swap(order, merged);
  }
  std::vector<Value> result;
  result.reserve(size);
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
