// /api/models/...: what is here and can be had, and what is in memory.
#include <fmt/core.h>

#include <charconv>

#include "base/utf8.h"
#include "config/live.h"
#include "config/secrets.h"
#include "hardware/memory.h"
#include "library/catalog_view.h"
#include "library/hub.h"
#include "library/hub_search.h"
#include "library/verify.h"
#include "server/describe.h"
#include "server/fields.h"
#include "server/manage/manage.h"
#include "server/manage/regulator.h"
#include "server/reply.h"
#include "server/rows.h"

namespace hearth::server {

Checked<LiveLibrary*> library_of(Service& service) {
  if (service.library) return service.library;
  return Problem{501, "unsupported", "this server serves a fixed set of models", "", 0};
}

std::optional<std::string> query_value(const http::Request& request, std::string_view name) {
  for (const auto& [key, value] : request.query)
    if (key == name) return value;
  return std::nullopt;
}

Json to_json(const PoolModel& model) {
  Json json = Json::object({{"name", model.id},
                            {"reference", model.reference},
                            {"state", name_of(model.state)},
                            {"share", model.state == PoolModel::State::ready ? 1.0 : model.share},
                            {"bytes", model.bytes},
                            {"users", model.users},
                            {"pinned", model.is_pinned},
                            {"load_seconds", model.load_seconds},
                            {"loaded", model.loaded_seconds}});
  json.set("expires_in_seconds",
           model.expires_in ? Json(static_cast<double>(model.expires_in->count()) / 1e3) : Json());
  return json;
}

Json to_json(const LifecycleView& view) {
  Json json = Json::object({{"name", view.name},
                            {"state", name_of(view.state)},
                            {"progress", view.progress},
                            {"since", view.since_seconds}});
  json.set("seconds_left", view.seconds_left ? Json(*view.seconds_left) : Json());
  if (!view.detail.empty()) json.set("detail", view.detail);
  return json;
}

Json event_of(const LifecycleView& view) {
  Json event = to_json(view);
  event.set("event", "model");
  return event;
}

namespace {

Checked<std::string> read_name(const Json& body) {
  const auto name = TRY(read_text(body, "model", 1024));
  if (!name || name->empty()) return invalid_value("model", "is missing");
  return *name;
}

// Of a request that says nothing else.
Checked<std::string> read_name(const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  return read_name(body);
}

Json describe(const LocalModel& model, bool is_loaded) {
  const ModelFacts& facts = model.facts;
  return Json::object({{"name", model.name},
                       {"reference", model.reference},
                       {"from", model.tool},
                       {"bytes", model.bytes},
                       {"kind", facts.kind},
                       {"architecture", facts.architecture},
                       {"parameters", facts.parameters},
                       {"quantisation", facts.quantisation},
                       {"context_length", facts.context_length},
                       {"weight_bytes", facts.weight_bytes},
                       {"kv_bytes_per_token", facts.kv_bytes_per_token},
                       {"capabilities", facts.capabilities},
                       {"problem", facts.problem},
                       {"loaded", is_loaded}});
}

Checked<Json> list(Service& service, const Call&) {
  LiveLibrary* library = TRY(library_of(service));
  Json models = Json::array();
  const InstalledModels::List here = library->installed.list();  // another thread may look again
  for (const LocalModel& model : *here)
    models.push_back(describe(model, service.pool->peek(model.name) != nullptr));
  return Json::object({{"models", std::move(models)}, {"default", service.meant_by("default")}});
}

// All words, in any order, in either case.
bool has_words(std::string text, std::string words) {
  const auto lower = [](std::string& value) {
    for (char& c : value)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  };
  lower(text);
  lower(words);
  std::string_view rest = words;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    if (!text.contains(word)) return false;
  }
  return true;
}

Checked<Json> available(Service& service, const Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const auto entries = TRY(load_catalog(library->installed.folders()));
  const std::uint64_t memory = memory_for_models(hardware::read_memory());
  const std::string task = query_value(call.request, "task").value_or("");
  const std::string words = query_value(call.request, "q").value_or("");
  const bool only_fitting = query_value(call.request, "fits") == "true";
  const InstalledModels::List here = library->installed.list();
  const auto speeds = load_speeds(library->installed.folders());
  Json models = Json::array();
  for (const CatalogEntry& entry : entries) {
    const bool fits = entry.memory_bytes() <= memory;
    if ((!task.empty() && entry.task != task) || (only_fitting && !fits)) continue;
    if (!has_words(entry.name + " " + entry.summary, words)) continue;
    const auto remote = parse_reference(entry.reference);
    Json described = to_json(entry, expected_tokens_per_second(entry, speeds));
    described.set("recommended", entry.is_recommended);
    described.set("fits", fits);
    described.set("is_here", remote && match(*here, *remote) != nullptr);
    models.push_back(std::move(described));
  }
  return Json::object({{"memory_for_models", memory}, {"models", std::move(models)}});
}

// As the settings are now.
Checked<Network> network_of(Service& service) {
  TRY(library_of(service));
  const LibraryConfig config =
      service.settings ? service.settings->now()->config.library : LibraryConfig();
  Network network = standard_network(config.hub, config.ollama, config.offline);
  network.stall_seconds = static_cast<int>(config.stall_seconds);
  if (!config.token.empty()) {
    auto token = read_secret(config.token);
    if (!token) return std::move(token).error().within("library.token");
    network.hub_token = *std::move(token);
  }
  return network;
}

Checked<Json> search(Service& service, const Call& call) {
  const Network network = TRY(network_of(service));
  const std::string words = query_value(call.request, "q").value_or("");
  if (words.find_first_not_of(' ') == words.npos) return invalid_value("q", "is missing");
  std::size_t most = most_found_models;
  if (const auto limit = query_value(call.request, "limit")) {
    const auto [end, error] = std::from_chars(limit->data(), limit->data() + limit->size(), most);
    if (error != std::errc() || end != limit->data() + limit->size() || most < 1 ||
        most > most_found_models)
      return invalid_value("limit",
                           fmt::format("needs a whole number from 1 to {}", most_found_models));
  }
  const DownloadHooks hooks{.stop = call.responder->stop(), .received = {}, .remark = {}};
  Json models = Json::array();
  for (const HubModel& model : TRY(search_hub(words, most, network, hooks)))
    models.push_back(to_json(model));
  return Json::object({{"models", std::move(models)}});
}

Checked<Json> show_named(Service& service, const std::string& name) {
  LiveLibrary* library = TRY(library_of(service));
  auto found = library->installed.find(service.meant_by(name));
  if (!found) return model_problem(name, found.error());
  Json shown = describe(*found, service.pool->peek(found->name) != nullptr);
  shown.set("path", found->path);
  LifecycleView lifecycle = library->lifecycles.view(found->name);
  // It is here, though nobody has asked for it yet.
  if (lifecycle.state == ModelState::uninitialized) lifecycle.state = ModelState::local;
  shown.set("lifecycle", to_json(lifecycle));
  return shown;
}

Checked<Json> show(Service& service, const Call& call) {
  return show_named(service, TRY(read_name(call)));
}

Checked<Json> show_in_path(Service& service, const Call& call) {
  return show_named(service, call.rest);
}

// Of what is in memory under the name.
Json memory_state(Service& service, const std::string& name) {
  const Lease lease = service.find_loaded(name);
  for (const PoolModel& model : service.pool->models())
    if (lease && model.id == lease->id && model.state == PoolModel::State::ready)
      return to_json(model);
  return Json::object({{"name", name}, {"state", "absent"}});
}

Checked<Json> load(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const std::string name = TRY(read_name(body));
  AcquireOptions options;
  options.keep_alive = TRY(read_keep_alive(body));
  options.is_pinned = TRY(read_bool(body, "pin")).value_or(false);
  options.stop = call.responder->stop();
  TRY(service.find_model(name, options));
  return memory_state(service, name);
}

Checked<Json> unload(Service& service, const Call& call) {
  const std::string name = TRY(read_name(call));
  const Lease lease = service.find_loaded(name);
  if (!lease || !service.pool->unload(lease->id).ok())
    return Problem{404, "model_not_loaded",
                   fmt::format("The model '{}' is not in memory", printable(name)), "model", 0};
  return Json::object({{"name", lease->id}, {"unloaded", true}});
}

// The new one is in memory before the first request is sent to it; those that run on the old one
// finish there.
Checked<Json> switch_to(Service& service, const Call& call) {
  const Json body = TRY(parse_body(call.request.body));
  const std::string name = TRY(read_name(body));
  const auto from = TRY(read_text(body, "from", 1024));
  const bool keeps_old = TRY(read_bool(body, "keep_old")).value_or(false);
  const auto began = std::chrono::steady_clock::now();
  AcquireOptions options;
  options.stop = call.responder->stop();
  // By its own name: one that was switched away from may be switched back to.
  const Lease fresh = TRY(service.find_own_model(name, options));
  const std::string old = service.names.with([&](NameTable& table) {
    if (!from) return std::exchange(table.standard, fresh->id);
    const auto known = table.switched.find(*from);
    std::string before = known == table.switched.end() ? *from : known->second;
    if (*from == fresh->id)
      table.switched.erase(*from);
    else
      table.switched[*from] = fresh->id;
    return before;
  });
  const Lease old_lease = service.pool->peek(old);
  if (!keeps_old && old_lease && old_lease->id != fresh->id)
    (void)service.pool->unload(old_lease->id).ok();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  return Json::object({{"from", from ? *from : std::string("default")},
                       {"was", old},
                       {"model", fresh->id},
                       {"seconds", took.count()}});
}

Checked<Json> status(Service& service, const Call&) {
  LiveLibrary* library = TRY(library_of(service));
  Json loaded = Json::array(), ways = Json::array();
  for (const PoolModel& model : service.pool->models()) loaded.push_back(to_json(model));
  for (const LifecycleView& view : library->lifecycles.views()) ways.push_back(to_json(view));
  const hardware::Memory memory = hardware::read_memory();
  Json switched = Json::object();
  service.names.with([&](const NameTable& table) {
    for (const auto& [from, to] : table.switched) switched.set(from, to);
  });
  Json state = Json::object({{"default", service.meant_by("default")},
                             {"switched", std::move(switched)},
                             {"memory", Json::object({{"free_bytes", memory.free_bytes()},
                                                      {"total_bytes", memory.total_bytes}})},
                             {"loaded", std::move(loaded)},
                             {"lifecycle", std::move(ways)}});
  if (service.regulator) state.set("governor", to_json(service.regulator->view()));
  return state;
}

Checked<Json> verify_one(Service& service, const Call& call) {
  LiveLibrary* library = TRY(library_of(service));
  const Json body = TRY(parse_body(call.request.body));
  const std::string name = TRY(read_name(body));
  const auto level = verify_level(TRY(read_text(body, "level", 16)).value_or("checksum"));
  if (!level) return invalid_value("level", "needs header, tensors, checksum or run");
  auto model = library->installed.find(service.meant_by(name));
  if (!model) return model_problem(name, model.error());
  VerifyHooks hooks;
  hooks.stop = call.responder->stop();
  AcquireOptions options;
  options.stop = hooks.stop;
  // One that was loaded for this alone goes again.
  if (!service.pool->peek(model->name)) options.keep_alive = std::chrono::milliseconds(0);
  const Workers::Aside aside;  // it reads gigabytes
  const Verdict verdict = TRY(verify(*model, *level, library->installed.folders(), hooks,
                                     [&] { return service.pool->acquire(model->name, options); }));
  library->installed.note_change();  // a damaged model is set aside
  Json list = Json::array();
  for (const VerifiedFile& file : verdict.files)
    list.push_back(
        Json::object({{"path", file.path}, {"sha256", file.sha256}, {"problem", file.problem}}));
  return Json::object({{"name", model->name},
                       {"level", name_of(*level)},
                       {"checked", *level != VerifyLevel::checksum || verdict.has_promise()},
                       {"right", verdict.is_right()},
                       {"problem", verdict.problem},
                       {"advice", verdict.advice(*model)},
                       {"files", std::move(list)}});
}

Checked<Json> remove_named(Service& service, const std::string& name) {
  LiveLibrary* library = TRY(library_of(service));
  const Status removed = library->remove(name);
  if (!removed.ok()) return model_problem(name, removed.error());
  return Json::object({{"name", name}, {"deleted", true}});
}

Checked<Json> remove(Service& service, const Call& call) {
  return remove_named(service, TRY(read_name(call)));
}

Checked<Json> remove_in_path(Service& service, const Call& call) {
  return remove_named(service, call.rest);
}

// Source: OpenAI API reference, "Delete a fine-tuned model".
Checked<Json> remove_as_openai(Service& service, const Call& call) {
  TRY(remove_named(service, call.rest));
  return Json::object({{"id", call.rest}, {"object", "model"}, {"deleted", true}});
}

constexpr auto worker = Endpoint::Place::worker;
constexpr Endpoint rows[] = {
    {"GET", "/api/models", "The models that are here.", Scope::infer, "", "LibraryList", worker,
     reply_json<list>},
    {"GET", "/api/models/list", "Another name of /api/models.", Scope::infer, "", "LibraryList",
     worker, reply_json<list>},
    {"GET", "/api/models/available",
     "The models of the catalog; ?q=, ?task= and ?fits=true leave some out.", Scope::infer, "",
     "CatalogList", worker, reply_json<available>},
    {"GET", "/api/models/search",
     "Models of Hugging Face whose names have the words of ?q=, at most ?limit=.", Scope::manage,
     "", "HubList", worker, reply_json<search>},
    {"GET", "/api/models/status", "What is in memory, and where each model is on its way there.",
     Scope::infer, "", "LibraryStatus", worker, reply_json<status>},
    {"POST", "/api/models/show", "What one model is.", Scope::infer, "ModelName", "LibraryModel",
     worker, reply_json<show>},
    {"GET", "/api/models/show/{id}", "What one model is.", Scope::infer, "", "LibraryModel", worker,
     reply_json<show_in_path>},
    {"POST", "/api/models/load", "Load a model before it is needed.", Scope::manage, "LoadRequest",
     "LoadedModel", worker, reply_json<load>},
    {"POST", "/api/models/unload", "Unload a model once nobody uses it.", Scope::manage,
     "ModelName", "", worker, reply_json<unload>},
    {"POST", "/api/models/switch",
     "Have another model answer for a name, or for requests that name none; none fails meanwhile.",
     Scope::manage, "SwitchRequest", "SwitchAnswer", worker, reply_json<switch_to>},
    {"POST", "/api/models/verify", "Whether a model is what was promised, and runs.", Scope::manage,
     "VerifyRequest", "VerifyAnswer", worker, reply_json<verify_one>},
    {"POST", "/api/models/delete", "Remove a model from Hearth's store.", Scope::manage,
     "ModelName", "", worker, reply_json<remove>},
    {"DELETE", "/api/models/{id}", "Remove a model from Hearth's store.", Scope::manage, "", "",
     worker, reply_json<remove_in_path>},
    {"DELETE", "/v1/models/{id}", "Remove a model from Hearth's store (OpenAI).", Scope::manage, "",
     "", worker, reply_json<remove_as_openai>},
};

}  // namespace

std::span<const Endpoint> model_rows() { return rows; }

}  // namespace hearth::server
