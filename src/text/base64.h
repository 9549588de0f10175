// Base64.  Source: RFC 4648, section 4.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

// Padding may be missing at the end; anything else outside the alphabet is corrupt.
Result<std::string> decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);  // with padding

}  // namespace hearth
