// Sorting and the keys that filters sort and group by.
#pragma once

#include <vector>

#include "text/jinja/interpreter.h"

namespace hearth::jinja {

// `values` in the order of their keys; equal ones keep their order, backwards too.
Result<std::vector<Value>> sorted(Interpreter& in, const std::vector<Value>& values,
                                  const std::vector<Value>& keys, bool backwards);

// "a.b.0": what a filter's argument `attribute` selects.  An integer selects that item; missing or
// None the value itself.
class AttributePath {
 public:
  static Result<AttributePath> of(Interpreter& in, const Value& attribute);
  // `otherwise`, if not missing, stands in for what is undefined on the way.
  Result<Value> get(Interpreter& in, const Value& value, const Value& otherwise = Value()) const;

 private:
  std::vector<Value> parts_;
};

// Strings in lower case, so that sorting ignores case; other values as they are.
Result<Value> without_case(Interpreter& in, const Value& value);

}  // namespace hearth::jinja
