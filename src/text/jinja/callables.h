// Filters, tests, methods and global functions: rows of name, parameters and function.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "text/jinja/interpreter.h"

namespace hearth::jinja {

constexpr std::size_t max_parameters = 6;

// Arguments after their parameters are known; those not given are missing.
struct Bound {
  std::array<Value, max_parameters> values;
  Arguments rest;  // everything, for the parameters "*"

  bool has(std::size_t i) const { return !values[i].is_missing(); }
  const Value& operator[](std::size_t i) const { return values[i]; }
  // Given, and not None.
  bool given(std::size_t i) const { return has(i) && !values[i].is_none(); }
};

using Native = Result<Value> (*)(Interpreter& in, const Value& subject, Bound& arguments);

struct Signature {
  std::string_view name;
  // Names separated by spaces: those before "?" are required; "/" in front: none may be named;
  // "*": the function takes them as they come.
  std::string_view parameters;
  Native call;
};

Result<Value> invoke(Interpreter& in, const Signature& signature, const Value& subject,
                     Arguments arguments);

// Null if there is none.
const Signature* find_filter(std::string_view name);
const Signature* find_test(std::string_view name);
const Signature* find_string_method(std::string_view name);
const Signature* find_list_method(std::string_view name);   // methods_container.cpp
const Signature* find_tuple_method(std::string_view name);  // methods_container.cpp
const Signature* find_dict_method(std::string_view name);   // methods_container.cpp

// The tables behind them, one per file.
std::span<const Signature> text_filters();      // filters_text.cpp
std::span<const Signature> sequence_filters();  // filters_sequence.cpp
std::span<const Signature> value_filters();     // filters_value.cpp
std::span<const Signature> html_filters();      // filters_html.cpp
std::span<const Signature> tests();             // predicates.cpp
std::span<const Signature> string_methods();    // methods_string.cpp
std::span<const Signature> string_queries();    // methods_query.cpp

// A function as a value; `subject` is what it is a method of, or missing.
Value native_value(const Signature& signature, Value subject);

// range, namespace, dict, cycler, joiner, raise_exception, strftime_now; missing: no such global.
Value global(std::string_view name);

// Arguments as the functions want them.
Result<std::int64_t> integer_argument(Interpreter& in, const Value& value);
Result<std::int64_t> integer_or(Interpreter& in, const Bound& arguments, std::size_t i,
                                std::int64_t otherwise);
bool truth_or(const Bound& arguments, std::size_t i, bool otherwise);
// The argument as a string; error: "needs a string, got int".
Result<Ref<Str>> text_argument(Interpreter& in, const Value& value);
// Any value as str() prints it.
Result<Ref<Str>> soft_text(Interpreter& in, const Value& value);

}  // namespace hearth::jinja
