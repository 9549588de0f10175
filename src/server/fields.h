// Reading the fields of a request's JSON body: each has a type and a range, and a wrong one is a
// 400 that names it.  An absent or null field reads as nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/duration.h"
#include "base/json.h"
#include "server/errors.h"

namespace hearth::server {

struct Range {
  double min, max;
  bool above_min = false;  // min itself is out
};

// "a number from 0 to 2", "a whole number above 0, up to 5".
std::string describe(const Range& range, bool is_whole);

// The field, or nullptr when absent or null.
const Json* given(const Json& body, std::string_view name);
// Its text; "" when it is none.  The text belongs to the object.
std::string_view text_of(const Json& object, std::string_view name);

Checked<std::optional<double>> read_number(const Json& body, std::string_view name, Range range);
Checked<std::optional<std::int64_t>> read_integer(const Json& body, std::string_view name,
                                                  std::int64_t min, std::int64_t max);
Checked<std::optional<bool>> read_bool(const Json& body, std::string_view name);
// UTF-8 by construction; at most `max_bytes`.
Checked<std::optional<std::string>> read_text(const Json& body, std::string_view name,
                                              std::size_t max_bytes);

// "5m", seconds, or a negative number for ever.
Checked<std::optional<Milliseconds>> read_keep_alive(const Json& body);

// The body as an object.  Errors: 400 for what is not JSON (with the byte), or no object.
Checked<Json> parse_body(std::string_view text);

}  // namespace hearth::server
