// Checker: whether a value satisfies a schema.
// Source: JSON Schema 2020-12, core and validation; draft 7.
#pragma once

#include <map>
#include <string>

#include "text/grammar/dfa.h"
#include "text/grammar/schema/document.h"

namespace hearth::grammar {

// Keeps a reference to the document.  Used by one thread.
class Checker {
 public:
  explicit Checker(Document& document) : document_(document) {}

  // Errors: invalid, unsupported, naming place and keyword.
  Result<bool> allows(const Node& node, const Json& value, int depth = 0);
  Result<bool> matches(const std::string& pattern, bool is_whole, const std::string& text);

 private:
  Result<bool> holds_for(const Json& schema, const Json& value, int depth);
  Result<bool> holds_itself(const Json& schema, const Json& value);
  Result<bool> holds_text(const Json& schema, const std::string& text);
  Result<bool> holds_list(const Json& schema, const Json::Array& list, int depth);
  Result<bool> holds_object(const Json& schema, const Json& object, int depth);
  Result<bool> holds_combined(const Json& schema, const Json& value, int depth);

  Document& document_;
  std::map<std::string, Dfa> patterns_;
};

}  // namespace hearth::grammar
