// POST /api/models/upload: a model comes in parts, each within the limit of a request's body.
#include <fmt/core.h>

#include <charconv>

#include "base/store_files.h"
#include "library/import.h"
#include "server/fields.h"
#include "server/manage/manage.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

constexpr std::uint64_t max_model_bytes = 1ull << 42;

Checked<std::uint64_t> read_count(const Call& call, std::string_view name, bool may_be_absent) {
  const auto text = query_value(call.request, name);
  if (!text && may_be_absent) return std::uint64_t{0};
  std::uint64_t value = 0;
  const auto* end = text ? text->data() + text->size() : nullptr;
  if (!text || std::from_chars(text->data(), end, value).ptr != end || value > max_model_bytes)
    return invalid_value(name, "needs a number of bytes");
  return value;
}

// ?name=my-model&offset=0&total=12345&file=model.gguf; the model is there with its last part.
Checked<Json> upload(Service& service, const Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const std::string name = query_value(call.request, "name").value_or("");
  TRY(check_model_name(name));
  const std::uint64_t offset = TRY(read_count(call, "offset", true));
  const std::uint64_t total = TRY(read_count(call, "total", true));
  const std::string file = query_value(call.request, "file").value_or("model.gguf");
  if (!is_safe_path(file) || file.contains('/') || file.size() > 255)
    return invalid_value("file", "needs the name of a file, without folders");
  const LibraryFolders& folders = library->installed.folders();
  const std::string folder = join_path(join_path(folders.models, ".uploads"), store_name(name));
  const std::string path = join_path(folder, file);
  TRY(make_folders(folder));
  const auto lock = TRY(FileLock::try_take(folder + ".lock"));
  if (!lock) return Problem{409, "busy", "this model is being uploaded now", "name", 0};
  const auto before = file_identity(path);
  std::uint64_t held = before ? before->bytes : 0;
  if (offset > 0 && offset != held)
    return Problem{409, "wrong_offset", fmt::format("the next part begins at {}", held), "offset",
                   0};
  {
    auto part = TRY(GrowingFile::open(path));
    if (offset == 0) TRY(part.truncate(0));
    if (free_disk_bytes(folder) < call.request.body.size() * 2 + (256u << 20))
      return Error(ErrorKind::exhausted, "the disk is full");
    TRY(part.append(std::as_bytes(std::span(call.request.body))));
    TRY(part.sync());
    held = part.size();
  }
  if (total > 0 && held < total)
    return Json::object({{"name", name}, {"bytes", held}, {"total_bytes", total}, {"done", false}});
  const Workers::Aside aside;  // it copies and checks gigabytes
  ImportOptions options;
  options.name = name;
  options.is_replacing = query_value(call.request, "replace") == "true";
  options.stop = call.responder->stop();
  auto manifest = import_model(path, folders, options);
  (void)remove_all(folder).ok();
  if (!manifest) {
    // What the client sent is the client's to know.
    const Error& error = manifest.error();
    if (error.kind() != ErrorKind::corrupt && error.kind() != ErrorKind::unsupported) return error;
    std::string text = error.message();
    if (const std::size_t at = text.find(path); at != text.npos)
      text.replace(at, path.size(), file);
    return Problem{400, "not_a_model", text, "", 0};
  }
  library->installed.note_change();
  (void)library->lifecycles.apply(name, ModelEvent::find_here).ok();
  return Json::object({{"name", name},
                       {"bytes", manifest->bytes()},
                       {"total_bytes", held},
                       {"sha256", manifest->files.front().sha256},
                       {"done", true}});
}

constexpr Endpoint rows[] = {
    {"POST", "/api/models/upload",
     "Send a model in parts: ?name=, offset=, total=, file=; the body is the part.", Scope::manage,
     "", "UploadAnswer", Endpoint::Place::worker, reply_json<upload>},
};

}  // namespace

std::span<const Endpoint> upload_rows() { return rows; }

}  // namespace hearth::server
