#include "library/store.h"

#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>

#include "base/bytes.h"
#include "base/files.h"
#include "base/json.h"
#include "base/store_files.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_manifest_bytes = 4u << 20;

// Source: Fowler, Noll, Vo, "FNV Hash", 64 bits, version 1a.
std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

constexpr std::string_view grave_prefix = ".removed-";

}  // namespace

std::uint64_t Manifest::bytes() const {
  std::uint64_t sum = 0;
  for (const StoredFile& file : files) sum += file.bytes;
  return sum;
}

Result<Manifest> read_manifest(const std::string& folder) {
  const std::string path = join_path(folder, manifest_file);
  const std::string text = TRY(read_file(path, max_manifest_bytes));
  const auto json = parse_json(text);
  if (!json) return Error(json.error()).within(path);
  Manifest manifest;
  manifest.reference = TRY(required<std::string>(*json, "reference"));
  manifest.name = TRY(optional<std::string>(*json, "name", ""));
  manifest.revision = TRY(optional<std::string>(*json, "revision", ""));
  manifest.main = TRY(required<std::string>(*json, "main"));
  manifest.pulled_seconds = TRY(optional<std::int64_t>(*json, "pulled_seconds", 0));
  const Json* files = json->find("files");
  if (!files || !files->is_array())
    return Error(ErrorKind::corrupt, fmt::format("{}: has no list 'files'", path));
  for (const Json& entry : files->as_array()) {
    StoredFile file;
    file.name = TRY(required<std::string>(entry, "name"));
    file.bytes = static_cast<std::uint64_t>(TRY(required<std::int64_t>(entry, "bytes")));
    file.sha256 = TRY(optional<std::string>(entry, "sha256", ""));
    manifest.files.push_back(std::move(file));
  }
  return manifest;
}

Status write_manifest(const std::string& folder, const Manifest& manifest) {
  Json files = Json::array();
  for (const StoredFile& file : manifest.files)
    files.push_back(
        Json::object({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}}));
  const std::string text = write_json(Json::object({{"reference", manifest.reference},
                                                    {"name", manifest.name},
                                                    {"revision", manifest.revision},
                                                    {"main", manifest.main},
                                                    {"pulled_seconds", manifest.pulled_seconds},
                                                    {"files", std::move(files)}}),
                                      {.indent = 2});
  return replace_file(join_path(folder, manifest_file), std::as_bytes(std::span(text)));
}

std::string store_name(std::string_view reference) {
  constexpr std::size_t max_name_bytes = 200;  // file systems allow 255
  std::string name;
  bool is_plain = !reference.contains("--") && reference.size() <= max_name_bytes;
  std::string text(reference.substr(0, max_name_bytes));
  if (const std::size_t scheme = text.find("://"); scheme != text.npos) text.erase(scheme + 1, 2);
  for (const char c : text) {
    const bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    const bool separates = c == '/' || c == ':';
    is_plain = is_plain && (is_word || separates);
    name += separates ? "--" : std::string(1, is_word ? c : '_');
  }
  // Two references never share a folder.
  return is_plain ? name : fmt::format("{}-{:016x}", name, fnv1a(reference));
}

std::string partial_folder(const std::string& store, std::string_view reference) {
  return join_path(join_path(store, ".partial"), store_name(reference));
}

std::vector<PartialDownload> partial_downloads(const std::string& store) {
  std::vector<PartialDownload> list;
  const std::string folder = join_path(store, ".partial");
  const auto names = list_folder(folder);
  if (!names) return list;
  for (const std::string& name : *names) {
    if (name.starts_with('.') || !is_folder(join_path(folder, name))) continue;
    PartialDownload partial{.name = name};
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator at(join_path(folder, name), error), end;
         !error && at != end; at.increment(error))
      if (at->is_regular_file(error)) partial.bytes += at->file_size(error);
    list.push_back(std::move(partial));
  }
  return list;
}

Status remove_from_store(const std::string& store, const std::string& folder) {
  const std::string partials = join_path(store, ".partial");
  TRY(make_folders(partials));
  // Those of processes that were killed on the way.
  for (const std::string& name : list_folder(partials).value_or({}))
    if (name.starts_with(grave_prefix)) TRY(remove_all(join_path(partials, name)));
  const std::string grave = join_path(partials, fmt::format("{}{}", grave_prefix, ::getpid()));
  TRY(move_path(folder, grave));
  return remove_all(grave);
}

}  // namespace hearth
