// Result<T>: a value, or the Error that stood in its way.  Status is a Result without a value.
// TRY(e) yields the value of e or returns its error from the enclosing function.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

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
  Error(ErrorKind kind, std::string message);
  Error(const Error&);
  Error(Error&&) noexcept = default;
  Error& operator=(const Error&);
  Error& operator=(Error&&) noexcept;
  ~Error();

  ErrorKind kind() const { return kind_; }
  const std::string& message() const;

  // Puts a place before the message: "model.gguf: 'w': rank 0".
  Error within(std::string_view place) &&;

 private:
  ErrorKind kind_;
  std::unique_ptr<std::string> message_;  // so that a Result is moved and destroyed in little code
};

// A union of our own: every source holds many of these, and std::variant is slow to compile.
template <typename T>
class [[nodiscard]] Result {
 public:
  using Value = T;

  Result(T value) : ok_(true), value_(std::move(value)) {}
  Result(Error error) : ok_(false), error_(std::move(error)) {}
  Result(const Result& other)
    requires std::is_copy_constructible_v<T>
      : ok_(other.ok_) {
    if (ok_)
      new (&value_) T(other.value_);
    else
      new (&error_) Error(other.error_);
  }
  Result(Result&& other) noexcept : ok_(other.ok_) {
    if (ok_)
      new (&value_) T(std::move(other.value_));
    else
      new (&error_) Error(std::move(other.error_));
  }
  Result& operator=(Result other) noexcept {
    this->~Result();
    return *new (this) Result(std::move(other));
  }
  ~Result() {
    if (ok_)
      value_.~T();
    else
      error_.~Error();
  }

  explicit operator bool() const { return ok_; }
  bool ok() const { return ok_; }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T& value() & {
    HEARTH_CHECK(ok_);
    return value_;
  }
  const T& value() const& {
    HEARTH_CHECK(ok_);
    return value_;
  }
  T&& value() && { return std::move(value()); }
  T value_or(T other) && { return ok_ ? std::move(value_) : std::move(other); }

  const Error& error() const& {
    HEARTH_CHECK(!ok_);
    return error_;
  }
  Error&& error() && {
    HEARTH_CHECK(!ok_);
    return std::move(error_);
  }

 private:
  bool ok_;
  union {
    T value_;
    Error error_;
  };
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
