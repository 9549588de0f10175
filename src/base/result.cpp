#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace hearth {

std::string_view name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return "invalid";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::corrupt:
      return "corrupt";
    case ErrorKind::too_long:
      return "too_long";
    case ErrorKind::exhausted:
      return "exhausted";
    case ErrorKind::unavailable:
      return "unavailable";
    case ErrorKind::io:
      return "io";
    case ErrorKind::cancelled:
      return "cancelled";
  }
  return "unknown";
}

Error::Error(ErrorKind kind, std::string message)
    : kind_(kind), message_(std::make_unique<std::string>(std::move(message))) {}
Error::Error(const Error& other) : Error(other.kind_, other.message()) {}
Error& Error::operator=(const Error& other) { return *this = Error(other); }
Error& Error::operator=(Error&&) noexcept = default;
Error::~Error() = default;

const std::string& Error::message() const {
  static const std::string moved_away;
  return message_ ? *message_ : moved_away;
}

Error Error::within(std::string_view place) && {
  message_->insert(0, ": ");
  message_->insert(0, place);
  return std::move(*this);
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
  std::abort();
}

}  // namespace hearth
