#include "server/schemas.h"

namespace hearth::server::schema {
namespace {

// An object whose members are all texts, whole numbers, booleans, lists or objects.
struct Field {
  std::string_view name, type, description = "";
};

Json object(std::initializer_list<Field> fields, std::initializer_list<Json> needed = {}) {
  Json properties = Json::object();
  for (const Field& field : fields)
    properties.set(std::string(field.name), field.type == "array"
                                                ? list_of(type("object"))
                                                : type(field.type, field.description));
  return object_of(std::move(properties), needed);
}

void add_requests(Json& all) {
  constexpr std::string_view any_name = "Any name of the model.";
  const Json keep_alive = any_of({type("integer"), type("string")});
  all.set("ModelName", object({{"model", "string", any_name}}, {"model"}));
  all.set("PullRequest",
          object({{"model", "string", "A name of the catalog, hf:, ollama: or an address."},
                  {"priority", "integer", "Greater ones begin first."},
                  {"force", "boolean", "Larger than what this machine can give a model, too."},
                  {"stream", "boolean",
                   "Progress until it is there; as lines of JSON or, when "
                   "asked for, server-sent events."}},
                 {"model"}));
  all.set("DownloadChange",
          object({{"paused", "boolean", "What came is kept; over a restart it stays paused."},
                  {"priority", "integer", "Greater ones begin first."}}));
  Json load = object(
      {{"model", "string", any_name}, {"pin", "boolean", "It stays until it is unloaded by name."}},
      {"model"});
  load.find("properties")->set("keep_alive", keep_alive);
  all.set("LoadRequest", std::move(load));
  all.set("VerifyRequest",
          object({{"model", "string", any_name},
                  {"level", "string", "header, tensors, checksum (when absent) or run."}},
                 {"model"}));
  all.set("SwitchRequest",
          object({{"model", "string", "Answers from now on."},
                  {"from", "string", "For this name; for requests that name none when absent."},
                  {"keep_old", "boolean", "The one before stays in memory."}},
                 {"model"}));
  all.set("OptimizationRequest",
          object({{"workload", "string",
                   "balanced, throughput, latency or efficient; the one that is set when absent."},
                  {"consent", "boolean", "true: written to the user's file."}},
                 {"consent"}));
  all.set("SettingsRequest",
          object({{"settings", "object", "Settings and values; null takes one back."},
                  {"persist", "boolean",
                   "false: for this process alone; true when absent: in the user's file."}},
                 {"settings"}));
  all.set("OllamaModelName", object({{"model", "string", any_name}}, {"model"}));
  all.set("OllamaPullRequest",
          object({{"model", "string"}, {"stream", "boolean", "true when absent."}}, {"model"}));
  all.set("OllamaCopyRequest",
          object({{"source", "string"}, {"destination", "string"}}, {"source", "destination"}));
  all.set("OllamaCreateRequest",
          object({{"model", "string"},
                  {"from", "string", "A model that is here."},
                  {"files", "object", "Or one file: its name and the digest of a blob."},
                  {"system", "string", "Instructions of conversations that bring none."},
                  {"parameters", "object", "temperature, stop, num_ctx ...: as of a Modelfile."},
                  {"messages", "array", "Come before those of a conversation."},
                  {"license", "string", "Or a list of texts."},
                  {"stream", "boolean"}},
                 {"model"}));
}

}  // namespace

void add_manage(Json& all) {
  add_requests(all);
  all.set("Download",
          object({{"id", "integer"},
                  {"name", "string"},
                  {"reference", "string"},
                  {"state", "string", "queued, downloading, paused, done, failed, cancelled"},
                  {"bytes", "integer"},
                  {"total_bytes", "integer"},
                  {"bytes_per_second", "number"},
                  {"seconds_left", "number"},
                  {"each", "array", "Of its files: name, bytes, total_bytes."},
                  {"error", "object"}}));
  all.set("Event",
          object({{"event", "string", "model, library, download, system, settings or governor"},
                  {"name", "string", "Of the model, where it is about one."},
                  {"state", "string"},
                  {"progress", "number", "Of a model's way until it is ready, 0 to 1."}}));
  all.set("DownloadList", object({{"downloads", "array"}, {"unfinished", "array", ""}}));
  all.set("LibraryModel", object({{"name", "string"},
                                  {"reference", "string"},
                                  {"from", "string", "Whose store it lies in."},
                                  {"bytes", "integer"},
                                  {"kind", "string", "generator, embedder, reranker or graph"},
                                  {"context_length", "integer"},
                                  {"loaded", "boolean"},
                                  {"problem", "string", "Why it does not run; empty: it does."}}));
  all.set("LibraryList", object({{"models", "array"}, {"default", "string"}}));
  all.set("CatalogList", object({{"memory_for_models", "integer"}, {"models", "array"}}));
  all.set("HubList", object({{"models", "array"}}));
  all.set("LibraryStatus", object({{"default", "string"},
                                   {"switched", "object"},
                                   {"memory", "object"},
                                   {"loaded", "array"},
                                   {"lifecycle", "array"}}));
  all.set("LoadedModel", object({{"name", "string"},
                                 {"state", "string"},
                                 {"bytes", "integer"},
                                 {"users", "integer"},
                                 {"pinned", "boolean"},
                                 {"expires_in_seconds", "number"}}));
  all.set(
      "SwitchAnswer",
      object({{"from", "string"}, {"was", "string"}, {"model", "string"}, {"seconds", "number"}}));
  all.set("VerifyAnswer", object({{"name", "string"},
                                  {"level", "string"},
                                  {"checked", "boolean", "false: nothing is known to check by."},
                                  {"right", "boolean"},
                                  {"problem", "string", "Beside those of files; empty: none."},
                                  {"advice", "string", "What to do about it."},
                                  {"files", "array"}}));
  all.set("UploadAnswer", object({{"name", "string"},
                                  {"bytes", "integer", "That are here."},
                                  {"done", "boolean"},
                                  {"sha256", "string"}}));
  all.set("SystemInfo",
          object({{"cpu", "object"},
                  {"memory", "object"},
                  {"gpus", "array"},
                  {"vulkan", "object", "What its drivers tell, software ones too."},
                  {"disk", "object", "Where models are kept."},
                  {"speeds", "object", "`hearth info --benchmark`; null: never measured."},
                  {"now", "object"},
                  {"governor", "object", "What it leaves of the settings, and why."},
                  {"settings_problem", "string", "Empty: the files are in order."},
                  {"version", "string"}}));
  all.set("Optimization",
          object({{"workload", "string"},
                  {"changes", "array"},
                  {"measurement", "object", "`hearth info --benchmark`; null: never measured."},
                  {"file", "string", "That consent writes to."},
                  {"written", "boolean"}}));
  all.set("Settings", object({{"file", "string", "That requests change."},
                              {"problem", "string", "Of the files; empty: none."},
                              {"settings", "object", "Each with its value, layer and place."}}));
  all.set("SettingsAnswer",
          object({{"persisted", "boolean"},
                  {"file", "string"},
                  {"settings", "object",
                   "Each with its result: applied, next model, needs restart or unchanged."}}));
  all.set("OllamaStatus", object({{"status", "string"},
                                  {"digest", "string"},
                                  {"total", "integer"},
                                  {"completed", "integer"}}));
}

}  // namespace hearth::server::schema
