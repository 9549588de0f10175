// One line per event on standard error: time, level, event, key=value fields.
// Prompts, completions, documents and keys are never logged.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace hearth {

enum class LogLevel { debug, info, warning, error, off };

// Thread-safe.
void set_log_level(LogLevel level);
void log_line(LogLevel level, std::string_view text);

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace hearth
