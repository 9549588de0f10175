// Document: a JSON schema, its schemas within schemas by place, and what its references mean.
// Source: JSON Schema 2020-12, sections 8.2 and 9; draft 7, section 8.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/json.h"
#include "base/result.h"

namespace hearth::grammar {

// A schema, or its opposite.  Points into a document.
struct Node {
  const Json* schema;
  bool is_negated = false;
  auto operator<=>(const Node&) const = default;
};

// Refers to the schema it was made of.  Used by one thread.
class Document {
 public:
  // Dynamic references are written out as plain ones, to copies of what they mean.
  // Errors: invalid, with the place; exhausted: past the limits of depth and number of schemas.
  static Result<Document> read(const Json& root);

  const Json& root() const { return *root_; }
  // Where a schema stands: "#/properties/a".
  std::string place_of(const Json& schema) const;
  Error wrong(const Json& schema, std::string_view what, ErrorKind kind = ErrorKind::invalid) const;
  Error unsupported(const Json& schema, std::string_view what) const {
    return wrong(schema, what, ErrorKind::unsupported);
  }

  // The target of the schema's "$ref", or of another reference.  Nothing is ever fetched.
  Result<const Json*> target(const Json& schema, std::string_view keyword = "$ref");
  // What the dynamic anchors of the resource that a schema is a part of name.
  using Anchors = std::map<std::string, const Json*>;
  const Anchors& dynamic_anchors(const Json& schema) const;
  // Whether a keyword's value is a schema, a list of schemas, or an object of them.
  enum class Holds { nothing, schema, list, map };
  static Holds holds(std::string_view keyword, const Json& value);
  // Before 2019 what stands beside a "$ref" means nothing.
  bool ignores_siblings() const { return ignores_siblings_; }

 private:
  struct Info {
    std::string place, base;
  };
  static Result<Document> walked(const Json& root);
  void add_anchors(const Json& schema, const std::string& base);
  Status walk(const Json& schema, const std::string& place, std::string base, int depth);
  Status walk_members(const Json& schema, const std::string& place, const std::string& base,
                      int depth);

  const Json* root_ = nullptr;
  std::unique_ptr<const Json> own_;  // what root_ is, where it had dynamic references
  bool ignores_siblings_ = false, has_dynamic_references_ = false;
  std::unordered_map<const Json*, Info> infos_;
  std::map<std::string, const Json*> ids_;          // absolute addresses, and those with an anchor
  std::map<std::string, Anchors> dynamic_anchors_;  // by the resource's address
};

constexpr int max_schema_depth = 64;
constexpr std::size_t max_schemas = 32'768;
constexpr std::size_t max_properties = 2048;  // of one object
constexpr std::size_t max_enum = 4096;

}  // namespace hearth::grammar
