#include "library/aliases.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/files.h"
#include "base/utf8.h"
#include "library/latest_tag.h"
#include "library/reference.h"
#include "library/shared_file.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_aliases_bytes = 16u << 20;

std::string text_in(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value && value->is_string() ? value->as_string() : "";
}

Json part_of(const Json& object, std::string_view name, Json standard) {
  const Json* value = object.find(name);
  return value && value->is_array() == standard.is_array() &&
                 value->is_object() == standard.is_object()
             ? *value
             : std::move(standard);
}

std::vector<std::string> texts_in(const Json& list) {
  std::vector<std::string> texts;
  for (const Json& text : list.as_array())
    if (text.is_string()) texts.push_back(text.as_string());
  return texts;
}

Alias read_alias(const Json& json) {
  if (json.is_string()) return {.model = json.as_string()};
  if (!json.is_object()) return {};
  return {.model = text_in(json, "model"),
          .preset = {.fields = part_of(json, "request", Json::object()),
                     .system = text_in(json, "system"),
                     .messages = part_of(json, "messages", Json::array()),
                     .licence = text_in(json, "license"),
                     .adapters = texts_in(part_of(json, "adapters", Json::array()))}};
}

Json to_json(const Alias& alias) {
  const Preset& preset = alias.preset;
  if (preset.is_empty()) return alias.model;
  return Json::object(
      {{"model", alias.model},
       {"request", preset.fields},
       {"system", preset.system},
       {"messages", preset.messages},
       {"license", preset.licence},
       {"adapters", Json(Json::Array(preset.adapters.begin(), preset.adapters.end()))}});
}

Aliases aliases_of(const Json& json) {
  Aliases aliases;
  if (!json.is_object()) return aliases;
  for (const auto& [name, value] : json.as_object())
    if (Alias alias = read_alias(value); !alias.model.empty()) aliases[name] = std::move(alias);
  return aliases;
}

bool is_instruction(const Json& message) {
  const Json* role = message.is_object() ? message.find("role") : nullptr;
  return role && (*role == Json("system") || *role == Json("developer"));
}

}  // namespace

Aliases read_aliases(const LibraryFolders& folders) {
  if (folders.aliases.empty()) return {};
  const auto text = read_file(folders.aliases, max_aliases_bytes);
  const auto json = text ? parse_json(*text) : Result<Json>(Json());
  return json ? aliases_of(*json) : Aliases();
}

const Alias* find_alias(const Aliases& aliases, std::string_view name) {
  const auto found = aliases.find(without_latest(name));
  return found == aliases.end() ? nullptr : &found->second;
}

std::string adapter_folder(const LibraryFolders& folders, const std::string& key) {
  return join_path(join_path(folders.models, ".adapters"), key);
}

std::vector<std::string> unused_adapter_folders(const LibraryFolders& folders) {
  const Aliases aliases = read_aliases(folders);
  const auto is_used = [&](const std::string& folder) {
    return std::ranges::any_of(aliases, [&](const auto& named) {
      return std::ranges::any_of(named.second.preset.adapters, [&](const std::string& path) {
        return path == folder || path.starts_with(folder + "/");
      });
    });
  };
  std::vector<std::string> unused;
  for (const std::string& name : list_folder(adapter_folder(folders, "")).value_or({}))
    if (std::string folder = adapter_folder(folders, name); !is_used(folder))
      unused.push_back(std::move(folder));
  return unused;
}

Status set_alias(const LibraryFolders& folders, const std::string& name, const Alias& alias) {
  const auto parsed = parse_reference(name);
  if (!parsed || parsed->kind != Reference::Kind::name)
    return Error(ErrorKind::invalid,
                 fmt::format("'{}': needs a plain name such as my-model:latest", printable(name)));
  const std::string key(without_latest(name));
  return update_json_file(folders.aliases, max_aliases_bytes, [&](const Json& before) {
    Aliases aliases = aliases_of(before);
    if (alias.model.empty())
      aliases.erase(key);
    else
      aliases[key] = alias;
    Json json = Json::object();
    for (const auto& [own, meant] : aliases) json.set(own, to_json(meant));
    return json;
  });
}

Json with_preset_messages(const Preset& preset, Json messages) {
  Json all = Json::array();
  Json::Array& own = messages.as_array();
  std::size_t begin = 0;
  while (begin < own.size() && is_instruction(own[begin])) all.push_back(std::move(own[begin++]));
  if (begin == 0 && !preset.system.empty())
    all.push_back(Json::object({{"role", "system"}, {"content", preset.system}}));
  for (const Json& message : preset.messages.as_array()) all.push_back(message);
  for (std::size_t i = begin; i < own.size(); ++i) all.push_back(std::move(own[i]));
  return all;
}

Json with_preset(const Preset& preset, Json request) {
  if (!request.is_object()) return request;
  const auto has = [&](std::string_view name) {
    const Json* value = request.find(name);
    return value && !value->is_null();
  };
  for (const auto& [name, value] : preset.fields.as_object()) {
    const bool is_length = name == "max_tokens" && has("max_completion_tokens");
    if (!is_length && !has(name)) request.set(name, value);
  }
  if (const Json* messages = request.find("messages"); messages && messages->is_array())
    request.set("messages", with_preset_messages(preset, *messages));
  return request;
}

}  // namespace hearth
