// hearth pull: a model from a hub into our store.
#include <fmt/core.h>

#include <chrono>

#include "base/files.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "engines/engines.h"
#include "library/resolve.h"

namespace hearth::cli {
namespace {

Json to_json(const Pulled& pulled, double seconds) {
  Json files = Json::array();
  for (const StoredFile& file : pulled.manifest.files)
    files.push_back(
        Json::object({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}}));
  return Json::object(
      {{"name", pulled.manifest.name.empty() ? pulled.manifest.reference : pulled.manifest.name},
       {"reference", pulled.manifest.reference},
       {"revision", pulled.manifest.revision},
       {"folder", pulled.folder},
       {"was_here", pulled.was_here},
       {"bytes", pulled.manifest.bytes()},
       {"seconds", seconds},
       {"files", std::move(files)}});
}

// Another program has fetched it: it is used where it is.
const LocalModel* elsewhere(const std::vector<LocalModel>& models, const Reference& reference) {
  const LocalModel* found = match(models, reference);
  return found && found->tool != "hearth" ? found : nullptr;
}

Status run(App& app, const Arguments& arguments) {
  const LibraryContext context = TRY(download_context(arguments));
  const PullTarget wanted = TRY(pull_target(arguments[0], context.folders));
  const std::vector<LocalModel> models = find_local_models(context.folders);
  const LocalModel* other = elsewhere(models, wanted.remote);
  if (other && !arguments.has("--copy")) {
    if (arguments.has("--json"))
      app.out.json(Json::object({{"name", other->name},
                                 {"reference", other->reference},
                                 {"path", other->path},
                                 {"was_here", true},
                                 {"bytes", other->bytes}}));
    else
      app.out.line(fmt::format("{} is here already, fetched by another program ({}): {}",
                               other->name, other->tool, other->path));
    return Done{};
  }
  const auto began = std::chrono::steady_clock::now();
  const Pulled pulled = TRY(pull_with_progress(app, context, wanted.remote, wanted.name));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (arguments.has("--json")) {
    app.out.json(to_json(pulled, seconds));
    return Done{};
  }
  const Manifest& manifest = pulled.manifest;
  const std::string& name = manifest.name.empty() ? manifest.reference : manifest.name;
  if (pulled.was_here) {
    app.out.line(fmt::format("{} is here already, as the hub has it", name));
  } else {
    app.out.line(fmt::format("{}: {} in {}, verified", name, readable_bytes(manifest.bytes()),
                             readable_seconds(seconds)));
    const auto package = open_package(
        manifest.main == "." ? pulled.folder : join_path(pulled.folder, manifest.main));
    const auto info = package ? describe_package(*package) : package.error();
    if (info && info->kind == ModelKind::transcriber)
      app.out.line(fmt::format("Try it: hearth transcribe FILE --model {}", name));
    else
      app.out.line(fmt::format("Try it: hearth chat {}", name));
  }
  return Done{};
}

std::span<const Option> options() {
  static const std::vector<Option> list = [] {
    std::vector<Option> all{
        {"--copy", "", "Fetch it even when another program's copy is on this machine."},
        {"--force", "", "Fetch it even when it is larger than this machine's memory for models."}};
    for (const Option& option : setting_options("library.")) all.push_back(option);
    return all;
  }();
  return list;
}

}  // namespace

const Command pull_command{
    .name = "pull",
    .arguments = "MODEL",
    .summary = "Download a model, or go on with a download.",
    .details =
        "MODEL is a name of the catalog (`hearth list --available`), hf:org/repo[:file or\n"
        "quantisation], ollama:name[:tag], or the address of a .gguf file. What an interrupted\n"
        "download left is used; nothing is installed before it is whole and verified.\n\n"
        "  hearth pull qwen3:0.6b\n"
        "  hearth pull hf:Qwen/Qwen3-8B-GGUF:Q4_K_M",
    .options = options(),
    .run = run};

}  // namespace hearth::cli
