// For os_*.cpp: what a failed call of the operating system means.
#pragma once

#include <cerrno>
#include <string_view>

#include "base/result.h"

namespace hearth {

// not_found; exhausted: no space, quota or descriptors left; otherwise io.  "PATH: its message".
Error os_error(std::string_view path, int code = errno);

}  // namespace hearth
