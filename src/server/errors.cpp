#include "server/errors.h"

#include <fmt/core.h>

namespace hearth::server {

Problem to_problem(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::invalid:
      return {400, "invalid_value", error.message(), "", 0};
    case ErrorKind::not_found:
      return {404, "not_found", error.message(), "", 0};
    case ErrorKind::unsupported:
      return {501, "unsupported", error.message(), "", 0};
    case ErrorKind::too_long:
      return {400, "context_length_exceeded", error.message(), "", 0};
    case ErrorKind::exhausted:
      return {503, "overloaded", error.message(), "", 1};
    case ErrorKind::unavailable:
      return {503, "unavailable", error.message(), "", 1};
    case ErrorKind::cancelled:
      return {503, "shutting_down", "the server is stopping", "", 1};
    case ErrorKind::corrupt:
    case ErrorKind::io:
      break;
  }
  // Details of our own files and disks are for the log, not for clients.
  return {500, "internal_error", "the server met an error of its own", "", 0};
}

Problem invalid_value(std::string_view param, std::string_view message) {
  return {400, "invalid_value", fmt::format("'{}': {}", param, message), std::string(param), 0};
}

Problem unsupported_value(std::string_view param, std::string_view message) {
  return {400, "unsupported_value", fmt::format("'{}': {}", param, message), std::string(param), 0};
}

Problem context_overflow(std::int64_t prompt_tokens, std::int64_t context_tokens) {
  return {400, "context_length_exceeded",
          fmt::format("This model's maximum context length is {} tokens. However, your prompt has "
                      "{} tokens. Please reduce the length of the messages or completion.",
                      context_tokens, prompt_tokens),
          "", 0};
}

}  // namespace hearth::server
