// What a model is and can do, for the listings of all interfaces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "library/library.h"

namespace hearth::server {

// "completion", "tools", "thinking", "insert", "embedding", "rerank".
std::vector<std::string_view> capabilities_of(const LoadedModel& loaded);

// "2026-11-21T03:07:45.000000+00:00"; every client's parser of RFC 3339 reads it.
std::string time_text(std::int64_t unix_microseconds);
std::string time_now();

}  // namespace hearth::server
