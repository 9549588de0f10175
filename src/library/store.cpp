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
  if (const std::size_t scheme = reference.find("://"); scheme != reference.npos)
    return "url--" + store_name(reference.substr(scheme + 3));
  std::string name;
  for (const char c : reference) {
    if (c == '/' || c == ':' || c == '@') {
      name += "--";
      continue;
    }
    const bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    name += is_word ? c : '_';
  }
  constexpr std::size_t max_name_bytes = 200;  // file systems allow 255
  if (name.size() > max_name_bytes) name.resize(max_name_bytes);
  return name;
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
    if (!is_folder(join_path(folder, name))) continue;
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
  const std::string grave =
      join_path(join_path(store, ".partial"), fmt::format(".removed-{}", ::getpid()));
  TRY(remove_all(grave));
  TRY(make_folders(parent_folder(grave)));
  TRY(move_path(folder, grave));
  return remove_all(grave);
}

}  // namespace hearth
