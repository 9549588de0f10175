#include "library/engine_speeds.h"

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/files.h"
#include "base/json.h"
#include "base/store_files.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_file_bytes = 1u << 20;
constexpr std::size_t most_models = 1000;

std::string file_of(const LibraryFolders& folders) {
  return join_path(folders.cache, "engine_speeds.json");
}

// Another key for another content.
std::string key_of(const std::string& path) {
  const auto identity = file_identity(path);
  if (!identity) return path;
  return fmt::format("{} {} {}", path, identity->bytes, identity->modified_ns);
}

Json read_all(const LibraryFolders& folders) {
  const auto text = read_file(file_of(folders), max_file_bytes);
  auto json = text ? parse_json(*text) : Result<Json>(Json::object());
  return json && json->is_object() ? *std::move(json) : Json::object();
}

}  // namespace

EngineSpeeds load_engine_speeds(const LibraryFolders& folders, const std::string& path) {
  EngineSpeeds speeds;
  const Json all = read_all(folders);
  const Json* mine = all.find(key_of(path));
  if (mine == nullptr || !mine->is_object()) return speeds;
  for (const auto& [engine, speed] : mine->as_object())
    if (speed.is_number() && speed.as_number() > 0) speeds.emplace(engine, speed.as_number());
  return speeds;
}

Status save_engine_speed(const LibraryFolders& folders, const std::string& path,
                         const std::string& engine, double tokens_per_second) {
  Json all = read_all(folders);
  if (all.size() > most_models) all = Json::object();
  const std::string key = key_of(path);
  if (const Json* mine = all.find(key); mine == nullptr || !mine->is_object())
    all.set(key, Json::object());
  all.find(key)->set(engine, tokens_per_second);
  return replace_file(file_of(folders), bytes_of(write_json(all, {.indent = 1})));
}

}  // namespace hearth
