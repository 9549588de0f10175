// Character properties and case mapping as Python's str has them.
// Source: The Unicode Standard, chapters 3.13 and 4; Python language reference, "str" methods.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::jinja {

bool is_space(std::uint32_t point);    // str.isspace
bool is_alpha(std::uint32_t point);    // letters
bool is_decimal(std::uint32_t point);  // digits of a positional system
bool is_digit(std::uint32_t point);    // also superscripts and the like
bool is_numeric(std::uint32_t point);  // also fractions, ideographic numbers
bool is_alnum(std::uint32_t point);
bool is_lower(std::uint32_t point);
bool is_upper(std::uint32_t point);
bool is_title(std::uint32_t point);
bool is_cased(std::uint32_t point);
bool is_printable(std::uint32_t point);
bool is_line_break(std::uint32_t point);  // where str.splitlines cuts
bool is_identifier_start(std::uint32_t point);
bool is_identifier_part(std::uint32_t point);

// Full mappings: one character may become up to three.
void append_upper(std::string& out, std::uint32_t point);
void append_lower(std::string& out, std::uint32_t point);
void append_title(std::string& out, std::uint32_t point);
void append_folded(std::string& out, std::uint32_t point);

}  // namespace hearth::jinja
