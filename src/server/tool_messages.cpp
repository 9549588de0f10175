#include "server/tool_messages.h"

#include <algorithm>
#include <map>

#include "http/secrets.h"
#include "text/chat_format.h"

namespace hearth::server {
namespace {

constexpr std::size_t short_id_bytes = 9, id_bytes = 24;
constexpr std::string_view letters =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

bool is_short_id(std::string_view id) {
  return id.size() == short_id_bytes &&
         std::ranges::all_of(id, [](char c) { return letters.find(c) != std::string_view::npos; });
}

// The same id becomes the same short one in every request.
std::string shortened(const std::string& id) {
  if (is_short_id(id)) return id;
  std::string text;
  for (const auto byte : http::sha256(id)) text += letters[byte % letters.size()];
  return text.substr(0, short_id_bytes);
}

}  // namespace

bool knows_tools(const Model& model) {
  return model.chat_format() && model.chat_format()->traits().tools;
}

Json fit_calls(Json messages, bool has_short_ids) {
  std::map<std::string, std::string> names;  // of calls, by id
  for (Json& message : messages.as_array()) {
    if (Json* calls = message.find("tool_calls")) {
      for (Json& call : calls->as_array()) {
        const Json* id = call.find("id");
        if (!id || !id->is_string()) continue;
        names[id->as_string()] = call.find("function")->find("name")->as_string();
        if (has_short_ids) call.set("id", shortened(std::string(id->as_string())));
      }
    }
    const Json* id = message.find("tool_call_id");
    if (!id) continue;
    const std::string own = id->as_string();
    const auto name = names.find(own);
    if (name != names.end() && !message.find("name")) message.set("name", name->second);
    if (has_short_ids) message.set("tool_call_id", shortened(own));
  }
  return messages;
}

std::string new_call_id(std::string_view prefix, bool is_short) {
  if (is_short) return http::random_letters(short_id_bytes);
  return std::string(prefix) + http::random_letters(id_bytes);
}

}  // namespace hearth::server
