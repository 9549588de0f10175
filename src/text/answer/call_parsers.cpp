#include "text/answer/call_parsers.h"

#include <algorithm>

namespace hearth {

bool ValueEnd::scan(std::string_view text, std::size_t& at) {
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string_) {
      if (is_escaped_) {
        is_escaped_ = false;
      } else if (c == '\\') {
        is_escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
        if (depth_ > 0) continue;
        ++at;
        return true;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      if (depth_ == 0) return true;  // of what holds a number or a word
      if (--depth_ > 0) continue;
      ++at;
      return true;
    } else if (depth_ == 0 && (c == ',' || is_blank(c))) {
      return true;
    }
  }
  return false;
}

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::size_t skip_blank(std::string_view text, std::size_t at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}

bool stands_at(std::string_view text, std::size_t at, std::string_view mark) {
  return !mark.empty() && text.substr(at).starts_with(mark);
}

bool may_stand_at(std::string_view text, std::size_t at, std::string_view mark) {
  return !mark.empty() && text.size() - at < mark.size() && mark.starts_with(text.substr(at));
}

std::size_t begun_mark(std::string_view text, std::string_view mark) {
  for (std::size_t n = std::min(text.size(), mark.size() - (mark.empty() ? 0 : 1)); n > 0; --n)
    if (mark.starts_with(text.substr(text.size() - n))) return n;
  return 0;
}

const Json* find_tool(const Json& tools, std::string_view name) {
  if (!tools.is_array()) return nullptr;
  for (const Json& tool : tools.as_array()) {
    const Json* function = tool.find("function");
    const Json* own = function ? function->find("name") : nullptr;
    if (own && *own == Json(name)) return function;
  }
  return nullptr;
}

std::unique_ptr<CallParser> make_parser(const CallForm& form, const Json& tools) {
  switch (form.syntax) {
    case CallSyntax::json:
    case CallSyntax::keyed_json:
    case CallSyntax::bare_json:
      return make_json_parser(form, tools);
    case CallSyntax::named_json:
      return make_named_parser(form);
    case CallSyntax::tagged:
      return make_tagged_parser(form, tools);
    case CallSyntax::python:
    case CallSyntax::braces:
      return make_whole_parser(form);
    case CallSyntax::harmony:
      break;
  }
  return nullptr;
}

}  // namespace hearth
