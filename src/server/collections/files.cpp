// /v1/files: upload, list, read and delete.  Source: OpenAI API reference, "Files".
#include "server/collections/files.h"

#include <fmt/core.h>

#include <charconv>
#include <random>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/store_files.h"
#include "base/utf8.h"
#include "server/collections/multipart.h"
#include "server/collections/pool.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

constexpr std::string_view prefix = "file-", description_end = ".json";
constexpr std::uint64_t max_description_bytes = 64 << 10;
constexpr std::uint64_t max_file_bytes = 512ull << 20;
constexpr std::size_t max_name_bytes = 255;

// Beside the collections' folder.
Checked<std::string> folder_of(Service& service) {
  const CollectionPool* pool = TRY(pool_of(service));
  return pool->root() + "-files";
}

bool is_id(std::string_view id) {
  return id.starts_with(prefix) && id.size() > prefix.size() && id.size() < 64 &&
         std::all_of(
             id.begin() + prefix.size(), id.end(),
             [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

Problem no_such_file(std::string_view id) {
  return {404, "not_found", fmt::format("No such File object: {}", printable(id)), "id", 0};
}

// As it is kept: with its owner.
Json kept(const StoredFile& file);

Json describe(const StoredFile& file) {
  return Json::object({{"id", file.id},
                       {"object", "file"},
                       {"bytes", file.bytes},
                       {"created_at", file.created},
                       {"filename", file.name},
                       {"purpose", file.purpose},
                       {"status", "processed"}});
}

Json kept(const StoredFile& file) {
  Json json = describe(file);
  if (!file.owner.empty()) json.set("owner", file.owner);
  return json;
}

Check write_description(const std::string& folder, const StoredFile& file) {
  TRY(replace_file(join_path(folder, file.id + std::string(description_end)),
                   bytes_of(write_json(kept(file)))));
  return Done{};
}

Checked<Json> upload(Service& service, const Call& call) {
  const std::string folder = TRY(folder_of(service));
  const std::string* type = call.request.header("content-type");
  StoredFile file;
  std::optional<std::string_view> content;
  for (const FormPart& part : TRY(parse_form(type ? *type : "", call.request.body))) {
    if (part.name == "purpose") file.purpose = part.content.substr(0, max_name_bytes);
    if (part.name != "file") continue;
    content = part.content;
    file.name = repair_utf8(part.file_name).substr(0, max_name_bytes);
  }
  if (!content) return invalid_value("file", "is missing");
  if (file.purpose.empty()) return invalid_value("purpose", "is missing");
  if (!is_utf8(file.purpose) || !is_utf8(file.name))
    return invalid_value("file", "has no good name");
  if (file.name.empty()) file.name = "file";
  file.id = fresh_id(prefix);
  file.bytes = static_cast<std::int64_t>(content->size());
  file.created = unix_seconds();
  file.owner = call.tenant;
  // The description last: what has none is no file yet.
  TRY(replace_file(join_path(folder, file.id), bytes_of(*content)));
  TRY(write_description(folder, file));
  return describe(file);
}

Checked<std::vector<StoredFile>> all_files(Service& service, std::string_view tenant) {
  const std::string folder = TRY(folder_of(service));
  std::vector<StoredFile> files;
  for (const std::string& name : list_folder(folder).value_or({})) {
    if (!name.ends_with(description_end)) continue;
    auto file = find_file(service, name.substr(0, name.size() - description_end.size()), tenant);
    if (file.ok()) files.push_back(std::move(file).value());
  }
  std::sort(files.begin(), files.end(), [](const StoredFile& a, const StoredFile& b) {
    return a.created != b.created ? a.created < b.created : a.id < b.id;
  });
  return files;
}

Checked<Json> list(Service& service, const Call& call) {
  std::vector<Json> items;
  std::string purpose;
  for (const auto& [name, value] : call.request.query)
    if (name == "purpose") purpose = value;
  for (const StoredFile& file : TRY(all_files(service, call.tenant)))
    if (purpose.empty() || file.purpose == purpose) items.push_back(describe(file));
  return list_page(call, std::move(items));
}

Checked<Json> show(Service& service, const Call& call) {
  return describe(TRY(find_file(service, call.parts.at(0), call.tenant)));
}

Checked<Json> remove(Service& service, const Call& call) {
  const StoredFile file = TRY(find_file(service, call.parts.at(0), call.tenant));
  const std::string folder = TRY(folder_of(service));
  const std::string path = join_path(folder, file.id);
  const auto files = system_files();
  TRY(files->remove(path + std::string(description_end)));
  TRY(files->remove(path));
  return Json::object({{"id", file.id}, {"object", "file"}, {"deleted", true}});
}

void content(Service& service, Call call) {
  auto file = find_file(service, call.parts.at(0), call.tenant);
  if (!file.ok()) return send(service, call, std::move(file).error());
  auto text = read_stored_file(service, file.value());
  if (!text.ok()) return send(service, call, std::move(text).error());
  send(
      service, call,
      http::Response{200, {{"Content-Type", "application/octet-stream"}}, std::move(text).value()});
}

constexpr auto on_worker = Endpoint::Place::embedder;

constexpr Endpoint rows[] = {
    {"POST", "/v1/files", "Upload a file (multipart/form-data: file, purpose).", Scope::files, "",
     "File", on_worker, reply_json<upload>},
    {"GET", "/v1/files", "List the uploaded files.", Scope::files, "", "FileList", on_worker,
     reply_json<list>},
    {"GET", "/v1/files/{file_id}", "What an uploaded file is.", Scope::files, "", "File", on_worker,
     reply_json<show>},
    {"DELETE", "/v1/files/{file_id}", "Delete an uploaded file.", Scope::files, "", "Deleted",
     on_worker, reply_json<remove>},
    {"GET", "/v1/files/{file_id}/content", "The file itself.", Scope::files, "", "", on_worker,
     content},
};

}  // namespace

Checked<StoredFile> find_file(Service& service, std::string_view id, std::string_view tenant) {
  const std::string folder = TRY(folder_of(service));
  if (!is_id(id)) return no_such_file(id);
  const std::string path = join_path(folder, std::string(id) + std::string(description_end));
  const auto text = read_file(path, max_description_bytes);
  if (!text.ok()) return no_such_file(id);
  const Json json = TRY(parse_json(*text));
  StoredFile file;
  file.id = id;
  file.name = TRY(required<std::string>(json, "filename"));
  file.purpose = TRY(required<std::string>(json, "purpose"));
  file.bytes = TRY(required<std::int64_t>(json, "bytes"));
  file.created = TRY(required<std::int64_t>(json, "created_at"));
  file.owner = TRY(optional<std::string>(json, "owner", ""));
  if (!file.owner.empty() && file.owner != tenant) return no_such_file(id);
  return file;
}

Checked<StoredFile> keep_file(Service& service, const std::string& path, StoredFile file) {
  const std::string folder = TRY(folder_of(service));
  const auto files = system_files();
  file.id = fresh_id(prefix);
  const auto identity = file_identity(path);
  if (!identity) return Error(ErrorKind::not_found, fmt::format("{}: is gone", path));
  file.bytes = static_cast<std::int64_t>(identity->bytes);
  file.created = unix_seconds();
  TRY(files->make_folder(folder));
  TRY(files->link(path, join_path(folder, file.id)));
  TRY(write_description(folder, file));
  return file;
}

Checked<std::string> read_stored_file(Service& service, const StoredFile& file) {
  const std::string folder = TRY(folder_of(service));
  return TRY(read_file(join_path(folder, file.id), max_file_bytes));
}

std::string fresh_id(std::string_view start) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::string id(start);
  for (int i = 0; i < 24; ++i) id += letters[random() % letters.size()];
  return id;
}

Checked<Json> list_page(const Call& call, std::vector<Json> items) {
  std::size_t limit = 20;
  bool is_ascending = false;
  std::string after;
  for (const auto& [name, value] : call.request.query) {
    if (name == "limit") {
      const char* end = value.data() + value.size();
      const auto parsed = std::from_chars(value.data(), end, limit);
      if (parsed.ec != std::errc() || parsed.ptr != end || limit < 1 || limit > 10'000)
        return invalid_value("limit", "needs a whole number from 1 to 10000");
    }
    if (name == "order") is_ascending = value == "asc";
    if (name == "after") after = value;
  }
  if (!is_ascending) std::reverse(items.begin(), items.end());
  auto first = items.begin();
  if (!after.empty()) {
    first = std::find_if(items.begin(), items.end(),
                         [&](const Json& item) { return *item.find("id") == Json(after); });
    if (first != items.end()) ++first;
  }
  Json data = Json::array();
  for (; first != items.end() && data.size() < limit; ++first) data.push_back(std::move(*first));
  const Json first_id = data.size() > 0 ? *data.as_array().front().find("id") : Json();
  const Json last_id = data.size() > 0 ? *data.as_array().back().find("id") : Json();
  return Json::object({{"object", "list"},
                       {"data", std::move(data)},
                       {"first_id", first_id},
                       {"last_id", last_id},
                       {"has_more", first != items.end()}});
}

std::span<const Endpoint> file_rows() { return rows; }

}  // namespace hearth::server
