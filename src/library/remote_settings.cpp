#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/files.h"
#include "base/json.h"
#include "base/utf8.h"
#include "library/remote.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_file_bytes = 1u << 20;
constexpr std::size_t max_name_bytes = 64, max_url_bytes = 2048;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

// "" where a name or password stands before it: who reads only the beginning takes that for a host.
std::string host_of(std::string_view url) {
  const std::size_t start = url.find("://");
  if (start == url.npos) return "";
  url.remove_prefix(start + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (url.contains('@')) return "";
  if (url.starts_with('[')) return std::string(url.substr(0, url.find(']') + 1));
  return std::string(url.substr(0, url.find(':')));
}

std::string text_of_member(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

}  // namespace

bool RemoteSettings::is_on_this_machine() const {
  const std::string host = host_of(url);
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

std::string remotes_file(const LibraryFolders& folders) {
  return join_path(parent_folder(folders.catalog), "remotes.json");
}

Status check_remote(const RemoteSettings& remote) {
  if (remote.name.empty() || remote.name.size() > max_name_bytes || remote.name[0] == '-' ||
      !std::ranges::all_of(remote.name, is_word))
    return Error(ErrorKind::invalid,
                 fmt::format("'{}': a remote's name is of letters, digits, '-', '_' and '.'",
                             printable(remote.name)));
  const bool is_web = remote.url.starts_with("http://") || remote.url.starts_with("https://");
  const bool is_clean = std::ranges::none_of(
      remote.url, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '"'; });
  if (!is_web || !is_clean || remote.url.size() > max_url_bytes || host_of(remote.url).empty())
    return Error(ErrorKind::invalid,
                 fmt::format("'{}': needs an address such as http://127.0.0.1:11434/v1",
                             printable(remote.url)));
  if (remote.url.starts_with("http://") && !remote.key_env.empty() && !remote.is_on_this_machine())
    return Error(ErrorKind::invalid,
                 fmt::format("{}: a key is sent over https alone, or to this machine", remote.url));
  return Done{};
}

Result<std::vector<RemoteSettings>> read_remotes(const LibraryFolders& folders) {
  std::vector<RemoteSettings> remotes;
  const std::string path = remotes_file(folders);
  if (!is_file(path)) return remotes;
  const std::string text = TRY(read_file(path, max_file_bytes));
  auto json = parse_json(text);
  if (!json) return Error(ErrorKind::corrupt, json.error().message()).within(path);
  if (!json->is_object()) return Error(ErrorKind::corrupt, "needs an object").within(path);
  for (const auto& [name, entry] : json->as_object()) {
    RemoteSettings remote{.name = name,
                          .url = text_of_member(entry, "url"),
                          .model = text_of_member(entry, "model"),
                          .key_env = text_of_member(entry, "key_env")};
    const Json* embeds = entry.find("embeds");
    remote.embeds = embeds != nullptr && embeds->is_bool() && embeds->as_bool();
    while (remote.url.ends_with('/')) remote.url.pop_back();
    if (auto status = check_remote(remote); !status.ok())
      return Error(ErrorKind::corrupt, status.error().message()).within(path);
    remotes.push_back(std::move(remote));
  }
  return remotes;
}

Status write_remotes(const LibraryFolders& folders, const std::vector<RemoteSettings>& remotes) {
  Json all = Json::object();
  for (const RemoteSettings& remote : remotes) {
    Json entry = Json::object({{"url", remote.url}, {"model", remote.model}});
    if (!remote.key_env.empty()) entry.set("key_env", remote.key_env);
    if (remote.embeds) entry.set("embeds", true);
    all.set(remote.name, std::move(entry));
  }
  return replace_file(remotes_file(folders), bytes_of(write_json(all, {.indent = 2}) + "\n"));
}

Result<RemoteSettings> find_remote(const LibraryFolders& folders, const std::string& name) {
  const auto remotes = TRY(read_remotes(folders));
  const auto found = std::ranges::find(remotes, name, &RemoteSettings::name);
  if (found != remotes.end()) return *found;
  return Error(ErrorKind::not_found,
               fmt::format("remote:{}: no such server is known; `hearth remote add {} URL` adds "
                           "one, and what is asked of it then leaves this program",
                           printable(name), printable(name)));
}

}  // namespace hearth
