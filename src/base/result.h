// Result<T>: a value, or the Error that stood in its way.  Status is a Result without a value.
// TRY(e) yields the value of e or returns its error from the enclosing function.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace hearth {

// For programs; the message is for people.
enum class ErrorKind {
  invalid,      // the caller asked for something that makes no sense
  not_found,    // the thing named does not exist
  unsupported,  // well formed, but not something we do
  corrupt,      // a file breaks its own format
  too_long,     // a prompt does not fit the context
  exhausted,    // a limit or budget is reached; later it may work
  unavailable,  // not now: loading, draining, busy
  io,           // the operating system said no
  cancelled,    // somebody asked us to stop
};

std::string_view name_of(ErrorKind kind);

class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }

  // Puts a place before the message: "model.gguf: 'w': rank 0".
  Error within(std::string_view place) &&;

 private:
  ErrorKind kind_;
  std::string message_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  using Value = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  bool ok() const { return state_.index() == 0; }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T& value() & {
    HEARTH_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    HEARTH_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && { return std::move(value()); }
  T value_or(T other) && { return ok() ? std::move(value()) : std::move(other); }

  const Error& error() const& {
    HEARTH_CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    HEARTH_CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

struct Done {};
using Status = Result<Done>;

}  // namespace hearth

#define TRY(expression)                                         \
  __extension__({                                               \
    auto try_result = (expression);                             \
    if (!try_result.ok()) return std::move(try_result).error(); \
    std::move(try_result).value();                              \
  })
