// The one place that knows the TOML library.
#include <fmt/core.h>
#include <toml++/toml.h>

#include <algorithm>

#include "config/file_values.h"

namespace hearth {
namespace {

Json to_json(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  if (const auto* list = node.as_array()) {
    Json items = Json::array();
    for (const toml::node& item : *list) items.push_back(to_json(item));
    return items;
  }
  return {};
}

void flatten(const toml::table& table, const std::string& prefix, std::vector<FileValue>& values) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    if (const auto* inner = node.as_table())
      flatten(*inner, key + ".", values);
    else
      values.push_back({key, to_json(node), node.source().begin.line, node.source().end.line});
  }
}

}  // namespace

Result<std::vector<FileValue>> parse_toml(std::string_view text) {
  try {
    const toml::table table = toml::parse(text);
    std::vector<FileValue> values;
    flatten(table, "", values);
    std::stable_sort(values.begin(), values.end(),
                     [](const FileValue& a, const FileValue& b) { return a.line < b.line; });
    return values;
  } catch (const toml::parse_error& error) {
    return Error(ErrorKind::invalid,
                 fmt::format("line {}: {}", error.source().begin.line, error.description()));
  }
}

}  // namespace hearth
