#include "text/grammar/schema/unfold.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

namespace hearth::grammar {
namespace {

// What copies have no use for: they are named anew.
constexpr std::array<std::string_view, 7> names = {
    "$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$defs", "definitions", "$vocabulary"};

class Unfolder {
 public:
  explicit Unfolder(Document& document) : document_(document) {}

  Result<Json> run() {
    Json root = TRY(copy(document_.root(), {}));
    Json definitions = Json::object();
    while (!open_.empty()) {
      const auto [target, scope] = std::move(open_.back());
      open_.pop_back();
      const std::string name = names_.at({target, scope});
      definitions.set(name, TRY(copy(*target, scope)));
    }
    if (root.is_object()) root.set("$defs", std::move(definitions));
    return root;
  }

 private:
  // What each dynamic anchor names: the outermost schema on the way.
  using Scope = std::map<std::string, const Json*>;
  using Place = std::pair<const Json*, Scope>;

  // The way goes on into `schema`, and so into the resource that it is a part of.
  Scope entered(const Json& schema, Scope scope) const {
    for (const auto& [name, target] : document_.dynamic_anchors(schema))
      scope.try_emplace(name, target);
    return scope;
  }

  Result<Json> copy(const Json& schema, Scope scope) {
    if (!schema.is_object()) return schema;
    if (++copies_ > max_schemas)
      return document_.wrong(
          schema, fmt::format("$dynamicRef: over {} schemas, each written out", max_schemas),
          ErrorKind::exhausted);
    scope = entered(schema, std::move(scope));
    Json result = Json::object(), references = Json::array();
    for (const auto& [key, value] : schema.as_object()) {
      if (std::ranges::find(names, key) != names.end()) continue;
      if (key == "$ref") {
        result.set(key, named(*TRY(document_.target(schema)), scope));
      } else if (key == "$dynamicRef" || key == "$recursiveRef") {
        const Json* target = TRY(dynamic_target(schema, key, scope));
        references.push_back(Json::object({{"$ref", named(*target, scope)}}));
      } else {
        result.set(key, TRY(copy_member(key, value, scope)));
      }
    }
    if (references.size() == 0) return result;
    if (const Json* all = result.find("allOf"); all && all->is_array())
      for (const Json& part : all->as_array()) references.push_back(part);
    result.set("allOf", std::move(references));
    return result;
  }

  Result<Json> copy_member(const std::string& key, const Json& value, const Scope& scope) {
    const Document::Holds holds = Document::holds(key, value);
    if (holds == Document::Holds::schema) return copy(value, scope);
    if (holds == Document::Holds::list) {
      Json list = Json::array();
      for (const Json& part : value.as_array()) list.push_back(TRY(copy(part, scope)));
      return list;
    }
    if (holds == Document::Holds::map) {
      Json map = Json::object();
      for (const auto& [name, part] : value.as_object()) map.set(name, TRY(copy(part, scope)));
      return map;
    }
    return value;
  }

  Result<const Json*> dynamic_target(const Json& schema, const std::string& key,
                                     const Scope& scope) {
    const Json* target = TRY(document_.target(schema, key));
    const std::string& text = schema.find(key)->as_string();
    const std::string name = text.substr(std::min(text.size(), text.find('#') + 1));
    // Only where it names a dynamic anchor to begin with.
    const auto& own = document_.dynamic_anchors(*target);
    const auto found = own.find(name);
    if (found == own.end() || found->second != target) return target;
    const auto outermost = scope.find(name);
    return outermost == scope.end() ? target : outermost->second;
  }

  std::string named(const Json& target, const Scope& scope) {
    const auto [place, is_new] = names_.try_emplace(Place(&target, entered(target, scope)), "");
    if (is_new) {
      place->second = std::to_string(names_.size());
      open_.push_back(place->first);
    }
    return "#/$defs/" + place->second;
  }

  Document& document_;
  std::map<Place, std::string> names_;
  std::vector<Place> open_;
  std::size_t copies_ = 0;
};

}  // namespace

Result<Json> unfolded(Document& document) { return Unfolder(document).run(); }

}  // namespace hearth::grammar
