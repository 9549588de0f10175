// hearth serve: the server, until it is told to stop.
#include <fmt/core.h>

#include <algorithm>

#include "cli/interrupts.h"
#include "cli/mcp_servers.h"
#include "cli/open_model.h"
#include "cli/pulling.h"
#include "cli/rows.h"
#include "cli/serving.h"
#include "config/live.h"
#include "formats/graph_folder.h"
#include "formats/lora.h"
#include "graphs/open.h"
#include "library/fitting.h"
#include "library/resolve.h"
#include "server/manage/settings.h"

namespace hearth::cli {
namespace {

// A model of this machine that was named on the command line: it is there from the start, and
// stays; graphs are opened when they are first used.  Returns its name; empty for what answers no
// prompts.
Result<std::string> load_now(App& app, LiveLibrary& library, const std::string& reference) {
  const LocalModel model = TRY(find_model(reference, library.installed.folders()));
  library.installed.allow(model);
  if (graphs::is_graph(model.path) && !has_text_side(model.path)) return std::string();
  const InterruptScope interrupts;
  AcquireOptions options;
  options.progress = [&](double share) { app.out.progress("loading", share); };
  options.stop = interrupts.token();
  options.is_pinned = true;
  const auto lease = library.pool().acquire(reference, options);
  app.out.progress_done();
  if (!lease) return lease.error();
  const bool hears = (*lease)->model().info().kind == ModelKind::transcriber;
  return hears ? std::string() : (*lease)->id;
}

// Each adapter can be read, and fits one of the models that were named, if any were.
Status check_fit(const std::vector<AdapterWish>& wishes, const std::vector<std::string>& models,
                 const LibraryFolders& folders) {
  for (const AdapterWish& wish : wishes) {
    TRY(open_lora(wish.path));
    Status fits = Done{};
    for (const std::string& model : models)
      if (fits = check_adapters(model, {wish.path}, folders); fits.ok()) break;
    if (!fits.ok()) return std::move(fits).error().within(fmt::format("--lora {}", wish.name));
  }
  return Done{};
}

void announce(App& app, const Arguments& arguments, const server::ApiServer& server,
              LiveLibrary& library) {
  std::vector<Lease> models = library.pool().loaded();
  const InstalledModels::List installed = library.installed.list();
  if (arguments.has("--json")) {
    Json ids = Json::array();
    for (const Lease& model : models) ids.push_back(model->id);
    for (const LocalModel& model : *installed)
      if (std::ranges::none_of(models, [&](const Lease& l) { return l->id == model.name; }))
        ids.push_back(model.name);
    app.out.json(Json::object({{"url", server.url()}, {"models", std::move(ids)}}));
  } else {
    app.out.line(fmt::format("Hearth listens on {}", server.url()));
    app.out.row("OpenAI base URL", server.url() + "/v1");
    for (const Lease& model : models) app.out.row("model", model->id);
    app.out.row("models", fmt::format("{} here, loaded when they are asked for: `hearth list`",
                                      installed->size()));
    app.out.row("stop", "Ctrl-C: running answers are finished first");
  }
  app.out.text("");  // flushes: a program may wait for the first line
}

Status run(App& app, const Arguments& arguments) {
  const std::unique_ptr<LiveConfig> settings = TRY(LiveConfig::create(
      [&] { return tuned_sources_of(arguments); },
      [facts = machine_facts()](const Config& wanted) { return check_config(wanted, facts); }));
  const Config config = settings->now()->config;
  if (!arguments.has("--verbose")) server::set_log_level(config.server.log_level);
  const std::vector<std::string> references = arguments.all("--model");
  const std::unique_ptr<LiveLibrary> library = TRY(open_library(arguments, config));
  server::ApiServerOptions options = api_options(config);
  options.stop_on_signals = true;
  options.settings = settings.get();
  options.tools = served_tools(arguments);
  for (const std::string& reference : references) TRY(offer_to_pull(app, arguments, reference));
  TRY(check_fit(library->library->adapters(), references, library->installed.folders()));
  bool has_standard = false;
  for (const std::string& reference : references) {
    const std::string id = TRY(load_now(app, *library, reference));
    if (!has_standard && !id.empty()) options.standard_model = id;
    has_standard = has_standard || !id.empty();
  }
  const auto server = TRY(server::ApiServer::create(config.server, *library, options));
  settings->watch();
  announce(app, arguments, *server, *library);
  allow_interrupts();
  server->run();
  return Done{};
}

std::span<const Option> options() {
  static const std::vector<Option> list = [] {
    std::vector<Option> all{{"--model", "MODEL",
                             "A model to load at once and keep; the first one answers requests "
                             "that name none.  May be given several times.",
                             true},
                            lora_flag};
    for (const std::string_view group : {"server.", "models.", "governor.", "collections.", "mcp."})
      for (const Option& option : setting_options(group)) all.push_back(option);
    return all;
  }();
  return list;
}

}  // namespace

const Command serve_command{
    .name = "serve",
    .arguments = "",
    .summary = "Serve the models of this machine to OpenAI, Ollama and Anthropic clients.",
    .details =
        "Every model that `hearth list` shows is loaded when a request names it, and unloaded\n"
        "when nobody has used it for a while (--keep-alive) or its memory is needed.  Listens on\n"
        "loopback only, unless --host says otherwise and --api-key-file names keys.\n\n"
        "  hearth serve --model model.gguf --port 8080",
    .options = options(),
    .run = run};

}  // namespace hearth::cli
