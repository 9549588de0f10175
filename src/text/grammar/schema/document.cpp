#include "text/grammar/schema/document.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "base/utf8.h"
#include "text/grammar/schema/unfold.h"

namespace hearth::grammar {
namespace {

constexpr std::array<std::string_view, 12> one_schema = {"additionalProperties",
                                                         "additionalItems",
                                                         "items",
                                                         "not",
                                                         "if",
                                                         "then",
                                                         "else",
                                                         "contains",
                                                         "propertyNames",
                                                         "unevaluatedItems",
                                                         "unevaluatedProperties",
                                                         "contentSchema"};
constexpr std::array<std::string_view, 4> lists = {"allOf", "anyOf", "oneOf", "prefixItems"};
constexpr std::array<std::string_view, 6> maps = {
    "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"};

bool is_in(const auto& list, std::string_view name) {
  return std::ranges::find(list, name) != list.end();
}

std::string escaped(std::string_view key) {
  std::string result;
  for (const char c : key) result += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return result;
}

// Of one step of a pointer within a fragment.
std::string unescaped(std::string_view step) {
  std::string text;
  for (std::size_t i = 0; i < step.size(); ++i) {
    unsigned byte = 0;
    if (step[i] == '%' && i + 2 < step.size() &&
        std::from_chars(&step[i + 1], &step[i + 1] + 2, byte, 16).ptr == &step[i + 1] + 2) {
      text += static_cast<char>(byte);
      i += 2;
    } else {
      text += step[i];
    }
  }
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '~' && i + 1 < text.size();
    if (is_escape && (text[i + 1] == '0' || text[i + 1] == '1'))
      result += text[++i] == '0' ? '~' : '/';
    else
      result += text[i];
  }
  return result;
}

std::size_t scheme_end(std::string_view uri) {
  const std::size_t colon = uri.find(':');
  return colon != uri.npos && colon < uri.find('/') ? colon : uri.npos;
}

// Source: RFC 3986, section 5.2, for addresses without queries.
std::string resolved(std::string_view base, std::string_view reference) {
  if (reference.empty()) return std::string(base);
  if (scheme_end(reference) != reference.npos) return std::string(reference);
  const std::size_t colon = scheme_end(base);
  const bool has_host = colon != base.npos && base.substr(colon + 1).starts_with("//");
  const std::size_t host_end = has_host ? base.find('/', colon + 3) : 0;
  const std::string_view host = base.substr(0, host_end);
  if (reference.starts_with('/')) return std::string(host) + std::string(reference);
  std::string_view folder = host_end == base.npos ? "/" : base.substr(host_end);
  folder = folder.substr(0, folder.rfind('/') + 1);
  return std::string(host) + std::string(folder) + std::string(reference);
}

}  // namespace

Result<Document> Document::read(const Json& root) {
  Document document = TRY(walked(root));
  if (!document.has_dynamic_references_) return document;
  auto own = std::make_unique<const Json>(TRY(unfolded(document)));
  Document result = TRY(walked(*own));
  result.own_ = std::move(own);
  return result;
}

Result<Document> Document::walked(const Json& root) {
  Document document;
  document.root_ = &root;
  if (const Json* dialect = root.find("$schema"); dialect && dialect->is_string())
    for (const std::string_view old : {"draft-03", "draft-04", "draft-06", "draft-07"})
      if (dialect->as_string().find(old) != std::string::npos) document.ignores_siblings_ = true;
  document.ids_.emplace("", &root);
  TRY(document.walk(root, "#", "", 0));
  return document;
}

std::string Document::place_of(const Json& schema) const {
  const auto found = infos_.find(&schema);
  return found == infos_.end() ? "#" : found->second.place;
}

Error Document::wrong(const Json& schema, std::string_view what, ErrorKind kind) const {
  return Error(kind, fmt::format("{}: {}", printable(place_of(schema), 200), what));
}

Status Document::walk(const Json& schema, const std::string& place, std::string base, int depth) {
  if (depth > max_schema_depth)
    return Error(ErrorKind::exhausted,
                 fmt::format("{}: schemas over {} deep", printable(place, 200), max_schema_depth));
  if (infos_.size() >= max_schemas)
    return Error(ErrorKind::exhausted, fmt::format("over {} schemas", max_schemas));
  if (!schema.is_object() && !schema.is_bool())
    return Error(ErrorKind::invalid, fmt::format("{}: needs an object, true or false, not {}",
                                                 printable(place, 200), schema.type_name()));
  if (!infos_.try_emplace(&schema, Info{place, base}).second) return Done{};
  if (!schema.is_object()) return Done{};
  const Json* id = schema.find("$id");
  if (id && id->is_string() && !(ignores_siblings_ && schema.find("$ref"))) {
    std::string_view text = id->as_string();
    // Before 2019 an "$id" of a fragment alone was an anchor.
    if (text.starts_with('#')) {
      ids_.try_emplace(base + std::string(text), &schema);
    } else {
      base = resolved(base, text.substr(0, text.find('#')));
      ids_.try_emplace(base, &schema);
    }
    infos_[&schema].base = base;
  }
  add_anchors(schema, base);
  return walk_members(schema, place, base, depth);
}

void Document::add_anchors(const Json& schema, const std::string& base) {
  for (const char* name : {"$anchor", "$dynamicAnchor"})
    if (const Json* anchor = schema.find(name); anchor && anchor->is_string())
      ids_.try_emplace(base + "#" + anchor->as_string(), &schema);
  if (const Json* anchor = schema.find("$dynamicAnchor"); anchor && anchor->is_string())
    dynamic_anchors_[base].try_emplace(anchor->as_string(), &schema);
  // As 2019-09 had it: of a whole resource.
  const auto whole = ids_.find(base);
  if (const Json* anchor = schema.find("$recursiveAnchor");
      anchor && *anchor == Json(true) && whole != ids_.end() && whole->second == &schema)
    dynamic_anchors_[base].try_emplace("", &schema);
  has_dynamic_references_ =
      has_dynamic_references_ || schema.find("$dynamicRef") || schema.find("$recursiveRef");
}

const Document::Anchors& Document::dynamic_anchors(const Json& schema) const {
  static const Anchors none;
  const auto info = infos_.find(&schema);
  if (info == infos_.end()) return none;
  const auto found = dynamic_anchors_.find(info->second.base);
  return found == dynamic_anchors_.end() ? none : found->second;
}

Document::Holds Document::holds(std::string_view keyword, const Json& value) {
  if (is_in(maps, keyword)) return Holds::map;
  if (is_in(lists, keyword) || (keyword == "items" && value.is_array())) return Holds::list;
  return is_in(one_schema, keyword) ? Holds::schema : Holds::nothing;
}

Status Document::walk_members(const Json& schema, const std::string& place, const std::string& base,
                              int depth) {
  for (const auto& [key, value] : schema.as_object()) {
    const std::string here = place + "/" + escaped(key);
    const Holds held = holds(key, value);
    if (held == Holds::map) {
      if (!value.is_object()) return wrong(schema, fmt::format("{}: needs an object", key));
      for (const auto& [name, inner] : value.as_object())
        if (!(key == "dependencies" && inner.is_array()))
          TRY(walk(inner, here + "/" + escaped(name), base, depth + 1));
    } else if (held == Holds::list) {
      if (!value.is_array()) return wrong(schema, fmt::format("{}: needs a list", key));
      for (std::size_t i = 0; i < value.size(); ++i)
        TRY(walk(value.as_array()[i], fmt::format("{}/{}", here, i), base, depth + 1));
    } else if (held == Holds::schema) {
      TRY(walk(value, here, base, depth + 1));
    }
  }
  return Done{};
}

Result<const Json*> Document::target(const Json& schema, std::string_view keyword) {
  const Json* reference = schema.find(keyword);
  if (!reference->is_string()) return wrong(schema, fmt::format("{}: needs a text", keyword));
  const std::string_view text = reference->as_string();
  const std::string_view address = text.substr(0, text.find('#'));
  const std::string_view fragment =
      address.size() < text.size() ? text.substr(address.size() + 1) : "";
  const auto info = infos_.find(&schema);
  const std::string base = info == infos_.end() ? "" : info->second.base;
  const std::string absolute = resolved(base, address);
  const std::string shown = printable(text, 120);
  const bool is_pointer = fragment.empty() || fragment.starts_with('/');
  const auto found = ids_.find(is_pointer ? absolute : absolute + "#" + std::string(fragment));
  if (found == ids_.end())
    return address.empty()
               ? wrong(schema, fmt::format("{}: '{}' names nothing in this schema", keyword, shown))
               : unsupported(schema, fmt::format("{}: '{}' is another document: nothing is fetched",
                                                 keyword, shown));
  const Json* target = found->second;
  if (!is_pointer) return target;
  std::string_view rest = fragment;
  std::string place = place_of(*target);
  while (!rest.empty() && target) {
    rest.remove_prefix(1);
    const std::string_view step = rest.substr(0, rest.find('/'));
    rest.remove_prefix(step.size());
    place += "/" + std::string(step);
    const std::string key = unescaped(step);
    if (target->is_array()) {
      std::size_t index = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
      const bool is_there =
          error == std::errc() && end == key.data() + key.size() && index < target->size();
      target = is_there ? &target->as_array()[index] : nullptr;
    } else {
      target = target->find(key);
    }
  }
  if (!target)
    return wrong(schema, fmt::format("{}: '{}' names nothing in this schema", keyword, shown));
  TRY(walk(*target, place, base, 1));
  return target;
}

}  // namespace hearth::grammar
