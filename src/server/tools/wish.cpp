#include "server/tools/wish.h"

#include <algorithm>

#include "server/fields.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_label_bytes = 64, max_url_bytes = 2048, max_header_bytes = 8192;
constexpr std::size_t max_names = 512, max_headers = 32;

Checked<std::vector<std::string>> read_names(const Json& list, std::string_view field) {
  if (!list.is_array() || list.size() > max_names)
    return invalid_value(field, "needs a list of names of tools");
  std::vector<std::string> names;
  for (const Json& name : list.as_array()) {
    if (!name.is_string()) return invalid_value(field, "needs a list of names of tools");
    names.push_back(name.as_string());
  }
  return names;
}

// ["a", "b"], or {"tool_names": [...], "read_only": true}.
Checked<ToolFilter> read_filter(const Json& value, std::string_view field) {
  ToolFilter filter;
  if (value.is_array()) {
    filter.names = TRY(read_names(value, field));
    return filter;
  }
  if (!value.is_object()) return invalid_value(field, "needs a list of names, or an object");
  if (const Json* names = given(value, "tool_names")) filter.names = TRY(read_names(*names, field));
  filter.only_reads = TRY(read_bool(value, "read_only"));
  return filter;
}

Check read_approval(const Json& value, ToolWish& wish) {
  constexpr std::string_view field = "tools.require_approval";
  if (value == Json("always") || value == Json("never")) {
    wish.asks_before = value == Json("always");
    return Done{};
  }
  if (!value.is_object()) return invalid_value(field, "needs always, never or an object of them");
  if (const Json* filter = given(value, "always")) wish.asks = TRY(read_filter(*filter, field));
  if (const Json* filter = given(value, "never")) wish.asks_not = TRY(read_filter(*filter, field));
  return Done{};
}

bool is_one_line(std::string_view text) {
  return !text.empty() && text.size() <= max_header_bytes &&
         std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
}

Check read_headers(const Json& tool, ToolWish& wish) {
  constexpr std::string_view field = "tools.headers";
  if (const Json* headers = given(tool, "headers")) {
    if (!headers->is_object() || headers->size() > max_headers)
      return invalid_value(field, "needs an object of texts");
    for (const auto& [name, value] : headers->as_object()) {
      if (!is_one_line(name) || name.find_first_of(": ") != name.npos || !value.is_string() ||
          !is_one_line(value.as_string()))
        return invalid_value(field, "needs plain names and values of one line");
      wish.headers.emplace_back(name, value.as_string());
    }
  }
  const auto key = TRY(read_text(tool, "authorization", max_header_bytes));
  if (!key) return Done{};
  if (!is_one_line(*key)) return invalid_value("tools.authorization", "needs one line of text");
  wish.headers.emplace_back("Authorization", "Bearer " + *key);
  return Done{};
}

}  // namespace

bool ToolFilter::takes(const std::string& name, bool reads) const {
  if (names && std::ranges::find(*names, name) == names->end()) return false;
  return !only_reads || *only_reads == reads;
}

bool ToolWish::wants(const std::string& name, bool reads) const {
  return allowed.takes(name, reads) && std::ranges::find(denied, name) == denied.end();
}

bool ToolWish::needs_approval(const std::string& name, bool reads) const {
  if (asks && asks->takes(name, reads)) return true;
  return asks_not && asks_not->takes(name, reads) ? false : asks_before;
}

Checked<ToolWish> read_tool_wish(const Json& tool) {
  ToolWish wish;
  const auto label = TRY(read_text(tool, "server_label", max_label_bytes));
  if (!label || label->empty()) return invalid_value("tools.server_label", "is missing");
  wish.label = *label;
  if (given(tool, "connector_id"))
    return unsupported_value("tools.connector_id", "is a vendor's own: needs a server_label");
  wish.url = TRY(read_text(tool, "server_url", max_url_bytes)).value_or("");
  TRY(read_headers(tool, wish));
  if (const Json* allowed = given(tool, "allowed_tools"))
    wish.allowed = TRY(read_filter(*allowed, "tools.allowed_tools"));
  if (const Json* denied = given(tool, "denied_tools"))
    wish.denied = TRY(read_names(*denied, "tools.denied_tools"));
  if (const Json* approval = given(tool, "require_approval")) TRY(read_approval(*approval, wish));
  return wish;
}

}  // namespace hearth::server
