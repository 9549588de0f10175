// hearth serve: the server, until it is told to stop.
#include "server/serve.h"

#include <fmt/core.h>

#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/rows.h"
#include "cli/settings.h"

namespace hearth::cli {
namespace {

void announce(App& app, const Arguments& arguments, const server::ApiServer& server,
              const std::vector<Lease>& models) {
  if (arguments.has("--json")) {
    Json ids = Json::array();
    for (const Lease& model : models) ids.push_back(model->id);
    app.out.json(Json::object({{"url", server.url()}, {"models", std::move(ids)}}));
  } else {
    app.out.line(fmt::format("Hearth listens on {}", server.url()));
    app.out.row("OpenAI base URL", server.url() + "/v1");
    for (const Lease& model : models) app.out.row("model", model->id);
    app.out.row("stop", "Ctrl-C: running answers are finished first");
  }
  app.out.text("");  // flushes: a program may wait for the first line
}

Status run(App& app, const Arguments& arguments) {
  const Config config = TRY(read_config(arguments));
  std::vector<std::string> references = arguments.all("--model");
  if (references.empty()) references = {std::string(builtin_chat), std::string(builtin_embedder)};
  const LibraryOptions options = TRY(library_options(arguments));
  const std::unique_ptr<Library> library = TRY(Library::create(options));
  std::vector<Lease> models;
  for (const std::string& reference : references)
    models.push_back(TRY(acquire(app, arguments, *library, reference)));
  CollectionsConfig collections = config.collections;
  collections.folder = collections_folder(config);
  const auto server = TRY(server::ApiServer::create(
      config.server, models, {.stop_on_signals = true, .collections = std::move(collections)}));
  announce(app, arguments, *server, models);
  allow_interrupts();
  server->run();
  return Done{};
}

std::span<const Option> options() {
  static const std::vector<Option> list = [] {
    std::vector<Option> all{{"--model", "MODEL",
                             "A model to serve; may be given several times (default: the built-in "
                             "ones).",
                             true}};
    for (const std::string_view group : {"server.", "collections."})
      for (const Option& option : setting_options(group)) all.push_back(option);
    return all;
  }();
  return list;
}

}  // namespace

const Command serve_command{
    .name = "serve",
    .arguments = "",
    .summary = "Serve models to OpenAI clients.",
    .details =
        "Listens on loopback only, unless --host says otherwise and --api-key-file names "
        "keys.\n\n  hearth serve --model model.gguf --port 8080",
    .options = options(),
    .run = run};

}  // namespace hearth::cli
