// From what went wrong to what the client is told.
#pragma once

#include <utility>
#include <variant>

#include "base/result.h"
#include "http/message.h"

namespace hearth::server {

using http::Problem;

// What an error of the floors below means to a client.  The only place that knows.
Problem to_problem(const Error& error);

Problem invalid_value(std::string_view param, std::string_view message);
Problem unsupported_value(std::string_view param, std::string_view message);

// The text that agents recognise as an overflow.  Source: OpenAI API, error code
// context_length_exceeded.
Problem context_overflow(std::int64_t prompt_tokens, std::int64_t context_tokens);

// A value, or the problem the request has.  TRY works with it, and turns an Error on its way.
template <typename T>
class [[nodiscard]] Checked {
 public:
  Checked(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Checked(Problem problem) : state_(std::in_place_index<1>, std::move(problem)) {}
  Checked(const Error& error) : state_(std::in_place_index<1>, to_problem(error)) {}

  bool ok() const { return state_.index() == 0; }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::move(std::get<0>(state_)); }
  Problem& error() & { return std::get<1>(state_); }
  Problem&& error() && { return std::move(std::get<1>(state_)); }

 private:
  std::variant<T, Problem> state_;
};
using Check = Checked<Done>;

}  // namespace hearth::server
