// Reading the values of a schema's keywords.
#pragma once

#include <optional>

#include "text/grammar/schema/document.h"

namespace hearth::grammar {

// Nothing: the keyword is absent.  Errors: invalid, with place and keyword.
Result<std::optional<std::uint64_t>> read_count(const Document& document, const Json& schema,
                                                std::string_view keyword);
Result<const Json*> read_number(const Document& document, const Json& schema,
                                std::string_view keyword);
Result<const Json*> read_list(const Document& document, const Json& schema,
                              std::string_view keyword);
Result<const Json*> read_text(const Document& document, const Json& schema,
                              std::string_view keyword);
// The types that "type" names, as Types; an integer is a number and sets `is_integer` when no other
// number is meant.
struct TypeNames {
  unsigned types;
  bool is_integer;
};
Result<TypeNames> read_types(const Document& document, const Json& schema, const Json& names);
// The pattern of a format that is known, or "".
std::string_view pattern_of_format(std::string_view format);
bool is_whole_number(const Json& value);

}  // namespace hearth::grammar
