// POST /api/pull, /api/copy, /api/create, DELETE /api/delete and /api/blobs: what changes the set
// of models.  Source: Ollama, docs/api.md.
#include <fmt/core.h>

#include <algorithm>
#include <thread>

#include "base/store_files.h"
#include "base/utf8.h"
#include "formats/lora.h"
#include "http/secrets.h"
#include "library/fitting.h"
#include "library/import.h"
#include "library/latest_tag.h"
#include "library/modelfile.h"
#include "server/fields.h"
#include "server/manage/manage.h"
#include "server/ollama/ollama.h"
#include "server/ollama/quantised.h"
#include "server/preset.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

using namespace ollama;

Json status_line(std::string_view status) { return Json::object({{"status", status}}); }

// The lines of one moment of a download.
std::vector<Json> lines_of(const Download& download) {
  switch (download.state) {
    case Download::State::queued:
      return {status_line("pulling manifest")};
    case Download::State::running: {
      if (!download.remark.empty()) return {status_line(download.remark)};
      Json line = status_line(fmt::format("pulling {}", download.name));
      line.set("digest", fmt::format("hearth:{}", download.reference));
      line.set("total", download.progress.total);
      line.set("completed", std::min(download.progress.bytes, download.progress.total));
      return {std::move(line)};
    }
    case Download::State::paused:
      return {status_line("paused")};
    case Download::State::done:
      return {status_line("verifying sha256 digest"), status_line("writing manifest"),
              status_line("success")};
    case Download::State::failed:
      return {Json::object({{"error", download.error->message()}})};
    case Download::State::cancelled:
      return {Json::object({{"error", "cancelled"}})};
  }
  return {};
}

// A plain name means Ollama's library where the catalog has no such model.
Result<Download> add_download(LiveLibrary& library, const std::string& name,
                              const DownloadQueue::Wish& wish) {
  auto added = library.downloads->add(name, wish);
  if (added || added.error().kind() != ErrorKind::not_found) return added;
  return library.downloads->add("ollama:" + name, wish);
}

// Until it is over, or the client leaves.
Checked<Json> wait_for(Service& service, const Call& call, int id) {
  const Workers::Aside aside;
  for (;;) {
    const auto download = service.library->downloads->find(id);
    if (!download) return Problem{500, "internal_error", "the download is gone", "", 0};
    if (download->state == Download::State::failed) return to_problem(*download->error);
    if (download->is_over()) return status_line("success");
    if (call.responder->stop().stop_requested())
      return Error(ErrorKind::cancelled, "the client left");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

Check pull(Service& service, Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const Json body = TRY(parse_body(call.request.body));
  const std::string name = TRY(read_model_name(body));
  const bool stream = TRY(read_bool(body, "stream")).value_or(true);
  const Download download = TRY(
      add_download(*library, name, {.any_size = true, .only_public = !call.request.is_loopback}));
  if (stream) {
    follow_download(service, std::move(call), download, EventForm::lines, true, lines_of);
    return Done{};
  }
  const Json done = TRY(wait_for(service, call, download.id));
  send(service, call, http::json_response(write_json(done)));
  return Done{};
}

// Done without a word.
Check reply_nothing(Service& service, Call& call, int status = 200) {
  send(service, call, http::Response{status, {}, ""});
  return Done{};
}

Check remove(Service& service, Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const Json body = TRY(parse_body(call.request.body));
  const std::string name = TRY(read_model_name(body));
  const LibraryFolders& folders = library->installed.folders();
  const std::string plain(without_latest(name));
  const Aliases aliases = read_aliases(folders);
  if (const Alias* alias = find_alias(aliases, plain)) {
    TRY(set_alias(folders, plain, {}));
    service.pool->forget_name(name);
    service.pool->forget_name(plain);
    if (alias->model != plain) return reply_nothing(service, call);
  }
  const Status removed = library->remove(name);
  if (!removed.ok()) return model_problem(name, removed.error());
  return reply_nothing(service, call);
}

// Another name for what is here, with what it says for requests: no file is copied.
Status copy_name(Service& service, const std::string& source, const std::string& target,
                 Preset preset) {
  InstalledModels& installed = service.library->installed;
  const LocalModel model = TRY(installed.find(service.meant_by(source)));
  if (const auto list = installed.list();
      std::ranges::any_of(*list, [&](const LocalModel& own) { return own.name == target; }))
    return Error(ErrorKind::invalid, fmt::format("'{}' is a model of its own", target));
  TRY(set_alias(installed.folders(), target, {model.name, std::move(preset)}));
  service.pool->forget_name(target);
  return Done{};
}

Check copy(Service& service, Call& call) {
  TRY(library_of(service));
  const Json body = TRY(parse_body(call.request.body));
  const auto source = TRY(read_text(body, "source", 1024));
  const auto target = TRY(read_text(body, "destination", 256));
  if (!source || !target) return invalid_value("destination", "needs a source and a destination");
  const Status copied =
      copy_name(service, *source, *target, service.library->installed.preset(*source));
  if (!copied.ok()) return model_problem(*source, copied.error());
  return reply_nothing(service, call);
}

// ---- Blobs: files sent before the model that is made of them ----

Checked<std::string> blob_path(const LiveLibrary& library, std::string_view digest) {
  const bool is_digest = digest.size() == 71 && digest.starts_with("sha256:") &&
                         std::ranges::all_of(digest.substr(7), [](char c) {
                           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                         });
  if (!is_digest) return invalid_value("digest", "needs sha256: and 64 hex digits");
  return join_path(join_path(library.installed.folders().models, ".uploads"),
                   "sha256-" + std::string(digest.substr(7)));
}

Check find_blob(Service& service, Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const std::string path = TRY(blob_path(*library, call.rest));
  return reply_nothing(service, call, is_file(path) ? 200 : 404);
}

Check put_blob(Service& service, Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const std::string path = TRY(blob_path(*library, call.rest));
  if (call.rest.substr(7) != http::hex_text(http::sha256(call.request.body)))
    return invalid_value("digest", "is not that of the body");
  TRY(make_folders(parent_folder(path)));
  TRY(replace_file(path, std::as_bytes(std::span(call.request.body))));
  return reply_nothing(service, call, 201);
}

// {"model.gguf": "sha256:..."}: the one file that the model is made of.
Status import_blob(Service& service, const std::string& name, const std::string& file,
                   const std::string& blob, std::stop_token stop) {
  LiveLibrary& library = *service.library;
  if (!is_safe_path(file) || file.contains('/'))
    return Error(ErrorKind::invalid, fmt::format("'{}': no name of a file", printable(file)));
  const std::string folder = blob + ".model";
  TRY(make_folders(folder));
  const std::string path = join_path(folder, file);
  TRY(move_path(blob, path));
  ImportOptions options;
  options.name = without_latest(name);
  options.is_replacing = true;
  options.stop = std::move(stop);
  auto made = import_model(path, library.installed.folders(), options);
  (void)remove_all(folder).ok();
  if (!made) return std::move(made).error();
  library.installed.note_change();
  (void)service.pool->unload(options.name).ok();
  return Done{};
}

const Json* wished(const Json& body, std::string_view field) {
  const Json* value = body.find(field);
  if (!value || value->is_null()) return nullptr;
  const bool says = value->is_string()
                        ? !value->as_string().empty()
                        : !(value->is_array() || value->is_object()) || value->size() > 0;
  return says ? value : nullptr;
}

Check refuse_unsupported(const Json& body) {
  if (wished(body, "template"))
    return unsupported_value("template", "the model's own template is used");
  return Done{};
}

// "license" is a text or a list of them.
Checked<std::string> read_licence(const Json& body) {
  const Json* licence = wished(body, "license");
  if (!licence) return std::string();
  const Json list = licence->is_array() ? *licence : Json(Json::Array{*licence});
  std::string text;
  for (const Json& part : list.as_array()) {
    if (!part.is_string()) return invalid_value("license", "needs a text, or a list of texts");
    text += (text.empty() ? "" : "\n") + part.as_string();
  }
  return text;
}

// {"adapter_model.safetensors": "sha256:...", "adapter_config.json": "sha256:..."}, or GGUF files,
// each an adapter.  They come to lie in a folder of their own in the store; `hearth gc` removes it
// when no name needs it any more.
Checked<std::vector<std::string>> keep_adapters(const LiveLibrary& library, const Json& files) {
  if (!files.is_object()) return invalid_value("adapters", "needs an object of names and digests");
  std::vector<std::pair<std::string, std::string>> blobs;  // file, blob
  for (const auto& [file, digest] : files.as_object()) {
    if (!is_safe_path(file) || file.contains('/'))
      return invalid_value("adapters", fmt::format("'{}': no name of a file", printable(file)));
    if (!digest.is_string()) return invalid_value("adapters", "needs digests");
    blobs.emplace_back(file, TRY(blob_path(library, digest.as_string())));
  }
  const std::string folder =
      adapter_folder(library.installed.folders(), http::hex_text(http::sha256(write_json(files))));
  if (!is_folder(folder)) {
    for (const auto& [file, blob] : blobs)
      if (!is_file(blob)) return Problem{404, "not_found", "there is no such blob", "adapters", 0};
    TRY(make_folders(folder));
    for (const auto& [file, blob] : blobs) TRY(move_path(blob, join_path(folder, file)));
  }
  std::vector<std::string> paths;
  for (const auto& [file, blob] : blobs)
    if (file.ends_with(".gguf")) paths.push_back(join_path(folder, file));
  if (paths.empty()) paths.push_back(folder);
  for (const std::string& path : paths)
    if (const auto adapter = open_lora(path); !adapter) {
      (void)remove_all(folder).ok();
      return invalid_value("adapters", adapter.error().message());
    }
  return paths;
}

// What requests by this name do not have to say.
Checked<Modelfile> read_wish(const LiveLibrary& library, const Json& body) {
  Modelfile wish;
  wish.system = TRY(read_text(body, "system", max_text_bytes)).value_or("");
  if (const Json* messages = wished(body, "messages")) wish.messages = *messages;
  if (const Json* parameters = wished(body, "parameters")) wish.parameters = *parameters;
  wish.licence = TRY(read_licence(body));
  if (const Json* adapters = wished(body, "adapters"))
    wish.adapters = TRY(keep_adapters(library, *adapters));
  return wish;
}

// What a request to create a model asks for.
struct Creation {
  std::string name, from, file, blob, recipe;  // empty: not said
  Preset preset;
};

Checked<Creation> read_creation(Service& service, const LiveLibrary& library, const Json& body) {
  Creation wish;
  wish.name = TRY(read_model_name(body));
  TRY(refuse_unsupported(body));
  wish.from = TRY(read_text(body, "from", 1024)).value_or("");
  wish.recipe = TRY(read_text(body, "quantize", 64)).value_or("");
  if (!wish.recipe.empty()) TRY(check_recipe(wish.recipe));
  const Modelfile said = TRY(read_wish(library, body));
  wish.preset = TRY(
      preset_of(said, wish.from.empty() ? Preset() : service.library->installed.preset(wish.from)));
  if (!wish.from.empty()) return wish;
  const Json* files = body.find("files");
  if (!files || !files->is_object() || files->size() != 1)
    return invalid_value("from", "needs \"from\", or \"files\" with one file");
  const auto& [file, digest] = files->as_object().front();
  if (!digest.is_string()) return invalid_value("files", "needs digests");
  wish.file = file;
  wish.blob = TRY(blob_path(library, digest.as_string()));
  if (!is_file(wish.blob)) return Problem{404, "not_found", "there is no such blob", "files", 0};
  return wish;
}

// The preset goes with the name, where the model is its own.
Status keep_preset(Service& service, Creation& wish) {
  const std::string own(without_latest(wish.name));
  return set_alias(service.library->installed.folders(), wish.name,
                   wish.preset.is_empty() ? Alias() : Alias{own, std::move(wish.preset)});
}

// Told now, not when the name is first asked for.
Check check_adapters_of(const Creation& wish, const Service& service) {
  const Status fit = check_adapters(wish.blob.empty() ? service.meant_by(wish.from) : wish.blob,
                                    wish.preset.adapters, service.library->installed.folders());
  // Of a model that is not there the rest tells more.
  if (fit.ok() || fit.error().kind() == ErrorKind::not_found) return Done{};
  return invalid_value("adapters", fit.error().message());
}

Check make_model(Service& service, Creation wish, const std::stop_token& stop) {
  LiveLibrary& library = *service.library;
  TRY(check_adapters_of(wish, service));
  if (wish.recipe.empty() && !wish.from.empty()) {
    const Status made = copy_name(service, wish.from, wish.name, std::move(wish.preset));
    if (!made.ok()) return model_problem(wish.from, made.error());
    return Done{};
  }
  const std::string own(without_latest(wish.name));
  Status made = Done{};
  if (wish.recipe.empty()) {
    made = import_blob(service, wish.name, wish.file, wish.blob, stop);
  } else {
    std::string source = wish.blob;
    if (!wish.from.empty()) {
      const auto found = library.installed.find(service.meant_by(wish.from));
      if (!found) return model_problem(wish.from, found.error());
      source = found->path;
    }
    const auto package = open_reference(source, library.installed.folders());
    made = package ? import_quantised(library, own, *package, wish.recipe, stop) : package.error();
    library.installed.note_change();
    (void)service.pool->unload(own).ok();
  }
  if (!made.ok() && made.error().kind() == ErrorKind::corrupt)
    return Problem{400, "not_a_model", "the file is no model that can be read", "files", 0};
  TRY(made);
  TRY(keep_preset(service, wish));
  return Done{};
}

Check create(Service& service, Call& call) {
  const LiveLibrary* library = TRY(library_of(service));
  const Json body = TRY(parse_body(call.request.body));
  const bool stream = TRY(read_bool(body, "stream")).value_or(true);
  Creation wish = TRY(read_creation(service, *library, body));
  const Workers::Aside aside;
  const bool takes_long = stream && !wish.recipe.empty();
  const auto begin = [&](std::string_view status) {
    service.metrics.count_answer(call.endpoint->path, 200);
    start_events(call.request, *call.responder, EventForm::lines);
    call.responder->write(event_text(EventForm::lines, status_line(status)));
  };
  if (takes_long) begin(fmt::format("quantizing to {}", wish.recipe));
  Check made = make_model(service, std::move(wish), call.responder->stop());
  if (!made.ok() && !takes_long) return made;
  const Json last = made.ok() ? status_line("success")
                              : Json::object({{"error", std::move(made).error().message}});
  if (!stream) {
    send(service, call, http::json_response(write_json(last)));
    return Done{};
  }
  if (!takes_long) begin("writing manifest");
  call.responder->write(write_json(last) + "\n");
  call.responder->finish();
  return Done{};
}

constexpr auto worker = Endpoint::Place::worker;
constexpr Endpoint rows[] = {
    {"POST", "/api/pull", "Download a model (Ollama).", Scope::manage, "OllamaPullRequest",
     "OllamaStatus", worker, start_answer<pull>},
    {"DELETE", "/api/delete", "Remove a model, or a name (Ollama).", Scope::manage,
     "OllamaModelName", "", worker, start_answer<remove>},
    {"POST", "/api/copy", "Give a model another name (Ollama).", Scope::manage, "OllamaCopyRequest",
     "", worker, start_answer<copy>},
    {"POST", "/api/create", "Make a model of a file that was sent, or of another one (Ollama).",
     Scope::manage, "OllamaCreateRequest", "OllamaStatus", worker, start_answer<create>},
    {"GET", "/api/blobs/{id}", "Whether a file was sent (Ollama).", Scope::manage, "", "", worker,
     start_answer<find_blob>},
    {"POST", "/api/blobs/{id}", "Send a file of a model (Ollama).", Scope::manage, "", "", worker,
     start_answer<put_blob>},
};

}  // namespace

std::span<const Endpoint> ollama_manage_rows() { return rows; }

}  // namespace hearth::server
