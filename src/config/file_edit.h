// Changes to a settings file in TOML that leave its comments and order as they are.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

// The value as TOML writes it: texts, whole numbers, truths and lists of texts.
std::string toml_text(const Json& value);

// The text with `key` ("server.port") set to the value.  Errors: invalid, where the text is no TOML
// or its form leaves no place for the key.
Result<std::string> with_setting(std::string_view text, std::string_view key, const Json& value);

// The text without the lines of `key`.  Errors: not_found, where it is not set; invalid.
Result<std::string> without_setting(std::string_view text, std::string_view key);

}  // namespace hearth
