// hearth show: what a model is and what it needs.
#include <fmt/core.h>

#include "base/files.h"
#include "base/utf8.h"
#include "cli/graph_commands.h"
#include "cli/open_model.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "cli/show_weights.h"
#include "engines/engines.h"
#include "hardware/memory.h"
#include "kernels/select.h"
#include "library/catalog_view.h"
#include "library/engine_speeds.h"
#include "library/library.h"
#include "library/modelfile.h"
#include "library/resolve.h"
#include "server/manage/tuning.h"

namespace hearth::cli {
namespace {

// Of one answer on this machine; 0: nothing was measured, or the model writes nothing.
double expected_speed(const Package& package, const ModelInfo& info) {
  if (package.tensors.empty()) return 0;
  const auto speeds = load_speeds(standard_folders());
  if (!speeds || info.kind != ModelKind::generator) return 0;
  return expected_tokens_per_second(*speeds, work_per_token(package, info));
}

Json to_json(const Package& package, const ModelInfo& info, bool tensors) {
  Json json = Json::object({{"name", info.name},
                            {"format", package.format},
                            {"path", package.path},
                            {"architecture", info.architecture},
                            {"kind", name_of(info.kind)},
                            {"vision", info.vision.empty() ? Json() : Json(info.vision)},
                            {"mtp", info.has_mtp},
                            {"parameters", info.parameters},
                            {"quantisation", info.quantisation},
                            {"context_length", static_cast<std::uint64_t>(info.context_length)},
                            {"vocabulary", static_cast<std::uint64_t>(info.vocabulary)},
                            {"dim", static_cast<std::uint64_t>(info.dim)},
                            {"layers", static_cast<std::uint64_t>(info.layers)},
                            {"heads", static_cast<std::uint64_t>(info.heads)},
                            {"kv_heads", static_cast<std::uint64_t>(info.kv_heads)},
                            {"file_bytes", info.file_bytes},
                            {"weight_bytes", info.weight_bytes},
                            {"kv_bytes_per_token", info.kv_bytes_per_token},
                            {"metadata", package.metadata.to_json()}});
  if (tensors) json.set("tensors", tensors_json(package));
  const double speed = expected_speed(package, info);
  json.set("expected_tokens_per_second", speed > 0 ? Json(speed) : Json());
  return json;
}

// A model of the catalog that is not here.
void show_entry(App& app, const Arguments& arguments, const CatalogEntry& entry) {
  const std::uint64_t memory = memory_for_models(hardware::read_memory());
  const bool fits = entry.memory_bytes() <= memory;
  const auto speeds = load_speeds(standard_folders());
  const double speed = expected_tokens_per_second(entry, speeds);
  if (arguments.has("--json")) {
    Json described = to_json(entry, speed);
    described.set("is_here", false);
    described.set("fits", fits);
    app.out.json(described);
    return;
  }
  Output& out = app.out;
  out.line(out.bold(entry.name));
  out.row("what", fmt::format("{}; for {}", entry.summary, entry.task));
  out.row("parameters", readable_count(static_cast<std::uint64_t>(entry.parameters * 1e9)));
  out.row("context", fmt::format("{} tokens", entry.context));
  out.row("licence", entry.licence);
  out.row("download", fmt::format("{} from {}", readable_bytes(entry.bytes), entry.reference));
  out.row("memory", fmt::format("about {}: {}", readable_bytes(entry.memory_bytes()),
                                fits ? "fits this machine" : "more than this machine has"));
  if (speed > 0) out.row("speed", fmt::format("about {:.1f} tokens/s for one answer here", speed));
  out.row("not here", fmt::format("`hearth pull {}` gets it", entry.name));
}

// Which engines could run a package, and why or why not.
Status show_engines(App& app, const Arguments& arguments, const LibraryContext& context,
                    const Package& package) {
  const LibraryOptions options = TRY(library_options(arguments));
  const ops::Context ctx{.kernels = TRY(kernels::choose(options.kernels))};
  const EngineFacts facts{.free_bytes = hardware::read_memory().free_bytes(),
                          .measured = load_engine_speeds(context.folders, package.path)};
  const auto ranked = rank_engines(ctx, package, facts);
  if (arguments.has("--json")) {
    Json list = Json::array();
    for (const EngineChoice& choice : ranked)
      list.push_back(
          Json::object({{"engine", choice.engine->name},
                        {"runs", choice.score > 0},
                        {"score", choice.score},
                        {"tokens_per_second", choice.measured > 0 ? Json(choice.measured) : Json()},
                        {"why", choice.why},
                        {"summary", choice.engine->summary}}));
    app.out.json(Json::object({{"model", package.path}, {"engines", std::move(list)}}));
    return Done{};
  }
  bool is_first = true;
  for (const EngineChoice& choice : ranked) {
    const std::string verdict = choice.score == 0 ? "no"
                                : is_first        ? fmt::format("{:.2f}, taken", choice.score)
                                                  : fmt::format("{:.2f}", choice.score);
    app.out.line(
        fmt::format("{}  {}", app.out.bold(fmt::format("{:<12}", choice.engine->name)), verdict));
    app.out.line(fmt::format("    {}", choice.engine->summary));
    app.out.line(fmt::format("    {}", choice.why));
    is_first = false;
  }
  return Done{};
}

// What a name of the user's own stands for.
void show_alias(Output& out, const std::string& name, const LibraryFolders& folders) {
  const Aliases aliases = read_aliases(folders);
  const Alias* alias = find_alias(aliases, name);
  if (!alias) return;
  out.row("a name for", alias->model);
  if (!alias->preset.system.empty()) out.row("instructions", printable(alias->preset.system));
  for (const std::string& adapter : alias->preset.adapters) out.row("adapter", printable(adapter));
  std::string parameters = write_parameters(alias->preset);
  std::ranges::replace(parameters, '\n', ' ');
  if (!parameters.empty()) out.row("parameters", parameters);
}

Status run(App& app, const Arguments& arguments) {
  if (const std::string graph = graph_path(arguments); !graph.empty())
    return show_graph(app, arguments, graph);
  const LibraryContext context = TRY(library_context(arguments));
  const Resolved resolved = TRY(resolve(arguments[0], context.folders));
  if (!resolved.local && !resolved.missing->catalog_entry) return resolved.missing->error;
  if (!resolved.local) {
    show_entry(app, arguments, *resolved.missing->catalog_entry);
    return Done{};
  }
  const LocalModel& model = *resolved.local;
  if (is_adapter(model.path)) return show_adapter(app, arguments, model.path);
  const Package package = TRY(open_reference(model.path));
  if (arguments.has("--engines")) return show_engines(app, arguments, context, package);
  const Config config = TRY(read_tuned_config(arguments));
  auto described = describe_package(package, server::tuning_of(config).kv_dtype);
  if (!described && described.error().kind() == ErrorKind::unsupported) {
    show_weights(app, arguments, package, described.error());
    return Done{};
  }
  const ModelInfo info = TRY(std::move(described));
  const bool tensors = arguments.has("--tensors");
  if (arguments.has("--json")) {
    app.out.json(to_json(package, info, tensors));
    return Done{};
  }
  Output& out = app.out;
  out.line(out.bold(info.name));
  show_alias(out, arguments[0], context.folders);
  out.row("what", fmt::format("{}, {} parameters, mostly {}", name_of(info.kind),
                              readable_count(info.parameters), info.quantisation));
  out.row("architecture", fmt::format("{} ({}): {} layers, dim {}, {} heads, {} of keys and values",
                                      info.architecture, package.format, info.layers, info.dim,
                                      info.heads, info.kv_heads));
  out.row("context", fmt::format("{} tokens", info.context_length));
  if (model.path != arguments[0]) {
    out.row("from", model.reference.empty() ? std::string(model.tool)
                                            : fmt::format("{} ({})", model.reference, model.tool));
    out.row("path", model.path);
  }
  out.row("vocabulary", fmt::format("{} tokens", info.vocabulary));
  if (!info.vision.empty())
    out.row("sees", package.tower ? fmt::format("pictures, by {} ({})", info.vision,
                                                file_name(package.tower->path))
                                  : fmt::format("pictures, by {}", info.vision));
  if (info.has_mtp)
    out.row("guesses", "further tokens, by a layer of its own (multi-token prediction)");
  out.row("chat template", chat_template_source(package) ? "its own" : "none");
  out.row("file",
          fmt::format("{}, {} tensors", readable_bytes(info.file_bytes), package.tensors.size()));
  out.row("memory, weights", readable_bytes(info.weight_bytes));
  if (info.kv_bytes_per_token > 0)
    out.row("memory, context",
            fmt::format("{} per token, {} for all of it", readable_bytes(info.kv_bytes_per_token),
                        readable_bytes(info.kv_bytes_per_token * info.context_length)));
  if (const double speed = expected_speed(package, info); speed > 0)
    out.row("speed", fmt::format("about {:.1f} tokens/s for one answer here", speed));
  if (!tensors) return Done{};
  out.line("");
  list_tensors(out, package);
  return Done{};
}

constexpr Option options[] = {
    {"--tensors", "", "List every tensor."},
    {"--engines", "", "Which engines could run it, how well, and why not."},
    {"--method", "NAME", "Of an ExecuTorch program or a TFLite model of several: which method."},
    {"--dot", "", "Of an operator graph: draw it in Graphviz's language."},
};

}  // namespace

const Command show_command{.name = "show",
                           .arguments = "MODEL",
                           .summary = "Tell what a model is and what it needs.",
                           .details = "Reads headers only.\n\n  hearth show model.gguf --tensors",
                           .options = options,
                           .run = run};

}  // namespace hearth::cli
