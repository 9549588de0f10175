// Alternatives: schemas of which any, one or, by a test, either must hold.
#include <fmt/core.h>

#include <algorithm>
#include <bit>

#include "text/grammar/schema/shape.h"

namespace hearth::grammar {
namespace {

void append(Shapes& to, const Shapes& from) { to.insert(to.end(), from.begin(), from.end()); }

// What of the shapes is of these types, and with `has_listed` those that list values, of any.
Shapes of_types(const Shapes& shapes, unsigned types, bool has_listed) {
  Shapes result;
  for (Shape shape : shapes) {
    if (shape.values && !has_listed) continue;
    if (!shape.values) shape.types &= types;
    if (shape.types != 0) result.push_back(std::move(shape));
  }
  return result;
}

}  // namespace

Result<Shapes> Shaper::any_of(const Json& schema, const Json& list) {
  Shapes any;
  for (const Json& part : list.as_array()) append(any, TRY(shapes_of(Node{&part})));
  // What several of them speak of together counts too, where somebody asks for the rest.
  constexpr std::size_t max_together = 4;
  if (!asks_the_rest(schema) || list.size() > max_together) return any;
  for (std::size_t some = 3; some < std::size_t{1} << list.size(); ++some) {
    if (std::has_single_bit(some)) continue;
    std::vector<Node> nodes;
    for (std::size_t i = 0; i < list.size(); ++i)
      if ((some >> i & 1) != 0) nodes.push_back({&list.as_array()[i]});
    append(any, TRY(shapes_of(nodes)));
  }
  return any;
}

Result<Shapes> Shaper::one_of(const Json& schema, const Json& list) {
  const std::size_t n = list.size();
  std::vector<std::vector<std::pair<std::size_t, unsigned>>> overlaps(n);  // with which, for what
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j) {
      const unsigned types =
          TRY(shared_types(schema, {&list.as_array()[i]}, {&list.as_array()[j]}));
      if (types == 0) continue;
      overlaps[i].emplace_back(j, types);
      overlaps[j].emplace_back(i, types);
    }
  Shapes result;
  for (std::size_t i = 0; i < n; ++i) {
    Shapes one = TRY(shapes_of(Node{&list.as_array()[i]}));
    for (const auto& [j, types] : overlaps[i]) {
      auto others = shapes_of(Node{&list.as_array()[j], true});
      if (!others)
        return document_.wrong(
            schema,
            fmt::format("oneOf: alternatives {} and {} may both hold, and cannot be told apart: {}",
                        std::min(i, j), std::max(i, j), others.error().message()),
            others.error().kind());
      // Values of other types need not be told apart; those that are listed are each looked at.
      const Shapes apart = of_types(one, ~types, false), shared = of_types(one, types, true);
      one = TRY(product(schema, shared, of_types(*others, types, true)));
      append(one, apart);
    }
    append(result, one);
  }
  return result;
}

// Types of which a value may satisfy both.
Result<unsigned> Shaper::shared_types(const Json& schema, Node a, Node b) {
  const Shapes first = TRY(shapes_of(a)), second = TRY(shapes_of(b));
  TRY(spend(schema, first.size() * second.size()));
  unsigned types = 0;
  for (const Shape& x : first)
    for (const Shape& y : second) {
      if (x.values || y.values) {
        for (const Json* value : x.values ? *x.values : *y.values)
          if (TRY(allows(a, *value)) && TRY(allows(b, *value))) types |= type_of(*value);
        continue;
      }
      const Shape both = merged(x, y);
      types |= both.types & ~unsigned{type_object};
      if ((both.types & ~types & type_object) != 0 && !TRY(is_no_object(both, 0)))
        types |= type_object;
    }
  return types;
}

// No object satisfies the shape; false when that is not plain to see.
Result<bool> Shaper::is_no_object(const Shape& shape, int depth) {
  constexpr int max_looked_into = 3;
  if ((shape.types & type_object) == 0) return true;
  if (depth >= max_looked_into) return false;
  for (const std::string& name : shape.object.required) {
    std::vector<Node> nodes;
    for (const ObjectLimits::Scope& scope : shape.object.scopes) {
      bool is_named = false;
      for (const auto& [own, node] : scope.names)
        if (own == name) nodes.push_back(node), is_named = true;
      if (!is_named && scope.patterns.empty() && scope.rest) nodes.push_back(*scope.rest);
    }
    const Shapes shapes = TRY(shapes_of(nodes));
    bool is_empty = true;
    for (const Shape& inner : shapes) {
      if (inner.values) {
        for (const Json* value : *inner.values) {
          bool fits = true;
          for (const Node& node : nodes) fits = fits && TRY(allows(node, *value));
          if (fits) is_empty = false;
        }
      } else if ((inner.types & ~unsigned{type_object}) != 0 ||
                 !TRY(is_no_object(inner, depth + 1))) {
        is_empty = false;
      }
    }
    if (is_empty) return true;
  }
  return false;
}

Result<Shapes> Shaper::conditional(const Json& schema, bool is_negated) {
  const Json* const test = schema.find("if");
  Shapes result;
  for (const bool holds : {true, false}) {
    const Json* branch = schema.find(holds ? "then" : "else");
    const Shapes first = TRY(shapes_of(Node{test, !holds}));
    Shapes second(is_negated ? 0 : 1);
    if (branch) second = TRY(shapes_of(Node{branch, is_negated}));
    append(result, TRY(product(schema, first, second)));
  }
  return result;
}

}  // namespace hearth::grammar
