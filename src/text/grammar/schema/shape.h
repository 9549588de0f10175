// Shape: one of the ways to satisfy a set of schemas, without "or" and "not": for each type of
// value what it must be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "text/grammar/json_text.h"
#include "text/grammar/schema/check.h"

namespace hearth::grammar {

enum Types : unsigned {
  type_null = 1,
  type_false = 2,
  type_true = 4,
  type_number = 8,
  type_string = 16,
  type_array = 32,
  type_object = 64,
  all_types = 127,
};

struct StringLimits {
  struct Pattern {
    std::string text;
    bool is_whole = false, is_negated = false;
    const Json* schema = nullptr;  // for messages
  };
  std::uint64_t min = 0, max = UINT64_MAX;  // characters
  std::vector<Pattern> patterns;
  std::vector<std::string> excluded;
};

struct ArrayLimits {
  // Items by place, then all others; one scope for every schema that speaks of items.
  struct Scope {
    std::vector<Node> prefix;
    std::optional<Node> rest;
    bool speaks = true;  // to "unevaluatedItems": not from within a "not"
  };
  struct Contains {
    Node item;
    std::uint64_t min = 1, max = UINT64_MAX;
  };
  std::uint64_t min = 0, max = UINT64_MAX;
  std::vector<Scope> scopes;
  std::vector<Contains> contains;
  bool is_unique = false;  // no item twice
};

struct ObjectLimits {
  // Properties by name, by pattern, then all others; one scope for every schema that speaks of
  // them.
  struct Scope {
    std::vector<std::pair<std::string, Node>> names, patterns;
    std::optional<Node> rest;
    bool speaks = true;  // to "unevaluatedProperties"
  };
  std::uint64_t min = 0, max = UINT64_MAX;
  std::vector<Scope> scopes;
  std::vector<Node> key_schemas;  // of propertyNames
  std::vector<std::string> required, absent;
  std::vector<std::vector<std::string>> foreign;  // for each: a property that is none of these
  bool needs_other = false;                       // one whose name no scope speaks of
};

struct Shape {
  unsigned types = all_types;
  std::optional<std::vector<const Json*>> values;  // one of these, if all the schemas allow it
  NumberLimits number;
  StringLimits string;
  ArrayLimits array;
  ObjectLimits object;
};
using Shapes = std::vector<Shape>;

unsigned type_of(const Json& value);           // one of Types
bool asks_the_rest(const Json& schema);        // "unevaluatedProperties", "unevaluatedItems"
Shape merged(const Shape& a, const Shape& b);  // both
void settle(Shape& shape);                     // drops types that its limits leave nothing of

// Finds the shapes of schemas.  Used by one thread.
class Shaper {
 public:
  explicit Shaper(Document& document) : document_(document), checker_(document) {}
  Checker& checker() { return checker_; }

  // Errors: invalid, unsupported, with place and keyword; exhausted: too many alternatives.
  Result<Shapes> shapes_of(Node node);
  Result<Shapes> shapes_of(const std::vector<Node>& all);  // that satisfy all of them
  Result<bool> allows(Node node, const Json& value);       // the whole value is looked at

 private:
  Result<Shapes> positive(const Json& schema);
  Result<Shapes> negative(const Json& schema);
  Result<Shapes> combined(const Json& schema, Shapes shapes);
  Result<Shapes> any_of(const Json& schema, const Json& list);
  Result<Shapes> one_of(const Json& schema, const Json& list);
  Result<Shapes> conditional(const Json& schema, bool is_negated);
  Result<Shapes> dependent(const Json& schema, Shapes shapes);
  Status limit(const Json& schema, Shape& shape);
  Status limit_array(const Json& schema, Shape& shape);
  Status limit_object(const Json& schema, Shape& shape);
  Status add_unevaluated(const Json& schema, Shapes& shapes);
  Status opposites(const Json& schema, Shapes& shapes);
  Status opposites_of_parts(const Json& schema, Shapes& shapes);
  Status opposites_of_schemas(const Json& schema, Shapes& shapes);
  Result<Shapes> product(const Json& schema, const Shapes& a, const Shapes& b);
  Result<unsigned> shared_types(const Json& schema, Node a, Node b);
  Result<bool> is_no_object(const Shape& shape, int depth);
  Status spend(const Json& schema, std::size_t work);

  Document& document_;
  Checker checker_;
  std::vector<Node> open_;  // schemas that are being looked at
  std::size_t spent_ = 0;
};

}  // namespace hearth::grammar
