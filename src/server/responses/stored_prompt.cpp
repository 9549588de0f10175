// Source: OpenAI API reference, "Create a model response", prompt.
#include "server/responses/stored_prompt.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/ascii.h"
#include "base/files.h"
#include "base/user_folders.h"
#include "base/utf8.h"
#include "server/fields.h"

namespace hearth::server::responses {
namespace {

constexpr std::size_t max_name_bytes = 64, max_prompt_bytes = 1u << 20;

// It becomes part of a file's name.
bool is_plain(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= max_name_bytes && name[0] != '.' &&
         std::ranges::all_of(name, is_allowed);
}

Checked<std::string> read_file_of(const Json& prompt, const std::string& folder) {
  const std::string_view id = text_of(prompt, "id");
  if (!is_plain(id)) return invalid_value("prompt.id", "needs letters, digits, '_', '-' and '.'");
  std::string name(id);
  if (given(prompt, "version")) {
    const std::string_view version = text_of(prompt, "version");
    if (!is_plain(version))
      return invalid_value("prompt.version", "needs letters, digits, '_', '-' and '.'");
    name += fmt::format("@{}", version);
  }
  const std::string path = join_path(folder, name + ".md");
  if (!is_file(path))
    return Problem{404, "prompt_not_found",
                   fmt::format("There is no prompt '{}': a file {} would be one", name, path),
                   "prompt", 0};
  std::string text = TRY(read_file(path, max_prompt_bytes));
  if (!is_utf8(text)) return invalid_value("prompt", fmt::format("'{}' is no UTF-8", name));
  return text;
}

// A text, or a part {"type": "input_text", "text"}.
Checked<std::string> read_variable(const std::string& name, const Json& value) {
  if (value.is_string()) return value.as_string();
  const Json* text = text_of(value, "type") == "input_text" ? given(value, "text") : nullptr;
  if (text && text->is_string()) return text->as_string();
  return unsupported_value(
      "prompt.variables",
      fmt::format("'{}' is no text: pictures and files go into input", printable(name)));
}

Checked<std::string> fill_in(std::string_view text, const Json& variables) {
  std::string filled;
  std::set<std::string, std::less<>> used;
  for (;;) {
    const std::size_t open = text.find("{{"), close = text.find("}}", open);
    if (open == text.npos || close == text.npos) break;
    const std::string name(trimmed(text.substr(open + 2, close - open - 2)));
    const Json* value = variables.find(name);
    if (!value)
      return invalid_value("prompt.variables", fmt::format("lacks '{}'", printable(name)));
    filled += text.substr(0, open);
    filled += TRY(read_variable(name, *value));
    used.insert(name);
    text.remove_prefix(close + 2);
  }
  for (const auto& [name, value] : variables.as_object())
    if (!used.contains(name))
      return invalid_value("prompt.variables",
                           fmt::format("has '{}', which the prompt does not", printable(name)));
  return filled + std::string(text);
}

}  // namespace

std::string prompts_folder() { return in_user_folder(UserFolder::config, "hearth/prompts"); }

Checked<std::string> stored_prompt(const Json& body, const std::string& folder) {
  const Json* prompt = given(body, "prompt");
  if (!prompt) return std::string();
  if (!prompt->is_object()) return invalid_value("prompt", "needs an object with an id");
  const Json* variables = given(*prompt, "variables");
  if (variables && !variables->is_object())
    return invalid_value("prompt.variables", "needs an object");
  const std::string text = TRY(read_file_of(*prompt, folder));
  return fill_in(text, variables ? *variables : Json::object());
}

}  // namespace hearth::server::responses
