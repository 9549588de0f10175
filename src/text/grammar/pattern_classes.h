// The classes of characters that regular expressions name.
#pragma once

#include <optional>
#include <string_view>

#include "text/grammar/char_set.h"

namespace hearth::grammar {

CharSet digits();
CharSet word_characters();
CharSet white_space();
CharSet not_line_ends();  // what `.` matches
// \p{...}: a general category by its short or long name; nothing: none that is known.
std::optional<CharSet> category_named(std::string_view name);

}  // namespace hearth::grammar
